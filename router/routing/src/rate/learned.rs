//! The pace that refusals tell.
//!
//! CUBIC (Ha, Rhee, Xu, 2008; RFC 9438) on the rate of accepted tries, as the adaptive retry mode of
//! the AWS SDKs has it: a refusal cuts the rate by a share, then it climbs fast towards where it was
//! refused, stays there, and only then looks further, faster and faster. Three things differ. The
//! time to the plateau is fixed, because the aim is to find a doubled capacity within 30 s whatever
//! the rate is. The first cut is small (a token bucket refuses only what is too much), later ones of
//! the same streak are deeper. And a rate that is not used does not grow.
//!
//! The rate that is cut is not the one that was tried last but the one that the provider let through since
//! it last refused: its bucket was empty then and is empty now. What was tried last overshoots it by as much
//! as the bucket is deep.

use super::Paced;
use super::flow::Flow;

/// Seconds from a cut until the rate is back where it was cut. At `2.2` times this after that, it has
/// doubled; a bucket that was left to fill meanwhile refuses again at twice this.
const PLATEAU: f64 = 8.0;
/// What is left after the first, second and any later cut of a streak.
const CUTS: [f64; 3] = [0.9, 0.7, 0.5];
/// A cut within so many seconds of the last one belongs to its streak.
const STREAK: f64 = 3.0;
/// The pace counts as used when so much of it is.
const USED: f64 = 0.8;
/// It counts as hardly used when so much of it is. A measure that lags behind a pace that grows is no sign of
/// that.
const IDLE: f64 = 0.5;
/// How far what was let through since the last refusal counts against what was accepted lately, where no pause
/// says that it was a rate: a lane that limits concurrency lets through what we ask for, and no more would be
/// asked for ever.
const TRUST: f64 = 1.0 / 3.0;
/// Seconds without a refusal after which an unused pace is forgotten.
const FORGET: f64 = 120.0;
/// Seconds in which it may turn out that a cut was wrong.
const UNDONE: f64 = 10.0;
/// Accepted tries before which nothing is concluded.
const ENOUGH: u32 = 16;
/// The first pace is so many times what was accepted.
const ROOM: f64 = 2.0;
/// The slowest pace, in requests per second: one in a minute.
const SLOWEST: f64 = 1.0 / 60.0;
/// Seconds of the pace that may come at once after a lull: at first, at least, at most.
const LULL: [f64; 3] = [1.0, 0.05, 2.0];
/// Seconds without a refusal in which that grows e-fold.
const RELAX: f64 = 60.0;

/// A pace that does not bind is at most so many times what is asked.
const AHEAD: f64 = 1.5;

/// Whether a refusal named a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// It did, by `Retry-After`.
    Pause,
    /// It did not.
    Nothing,
}

/// What is known from refusals. Times are seconds since the lane's origin.
#[derive(Debug, Clone)]
pub(super) struct Learned {
    /// Tries that the provider accepted.
    accepted: Flow,
    /// Those, and the ones that it refused.
    asked: Flow,
    /// The accepted ones of the last moment alone.
    recent: Flow,
    /// Tries that were accepted so far.
    known: u32,
    /// Mean tokens of a served try.
    tokens: f64,
    curve: Option<Curve>,
    /// Tries that began before tell nothing new.
    last_cut: f64,
    /// When the rate was last cut.
    cut_at: f64,
    streak: usize,
    /// Seconds of the pace that may come at once.
    lull: f64,
    /// Where the clock of the curve was last looked at.
    seen: f64,
    /// The end of the last pause.
    resumed: f64,
    since: Since,
    /// The curve and the lull before the refusals of the last seconds.
    before: (Option<Curve>, f64),
}

/// What was accepted since the last refusal that counted. A bucket that is empty at both ends has let through
/// what it was filled with in between, however deep it is.
#[derive(Debug, Clone, Copy)]
struct Since {
    began: f64,
    accepted: u32,
    /// The pace was hardly used for a while: the bucket may have run over.
    idle: bool,
}

impl Since {
    fn refusal(now: f64) -> Self {
        Self { began: now, accepted: 0, idle: false }
    }

    /// Accepted tries per second, where they are enough to tell.
    fn per_second(self, now: f64) -> Option<f64> {
        let passed = now - self.began;
        let tells = !self.idle && self.accepted >= ENOUGH && passed > STREAK && passed.is_finite();
        tells.then(|| f64::from(self.accepted) / passed)
    }
}

/// A rate as a function of time: requests per second.
#[derive(Debug, Clone, Copy)]
struct Curve {
    top: f64,
    /// The share that was cut off the top.
    depth: f64,
    /// When it began. It is moved along while the rate is not used.
    began: f64,
}

impl Curve {
    fn at(&self, now: f64) -> f64 {
        let beyond = ((now - self.began) / PLATEAU - 1.0).clamp(-1.0, 20.0);
        (self.top * (1.0 + self.depth * beyond * beyond * beyond)).max(SLOWEST)
    }
}

impl Learned {
    pub(super) fn new() -> Self {
        Self {
            accepted: Flow::new(0.0, 16.0),
            asked: Flow::new(0.0, 16.0),
            recent: Flow::new(0.0, 4.0),
            known: 0,
            tokens: 0.0,
            curve: None,
            last_cut: f64::NEG_INFINITY,
            cut_at: f64::NEG_INFINITY,
            streak: 0,
            lull: LULL[0],
            seen: 0.0,
            resumed: f64::NEG_INFINITY,
            since: Since::refusal(f64::NEG_INFINITY),
            before: (None, LULL[0]),
        }
    }

    /// The provider accepted a try.
    pub(super) fn accepted(&mut self, now: f64) {
        self.accepted.add(now);
        self.asked.add(now);
        self.recent.add(now);
        self.known = self.known.saturating_add(1);
        self.since.accepted = self.since.accepted.saturating_add(1);
        self.hold(now);
    }

    /// A try was served with so many tokens.
    pub(super) fn served(&mut self, tokens: u64) {
        let tokens = tokens as f64;
        self.tokens = if self.tokens == 0.0 { tokens } else { self.tokens + (tokens - self.tokens) / 32.0 };
    }

    /// Nobody may begin until `until`.
    pub(super) fn paused(&mut self, now: f64, until: f64) {
        if let Some(curve) = &mut self.curve {
            curve.began += (until - now.max(self.resumed)).max(0.0);
        }
        self.resumed = self.resumed.max(until);
    }

    /// A try that began at `began` was refused. Once per round trip: not where it began before the last
    /// cut.
    pub(super) fn refused(&mut self, now: f64, began: f64, named: Named) {
        self.asked.add(now);
        if began < self.last_cut {
            return;
        }
        let paced = match (named, self.paced(now)) {
            // What a pause left unused says nothing about the pace.
            (Named::Pause, Paced::InLumps) => Paced::OneByOne,
            (_, paced) => paced,
        };
        if now - self.cut_at > UNDONE || named == Named::Pause {
            self.before = (self.curve, self.lull);
        }
        self.shorten(now, paced, named);
        let let_through = self.since.per_second(now);
        self.since = Since::refusal(now);
        let recent = self.accepted.per_second(now);
        let measured = let_through.map_or(recent, |rate| {
            let trust = if named == Named::Pause { 1.0 } else { TRUST };
            recent + (rate - recent) * trust
        });
        let rate = match self.curve {
            Some(_) if paced == Paced::InLumps => None,
            Some(curve) if named == Named::Pause && let_through.is_none() => Some(curve.at(now)),
            Some(curve) => Some(curve.at(now).min(measured.max(curve.at(now) * 0.5))),
            // The flood with which a lane begins is no rate. Nor is it plain yet whether what was refused was
            // the rate or what came at once: the pace begins with room above the one, and spreads the other.
            None => (self.known >= ENOUGH).then_some(measured * ROOM),
        };
        if let Some(rate) = rate {
            self.streak = if now - self.cut_at < STREAK { self.streak + 1 } else { 0 };
            let left = CUTS.get(self.streak).or(CUTS.last()).copied().unwrap_or(0.5);
            self.curve = Some(Curve { top: rate.max(SLOWEST), depth: 1.0 - left, began: now });
            self.cut_at = now;
        }
        self.last_cut = now;
        self.seen = now;
    }

    /// A try was refused, and not because of the pace. One that has run far ahead of what is asked is
    /// fetched back, so that it still spreads what would come at once.
    pub(super) fn spared(&mut self, now: f64) {
        self.asked.add(now);
        let asked = self.asked.per_second(now);
        if let Some(curve) = &mut self.curve
            && curve.at(now) > asked * AHEAD
        {
            *curve = Curve { top: (asked * AHEAD).max(SLOWEST), depth: 1.0 - CUTS[0], began: now };
        }
        self.seen = now;
    }

    /// What was refused in the last seconds was refused because a queue was full, not because of the pace. It is
    /// again what it was, as a congestion window is after a retransmission that was not needed (Eifel, RFC 4015).
    pub(super) fn acquitted(&mut self, now: f64) {
        if now - self.cut_at <= UNDONE {
            (self.curve, self.lull) = self.before;
            self.cut_at = f64::NEG_INFINITY;
            self.streak = 0;
        }
    }

    /// Fewer may come at once. A provider that names pauses fills its bucket meanwhile, and what was
    /// missed is made up for afterwards, unless that is what was refused.
    fn shorten(&mut self, now: f64, paced: Paced, named: Named) {
        self.lull *= match (named, paced) {
            (Named::Pause, _) if now - self.resumed > 1.0 => 1.0,
            (Named::Pause, _) | (Named::Nothing, Paced::InLumps) => 0.5,
            (Named::Nothing, Paced::OneByOne) => 0.7,
            (Named::Nothing, Paced::Unknown) => 0.25,
        };
        self.lull = self.lull.clamp(LULL[1], LULL[2]);
    }

    /// Requests per second and seconds of burst, where there was a refusal to learn from.
    pub(super) fn pace(&self, now: f64) -> Option<(f64, f64)> {
        self.curve.map(|curve| (curve.at(now), self.lull))
    }

    /// Mean tokens of a try; 0 while none was served.
    pub(super) fn tokens(&self) -> f64 {
        self.tokens
    }

    pub(super) fn paced(&self, now: f64) -> Paced {
        match self.curve {
            None => Paced::Unknown,
            Some(curve) => {
                let rate = curve.at(now);
                let unused = self.asked.per_second(now) < rate * USED;
                if unused && rate * self.lull >= 2.0 && self.lull > 2.0 * LULL[1] {
                    Paced::InLumps
                } else {
                    Paced::OneByOne
                }
            }
        }
    }

    /// Moves the curve along for the time in which its rate was not used.
    fn hold(&mut self, now: f64) {
        let passed = (now - self.seen).max(0.0);
        self.seen = now;
        self.lull = (self.lull * (1.0 + passed.min(1.0) / RELAX)).min(LULL[2]);
        if let Some(curve) = &mut self.curve
            && now > self.resumed
            && self.recent.per_second(now) < curve.at(now) * USED
            // Right after a cut the measure still holds what came before, and the other way round
            // after a pause: neither is waited for.
            && now - self.cut_at > 2.0
            && now - self.resumed > 2.0
        {
            curve.began += passed;
            self.since.idle |= self.recent.per_second(now) < curve.at(now) * IDLE;
            if now - self.cut_at > FORGET {
                self.curve = None;
            }
        }
    }
}
