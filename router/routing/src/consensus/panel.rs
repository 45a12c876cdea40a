//! Several models that are asked the same, and when enough have answered.

use super::sketch::Sketch;
use super::{Group, groups, representative};

/// How one of several answers is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The first that comes.
    FirstWin,
    /// One that at least so many say.
    Quorum(usize),
    /// The one whose group weighs most.
    Weighted,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Answers that are still to come may change it.
    Wait,
    /// This member's answer is the one.
    Take {
        /// The member, by its place among those asked.
        member: usize,
        /// The share of the answers, or of their weight, that say the same.
        score: f64,
        /// Whether what the rule asks for was reached; else it is the best of what there is.
        agreed: bool,
    },
    /// Nobody has answered, and nobody will.
    Nothing,
}

/// The answers so far. A member answers or fails once; what comes twice is ignored.
#[derive(Debug, Clone)]
pub struct Panel {
    agree: f64,
    weights: Vec<f64>,
    /// Who has answered, in order of arrival, beside the sketch at the same place.
    members: Vec<usize>,
    sketches: Vec<Sketch>,
    failed: Vec<usize>,
}

impl Panel {
    /// A panel of members with these weights (what is not above zero counts as nothing), of whom two say
    /// the same from a cosine of `agree` on.
    #[must_use]
    pub fn new(weights: &[f64], agree: f64) -> Self {
        let weights = weights.iter().map(|weight| if *weight > 0.0 && weight.is_finite() { *weight } else { 0.0 });
        Self { agree, weights: weights.collect(), members: Vec::new(), sketches: Vec::new(), failed: Vec::new() }
    }

    /// A member has answered.
    pub fn answer(&mut self, member: usize, text: &str) {
        if self.is_open(member) {
            self.members.push(member);
            self.sketches.push(Sketch::of(text));
        }
    }

    /// A member will not answer.
    pub fn fail(&mut self, member: usize) {
        if self.is_open(member) {
            self.failed.push(member);
        }
    }

    /// The groups of the answers so far, by the members' places among those asked, the largest first.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        let own = |place: usize| self.members.get(place).copied().unwrap_or(place);
        let mut all = groups(&self.sketches, self.agree);
        for group in &mut all {
            for member in &mut group.members {
                *member = own(*member);
            }
        }
        all
    }

    /// What is to be done now, by a rule.
    #[must_use]
    pub fn verdict(&self, rule: Rule) -> Verdict {
        match (rule, self.members.first()) {
            (_, None) if self.open() == 0 => Verdict::Nothing,
            (_, None) => Verdict::Wait,
            (Rule::FirstWin, Some(first)) => Verdict::Take { member: *first, score: 1.0, agreed: true },
            (Rule::Quorum(need), _) => self.quorum(need),
            (Rule::Weighted, _) => self.weighted(),
        }
    }

    /// What is taken where nobody else is waited for, such as when the time is over.
    #[must_use]
    pub fn close(mut self, rule: Rule) -> Verdict {
        for member in 0..self.weights.len() {
            self.fail(member);
        }
        self.verdict(rule)
    }

    fn quorum(&self, need: usize) -> Verdict {
        let all = groups(&self.sketches, self.agree);
        let Some(top) = all.first() else { return Verdict::Wait };
        let size = top.members.len();
        // Where not even all the others together could make it, waiting is of no use either.
        let hopeless = size + self.open() < need;
        if size >= need || hopeless || self.open() == 0 {
            return self.take(top, top.score, size >= need);
        }
        Verdict::Wait
    }

    fn weighted(&self) -> Verdict {
        let all = groups(&self.sketches, self.agree);
        let total: f64 = self.members.iter().map(|member| self.weight(*member)).sum();
        let mut weighed: Vec<(f64, &Group)> = all.iter().map(|group| (self.weigh(group), group)).collect();
        // The sort is stable: of equal ones the larger group stays ahead, then the earlier.
        weighed.sort_by(|(left, _), (right, _)| right.total_cmp(left));
        let second = weighed.get(1).map_or(0.0, |(weight, _)| *weight);
        let Some((first, top)) = weighed.first() else { return Verdict::Wait };
        let to_come: f64 = (0..self.weights.len()).filter(|m| self.is_open(*m)).map(|m| self.weight(m)).sum();
        if self.open() > 0 && *first <= second + to_come {
            return Verdict::Wait;
        }
        let score = if total > 0.0 { first / total } else { top.score };
        self.take(top, score, true)
    }

    fn take(&self, group: &Group, score: f64, agreed: bool) -> Verdict {
        match representative(&self.sketches, group).and_then(|place| self.members.get(place)) {
            Some(member) => Verdict::Take { member: *member, score, agreed },
            None => Verdict::Nothing,
        }
    }

    fn weigh(&self, group: &Group) -> f64 {
        group.members.iter().filter_map(|place| self.members.get(*place)).map(|member| self.weight(*member)).sum()
    }

    fn weight(&self, member: usize) -> f64 {
        self.weights.get(member).copied().unwrap_or(0.0)
    }

    /// Whether a member was asked and has neither answered nor failed.
    fn is_open(&self, member: usize) -> bool {
        member < self.weights.len() && !self.members.contains(&member) && !self.failed.contains(&member)
    }

    /// How many are still to come.
    fn open(&self) -> usize {
        self.weights.len() - self.members.len() - self.failed.len()
    }
}
