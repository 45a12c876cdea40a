//! What a stream uses while it runs, and how it is ended where it may use no more.
//!
//! Providers tell usage at the end, so until then pieces are counted: an event of a stream carries one token
//! in the common case, and where it carries more it is longer. A provider that tells running sums is believed.
//! The estimate decides only when a slice more has to be held; what is settled in the end is what the provider
//! told, where it did.
//!
//! A stream is cut between two events, never within one: what a caller has is then whole, and what the dialect
//! adds is its proper end.

use atp_core::Report;
use atp_routing::budget::Tab;
use bytes::Bytes;
use smallvec::SmallVec;

use super::cell::{self, Cells};
use crate::clock;

/// Bytes of a stream that are taken for a token where pieces hold more than one; as in the bill.
const BYTES_PER_TOKEN: u64 = 256;

/// How many first pieces are remembered at most.
const FIRST: usize = 16;

/// How far a stream has come.
pub(super) struct Meter {
    events: u64,
    bytes: u64,
    stage: Stage,
    /// The first pieces, one to a choice, which tell the stream's id, model and choices; whole events.
    first: SmallVec<[Bytes; 1]>,
    choices: usize,
    several: bool,
    last: Bytes,
    /// Whether the stream stands between two events.
    between: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It may go on.
    Runs,
    /// No more is paid for; it ends with the event that it is in the middle of.
    Ends,
    /// It is to be ended now.
    Over,
}

impl Meter {
    /// The meter of a stream of so many choices.
    pub(super) fn new(choices: u64) -> Self {
        let several = choices > 1;
        let choices = usize::try_from(choices).unwrap_or(FIRST).clamp(1, FIRST);
        Self {
            events: 0,
            bytes: 0,
            stage: Stage::Runs,
            first: SmallVec::new(),
            choices,
            several,
            last: Bytes::new(),
            between: true,
        }
    }

    /// Counts a piece, and holds more for what may follow. Returns what of it goes out: all of it, or what
    /// comes before the end of an event where the stream ends with that.
    pub(super) fn piece(&mut self, piece: Bytes, report: &Report, tab: &mut Tab, cells: &Cells) -> Bytes {
        self.events += events(&piece);
        self.bytes += piece.len() as u64;
        let told = report.usage.map_or(0, |usage| usage.output);
        let used = self.events.max(self.bytes / BYTES_PER_TOKEN).max(told);
        // What ends by itself needs no more: what follows its reason to end is only its usage.
        // Of several choices the first reason to end is not the last.
        let ends_itself = report.complete || (report.finish.is_some() && !self.several);
        if !tab.uses(used) && !ends_itself && self.stage == Stage::Runs {
            let goes_on = cell::extend(cells, tab, clock::unix_ms(clock::now()));
            self.stage = if goes_on { Stage::Runs } else { Stage::Ends };
        }
        let piece = if self.stage == Stage::Ends { self.ends_with(piece) } else { piece };
        let (begins, ends) = (self.between, last_boundary(&piece) == Some(piece.len()));
        if begins && ends && self.first.len() < self.choices {
            self.first.push(piece.clone());
        }
        self.between = ends;
        self.last = piece.clone();
        piece
    }

    /// What goes out of the last piece: up to the end of its last whole event, where there is one.
    fn ends_with(&mut self, piece: Bytes) -> Bytes {
        match last_boundary(&piece) {
            Some(end) => {
                self.stage = Stage::Over;
                piece.slice(..end)
            }
            None => piece,
        }
    }

    /// Whether the stream is to be ended now.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// What tells the dialect which stream it is that ends: its first pieces and its last.
    pub(super) fn sample(&self) -> Bytes {
        let pieces: Vec<&[u8]> = self.first.iter().chain([&self.last]).map(|piece| &piece[..]).collect();
        pieces.concat().into()
    }
}

/// How many events end in a piece; at least one, because an event may come in several pieces, or end with
/// a single line.
fn events(piece: &[u8]) -> u64 {
    let ends = piece.windows(2).filter(|pair| pair == b"\n\n").count() + crlf(piece).count();
    (ends as u64).max(u64::from(!piece.is_empty()))
}

fn crlf(piece: &[u8]) -> impl Iterator<Item = usize> {
    piece.windows(4).enumerate().filter(|(_, four)| four == b"\r\n\r\n").map(|(at, _)| at)
}

/// Behind the last blank line.
fn last_boundary(piece: &[u8]) -> Option<usize> {
    let plain = piece.windows(2).rposition(|pair| pair == b"\n\n").map(|at| at + 2);
    plain.max(crlf(piece).last().map(|at| at + 4))
}

#[cfg(test)]
mod tests {
    use atp_core::{Finish, Usage};
    use atp_routing::budget::{Budget, Per};

    use super::*;
    use crate::money::cell::Cell;
    use crate::snapshot::Whose;

    fn held(tokens: u64) -> (Cells, Tab, Meter) {
        let budget = Budget { cost: None, tokens: Some(tokens), per: Per::Total };
        let cells: Cells = std::iter::once(Cell::new(Whose::Key, "k".into(), &[budget], 0)).collect();
        let mut tab = Tab::new(0, None, None);
        cell::open(&cells, &mut tab, 1, 1, 0).unwrap();
        (cells, tab, Meter::new(1))
    }

    fn piece(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn a_stream_ends_behind_the_event_that_uses_the_last_token() {
        let (cells, mut tab, mut meter) = held(3);
        let mut out = String::new();
        for text in ["data: a\n\n", "data: b\n\n", "data: c\n\ndata: d", "\n\n"] {
            let piece = meter.piece(piece(text), &Report::default(), &mut tab, &cells);
            out.push_str(std::str::from_utf8(&piece).unwrap());
            if meter.is_over() {
                break;
            }
        }
        assert_eq!(out, "data: a\n\ndata: b\n\ndata: c\n\n");
        assert_eq!(meter.sample(), "data: a\n\ndata: c\n\n");
        assert_eq!(tab.output(), 3);
    }

    #[test]
    fn an_event_in_pieces_is_not_cut() {
        let (cells, mut tab, mut meter) = held(1);
        assert_eq!(meter.piece(piece("data: on"), &Report::default(), &mut tab, &cells), "data: on");
        assert!(!meter.is_over());
        assert_eq!(meter.piece(piece("ly\r\n\r\ndata: more"), &Report::default(), &mut tab, &cells), "ly\r\n\r\n");
        assert!(meter.is_over());
        assert_eq!(meter.sample(), "ly\r\n\r\n", "what is no whole event tells nothing");
    }

    #[test]
    fn what_ends_by_itself_is_left_alone() {
        let (cells, mut tab, mut meter) = held(1);
        let report = Report { finish: Some(Finish::Stop), ..Report::default() };
        assert_eq!(meter.piece(piece("data: x\n\ndata: y\n\n"), &report, &mut tab, &cells).len(), 18);
        assert!(!meter.is_over());
    }

    #[test]
    fn of_several_choices_the_first_to_end_ends_nothing() {
        let (cells, mut tab, _) = held(2);
        let mut meter = Meter::new(2);
        let report = Report { finish: Some(Finish::Stop), ..Report::default() };
        for text in ["data: a\n\n", "data: b\n\n"] {
            meter.piece(piece(text), &report, &mut tab, &cells);
        }
        assert!(meter.is_over(), "the other one goes on, and nothing more is paid for");
        let (cells, mut tab, _) = held(1);
        let mut meter = Meter::new(2);
        meter.piece(piece("data: a\n\n"), &Report { complete: true, ..report }, &mut tab, &cells);
        assert!(!meter.is_over(), "all have ended");
    }

    #[test]
    fn running_sums_are_believed_and_long_events_are_several_tokens() {
        let (cells, mut tab, mut meter) = held(1_000);
        let usage = Usage { output: 40, ..Usage::default() };
        meter.piece(piece("data: x\n\n"), &Report { usage: Some(usage), ..Report::default() }, &mut tab, &cells);
        assert_eq!(tab.output(), 40);
        let long = Bytes::from(vec![b'x'; 100 * 256]);
        meter.piece(long, &Report::default(), &mut tab, &cells);
        assert_eq!(tab.output(), 100);
    }
}
