//! Whether several answers to one question say the same, and which of them is given.
//!
//! Answers are compared by the words that they are made of: a bag of words hashed into 128 places
//! (the hashing trick; Weinberger et al., ICML 2009; FNV-1a as in the mission's first router), of length
//! one, so that their product is the cosine of the angle between them. Who is near enough to the first of
//! a group joins it, in the order of arrival; a group's score is its share of all answers. What this
//! cannot see: word order, negation, one number that differs in a long text.

mod panel;
mod sketch;

pub use panel::{Panel, Rule, Verdict};
pub use sketch::{DIMS, Sketch, jaccard};

/// From this cosine on two answers count as saying the same (facts 1.15).
pub const AGREE: f64 = 0.85;

/// Answers that say the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The places of the answers in what was given, in its order.
    pub members: Vec<usize>,
    /// Their share of all answers, from 0 to 1.
    pub score: f64,
}

/// Puts answers into groups, each answer into the first group whose first member it agrees with. The largest
/// group comes first; of equal ones the one that began first.
#[must_use]
pub fn groups(sketches: &[Sketch], agree: f64) -> Vec<Group> {
    let mut all: Vec<(&Sketch, Vec<usize>)> = Vec::new();
    for (place, sketch) in sketches.iter().enumerate() {
        match all.iter_mut().find(|(first, _)| first.cosine(sketch) >= agree) {
            Some((_, members)) => members.push(place),
            None => all.push((sketch, vec![place])),
        }
    }
    all.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    let count = sketches.len().max(1) as f64;
    all.into_iter().map(|(_, members)| Group { score: members.len() as f64 / count, members }).collect()
}

/// The member of a group that says best what all of it says: the one nearest to the others, of equal ones the
/// first.
#[must_use]
pub fn representative(sketches: &[Sketch], group: &Group) -> Option<usize> {
    let nearness = |place: usize| -> f64 {
        let own = sketches.get(place);
        let others = group.members.iter().filter(|other| **other != place);
        others.filter_map(|other| Some(own?.cosine(sketches.get(*other)?))).sum()
    };
    let mut best: Option<(usize, f64)> = None;
    for place in group.members.iter().copied() {
        let near = nearness(place);
        if best.is_none_or(|(_, most)| near > most) {
            best = Some((place, near));
        }
    }
    best.map(|(place, _)| place)
}

#[cfg(test)]
mod tests;
