//! What is played. Each scenario is a chapter of the page.

mod classes;
mod neighbour;
mod outages;
mod pools;
mod shares;
mod tails;
mod windows;

use crate::paper::Section;
use crate::tally::Tally;
use crate::world::System;

/// The runs of one plan by several systems.
type Ways = Vec<(Tally, System)>;

/// How long everything is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// For the page.
    Full,
    /// For the tests: the same aims, less of everything.
    Quick,
}

impl Scale {
    /// A length in seconds, shortened in the quick version.
    pub(crate) fn seconds(self, full: f64) -> f64 {
        match self {
            Self::Full => full,
            Self::Quick => (full / 4.0).round(),
        }
    }
}

/// A chapter: its name, and what plays it.
type Chapter = (&'static str, fn(Scale) -> Section);

const CHAPTERS: [Chapter; 7] = [
    ("shares", shares::play),
    ("neighbours", neighbour::play),
    ("windows", windows::play),
    ("pools", pools::play),
    ("tails", tails::play),
    ("outages", outages::play),
    ("classes", classes::play),
];

/// Plays every scenario, or those of this name.
#[must_use]
pub fn play(scale: Scale, only: Option<&str>) -> Vec<Section> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    CHAPTERS.iter().filter(|(name, _)| wanted(name)).map(|(_, chapter)| chapter(scale)).collect()
}

/// Values as a distribution, in percent, thinned to what can be seen.
fn cumulative(sorted: &[f64]) -> Vec<(f64, f64)> {
    let count = sorted.len();
    let thin = (count / 400).max(1);
    let kept = sorted.iter().enumerate().filter(|(place, _)| place % thin == 0 || place + thin >= count);
    kept.map(|(place, value)| (*value, 100.0 * (place + 1) as f64 / count as f64)).collect()
}
