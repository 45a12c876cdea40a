//! Logs: one line for each event, written by a thread of their own.
//!
//! A thread that logs formats its line and copies it into a bounded buffer; it never waits for the
//! output. The thread "atp-logs" writes the buffer some 20 times a second, and rests while nothing is
//! logged. When the output does not keep up (a full pipe, a slow disk), lines are dropped and counted,
//! and a line says how many. A crash that no code can see (SIGKILL) loses the last 50 ms.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::{EnvFilter, reload};

use layer::Lines;
use sink::Sink;

mod layer;
mod line;
mod redact;
mod sink;
#[cfg(test)]
mod tests;

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object: `ts` (RFC 3339, UTC), `level`, `target`, `message`, then the event's fields;
    /// the fields of enclosing spans in `spans`, outermost first.
    Json,
    /// Text for people, without colours.
    Text,
    /// Text for a terminal.
    Coloured,
}

/// How logs are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// What a line looks like.
    pub format: Format,
    /// Which events are written: `info`, or `info,atp_pipeline=debug`.
    pub filter: String,
    /// How many bytes of lines may wait for the output.
    pub buffer_bytes: usize,
}

impl Default for LogConfig {
    /// JSON from `info` on, with a megabyte of room: some 4,000 lines.
    fn default() -> Self {
        Self { format: Format::Json, filter: String::from("info"), buffer_bytes: 1 << 20 }
    }
}

/// Why logging cannot be set up as asked.
#[derive(Debug)]
pub struct LogError(String);

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LogError {}

/// The running logs. Dropping them writes what waits, for half a second at most.
pub struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
    sink: Arc<Sink>,
}

impl Logs {
    /// Starts the logs of the process.
    ///
    /// # Errors
    /// Where the filter is not valid, a thread is refused, or the process already has its logs.
    pub fn start(config: &LogConfig, output: Box<dyn Write + Send>) -> Result<Self, LogError> {
        let (logs, dispatch) = Self::build(config, output)?;
        tracing::dispatcher::set_global_default(dispatch)
            .map_err(|_| LogError(String::from("the logs of this process have already been started")))?;
        Ok(logs)
    }

    /// Makes logs that are not yet the process's own, for tests and tools that set them for a while.
    ///
    /// # Errors
    /// Where the filter is not valid or a thread is refused.
    pub fn build(config: &LogConfig, output: Box<dyn Write + Send>) -> Result<(Self, Dispatch), LogError> {
        let (filter, handle) = reload::Layer::new(parse_filter(&config.filter)?);
        let format = config.format;
        let sink = Arc::new(Sink::new(config.buffer_bytes));
        Sink::start(&sink, output, move |lost| line::lost(format, lost))
            .map_err(|fault| LogError(format!("the thread that writes the logs cannot be started: {fault}")))?;
        let lines = Lines::new(format, Arc::clone(&sink));
        let subscriber = tracing_subscriber::registry().with(filter).with(lines);
        Ok((Self { filter: handle, sink }, Dispatch::new(subscriber)))
    }

    /// Changes which events are written.
    ///
    /// # Errors
    /// Where the filter is not valid; then the old one stays.
    pub fn set_filter(&self, filter: &str) -> Result<(), LogError> {
        let parsed = parse_filter(filter)?;
        self.filter.reload(parsed).map_err(|fault| LogError(format!("the log filter cannot be changed: {fault}")))
    }

    /// Waits until every line logged before this call is written, at most `patience`; whether it is.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        self.sink.flush(patience)
    }

    /// Lines dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.sink.dropped()
    }

    /// Makes panics log lines too, written before the thread unwinds, instead of bare text on the
    /// standard error output that no collector can read.
    pub fn take_panics(&self) {
        let sink = Arc::clone(&self.sink);
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let reason = panic.payload_as_str().unwrap_or("unknown");
            tracing::error!(place, reason, "a thread panicked");
            sink.flush(Duration::from_millis(200));
        }));
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.sink.flush(Duration::from_millis(500));
        self.sink.stop();
    }
}

/// Whether a filter can be used, for a check of the configuration.
///
/// # Errors
/// Where it is not valid; the error says what is.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    parse_filter(filter).map(drop)
}

/// Reads a filter. A bare word that is no level is an error here, while the library would take it for
/// a target and silence everything else: a typing mistake in a level must not turn the logs off.
fn parse_filter(filter: &str) -> Result<EnvFilter, LogError> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let explain = |reason: &str| {
        LogError(format!(
            "log filter `{filter}`: {reason}; write `info`, or `info,atp_pipeline=debug` with one of {}",
            LEVELS.join(", ")
        ))
    };
    let known = |level: &str| LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level));
    if filter.trim().is_empty() {
        return Err(explain("it is empty"));
    }
    // Directives on spans have commas and equal signs of their own: those are left to the library.
    let directives: Vec<&str> = filter.split(',').map(str::trim).collect();
    for directive in directives.iter().filter(|_| !filter.contains('[')) {
        let level = directive.rsplit_once('=').map_or(*directive, |(_, level)| level);
        if !known(level) {
            return Err(explain(&format!("`{level}` is no level")));
        }
    }
    EnvFilter::try_new(directives.join(",")).map_err(|fault| explain(&fault.to_string()))
}
