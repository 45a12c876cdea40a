//! Just enough of Rust's lexer to tell code from comments, strings and character literals.
//!
//! The masked text has the same lines and the same byte offsets as the source; what is not code is
//! blank. Checks that look for words or braces can then search plainly.

/// A source file without its comments and literals.
#[derive(Debug)]
pub(crate) struct Masked {
    /// The code; comments and the insides of literals are spaces.
    pub(crate) code: String,
    /// Every comment with the line on which it starts, counted from 1.
    pub(crate) comments: Vec<(usize, String)>,
}

/// Masks a source text.
pub(crate) fn mask(source: &str) -> Masked {
    let mut lexer = Lexer {
        rest: source,
        line: 1,
        code: String::with_capacity(source.len()),
        comments: Vec::new(),
        in_word: false,
    };
    lexer.run();
    Masked { code: lexer.code, comments: lexer.comments }
}

/// Whether a character can be part of a name.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    code: String,
    comments: Vec<(usize, String)>,
    /// Whether the character before `rest` belongs to a name, so that `r"` in `bar"` is no raw string.
    in_word: bool,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(next) = self.rest.chars().next() {
            if self.rest.starts_with("//") {
                self.comment(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                self.comment(block_comment_length(self.rest));
            } else if let Some(length) = self.string_length() {
                self.blank(length);
            } else if next == '\'' {
                self.quote();
            } else {
                self.keep(next.len_utf8());
            }
        }
    }

    fn comment(&mut self, length: usize) {
        let text = self.rest.get(..length).unwrap_or_default();
        self.comments.push((self.line, text.to_owned()));
        self.blank(length);
    }

    /// The length of a string literal that starts here, prefix and quotes included.
    fn string_length(&self) -> Option<usize> {
        let prefix = if self.in_word { "" } else { string_prefix(self.rest) };
        let opened = self.rest.get(prefix.len()..)?;
        if prefix.ends_with('r') {
            let hashes = opened.len() - opened.trim_start_matches('#').len();
            let body = opened.get(hashes..)?.strip_prefix('"')?;
            let close = format!("\"{}", "#".repeat(hashes));
            let end = body.find(&close).map_or(body.len(), |at| at + close.len());
            return Some(prefix.len() + hashes + 1 + end);
        }
        let body = opened.strip_prefix('"')?;
        Some(prefix.len() + 1 + closing_quote(body, '"'))
    }

    /// A character literal is blanked, a lifetime kept.
    fn quote(&mut self) {
        let mut after = self.rest.chars().skip(1);
        let (first, second) = (after.next(), after.next());
        let literal = match first {
            Some('\\') => Some(1 + closing_quote(self.rest.get(1..).unwrap_or_default(), '\'')),
            Some(c) if second == Some('\'') => Some(2 + c.len_utf8()),
            _ => None,
        };
        match literal {
            Some(length) => self.blank(length),
            None => self.keep(1),
        }
    }

    fn keep(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.code.push_str(taken);
        self.line += taken.matches('\n').count();
        self.in_word = taken.chars().next_back().is_some_and(is_word);
        self.rest = rest;
    }

    fn blank(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        for c in taken.chars() {
            if c == '\n' {
                self.code.push('\n');
                self.line += 1;
            } else {
                self.code.extend(std::iter::repeat_n(' ', c.len_utf8()));
            }
        }
        self.in_word = false;
        self.rest = rest;
    }
}

/// What stands before the quote or the hashes of a string literal.
fn string_prefix(text: &str) -> &str {
    let prefixes = ["br", "cr", "r", "b", "c"];
    let is_prefix = |prefix: &&&str| {
        text.strip_prefix(**prefix).is_some_and(|rest| match prefix.ends_with('r') {
            true => rest.trim_start_matches('#').starts_with('"'),
            false => rest.starts_with('"'),
        })
    };
    prefixes.iter().find(is_prefix).copied().unwrap_or_default()
}

/// Bytes up to and with the closing quote; a backslash hides the character behind it.
fn closing_quote(body: &str, quote: char) -> usize {
    let mut hidden = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if hidden => hidden = false,
            '\\' => hidden = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    body.len()
}

/// Bytes of a block comment; they nest.
fn block_comment_length(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}
