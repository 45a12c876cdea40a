//! Values of the router's own headers, which every answer has: names that repeat are kept as they
//! stand in a header, numbers are written without the machinery of formatting.

use std::cell::RefCell;
use std::sync::Arc;

use atp_core::MicroUsd;
use http::HeaderValue;

/// How many names a thread keeps: those of the models and providers that are asked for at a time.
const KEPT: usize = 16;

/// A name, and how it stands in a header.
type Kept = Option<(Arc<str>, HeaderValue)>;

thread_local! {
    /// Each name at a place that follows from where its text lies in memory.
    static NAMES: RefCell<[Kept; KEPT]> = const { RefCell::new([const { None }; KEPT]) };
}

/// A name as a header's value; `None` for one that no header can carry.
pub(super) fn name(name: &Arc<str>) -> Option<HeaderValue> {
    NAMES.with_borrow_mut(|kept| {
        // Shared texts lie at multiples of eight bytes.
        let place = (Arc::as_ptr(name).addr() / 8) % KEPT;
        let slot = kept.get_mut(place)?;
        // A text that is kept stays alive, so that no other can lie at its place.
        if let Some((known, value)) = slot
            && Arc::ptr_eq(known, name)
        {
            return Some(value.clone());
        }
        let value = HeaderValue::from_str(name).ok()?;
        *slot = Some((Arc::clone(name), value.clone()));
        Some(value)
    })
}

/// A whole number.
pub(crate) fn number(value: u64) -> Option<HeaderValue> {
    // Nearly every answer is that of the first try's.
    if value == 1 {
        return Some(HeaderValue::from_static("1"));
    }
    let mut text = Backwards::default();
    text.number(value, 1);
    text.value()
}

/// Dollars with six decimals.
pub(crate) fn dollars(cost: MicroUsd) -> Option<HeaderValue> {
    let mut text = Backwards::default();
    text.number(cost.0 % 1_000_000, 6);
    text.put(b'.');
    text.number(cost.0 / 1_000_000, 1);
    text.value()
}

/// A short text that is written from its end, as numbers come.
#[derive(Default)]
struct Backwards {
    /// The longest is a cost: a number of at most 20 digits and a point.
    bytes: [u8; 24],
    len: usize,
}

impl Backwards {
    fn put(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.iter_mut().rev().nth(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }

    /// A number of at least so many digits.
    fn number(&mut self, mut value: u64, least: usize) {
        let before = self.len;
        while value > 0 || self.len < before + least {
            // A remainder of ten is a digit.
            self.put(b'0' + (value % 10) as u8);
            value /= 10;
        }
    }

    fn value(&self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(self.bytes.get(self.bytes.len() - self.len..)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_dollars_are_written_as_the_formatter_writes_them() {
        for value in [0, 1, 2, 9, 10, 99, 100, 999_999, 1_000_000, 1_000_001, 25_000_000, u64::MAX] {
            assert_eq!(number(value).unwrap(), value.to_string());
            assert_eq!(dollars(MicroUsd(value)).unwrap(), MicroUsd(value).to_string());
        }
    }

    #[test]
    fn a_name_is_the_same_the_second_time_and_another_is_another() {
        let names: Vec<Arc<str>> = (0..100).map(|n| Arc::from(format!("model-{n}"))).collect();
        for _ in 0..3 {
            for one in &names {
                assert_eq!(name(one).unwrap(), **one);
                assert_eq!(name(one).unwrap(), **one);
            }
        }
        assert!(name(&Arc::from("a\nb")).is_none());
    }
}
