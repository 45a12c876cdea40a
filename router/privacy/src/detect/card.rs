//! Numbers of payment cards: a known issuer's beginning, a length that it has, and the check digit (ISO/IEC 7812-1).

use super::Add;
use super::scan::{Number, luhn, starts};

/// The digits of a number of each network: `(from, to, digits of the beginning, lengths)`.
const NETWORKS: [(u64, u64, usize, &[usize]); 12] = [
    (4, 4, 1, &[13, 16, 19]),
    (51, 55, 2, &[16]),
    (2221, 2720, 4, &[16]),
    (34, 34, 2, &[15]),
    (37, 37, 2, &[15]),
    (6011, 6011, 4, &[16, 19]),
    (644, 659, 3, &[16, 19]),
    (62, 62, 2, &[16, 17, 18, 19]),
    (3528, 3589, 4, &[16, 17, 18, 19]),
    (300, 305, 3, &[14]),
    (36, 36, 2, &[14]),
    (38, 39, 2, &[14]),
];

pub(super) fn find(text: &str, add: &mut Add<'_>) {
    let mut free = 0;
    for start in starts(text) {
        if start < free {
            continue;
        }
        let Some(most) = Number::read(text, start, b" -", 19) else { continue };
        let fits = |number: &Number| number.is_even() && is_card(&number.digits) && !number.is_part(text);
        if let Some(number) = most.shorter().find(fits) {
            free = number.range.end;
            add(number.range);
        }
    }
}

fn is_card(digits: &[u8]) -> bool {
    let beginning = |count: usize| digits.iter().take(count).fold(0, |value, digit| value * 10 + u64::from(*digit));
    let known = NETWORKS.iter().any(|(from, to, count, lengths)| {
        lengths.contains(&digits.len()) && (*from..=*to).contains(&beginning(*count))
    });
    known && luhn(digits)
}
