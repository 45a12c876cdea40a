//! Addresses of the Internet. Those that mean no particular machine (loopback, unspecified, broadcast, multicast) are
//! nobody's.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Add;
use super::scan::{byte, goes_on, is_inside, starts};

pub(super) fn find(text: &str, add: &mut Add<'_>) {
    for start in starts(text).chain(hex_starts(text)) {
        if let Some(end) = v4(text, start).or_else(|| v6(text, start)) {
            add(start..end);
        }
    }
}

/// Where an address of version 6 may begin that does not begin with a digit.
fn hex_starts(text: &str) -> impl Iterator<Item = usize> + '_ {
    let bytes = text.as_bytes();
    let opens = |byte: u8| matches!(byte, b'a'..=b'f' | b'A'..=b'F' | b':');
    (0..bytes.len()).filter(move |at| {
        bytes.get(*at).copied().is_some_and(opens)
            && !is_inside(text, *at)
            && at.checked_sub(1).is_none_or(|before| byte(text, before) != Some(b':'))
    })
}

fn v4(text: &str, start: usize) -> Option<usize> {
    let run = text.as_bytes().get(start..)?.iter().take(20);
    let mut end = start + run.take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    // The dot of the sentence.
    while end > start && byte(text, end - 1) == Some(b'.') {
        end -= 1;
    }
    let address: Ipv4Addr = text.get(start..end)?.parse().ok()?;
    let longer = start.checked_sub(1).is_some_and(|before| byte(text, before) == Some(b'.')) || goes_on(text, end);
    let nobody = address.is_loopback() || address.is_unspecified() || address.is_broadcast() || address.is_multicast();
    (!longer && !nobody && !is_version(text, start)).then_some(end)
}

/// Whether the text before says that four numbers are those of a version.
fn is_version(text: &str, start: usize) -> bool {
    let before = text.get(..start).unwrap_or_default().trim_end().trim_end_matches([':', '=']);
    let word: String = before.chars().rev().take_while(|letter| letter.is_alphabetic()).collect();
    ["noisrev", "esaeler", "dliub", "vr", "v"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

fn v6(text: &str, start: usize) -> Option<usize> {
    let run = text.as_bytes().get(start..)?.iter().take(46);
    let mut end = start + run.take_while(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')).count();
    while end > start && matches!(byte(text, end - 1), Some(b'.')) {
        end -= 1;
    }
    let mut written = text.get(start..end)?;
    // A colon of the sentence, but not the one that is half of `::`.
    if written.ends_with(':') && !written.ends_with("::") {
        written = written.get(..written.len() - 1)?;
        end -= 1;
    }
    let address: Ipv6Addr = written.parse().ok()?;
    let groups = written.split(':').filter(|group| !group.is_empty()).count();
    // `a::b` is a path of a program as well.
    let telling =
        groups > 2 || written.split(':').any(|group| group.len() > 2) && written.contains(|c: char| c.is_ascii_digit());
    let nobody = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    (telling && !nobody && !goes_on(text, end)).then_some(end)
}
