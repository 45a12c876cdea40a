//! When a simulated answer speaks, and which fault befalls it.

use std::time::Duration;

use super::config::{MIN_SPEED, SimulatedModel};
pub(super) use crate::deadlines::{Deadlines, LONGEST, cut};
use crate::dice::Dice;

/// The timing and the fault of one answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    /// From the seat to the first token.
    pub(super) first: Duration,
    /// Between two tokens.
    gap: Duration,
    /// What befalls it.
    fault: Option<Fault>,
    /// Where in the answer, from 0 up to but not including 1.
    place: f64,
}

/// What can befall an answer that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It falls silent.
    Stall,
    /// Its connection breaks.
    Cut,
    /// It tells an error; only in a stream.
    Tell,
}

impl Pace {
    /// Draws timing and fault. All dice are rolled always, so that one rate does not change what
    /// the others do.
    pub(super) fn draw(model: &SimulatedModel, dice: &mut Dice) -> Self {
        let first = Duration::from_secs_f64(model.time_to_first_token_ms.draw(dice) / 1000.0).min(LONGEST);
        let speed = model.tokens_per_second.draw(dice).max(MIN_SPEED);
        let rates =
            [(Fault::Stall, model.stall_rate), (Fault::Cut, model.cut_rate), (Fault::Tell, model.stream_error_rate)];
        let rolled = rates.map(|(fault, rate)| dice.chance(rate).then_some(fault));
        let fault = rolled.into_iter().flatten().next();
        Self { first, gap: Duration::from_secs_f64(1.0 / speed), fault, place: dice.unit() }
    }

    /// How long after the seat token `index` comes.
    pub(super) fn due(&self, index: u64) -> Duration {
        let gaps = Duration::try_from_secs_f64(self.gap.as_secs_f64() * index as f64).unwrap_or(LONGEST);
        self.first.saturating_add(gaps).min(LONGEST)
    }

    /// The fault of an answer of this many tokens, and the token in whose place it comes.
    pub(super) fn fault(&self, tokens: u64) -> Option<(Fault, u64)> {
        Some((self.fault?, (self.place * tokens as f64) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::super::distribution::Distribution;
    use super::*;

    #[test]
    fn tokens_come_at_the_configured_speed() {
        let model = SimulatedModel {
            time_to_first_token_ms: Distribution::Constant(40.0),
            tokens_per_second: Distribution::Constant(200.0),
            ..SimulatedModel::default()
        };
        let pace = Pace::draw(&model, &mut Dice::new(&[1]));
        assert_eq!(pace.due(0), Duration::from_millis(40));
        assert_eq!(pace.due(10), Duration::from_millis(90));
        assert_eq!(pace.due(u64::MAX), LONGEST);
        assert_eq!(pace.fault(100), None);
    }

    #[test]
    fn faults_come_at_their_rates_and_within_the_answer() {
        let model = SimulatedModel { cut_rate: 0.25, ..SimulatedModel::default() };
        let mut dice = Dice::new(&[2]);
        let faults: Vec<_> = (0..4000).filter_map(|_| Pace::draw(&model, &mut dice).fault(10)).collect();
        assert!((900..1100).contains(&faults.len()), "{}", faults.len());
        assert!(faults.iter().all(|(fault, at)| *fault == Fault::Cut && *at < 10));
        assert!((0..10).all(|at| faults.contains(&(Fault::Cut, at))));
    }
}
