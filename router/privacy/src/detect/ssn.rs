//! Social security numbers of the United States: never issued are the areas 000, 666 and 900 to 999, the group 00
//! and the serial 0000 (20 CFR 422.103; SSA on randomization, 2011).

use super::Add;
use super::context::{Words, first_digit};
use super::scan::{Number, starts};

const WORDS: &[&str] =
    &["ssn", "social security number", "social security no", "social security", "soc. sec.", "ss#", "ss number"];

pub(super) fn find(text: &str, words: &Words, add: &mut Add<'_>) {
    for start in starts(text) {
        let number = Number::read(text, start, b"-", 9);
        let formed = |number: &Number| number.groups == [3, 2, 4] && !number.is_part(text) && is_issued(&number.digits);
        if let Some(number) = number.filter(formed) {
            add(number.range);
        }
    }
    // Nine digits without dashes could be anything, unless something says what they are.
    for reach in words.behind(WORDS) {
        let number = first_digit(text, reach).and_then(|at| Number::read(text, at, b" -.", 9));
        if let Some(number) = number.filter(|number| is_issued(&number.digits) && !number.is_part(text)) {
            add(number.range);
        }
    }
}

fn is_issued(digits: &[u8]) -> bool {
    let [a, b, c, d, e, serial @ ..] = digits else { return false };
    let area = u32::from(*a) * 100 + u32::from(*b) * 10 + u32::from(*c);
    serial.len() == 4 && area != 0 && area != 666 && area < 900 && (*d, *e) != (0, 0) && serial != [0; 4]
}
