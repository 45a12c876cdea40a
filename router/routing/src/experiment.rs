//! Whether a challenger answers better than the champion.
//!
//! Both answer the same requests, and each pair is judged: win, tie or loss of the challenger. What is told
//! of it may be looked at after every pair, which fixed-size tests do not allow: whoever looks often enough
//! finds any coin unfair. Both tools here hold at all times at once: a [`Sequence`] of bounds around a mean
//! (for people), and a [`Bet`] against a claim (for decisions).

mod bet;
mod sequence;

use atp_core::MicroUsd;
use serde::{Deserialize, Serialize};

pub use bet::{Bet, Claim};
pub use sequence::Sequence;

/// One day, in milliseconds. Days are those of UTC.
const DAY_MS: u64 = 86_400_000;

/// How the challenger's answer compares with the champion's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compared {
    /// It is better.
    Win,
    /// Neither is better.
    Tie,
    /// It is worse.
    Loss,
}

impl Compared {
    /// The comparison of two scores of which a difference of up to `band` means nothing.
    #[must_use]
    pub fn scores(champion: f64, challenger: f64, band: f64) -> Self {
        let gain = challenger - champion;
        if gain > band {
            Self::Win
        } else if gain < -band {
            Self::Loss
        } else {
            // What is no number tells nothing either.
            Self::Tie
        }
    }

    /// What it counts as: a win is 1, a tie half of one.
    #[must_use]
    pub const fn value(self) -> f64 {
        match self {
            Self::Win => 1.0,
            Self::Tie => 0.5,
            Self::Loss => 0.0,
        }
    }
}

/// What the pairs so far prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// Not enough yet.
    Open,
    /// The challenger wins more than it loses.
    Better,
    /// It loses more than it wins.
    Worse,
}

/// An experiment as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Pairs that were judged.
    pub samples: u64,
    /// Of them, those the challenger won.
    pub wins: u64,
    /// Those that neither won.
    pub ties: u64,
    /// Those it lost.
    pub losses: u64,
    /// Wins and half of the ties, as a share of all; a half before the first.
    pub win_rate: f64,
    /// Where the true win rate lies: with the trial's confidence, at all times at once.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The probability of evidence as strong as this, had the true rate been a half; valid at any time.
    pub p_value: f64,
    /// What the pairs prove.
    pub finding: Finding,
    /// What the challenger and its judge have cost in all.
    pub spend: MicroUsd,
    /// Of it, today.
    pub spend_today: MicroUsd,
    /// What the champion's answers to the same requests have cost.
    pub champion_cost: MicroUsd,
    /// What the challenger's own answers have cost.
    pub challenger_cost: MicroUsd,
}

/// A comparison of two models on the same requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The probability of a wrong finding, ever.
    alpha: f64,
    wins: u64,
    ties: u64,
    losses: u64,
    rate: Sequence,
    better: Bet,
    worse: Bet,
    spend: u64,
    day: u64,
    today: u64,
    champion_cost: u64,
    challenger_cost: u64,
    /// Held for runs that are under way; none of them outlives the process.
    #[serde(skip)]
    held: u64,
}

impl Trial {
    /// A trial in front of its first pair, with a probability of a wrong finding of at most `alpha` however
    /// often it is looked at; what is no probability counts as 5 %.
    #[must_use]
    pub fn new(alpha: f64) -> Self {
        let alpha = if alpha > 0.0 && alpha < 1.0 { alpha } else { 0.05 };
        Self {
            alpha,
            wins: 0,
            ties: 0,
            losses: 0,
            rate: Sequence::default(),
            better: Bet::against(Claim::AtMost(0.5)),
            worse: Bet::against(Claim::AtLeast(0.5)),
            spend: 0,
            day: 0,
            today: 0,
            champion_cost: 0,
            challenger_cost: 0,
            held: 0,
        }
    }

    /// Takes in a pair, and what its two answers have cost where that is known.
    pub fn judge(&mut self, compared: Compared, costs: Option<(MicroUsd, MicroUsd)>) {
        match compared {
            Compared::Win => self.wins += 1,
            Compared::Tie => self.ties += 1,
            Compared::Loss => self.losses += 1,
        }
        self.rate.add(compared.value());
        self.better.add(compared.value());
        self.worse.add(compared.value());
        if let Some((champion, challenger)) = costs {
            self.champion_cost = self.champion_cost.saturating_add(champion.0);
            self.challenger_cost = self.challenger_cost.saturating_add(challenger.0);
        }
    }

    /// Holds what a run is expected to cost, where that fits under the day's cap beside what is spent and held; `false`
    /// where it does not. What is held is given back by [`Self::release`].
    #[must_use]
    pub fn hold(&mut self, expected: MicroUsd, cap: MicroUsd, now_ms: u64) -> bool {
        let held = self.held.saturating_add(expected.0);
        let fits = self.spent_on(now_ms).saturating_add(held) <= cap.0;
        if fits {
            self.held = held;
        }
        fits
    }

    /// Gives back what was held for a run.
    pub fn release(&mut self, held: MicroUsd) {
        self.held = self.held.saturating_sub(held.0);
    }

    /// How many times something has happened to it that is worth keeping: it never shrinks, and where it has not
    /// changed nothing has.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.rate.samples().wrapping_add(self.spend)
    }

    /// Books what a run has cost: the challenger's answer, its judge.
    pub fn pay(&mut self, cost: MicroUsd, now_ms: u64) {
        // A clock that was put back books on the day that it had reached.
        let day = (now_ms / DAY_MS).max(self.day);
        self.today = self.spent_on(now_ms).saturating_add(cost.0);
        self.day = day;
        self.spend = self.spend.saturating_add(cost.0);
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self, now_ms: u64) -> Standing {
        let (low, high) = self.rate.bounds(self.alpha);
        Standing {
            samples: self.rate.samples(),
            wins: self.wins,
            ties: self.ties,
            losses: self.losses,
            win_rate: self.rate.mean().unwrap_or(0.5),
            low,
            high,
            // Both sides are bet against: half of the error each.
            p_value: (2.0 * self.better.p_value().min(self.worse.p_value())).min(1.0),
            finding: self.finding(),
            spend: MicroUsd(self.spend),
            spend_today: MicroUsd(self.spent_on(now_ms)),
            champion_cost: MicroUsd(self.champion_cost),
            challenger_cost: MicroUsd(self.challenger_cost),
        }
    }

    /// What the pairs prove. A finding stands once it is made.
    #[must_use]
    pub fn finding(&self) -> Finding {
        let half = self.alpha / 2.0;
        match (self.better.p_value() <= half, self.worse.p_value() <= half) {
            (true, false) => Finding::Better,
            (false, true) => Finding::Worse,
            // Both were proven at different times: the rate has changed under way, and nothing holds.
            (false, false) | (true, true) => Finding::Open,
        }
    }

    fn spent_on(&self, now_ms: u64) -> u64 {
        if now_ms / DAY_MS > self.day { 0 } else { self.today }
    }
}

#[cfg(test)]
mod tests;
