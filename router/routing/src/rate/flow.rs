//! How many per second, of the recent past.

/// A rate that forgets exponentially, over two seconds or so many events, whichever is longer: a slow
/// lane's rate would be noise otherwise. Times are seconds since any origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Flow {
    rate: f64,
    at: f64,
    since: f64,
    events: f64,
}

/// Seconds that an event is remembered for, at least and at most.
const MEMORY: [f64; 2] = [2.0, 60.0];

impl Flow {
    /// One that remembers `events`.
    pub(crate) fn new(now: f64, events: f64) -> Self {
        Self { rate: 0.0, at: now, since: now, events }
    }

    pub(crate) fn add(&mut self, now: f64) {
        if self.rate <= 0.0 {
            self.since = now;
        }
        let memory = self.memory();
        self.rate = self.rate * forgotten(now - self.at, memory) + 1.0 / memory;
        self.at = self.at.max(now);
    }

    /// Events per second. The first seconds are not taken for a lull.
    pub(crate) fn per_second(&self, now: f64) -> f64 {
        let memory = self.memory();
        // After five times its memory the beginning no longer shows.
        let age = now - self.since;
        let whole = if age > 5.0 * memory { 1.0 } else { 1.0 - forgotten(age, memory) };
        self.rate * forgotten(now - self.at, memory) / whole.max(0.05)
    }

    fn memory(&self) -> f64 {
        (self.events / self.rate.max(1e-9)).clamp(MEMORY[0], MEMORY[1])
    }
}

fn forgotten(passed: f64, memory: f64) -> f64 {
    (-passed.max(0.0) / memory).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_measured_whether_fast_or_slow() {
        for rate in [0.5, 3.0, 20.0, 1_000.0] {
            let mut flow = Flow::new(0.0, 16.0);
            let events = (rate * 100.0) as u32;
            (0..events).for_each(|event| flow.add(f64::from(event) / rate));
            let measured = flow.per_second(100.0);
            assert!((measured / rate - 1.0).abs() < 0.15, "{rate}: {measured}");
        }
    }

    #[test]
    fn a_lull_is_noticed() {
        let mut flow = Flow::new(0.0, 16.0);
        (0..1_000).for_each(|event| flow.add(f64::from(event) / 100.0));
        assert!(flow.per_second(20.0) < 5.0);
    }
}
