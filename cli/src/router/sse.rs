//! Server-sent events, cut at any byte (WHATWG HTML, 9.2.6). Only the data is of interest here.

/// The longest line that is kept, in bytes. A chat chunk is some hundred bytes long.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// Turns bytes into the data of events.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    line: Vec<u8>,
    data: Option<String>,
    /// The last byte was a carriage return, so a line feed that follows belongs to it.
    returned: bool,
    /// A line has been read, so that a byte order mark can no longer come.
    begun: bool,
}

/// A line was longer than any event of a chat.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Decoder {
    /// Reads `bytes` and adds the data of each event that they complete to `events`.
    pub(super) fn feed(&mut self, bytes: &[u8], events: &mut Vec<String>) -> Result<(), TooLong> {
        for &byte in bytes {
            let line_feed_of_return = std::mem::replace(&mut self.returned, byte == b'\r') && byte == b'\n';
            match byte {
                b'\n' if line_feed_of_return => {}
                b'\n' | b'\r' => self.end_line(events),
                _ if self.line.len() >= MAX_LINE => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<String>) {
        // Cuts may split a character, so text is made of whole lines only.
        let text = String::from_utf8_lossy(&self.line);
        let text = if self.begun { &*text } else { text.strip_prefix('\u{feff}').unwrap_or(&text) };
        self.begun = true;
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        if text.is_empty() {
            events.extend(self.data.take());
        } else if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<String> {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.feed(piece, &mut events).expect("short lines");
        }
        events
    }

    const TEXT: &str = "\u{feff}data: {\"a\":\"grün\"}\n\n: a comment\r\n\r\nevent: x\r\ndata:one\r\ndata: two\r\nid: 7\r\n\r\n\
                        data\rdata:  three\r\rdata: [DONE]\n\n";

    #[test]
    fn every_cut_gives_the_same_events() {
        let expected = ["{\"a\":\"grün\"}", "one\ntwo", "\n three", "[DONE]"];
        for at in 0..=TEXT.len() {
            let (head, tail) = TEXT.as_bytes().split_at(at);
            assert_eq!(decode(&[head, tail]), expected, "cut at {at}");
        }
        let bytes: Vec<_> = TEXT.as_bytes().chunks(1).collect();
        assert_eq!(decode(&bytes), expected);
    }

    #[test]
    fn an_event_that_is_not_ended_is_none() {
        assert_eq!(decode(&[b"data: half\n"]), Vec::<String>::new());
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        let piece = vec![b'x'; MAX_LINE];
        assert_eq!(decoder.feed(&piece, &mut events), Ok(()));
        assert_eq!(decoder.feed(b"x", &mut events), Err(TooLong));
    }
}
