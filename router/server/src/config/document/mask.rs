//! What an error may show of the file: everything that is known to be harmless, and stars for the rest.
//!
//! An error shows a whole line, and another value on that line may be a secret, also one below a name that is
//! misspelt. So it is not the secrets that are listed but the fields whose values may be seen: those of the schema
//! that hold none.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::super::path::{FieldPath, Segment};
use super::super::reference;
use super::expand::check_name;
use super::node::{Node, Value};

/// Fields of the schema whose values are secrets, or hold some.
const HIDDEN: [&str; 5] = ["api_key", "headers", "key", "keys", "query"];

static SHOWN: LazyLock<BTreeSet<String>> =
    LazyLock::new(|| reference::field_names().into_iter().filter(|name| !HIDDEN.contains(&name.as_str())).collect());

/// Whether the value of a field may be shown, by the field's place.
pub(crate) fn is_shown(path: &FieldPath) -> bool {
    let mut keys = path.0.iter().filter_map(|segment| match segment {
        Segment::Key(key) => Some(key.as_str()),
        Segment::Index(_) => None,
    });
    let Some(last) = keys.next_back() else { return true };
    match keys.next_back() {
        // A path, not the key itself.
        Some("tls") => last == "key" || SHOWN.contains(last),
        Some("headers") => false,
        _ => SHOWN.contains(last),
    }
}

/// Whether a value may be shown, by its place and by its look.
pub(crate) fn is_shown_value(path: &FieldPath, text: &str) -> bool {
    // A secret that stands where the name of a variable belongs is a mistake that happens.
    let misplaced = matches!(path.0.last(), Some(Segment::Key(key)) if key == "env") && check_name(text).is_err();
    is_shown(path) && !misplaced && !looks_secret(text)
}

/// The text with one star for each character of what may not be shown, so that columns stay what they were.
pub(crate) fn mask(source: &str, root: &Node) -> String {
    let mut spans = Vec::new();
    collect(root, &mut FieldPath::default(), source, &mut spans);
    spans.sort_unstable();
    let mut out = String::with_capacity(source.len());
    let mut done = 0;
    for (start, end) in spans {
        let (Some(before), Some(secret)) = (source.get(done..start), source.get(start..end)) else { continue };
        out.push_str(before);
        out.extend(secret.chars().map(star));
        done = end;
    }
    out.push_str(source.get(done..).unwrap_or_default());
    out.split_inclusive('\n').map(|line| mask_words(&mask_comment(line))).collect()
}

fn star(letter: char) -> char {
    if letter.is_whitespace() { letter } else { '*' }
}

fn stars(text: &str) -> String {
    text.chars().map(star).collect()
}

fn collect(node: &Node, path: &mut FieldPath, source: &str, spans: &mut Vec<(usize, usize)>) {
    let mut inside = |segment: Segment, child: &Node| {
        path.0.push(segment);
        collect(child, path, source, spans);
        path.0.pop();
    };
    match &node.value {
        Value::Map(entries) => entries.iter().for_each(|(key, child)| inside(Segment::Key(key.text.clone()), child)),
        Value::List(items) => items.iter().enumerate().for_each(|(at, item)| inside(Segment::Index(at), item)),
        Value::Null | Value::Removed => {}
        Value::Bool(_) | Value::Number { .. } | Value::Text(_) => {
            let (start, end) = (node.mark.start, node.mark.start.saturating_add(node.mark.bytes));
            let written = source.get(start..end).unwrap_or_default().trim_matches(['"', '\'']);
            if !is_shown_value(path, written) {
                spans.push((start, end));
            }
        }
    }
}

/// Comments may hold what was a value once.
fn mask_comment(line: &str) -> String {
    let mut quotes = [false; 2];
    let mut before = ' ';
    for (at, letter) in line.char_indices() {
        match letter {
            '"' if !quotes[1] => quotes[0] = !quotes[0],
            '\'' if !quotes[0] => quotes[1] = !quotes[1],
            '#' if before.is_whitespace() && quotes == [false; 2] => {
                let (code, comment) = line.split_at_checked(at + 1).unwrap_or((line, ""));
                return format!("{code}{}", stars(comment));
            }
            _ => {}
        }
        before = letter;
    }
    line.to_owned()
}

/// Words that have the look of a secret, wherever they stand; and the user name and password of a URL.
pub(crate) fn mask_words(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !is_word(letter)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        out.push_str(&if looks_secret(word) { stars(word) } else { word.to_owned() });
        let mut letters = behind.chars();
        out.extend(letters.next());
        rest = letters.as_str();
    }
    mask_credentials(&out)
}

fn mask_credentials(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once("://") {
        let end = behind.find(|letter: char| letter.is_whitespace() || matches!(letter, '/' | '"' | '\'' | ','));
        let (authority, behind) = behind.split_at_checked(end.unwrap_or(behind.len())).unwrap_or((behind, ""));
        out.push_str(before);
        out.push_str("://");
        match authority.rsplit_once('@') {
            Some((credentials, host)) => out.push_str(&format!("{}@{host}", stars(credentials))),
            None => out.push_str(authority),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '-' | '+' | '/' | '=' | '~' | '.')
}

/// A line of a text that is not a valid document: shown are names, and what follows a name whose values may be seen.
pub(crate) fn mask_line(line: &str) -> String {
    if !line.contains(':') {
        return line.chars().map(|letter| if letter.is_alphanumeric() { '*' } else { letter }).collect();
    }
    let mut out = String::with_capacity(line.len());
    let mut word = String::new();
    let mut name = String::new();
    let (mut hiding, mut in_list) = (false, false);
    let line = mask_comment(line);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        // A colon ends a name only before white space: those of addresses and URLs belong to the value.
        let inside = letter == ':' && letters.peek().is_some_and(|next| !next.is_whitespace());
        if is_word(letter) || inside {
            word.push(letter);
            continue;
        }
        if !word.is_empty() {
            out.push_str(&if hiding { stars(&word) } else { word.clone() });
            name = std::mem::take(&mut word);
        }
        match letter {
            ':' if !hiding => hiding = !is_shown(&FieldPath::of(&[name.as_str()])),
            '[' => in_list = hiding,
            ',' => hiding = in_list,
            '{' | '}' | ']' | '\n' => (hiding, in_list) = (false, false),
            _ => {}
        }
        out.push(letter);
    }
    out.push_str(&if hiding { stars(&word) } else { word });
    mask_words(&out)
}

/// Whether a word has the look of a credential: a known prefix, or a long part in which letters and digits are mixed, as
/// they are in no name and no date.
pub(crate) fn looks_secret(word: &str) -> bool {
    const PREFIXES: [&str; 10] = ["sk-", "sk_", "gsk_", "xai-", "pplx-", "AIza", "hf_", "nvapi-", "ghp_", "fw_"];
    let known = PREFIXES.iter().any(|prefix| word.starts_with(prefix)) && word.len() >= 8;
    known || word.split(|letter: char| !letter.is_ascii_alphanumeric()).any(is_mixed)
}

fn is_mixed(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    part.len() >= 20 && digits >= 3 && part.len() - digits >= 3
}
