//! The first tokens of one round: of tries that began after the last cut.

/// The samples of a round. Times are seconds, lateness logarithms of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// Tries that began before are of an earlier round.
    began: f64,
    /// First tokens that come before are of the quickest tries alone.
    opens: f64,
    samples: [Sample; Round::MOST],
    len: usize,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) took: f64,
    /// Against the shape alone.
    pub(super) lateness: f64,
    pub(super) tokens: u64,
    pub(super) in_flight: u32,
    /// It began with the window full, after the last growth.
    pub(super) full: bool,
}

/// Standard deviation of the first quartile of one normal sample, over its distance to the median.
const NOISE: f64 = 1.363 / 0.674;

/// What a round says: its sample at the first quartile of lateness, or at the median.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    pub(super) took: f64,
    pub(super) lateness: f64,
    /// From the first quartile of lateness to the median.
    pub(super) spread: f64,
    /// The standard deviation of the quartile, as the spread of the round lets expect it.
    pub(super) noise: f64,
    /// How long a slow one of them took: the last eighth.
    pub(super) slow: f64,
    /// The mean lateness.
    pub(super) mean: f64,
    pub(super) in_flight: u32,
    pub(super) samples: usize,
    /// At least half of its tries began with the window full.
    pub(super) full: bool,
}

impl Round {
    /// The samples of the longest round.
    pub(super) const MOST: usize = 16;

    /// A round of tries that begin at `began` or later, where a slow first token takes `slow`: it opens
    /// when also slow ones can be among those that come.
    pub(super) fn after(began: f64, slow: f64) -> Self {
        Self { began, opens: began + slow, samples: [Sample::default(); Self::MOST], len: 0 }
    }

    /// The round that follows where nothing was cut.
    pub(super) fn next(&self) -> Self {
        Self { len: 0, ..*self }
    }

    pub(super) fn opens(&self) -> f64 {
        self.opens
    }

    pub(super) fn began(&self) -> f64 {
        self.began
    }

    pub(super) fn samples(&self) -> &[Sample] {
        self.samples.get(..self.len).unwrap_or_default()
    }

    /// Adds a sample; nothing where it is full.
    pub(super) fn add(&mut self, sample: Sample) {
        if let Some(place) = self.samples.get_mut(self.len) {
            *place = sample;
            self.len += 1;
        }
    }

    /// The samples that began with the most in flight, give or take `spread`.
    pub(super) fn fullest(&self, spread: f64) -> Self {
        let most = self.samples().iter().map(|sample| sample.in_flight).max().unwrap_or_default();
        let mut chosen = Self { len: 0, ..*self };
        for sample in self.samples().iter().filter(|sample| f64::from(sample.in_flight) + spread >= f64::from(most)) {
            chosen.add(*sample);
        }
        chosen
    }

    /// Sorts the samples and reads them at the first quartile of lateness.
    pub(super) fn read(&mut self) -> Option<Reading> {
        self.read_at(4)
    }

    /// The same at their median.
    pub(super) fn read_median(&mut self) -> Option<Reading> {
        self.read_at(2)
    }

    fn read_at(&mut self, part: usize) -> Option<Reading> {
        let samples = self.samples.get_mut(..self.len)?;
        samples.sort_unstable_by(|one, other| one.lateness.total_cmp(&other.lateness));
        let full = samples.iter().filter(|sample| sample.full).count();
        let sample = samples.get(self.len / part)?;
        let quarter = samples.get(self.len / 4)?;
        let middle = samples.get(self.len / 2)?;
        let late = samples.get(self.len * 7 / 8)?;
        let mean = samples.iter().map(|sample| sample.lateness).sum::<f64>() / self.len as f64;
        Some(Reading {
            took: sample.took,
            spread: middle.lateness - quarter.lateness,
            noise: (middle.lateness - quarter.lateness) * NOISE / (self.len as f64).sqrt(),
            slow: sample.took * (late.lateness - sample.lateness).exp(),
            lateness: sample.lateness,
            mean,
            in_flight: sample.in_flight,
            samples: self.len,
            full: full * 2 >= self.len,
        })
    }
}
