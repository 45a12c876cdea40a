//! One model's life: its status and the evidence since it last changed.

use std::sync::Arc;

use atp_core::Status;
use serde::{Deserialize, Serialize};

use super::{Cause, Entry, Flip, LifecycleRules, Sample, Standing};
use crate::experiment::{Bet, Claim};

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Life {
    pub(super) model: Arc<str>,
    pub(super) status: Status,
    configured: Status,
    pub(super) pinned: bool,
    /// What it was before it was pinned, where evidence had made that of it and not the configuration.
    #[serde(default)]
    before_pin: Option<Status>,
    pub(super) flipped_ms: Option<u64>,
    /// When the evidence begins; `None` in front of the first sample.
    since_ms: Option<u64>,
    calls: u64,
    /// Sums of costs, its own and the other's.
    costs: (u64, u64),
    /// The sum of the differences of quality, and how many there were.
    quality: (f64, u64),
    /// Against: its cost is not below the limit for promotion.
    not_cheaper: Bet,
    /// Against: its quality is below the other's by the margin or more.
    worse: Bet,
    /// For change from: its cost is not above the limit for demotion.
    not_dearer: Bet,
    /// For change from: its quality is not below the other's by the margin or more.
    not_worse: Bet,
}

impl Life {
    pub(super) fn new(entry: &Entry, rules: &LifecycleRules) -> Self {
        let [not_cheaper, worse, not_dearer, not_worse] = bets(rules);
        Self {
            model: Arc::clone(&entry.model),
            status: entry.status,
            configured: entry.status,
            pinned: false,
            before_pin: None,
            flipped_ms: None,
            since_ms: None,
            calls: 0,
            costs: (0, 0),
            quality: (0.0, 0),
            not_cheaper,
            worse,
            not_dearer,
            not_worse,
        }
    }

    /// Takes over what was known before a reload. Under other limits the evidence begins anew, because what
    /// was bet against has changed.
    pub(super) fn adopt(&mut self, known: &Self, rules: &LifecycleRules) {
        if known.configured != self.configured && !known.pinned {
            return;
        }
        let same = known.fresh() == bets(rules);
        let configured = self.configured;
        // What evidence made of it under another configuration is no more what it returns to.
        let before_pin = known.before_pin.filter(|_| known.configured == configured);
        *self = Self { configured, before_pin, ..known.clone() };
        if !same {
            self.restart(rules, known.since_ms.unwrap_or_default());
        }
    }

    /// The bets of this life as they were in front of the first sample.
    fn fresh(&self) -> [Bet; 4] {
        [self.not_cheaper, self.worse, self.not_dearer, self.not_worse].map(|bet| bet.anew())
    }

    /// Forgets the evidence.
    pub(super) fn restart(&mut self, rules: &LifecycleRules, now_ms: u64) {
        [self.not_cheaper, self.worse, self.not_dearer, self.not_worse] = bets(rules);
        (self.calls, self.costs, self.quality, self.since_ms) = (0, (0, 0), (0.0, 0), Some(now_ms));
    }

    /// Takes in a comparison.
    pub(super) fn add(&mut self, sample: &Sample, rules: &LifecycleRules, now_ms: u64) {
        let since = *self.since_ms.get_or_insert(now_ms);
        if self.status == Status::Shadow && now_ms.saturating_sub(since) > rules.window_ms {
            self.restart(rules, now_ms);
        }
        self.calls += 1;
        if let Some((own, other)) = sample.cost {
            self.costs = (self.costs.0.saturating_add(own.0), self.costs.1.saturating_add(other.0));
            let (own, other) = (own.0 as f64, other.0 as f64);
            // Two that cost nothing cost the same.
            let share = if own + other > 0.0 { own / (own + other) } else { 0.5 };
            self.not_cheaper.add(share);
            self.not_dearer.add(share);
        }
        let quality = sample.quality.filter(|(own, other)| own.is_finite() && other.is_finite());
        if let Some((own, other)) = quality {
            let gap = own.clamp(0.0, 1.0) - other.clamp(0.0, 1.0);
            self.quality = (self.quality.0 + gap, self.quality.1 + 1);
            self.worse.add((1.0 + gap) / 2.0);
            self.not_worse.add((1.0 + gap) / 2.0);
        }
    }

    /// What it should become by now, and why.
    pub(super) fn due(&self, rules: &LifecycleRules, now_ms: u64) -> Option<(Status, String)> {
        let early = self.flipped_ms.is_some_and(|flipped| now_ms.saturating_sub(flipped) < rules.hysteresis_ms);
        if self.pinned || early || self.calls < rules.min_calls {
            return None;
        }
        match self.status {
            Status::Shadow => self.promotion(rules).map(|reason| (Status::Active, reason)),
            Status::Active => self.demotion(rules).map(|reason| (Status::Shadow, reason)),
            Status::Fallback | Status::Retired => None,
        }
    }

    fn promotion(&self, rules: &LifecycleRules) -> Option<String> {
        let proven = self.not_cheaper.p_value() <= rules.alpha && self.worse.p_value() <= rules.alpha;
        // What the tests have proven once must also be so on the average, or a change under way was missed.
        let ratio = self.cost_ratio().filter(|ratio| *ratio <= rules.promote_cost)?;
        let not_worse = self.quality_gap().is_some_and(|gap| gap >= -rules.margin);
        (proven && not_worse).then(|| format!("cost_improvement_{:.1}pct", (1.0 - ratio) * 100.0))
    }

    /// Neither quality nor cost decides alone: what is worse may be cheaper, what is dearer may be better, and
    /// both are worth having.
    fn demotion(&self, rules: &LifecycleRules) -> Option<String> {
        let alarm = rules.false_alarm.max(1.0).ln();
        let cheaper = self.cost_ratio().is_some_and(|ratio| ratio <= rules.promote_cost);
        if self.not_worse.log_capital() >= alarm && !cheaper {
            return Some(format!("quality_regress_{:.2}", -self.quality_gap().unwrap_or_default()));
        }
        // Of whose quality nothing is known it cannot be said that it is no better.
        let no_better = self.quality_gap().is_some_and(|gap| gap <= rules.margin);
        if self.not_dearer.log_capital() >= alarm && no_better {
            return Some(format!("cost_regress_{:.1}pct", (self.cost_ratio().unwrap_or(1.0) - 1.0) * 100.0));
        }
        None
    }

    /// It is active again, where the configuration says so and nobody has pinned it.
    pub(super) fn come_back(&mut self, rules: &LifecycleRules) {
        if self.configured == Status::Active && self.status == Status::Shadow && !self.pinned {
            self.status = Status::Active;
            self.restart(rules, self.since_ms.unwrap_or_default());
        }
    }

    /// Keeps it as it is. Pinned once more, it still returns to what it was before the first time.
    pub(super) fn pin(&mut self) {
        if !std::mem::replace(&mut self.pinned, true) {
            self.before_pin = (self.status != self.configured).then_some(self.status);
        }
    }

    /// Lets it go, and tells what it is to be; `None` where it was not pinned.
    pub(super) fn unpin(&mut self) -> Option<Status> {
        let returns = self.before_pin.take().unwrap_or(self.configured);
        std::mem::take(&mut self.pinned).then_some(returns)
    }

    /// Makes it something else, and begins the evidence anew.
    pub(super) fn flip(
        &mut self,
        to: Status,
        cause: Cause,
        reason: String,
        rules: &LifecycleRules,
        now_ms: u64,
    ) -> Flip {
        let flip = Flip {
            now_ms,
            model: Arc::clone(&self.model),
            from: self.status,
            to,
            cause,
            reason,
            calls: self.calls,
            cost_ratio: self.cost_ratio(),
            quality_gap: self.quality_gap(),
        };
        self.status = to;
        self.flipped_ms = Some(now_ms);
        self.restart(rules, now_ms);
        flip
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            model: Arc::clone(&self.model),
            status: self.status,
            configured: self.configured,
            pinned: self.pinned,
            calls: self.calls,
            cost_ratio: self.cost_ratio(),
            quality_gap: self.quality_gap(),
            p_values: (self.not_cheaper.p_value(), self.worse.p_value()),
            flipped_ms: self.flipped_ms,
        }
    }

    fn cost_ratio(&self) -> Option<f64> {
        let (own, other) = self.costs;
        (other > 0).then(|| own as f64 / other as f64)
    }

    fn quality_gap(&self) -> Option<f64> {
        let (sum, count) = self.quality;
        (count > 0).then(|| sum / count as f64)
    }
}

/// The two tests and the two watches, in front of the first sample.
fn bets(rules: &LifecycleRules) -> [Bet; 4] {
    // A multiple of the other's cost, as a share of both together.
    let share = |multiple: f64| multiple / (1.0 + multiple);
    let margin = (1.0 - rules.margin) / 2.0;
    [
        Bet::against(Claim::AtLeast(share(rules.promote_cost))),
        Bet::against(Claim::AtMost(margin)),
        Bet::watching(Claim::AtMost(share(rules.demote_cost))),
        Bet::watching(Claim::AtLeast(margin)),
    ]
}
