//! The terminal: the one file that prints. Answers go to standard output; notes, errors and progress
//! go to standard error, so that `atp ask ... > file` keeps the answer and nothing else.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Stderr, Stdout, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(100);

/// Whether the person wants colours at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    /// On a terminal.
    Auto,
    /// Nowhere.
    Never,
}

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Style {
    /// The "select graphic rendition" parameter (ECMA-48, 8.3.117).
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Cyan => "36",
        }
    }
}

/// Puts colours on text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brush {
    /// Terminal colours.
    Ansi,
    /// Plain text.
    Plain,
}

impl Brush {
    /// The text in that style.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        match self {
            Self::Ansi => format!("\x1b[{}m{text}\x1b[0m", style.code()),
            Self::Plain => text.to_owned(),
        }
    }
}

/// Standard output and standard error.
#[derive(Debug)]
pub(crate) struct Terminal {
    stdout: Stdout,
    stderr: Stderr,
    /// For what goes to standard output.
    pub(crate) out: Brush,
    /// For what goes to standard error.
    pub(crate) err: Brush,
}

impl Terminal {
    /// Looks at what the two streams are connected to.
    pub(crate) fn new(colours: Colours) -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let brush = |terminal: bool| if terminal && colours == Colours::Auto { Brush::Ansi } else { Brush::Plain };
        let (out, err) = (brush(stdout.is_terminal()), brush(stderr.is_terminal()));
        Self { stdout, stderr, out, err }
    }

    /// Writes a part of the answer and sends it off at once.
    pub(crate) fn write(&self, text: &str) -> Result<(), Failure> {
        let mut out = self.stdout.lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Writes text of a far side, which on a terminal must not move the cursor, set the title or
    /// write the clipboard.
    pub(crate) fn write_foreign(&self, text: &str) -> Result<(), Failure> {
        if self.stdout.is_terminal() { self.write(&harmless(text)) } else { self.write(text) }
    }

    /// Writes a value for programs.
    pub(crate) fn write_json(&self, value: &serde_json::Value) -> Result<(), Failure> {
        self.write(&format!("{value:#}\n"))
    }

    /// Writes a line beside the answer. Where that fails nobody is there to read it.
    pub(crate) fn note(&self, line: &str) {
        let _ = writeln!(self.stderr.lock(), "{line}");
    }

    /// Says why the command failed, and what to do.
    pub(crate) fn fail(&self, failure: &Failure) {
        if !failure.message.is_empty() {
            self.note(&format!("{} {}", self.err.paint(Style::Red, "error:"), harmless(&failure.sentence())));
        }
        if let Some(hint) = &failure.hint {
            self.note(&format!("  {} {}", self.err.paint(Style::Cyan, "hint:"), harmless(hint)));
        }
    }

    /// A sign of life on standard error until the answer begins; nothing where that is no terminal.
    pub(crate) fn spinner(&self, what: &str) -> Progress {
        let bar = self.progress(None, SPINNER, what);
        bar.0.enable_steady_tick(TURN);
        bar
    }

    /// A bar on standard error that fills from 0 to 1; nothing where that is no terminal.
    pub(crate) fn bar(&self, what: &str) -> Progress {
        self.progress(Some(BAR_STEPS), BAR, what)
    }

    fn progress(&self, steps: Option<u64>, template: &str, what: &str) -> Progress {
        let target =
            if self.stderr.is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(steps, target).with_message(harmless(what).into_owned());
        // The templates are constants that a test reads; the default look is as good as an answer.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress(bar)
    }
}

const SPINNER: &str = "{spinner} {msg} {elapsed}";
const BAR: &str = "{bar:32} {percent:>3} % {msg}";
const BAR_STEPS: u64 = 1000;

/// Something under way. Dropping it takes it off the terminal.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// How far it is, 0 to 1, and what there is to say.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "clamped to 0..=1 before it is scaled to a thousand steps"
    )]
    pub(crate) fn reach(&self, part: f64, message: String) {
        self.0.set_position((part.clamp(0.0, 1.0) * BAR_STEPS as f64) as u64);
        self.0.set_message(message);
    }

    /// Changes what stands beside the spinner.
    pub(crate) fn say(&self, message: &'static str) {
        self.0.set_message(message);
    }

    /// Takes it off the terminal, so that the answer starts on an empty line.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Text without control characters but line ends and tabs: each other one shows as `\u{fffd}`.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(harmful) { text.replace(harmful, "\u{fffd}").into() } else { text.into() }
}

/// Rows with columns as wide as their widest cell, two spaces apart; the last column is not padded.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<[String; N]> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let pad = |row: &[String; N]| {
        let mut padded = row.clone();
        let inner = padded.iter_mut().zip(widths).take(N.saturating_sub(1));
        inner.for_each(|(cell, width)| *cell = format!("{cell:<width$}  "));
        padded
    };
    rows.iter().map(pad).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_cannot_drive_the_terminal() {
        assert_eq!(harmless("a\x1b]52;c;eA==\x07b\n\tc\u{9b}2J"), "a\u{fffd}]52;c;eA==\u{fffd}b\n\tc\u{fffd}2J");
        assert!(matches!(harmless("plain, grün\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn colours_are_closed_again() {
        assert_eq!(Brush::Ansi.paint(Style::Dim, "x"), "\x1b[2mx\x1b[0m");
        assert_eq!(Brush::Plain.paint(Style::Dim, "x"), "x");
    }

    #[test]
    fn templates_are_legal() {
        for template in [SPINNER, BAR] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = [["ä".to_owned(), "x".to_owned()], ["bbb".to_owned(), "yy".to_owned()]];
        assert_eq!(columns(&rows), [["ä    ".to_owned(), "x".to_owned()], ["bbb  ".to_owned(), "yy".to_owned()]]);
    }
}
