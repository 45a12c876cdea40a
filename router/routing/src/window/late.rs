//! Whether the first tokens that come now are late.
//!
//! One late first token is chance, a slow call or a long prompt; several in a row are a queue. This is the
//! quickest sign of one, and says nothing about its length: the rounds measure that.

/// So many first tokens are remembered, the older ones less.
const MEMORY: f64 = 4.0;
/// So much of what is remembered makes a queue: four in a row that came late.
const NEARLY_ALL: f64 = 0.65;

/// What is later than the norm by this (twice), or by so many times what lies between a lane's first quartile and
/// its median if that is more, is late: of normal times three in a thousand are.
const LATE: [f64; 2] = [0.693, 5.0];

/// How late, in logarithms of seconds, a first token has to be against the norm of a lane of such a spread.
pub(super) fn least(spread: f64) -> f64 {
    let [least, spreads] = LATE;
    if spread > 0.0 { least.max(spreads * spread) } else { f64::INFINITY }
}

/// The share of late ones among the last first tokens.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Late {
    share: f64,
}

/// When a first token came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    InTime,
    Late,
}

impl Late {
    pub(super) fn add(&mut self, came: Came) {
        let late = f64::from(u8::from(came == Came::Late));
        self.share += (late - self.share) / MEMORY;
    }

    pub(super) fn is_queue(self) -> bool {
        self.share > NEARLY_ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_late_ones_in_a_row_are_a_queue_and_two_in_time_are_its_end() {
        let mut late = Late::default();
        for _ in 0..3 {
            late.add(Came::Late);
            assert!(!late.is_queue());
        }
        late.add(Came::Late);
        assert!(late.is_queue());
        (0..20).for_each(|_| late.add(Came::Late));
        late.add(Came::InTime);
        assert!(late.is_queue(), "one of many");
        late.add(Came::InTime);
        assert!(!late.is_queue());
    }
}
