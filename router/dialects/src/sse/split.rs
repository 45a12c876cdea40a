//! Finding the blank lines that end blocks.

use memchr::memchr2;

/// Finds where blocks end, resumable at any byte.
#[derive(Debug)]
pub(super) struct Splitter {
    /// The current line has no byte yet.
    blank: bool,
    /// The last byte was a CR: whether the line ends here or behind a LF, the next byte tells.
    after_cr: bool,
    /// Lines of the current block that have ended and were not blank.
    lines: usize,
}

impl Splitter {
    pub(super) const fn new() -> Self {
        Self { blank: true, after_cr: false, lines: 0 }
    }

    /// The end of the block that goes on at `at`, just behind its blank line, and whether it has
    /// exactly one line. `None` where it does not end in these bytes; the next call starts at
    /// offset 0 of the bytes that follow.
    pub(super) fn next(&mut self, bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
        if self.after_cr && at < bytes.len() {
            self.after_cr = false;
            at += usize::from(bytes.get(at) == Some(&b'\n'));
            if self.line() {
                return Some((at, self.block()));
            }
        }
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            // A line feed right here is the blank line behind most events: no search needed.
            let len = if rest.first() == Some(&b'\n') { Some(0) } else { memchr2(b'\n', b'\r', rest) };
            let Some(len) = len else {
                self.blank &= rest.is_empty();
                return None;
            };
            self.blank &= len == 0;
            at += len + 1;
            if bytes.get(at - 1) == Some(&b'\r') {
                match bytes.get(at) {
                    None => {
                        self.after_cr = true;
                        return None;
                    }
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                }
            }
            if self.line() {
                return Some((at, self.block()));
            }
        }
    }

    /// A line has ended; whether it was blank.
    fn line(&mut self) -> bool {
        let blank = std::mem::replace(&mut self.blank, true);
        self.lines += usize::from(!blank);
        blank
    }

    /// A block has ended; whether it has exactly one line.
    fn block(&mut self) -> bool {
        std::mem::take(&mut self.lines) == 1
    }
}
