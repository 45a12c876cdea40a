//! Looking above a window that is full and quiet: pulses, what they say, and the rest after a sign.

use super::pulse::{Heard, Pulse};
use super::round::{Reading, Round, Sample};
use super::{FASTEST, FEW, FLOOR, HOLD, Window};
use crate::control::Why;

/// What is early enough for a pulse to be quiet, in the units of the window's other tolerances (1.13 times).
const QUIET: [f64; 3] = [0.12, 3.0, 0.9];
/// What is left of a pulse's height that was found quiet.
const TRUSTED: f64 = 15.0 / 16.0;
/// Up to so many times the last knee, pulses rise by one; beyond it twofold.
const NEAR: f64 = 1.1;
/// One in so many slots below the knee is left free.
const BELOW: f64 = 60.0;
/// A knee that is found again within this share is the same one, and is moved by this share of the way.
const SAME: [f64; 2] = [0.1, 0.4];
/// A knee that moved by less than this share is found again, and need not be looked for as often.
const STABLE: f64 = 0.04;

impl Window {
    /// Raises the limit for a moment, as far as the curve allows.
    pub(super) fn pulse(&mut self, at: f64, mut pulse: Pulse) {
        pulse.to = self.rules.bound(self.curve.bound(at, pulse.to));
        if pulse.to >= pulse.base + 1.0 {
            self.set(pulse.to);
            self.pulse = Some(pulse);
        } else {
            // So close to the bound that there is nothing to be seen.
            self.set(pulse.to.max(pulse.base));
        }
    }

    /// A first token while a pulse is under way.
    pub(super) fn hear(&mut self, at: f64, began: f64, sample: Sample, mut pulse: Pulse) -> Option<Why> {
        let before = self.limit();
        let heard = pulse.hear(at, began, sample, self.slow);
        self.pulse = (heard != Heard::Enough).then_some(pulse);
        let why = match heard {
            Heard::Over => {
                self.set(pulse.base);
                Why::Pulse
            }
            Heard::Waiting => return None,
            Heard::Enough => {
                self.round = Round::after(at, self.slow);
                self.judge_pulse(at, &pulse, &pulse.read()?)
            }
        };
        (self.limit() != before).then_some(why)
    }

    /// What a pulse says.
    fn judge_pulse(&mut self, at: f64, pulse: &Pulse, reading: &Reading) -> Why {
        let late = self.baseline.late(reading.lateness - self.spread);
        let (excess, waiting) = self.waiting(at, reading, late);
        let in_flight = f64::from(reading.in_flight);
        // Fewer samples are noisier.
        let noisier = (self.wanted() as f64 / reading.samples as f64).sqrt().max(1.0);
        let [least, deviations, most] = QUIET;
        let tolerance = self.tolerance([least, deviations * noisier, most]);
        if waiting > FEW[1] && late > tolerance && excess > FLOOR {
            let [near, share] = SAME;
            let found = in_flight - waiting;
            let knee = if (found - pulse.base).abs() < pulse.base * near {
                pulse.base + (found - pulse.base) * share
            } else {
                found.min(pulse.quiet)
            };
            self.rest(at, knee);
            // A little below, so that a slot is free for who comes next.
            self.set((knee.max(pulse.base * (1.0 - near)) - (knee / BELOW).floor()).round());
            self.queueing_cuts += 1;
            return Why::Queueing;
        }
        self.grown = at;
        if in_flight + (pulse.to / 10.0).max(1.0) <= pulse.to {
            // There was not enough to fill it.
            self.set(pulse.to);
            return Why::Grown;
        }
        let base = pulse.base.max(pulse.to * TRUSTED);
        let step = self.step.min((pulse.to * 2.0 * FASTEST).max(1.0));
        if pulse.to > self.knee * NEAR {
            self.step = (self.step * 2.0).min(f64::from(self.rules.max));
        }
        self.set(base);
        self.pulse(at, Pulse::to(base, pulse.to + step, pulse.to, at));
        Why::Grown
    }

    /// Requests wait beyond `knee`: nothing is tried for a while.
    pub(super) fn rest(&mut self, at: f64, knee: f64) {
        let [least, most, times] = HOLD;
        let most = most.max(times * knee / self.flow.per_second(at).max(0.1));
        let same = (knee - self.knee).abs() < (self.knee * STABLE).max(0.5);
        self.pause = if same { (self.pause * 2.0).min(most) } else { least };
        self.knee = knee;
        self.hold = at + self.pause;
    }
}
