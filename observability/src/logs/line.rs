//! An event as one line, JSON or text.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::Format;
use super::redact::{MASK, is_secret};

/// A value longer than this is cut: a log line is not the place for a prompt.
const LONGEST_VALUE: usize = 8 * 1024;

/// Writes what stands before an event's fields.
pub(super) fn begin(format: Format, out: &mut String, meta: &Metadata<'_>) {
    match format {
        Format::Json => {
            out.push_str("{\"ts\":\"");
            time(out);
            out.push_str("\",\"level\":\"");
            out.push_str(level(*meta.level()));
            out.push_str("\",\"target\":");
            json_text(out, meta.target());
        }
        Format::Text | Format::Coloured => {
            time(out);
            let (start, end) = colour(format, *meta.level());
            // Writing to a string cannot fail.
            let _ = write!(out, " {start}{:<5}{end} {}:", level(*meta.level()), meta.target());
        }
    }
}

/// Writes what stands after an event's fields.
pub(super) fn end(format: Format, out: &mut String) {
    out.push_str(if format == Format::Json { "}\n" } else { "\n" });
}

/// The line that tells of dropped ones.
pub(super) fn lost(format: Format, lines: u64) -> String {
    let mut out = String::new();
    let now = {
        let mut now = String::new();
        time(&mut now);
        now
    };
    // Writing to a string cannot fail.
    let _ = match format {
        Format::Json => writeln!(
            out,
            "{{\"ts\":\"{now}\",\"level\":\"warn\",\"target\":\"atp_telemetry\",\
             \"message\":\"log lines were dropped: the output is slower than the logs\",\"lines\":{lines}}}"
        ),
        Format::Text | Format::Coloured => {
            writeln!(
                out,
                "{now} warn  atp_telemetry: log lines were dropped: the output is slower than the logs lines={lines}"
            )
        }
    };
    out
}

fn time(out: &mut String) {
    // The only failure is that of the writer, and a string has none.
    let _ = SystemTime.format_time(&mut Writer::new(out));
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// The ANSI codes around a level.
fn colour(format: Format, level: Level) -> (&'static str, &'static str) {
    if format != Format::Coloured {
        return ("", "");
    }
    let start = match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    };
    (start, "\x1b[0m")
}

/// Writes fields as they are visited.
pub(super) struct Fields<'a> {
    format: Format,
    out: &'a mut String,
}

impl<'a> Fields<'a> {
    pub(super) fn new(format: Format, out: &'a mut String) -> Self {
        Self { format, out }
    }

    fn name(&mut self, field: &Field) {
        let name = field.name().strip_prefix("r#").unwrap_or(field.name());
        match self.format {
            Format::Json => {
                self.out.push(',');
                // The line's own words keep their meaning.
                let reserved = matches!(name, "ts" | "level" | "target" | "spans");
                json_text(self.out, if reserved { field_alias(name) } else { name });
                self.out.push(':');
            }
            Format::Text | Format::Coloured if name == "message" => self.out.push(' '),
            Format::Text | Format::Coloured => {
                self.out.push(' ');
                self.out.push_str(name);
                self.out.push('=');
            }
        }
    }

    fn text(&mut self, field: &Field, value: &str) {
        self.name(field);
        let value = if is_secret(field.name()) { MASK } else { value };
        let cut = value.get(..value.floor_char_boundary(LONGEST_VALUE)).unwrap_or(value);
        match self.format {
            Format::Json => json_text(self.out, cut),
            Format::Text | Format::Coloured => plain_text(self.out, cut, field.name() == "message"),
        }
    }

    /// Numbers and booleans are never masked: a count is not a credential.
    fn number(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{value}");
    }
}

/// The name under which a field stands that would hide one of the line's own.
fn field_alias(name: &str) -> &'static str {
    match name {
        "ts" => "ts_",
        "level" => "level_",
        "target" => "target_",
        _ => "spans_",
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.number(field, value);
        } else {
            self.text(field, &value.to_string());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

/// Appends a JSON string, quotes included.
pub(super) fn json_text(out: &mut String, text: &str) {
    // A string always has a JSON form; should the encoder ever refuse one, the value is left out.
    out.push_str(serde_json::to_string(text).as_deref().unwrap_or("null"));
}

/// Appends text for people: quoted where it is a value with spaces in it, and without control
/// characters, so that no value can forge a line or move a terminal's cursor.
fn plain_text(out: &mut String, text: &str, bare: bool) {
    let quoted = !bare && (text.is_empty() || text.contains(|c: char| c.is_whitespace() || c == '"'));
    if quoted {
        out.push('"');
    }
    for c in text.chars() {
        if c.is_control() || (quoted && c == '"') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if quoted {
        out.push('"');
    }
}
