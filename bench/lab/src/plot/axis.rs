//! An axis: from values to places on the paper, with round numbers on the way.

/// How values are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    /// Each tenfold takes the same space.
    Log,
}

/// One axis.
#[derive(Debug)]
pub(super) struct Axis {
    from: f64,
    to: f64,
    scale: Scale,
    paper: (f64, f64),
}

impl Axis {
    /// An axis that holds all values, up to a round number.
    pub(super) fn over(values: impl Iterator<Item = f64>, scale: Scale, paper: (f64, f64)) -> Self {
        let finite = values.filter(|value| value.is_finite() && (scale == Scale::Linear || *value > 0.0));
        let (low, high) =
            finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low > high { (0.1, 1.0) } else { (low, high) };
        match scale {
            Scale::Log => Self::between(low, high.max(low * 1.01), scale, paper),
            Scale::Linear => {
                let high = if high > low { high } else { low + 1.0 };
                let step = step(high - low);
                Self::between((low / step).floor() * step, (high / step).ceil() * step, scale, paper)
            }
        }
    }

    pub(super) fn between(from: f64, to: f64, scale: Scale, paper: (f64, f64)) -> Self {
        Self { from, to, scale, paper }
    }

    /// Where a value lies; what lies outside is drawn at the edge.
    pub(super) fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Log => (value.max(1e-9) / self.from).ln() / (self.to / self.from).ln(),
        };
        self.paper.0 + share.clamp(0.0, 1.0) * (self.paper.1 - self.paper.0)
    }

    /// Places of round numbers, with their names.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.to - self.from);
                let first = (self.from / step).ceil() as i64;
                let last = (self.to / step + 1e-9).floor() as i64;
                (first..=last).map(|count| count as f64 * step).map(|value| (self.place(value), named(value))).collect()
            }
            Scale::Log => {
                let decades = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
                let values = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(decade)));
                let inside = values.filter(|value| (self.from..=self.to).contains(value));
                inside.map(|value| (self.place(value), named(value))).collect()
            }
        }
    }
}

/// A round step that cuts a span into four to ten.
fn step(span: f64) -> f64 {
    let decade = 10f64.powf((span / 4.0).log10().floor());
    let digit = span / 4.0 / decade;
    let round = [1.0, 2.0, 5.0].into_iter().rev().find(|round| *round <= digit + 1e-9).unwrap_or(1.0);
    round * decade
}

fn named(value: f64) -> String {
    let size = value.abs();
    if size >= 1e6 {
        format!("{} M", trimmed(value / 1e6))
    } else if size >= 1e4 {
        format!("{} k", trimmed(value / 1e3))
    } else {
        trimmed(value)
    }
}

/// With up to three digits behind the point, as many as it takes.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::over([0.0, 73.0].into_iter(), Scale::Linear, (0.0, 100.0));
        let names: Vec<String> = axis.ticks().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["0", "20", "40", "60", "80"]);
        let axis = Axis::over([0.3, 40.0].into_iter(), Scale::Log, (0.0, 100.0));
        let names: Vec<String> = axis.ticks().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["0.5", "1", "2", "5", "10", "20"]);
        assert!((axis.place(0.3) - 0.0).abs() < 1e-9 && (axis.place(40.0) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_to_draw_has_an_axis_too() {
        let axis = Axis::over(std::iter::empty(), Scale::Linear, (0.0, 1.0));
        assert!(axis.place(0.5).is_finite() && !axis.ticks().is_empty());
        assert_eq!((named(12_000.0), named(2.5e6)), ("12 k".to_owned(), "2.5 M".to_owned()));
    }
}
