//! What is told through `tracing`, heard by the test that asks for it and by no other.
//!
//! Whether anybody listens is cached for each line of code that tells, for the whole process. A subscriber that is
//! one thread's default is not seen by a thread that comes to such a line first and has none, so what is told there
//! would be cached as of interest to nobody, for every test. So one subscriber listens from before the first line
//! on, for ever, to all threads, and hands what it hears to whoever listens on the thread that tells.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What was heard on one thread.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    /// The spans by name, with the fields of each. What becomes known of a span only later stands under a name of
    /// its own.
    pub(crate) spans: BTreeMap<&'static str, Vec<String>>,
    lines: Vec<(Level, String)>,
}

impl Heard {
    /// The lines at or above `level`.
    pub(crate) fn lines(&self, level: Level) -> Vec<String> {
        self.lines.iter().filter(|(of, _)| *of <= level).map(|(_, line)| line.clone()).collect()
    }
}

thread_local! {
    static HEARD: RefCell<Option<Rc<RefCell<Heard>>>> = const { RefCell::new(None) };
}

/// Somebody listens on this thread while it lives.
pub(crate) struct Listening(Rc<RefCell<Heard>>);

/// Listens to what is told on this thread from now on.
pub(crate) fn listen() -> Listening {
    install();
    let heard = Rc::default();
    HEARD.set(Some(Rc::clone(&heard)));
    Listening(heard)
}

impl Listening {
    /// What was heard so far.
    pub(crate) fn heard(&self) -> Heard {
        self.0.borrow().clone()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        HEARD.set(None);
    }
}

/// Makes sure that everything that is told is heard. To be called before anything can be told.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Ears).unwrap());
}

struct Ears;

fn hear(take: impl FnOnce(&mut Heard)) {
    HEARD.with_borrow(|heard| heard.as_ref().map(|heard| take(&mut heard.borrow_mut())));
}

impl Subscriber for Ears {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("atp_pipeline") || metadata.target() == atp_pipeline::REQUESTS
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let name = attributes.metadata().name();
        hear(|heard| {
            let mut fields = Fields(String::new());
            attributes.record(&mut fields);
            heard.spans.entry(name).or_default().push(fields.0);
        });
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        hear(|heard| {
            let mut fields = Fields(String::new());
            values.record(&mut fields);
            heard.spans.entry("recorded later").or_default().push(fields.0);
        });
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        hear(|heard| {
            let mut fields = Fields(String::new());
            event.record(&mut fields);
            heard.lines.push((*event.metadata().level(), fields.0));
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}
