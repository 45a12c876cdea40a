//! From the bytes of tokens to text: whole characters only, and nothing that may be the beginning of a stop.

/// The text of one answer, as it grows.
#[derive(Debug)]
pub(super) struct Speller {
    stops: Vec<String>,
    /// The beginning of a character.
    held: Vec<u8>,
    /// Text that is not given out yet, because a stop may begin in it.
    pending: String,
}

/// What a token has added.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spelt {
    /// Text, maybe none.
    More(String),
    /// The text before a stop.
    Stopped(String),
}

impl Speller {
    /// Of an answer that ends in front of any of these texts.
    pub(super) fn new(stops: Vec<String>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self { stops, held: Vec::new(), pending: String::new() }
    }

    /// Takes the bytes of a token.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Spelt {
        self.held.extend_from_slice(bytes);
        self.characters();
        let found = self.stops.iter().filter_map(|stop| self.pending.find(stop.as_str())).min();
        if let Some(at) = found {
            self.pending.truncate(at);
            return Spelt::Stopped(std::mem::take(&mut self.pending));
        }
        let kept = self.pending.char_indices().map(|(at, _)| at).find(|at| {
            let rest = self.pending.get(*at..).unwrap_or_default();
            self.stops.iter().any(|stop| stop.starts_with(rest))
        });
        let rest = self.pending.split_off(kept.unwrap_or(self.pending.len()));
        Spelt::More(std::mem::replace(&mut self.pending, rest))
    }

    /// What is left at the end.
    pub(super) fn finish(&mut self) -> String {
        let mut text = std::mem::take(&mut self.pending);
        text.push_str(&String::from_utf8_lossy(&std::mem::take(&mut self.held)));
        text
    }

    /// Moves whole characters to the text; bytes that can become none are told as U+FFFD.
    fn characters(&mut self) {
        let held = std::mem::take(&mut self.held);
        let mut chunks = held.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.pending.push_str(chunk.valid());
            let broken = chunk.invalid();
            let may_go_on =
                chunks.peek().is_none() && std::str::from_utf8(broken).is_err_and(|e| e.error_len().is_none());
            if may_go_on {
                self.held = broken.to_vec();
            } else if !broken.is_empty() {
                self.pending.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(stops: &[&str], pieces: &[&[u8]]) -> (Vec<Spelt>, String) {
        let mut speller = Speller::new(stops.iter().map(|stop| (*stop).to_owned()).collect());
        (pieces.iter().map(|piece| speller.push(piece)).collect(), speller.finish())
    }

    fn more(text: &str) -> Spelt {
        Spelt::More(text.to_owned())
    }

    #[test]
    fn a_character_in_parts_comes_whole() {
        let (spelt, rest) = told(&[], &[b"a\xf0\x9f", b"\x98", b"\x80b\xff", b"c\xe2"]);
        assert_eq!(spelt, [more("a"), more(""), more("\u{1f600}b\u{fffd}"), more("c")]);
        assert_eq!(rest, "\u{fffd}");
    }

    #[test]
    fn what_may_become_a_stop_waits() {
        let (spelt, rest) = told(&["END", "\n\n"], &[b"one\n", b"two E", b"N", b"more E", b"ND three"]);
        let wanted = [more("one"), more("\ntwo "), more(""), more("ENmore "), Spelt::Stopped(String::new())];
        assert_eq!((spelt.as_slice(), rest.as_str()), (wanted.as_slice(), ""));
    }

    #[test]
    fn what_waited_in_vain_comes_at_the_end() {
        assert_eq!(told(&["END"], &[b"the EN"]), (vec![more("the ")], "EN".to_owned()));
    }
}
