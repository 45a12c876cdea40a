//! `atp top`: who shares which model right now, what is chosen and spent, drawn again and again.
//!
//! On a terminal it takes the alternate screen and gives it back when it ends, whichever way; elsewhere it prints one
//! frame after the other.

mod choose;
mod line;
mod render;
mod sample;
mod share;
mod text;

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use self::render::Screen;
use self::sample::Sample;
use crate::args::DEFAULT_ADMIN;
use crate::failure::Failure;
use crate::load::span::span;
use crate::router::Admin;
use crate::term::Terminal;

/// A router is asked at most ten times a second: its answer takes it about a millisecond.
const SHORTEST: Duration = Duration::from_millis(100);

#[derive(Args)]
pub(crate) struct TopArgs {
    /// The admin address of the router [default: http://127.0.0.1:7444].
    #[arg(long, env = "ATP_ADMIN_URL", value_name = "URL")]
    admin: Option<String>,
    /// Print one frame and end.
    #[arg(long)]
    once: bool,
    /// Print what the router says as JSON, one object a line; with --once, a single one.
    #[arg(long)]
    pub(crate) json: bool,
    /// The time between two frames, and what rates are measured over.
    #[arg(short, long, value_parser = span, default_value = "1s")]
    interval: Duration,
}

/// Asks and draws until told to end.
pub(crate) fn run(args: &TopArgs, term: &Terminal) -> Result<(), Failure> {
    let url = args.admin.as_deref().filter(|url| !url.is_empty()).unwrap_or(DEFAULT_ADMIN);
    let admin = Admin::at(url)?;
    if args.once && args.json {
        return term.write_json(&admin.flow()?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Top { args, admin, term, before: None }.run().await })
}

struct Top<'a> {
    args: &'a TopArgs,
    admin: Admin,
    term: &'a Terminal,
    before: Option<Sample>,
}

impl Top<'_> {
    async fn run(mut self) -> Result<(), Failure> {
        let mut ends = Ends::new()?;
        let interval = self.args.interval.max(SHORTEST);
        // The first answer has to come before the screen is taken, so that a mistyped address is seen.
        self.before = Some(self.sample(&self.admin.flow()?)?);
        let live = std::io::stdout().is_terminal() && !self.args.once && !self.args.json;
        let _screen = if live { Some(Alternate::take(self.term)?) } else { None };
        if live {
            self.draw(None)?;
        }
        loop {
            tokio::select! {
                () = ends.next() => return Ok(()),
                () = sleep(interval) => {}
            }
            self.step(live)?;
            if self.args.once {
                return Ok(());
            }
        }
    }

    /// One more frame.
    fn step(&mut self, live: bool) -> Result<(), Failure> {
        let told = match self.admin.flow() {
            Ok(told) => told,
            // A router that restarts is waited for; the old frame stays, with the reason below it.
            Err(failure) if live => return self.draw(Some(&failure)),
            Err(failure) => return Err(failure),
        };
        if self.args.json {
            return self.term.write(&format!("{told}\n"));
        }
        let sample = self.sample(&told)?;
        let screen = Screen::of(&self.admin.address.to_string(), &sample, self.before.as_ref());
        let text = screen.text(window(live), self.term.out);
        self.before = Some(sample);
        if live {
            return self.term.write(&on_screen(&text));
        }
        let apart = if self.args.once { "" } else { "\n" };
        self.term.write(&format!("{text}{apart}"))
    }

    /// The last sample once more: at the beginning, and while the router does not answer.
    fn draw(&self, failure: Option<&Failure>) -> Result<(), Failure> {
        let Some(sample) = &self.before else { return Ok(()) };
        let mut screen = Screen::of(&self.admin.address.to_string(), sample, None);
        if let Some(failure) = failure {
            screen.trouble(&failure.message);
        }
        self.term.write(&on_screen(&screen.text(window(true), self.term.out)))
    }

    fn sample(&self, told: &Value) -> Result<Sample, Failure> {
        Sample::read(told, Instant::now()).ok_or_else(|| {
            Failure::new(format!("the answer of {} is not the one of a router's admin port", self.admin.address))
                .hint("name the admin address, http://127.0.0.1:7444 where nothing else is configured, with --admin")
        })
    }
}

/// How much fits: columns and lines; everything where nobody looks at a terminal.
fn window(live: bool) -> (usize, usize) {
    match console::Term::stdout().size_checked().filter(|_| live) {
        // The last line stays empty, so that its end does not scroll the frame.
        Some((rows, columns)) => (usize::from(columns), usize::from(rows).saturating_sub(1).max(1)),
        None => (usize::MAX, usize::MAX),
    }
}

/// The frame over the one before it: each line is cleared behind its end, and what is below the last one too. Nothing is
/// cleared first, so nothing flickers.
fn on_screen(text: &str) -> String {
    format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))
}

/// The alternate screen without a cursor (xterm's private modes 1049 and 25); dropping it gives the old one back.
struct Alternate<'a>(&'a Terminal);

impl<'a> Alternate<'a> {
    fn take(term: &'a Terminal) -> Result<Self, Failure> {
        let taken = Self(term);
        term.write("\x1b[?1049h\x1b[?25l")?;
        Ok(taken)
    }
}

impl Drop for Alternate<'_> {
    fn drop(&mut self) {
        // Where that fails there is no terminal any more.
        let _ = self.0.write("\x1b[?25h\x1b[?1049l");
    }
}

/// The ways in which a person or a system ends it.
struct Ends([Signal; 3]);

impl Ends {
    fn new() -> Result<Self, Failure> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests;
