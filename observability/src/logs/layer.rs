//! Where events become lines.

use std::cell::RefCell;
use std::sync::Arc;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::Format;
use super::line::{self, Fields};
use super::sink::Sink;

thread_local! {
    /// The line being made on this thread, kept so that its memory is used again.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A line's memory is not kept beyond this size.
const KEPT: usize = 16 * 1024;

/// Formats each event and hands it to the sink.
pub(super) struct Lines {
    format: Format,
    sink: Arc<Sink>,
}

/// A span's fields, formatted once.
struct SpanFields(String);

impl Lines {
    pub(super) fn new(format: Format, sink: Arc<Sink>) -> Self {
        Self { format, sink }
    }

    fn write<S>(&self, out: &mut String, event: &Event<'_>, ctx: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        line::begin(self.format, out, event.metadata());
        event.record(&mut Fields::new(self.format, out));
        if let Some(scope) = ctx.event_scope(event) {
            let spans = scope.from_root();
            match self.format {
                Format::Json => json_spans(out, spans),
                Format::Text | Format::Coloured => spans.for_each(|span| text_span(out, &span)),
            }
        }
        line::end(self.format, out);
    }
}

fn json_spans<'a, S>(out: &mut String, spans: impl Iterator<Item = SpanRef<'a, S>>)
where
    S: for<'b> LookupSpan<'b> + 'a,
{
    out.push_str(",\"spans\":[");
    for (index, span) in spans.enumerate() {
        out.push_str(if index == 0 { "{\"span\":" } else { ",{\"span\":" });
        line::json_text(out, span.name());
        if let Some(fields) = span.extensions().get::<SpanFields>() {
            out.push_str(&fields.0);
        }
        out.push('}');
    }
    out.push(']');
}

fn text_span<S>(out: &mut String, span: &SpanRef<'_, S>)
where
    S: for<'a> LookupSpan<'a>,
{
    out.push_str(" in ");
    out.push_str(span.name());
    if let Some(fields) = span.extensions().get::<SpanFields>() {
        out.push_str(&fields.0);
    }
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut text = String::new();
        attributes.record(&mut Fields::new(self.format, &mut text));
        span.extensions_mut().insert(SpanFields(text));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<SpanFields>() {
            values.record(&mut Fields::new(self.format, &mut fields.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        LINE.with(|line| {
            // A value whose own formatting logs would come here a second time: it gets its own line.
            let mut own = String::new();
            let mut kept = line.try_borrow_mut().ok();
            let out = kept.as_deref_mut().unwrap_or(&mut own);
            self.write(out, event, &ctx);
            self.sink.push(out.as_bytes());
            out.clear();
            out.shrink_to(KEPT);
        });
    }
}
