//! What a simulated model does instead of its task: it declines, or it writes JSON that is none.

use super::config::SimulatedModel;
use crate::dice::Dice;

/// What an answer declines with. Real models begin so too.
pub(super) const DECLINED: &str = "I'm sorry, but I can't help with that. This is a simulated refusal.";

/// How an answer misses its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slip {
    /// It declines.
    Decline,
    /// What was asked for as JSON ends in its middle.
    BreakJson,
}

impl Slip {
    /// Draws it. All dice are rolled always, so that one rate does not change what the other does.
    pub(super) fn draw(model: &SimulatedModel, dice: &mut Dice) -> Option<Self> {
        let rates = [(Self::Decline, model.refusal_rate), (Self::BreakJson, model.bad_json_rate)];
        let rolled = rates.map(|(slip, rate)| dice.chance(rate).then_some(slip));
        rolled.into_iter().flatten().next()
    }
}

/// The first half of a JSON text: no half of an object is JSON.
pub(super) fn broken(json: &str) -> String {
    let kept = json.chars().count() / 2;
    json.chars().take(kept.max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slip_comes_at_its_rate_and_declining_comes_first() {
        let count = |refusal_rate: f64, bad_json_rate: f64| {
            let model = SimulatedModel { refusal_rate, bad_json_rate, ..SimulatedModel::default() };
            let drawn: Vec<_> = (0..2000).map(|seed| Slip::draw(&model, &mut Dice::new(&[seed]))).collect();
            [Slip::Decline, Slip::BreakJson].map(|slip| drawn.iter().filter(|each| **each == Some(slip)).count())
        };
        assert_eq!((count(0.0, 0.0), count(1.0, 1.0), count(0.0, 1.0)), ([0, 0], [2000, 0], [0, 2000]));
        let [declined, broke] = count(0.25, 0.5);
        assert!((430..570).contains(&declined) && (680..820).contains(&broke), "{declined} {broke}");
    }

    #[test]
    fn a_broken_text_is_no_json() {
        for json in [r#"{"a":1}"#, "{}", "[1]", r#"{"ä":"ö"}"#, "7"] {
            let broken = broken(json);
            let whole = serde_json::from_str::<serde_json::Value>(&broken).is_ok();
            assert!(!whole || json == "7", "{json}: {broken}");
        }
    }
}
