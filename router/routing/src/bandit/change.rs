//! Whether an arm is still what it was: two cumulative sums over how far its scores lie from what was expected.
//!
//! *Source.* Page, "Continuous inspection schemes" (1954); with bandits Liu, Lee and Shroff, "A change-detection
//! based framework for piecewise-stationary multi-armed bandits" (2018), and Besson and Kaufmann (2019)
//! for what follows from an alarm: what is known of *all* arms is reopened, because an arm that was the
//! best may just have been overtaken, and arms that are seldom asked cannot report it themselves. What was told
//! since the change is no part of the past: where a sum began to grow is the most likely moment of the change (Page;
//! Hinkley, "Inference about the change-point from cumulative sum tests", 1971), and scores from then on are kept.
//!
//! *Property.* Lorden (1971): among rules with the same rate of false alarms this one has the shortest worst delay
//! for a shift of `2 SLACK` deviations. By Siegmund's formula an alarm without a change comes every
//! 70,000 scores; a shift by one deviation is noticed after some 20 scores, by two after 7.
//!
//! *Units.* Standard deviations of a score about what was predicted for it.

use serde::{Deserialize, Serialize};

/// Half the shift that is looked for.
const SLACK: f64 = 0.5;
/// How much has to add up.
const ALARM: f64 = 10.0;
/// What one score counts at most, so that an alarm takes at least four of them.
const MOST: f64 = 3.0;

/// The sums, upwards and downwards.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Change {
    up: f64,
    down: f64,
    /// The last scores in front of which either sum was nothing, by their numbers.
    #[serde(default)]
    since: [u64; 2],
}

/// What a score told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing new.
    Same,
    /// The arm is not what it was, most likely since behind the score of this number.
    Changed(u64),
}

impl Change {
    /// Takes in the surprise of the score of this number; after an alarm the sums begin anew.
    pub(super) fn feel(&mut self, surprise: f64, number: u64) -> Verdict {
        let surprise = surprise.clamp(-MOST, MOST);
        let [up, down] = &mut self.since;
        for (sum, step, since) in [(&mut self.up, surprise, up), (&mut self.down, -surprise, down)] {
            *sum = (*sum + step - SLACK).max(0.0);
            if *sum <= 0.0 {
                *since = number;
            }
        }
        let [up, down] = self.since;
        let since = match (self.up >= ALARM, self.down >= ALARM) {
            (false, false) => return Verdict::Same,
            (true, _) => up,
            (false, true) => down,
        };
        *self = Self::default();
        Verdict::Changed(since)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Scores until an alarm, on average over many runs of at most `most`.
    fn delay(shift: f64, runs: u32, most: u32) -> f64 {
        let mut dice = StdRng::seed_from_u64(5);
        let mut normal = move || (0..12).map(|_| dice.random::<f64>()).sum::<f64>() - 6.0;
        let run = |_| {
            let mut change = Change::default();
            (1..=most).find(|_| change.feel(normal() + shift, 0) != Verdict::Same).unwrap_or(most)
        };
        f64::from((0..runs).map(run).sum::<u32>()) / f64::from(runs)
    }

    #[test]
    fn a_shift_is_noticed_after_as_many_scores_as_the_theory_says() {
        // Siegmund: (exp(-2 d b) - 1 + 2 d b) / (2 d^2) with d = shift - SLACK and b = ALARM + 1.166.
        for shift in [0.75f64, 1.0, 1.5] {
            let (d, b) = (shift - SLACK, ALARM + 1.166);
            let theory = ((-2.0 * d * b).exp() - 1.0 + 2.0 * d * b) / (2.0 * d * d);
            for measured in [delay(shift, 200, 1_000), delay(-shift, 200, 1_000)] {
                assert!((measured / theory - 1.0).abs() < 0.12, "{shift}: {measured}, by the theory {theory}");
            }
        }
    }

    #[test]
    fn what_does_not_change_hardly_raises_an_alarm() {
        // By the theory one comes every 70,000 scores: 10,000 pass without any in 87 of 100 runs.
        let mean = delay(0.0, 30, 10_000);
        assert!(mean > 8_300.0, "{mean}, three deviations below the expected 9,320");
    }

    #[test]
    fn a_few_outliers_are_not_a_change() {
        let mut change = Change::default();
        assert!((0..3).all(|_| change.feel(-50.0, 0) == Verdict::Same));
        assert!((0..40).all(|_| change.feel(0.0, 0) == Verdict::Same));
    }

    #[test]
    fn an_alarm_tells_since_when() {
        let mut change = Change::default();
        assert!((1..=40).all(|number| change.feel(if number % 2 == 0 { 0.4 } else { -0.4 }, number) == Verdict::Same));
        let alarm = (41..60).find_map(|number| match change.feel(-2.0, number) {
            Verdict::Changed(since) => Some((number, since)),
            Verdict::Same => None,
        });
        assert_eq!(alarm, Some((47, 40)), "seven times one and a half are ten");
    }
}
