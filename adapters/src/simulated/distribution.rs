//! Distributions from which latencies, speeds and lengths are drawn.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::dice::Dice;

/// A distribution; the field that holds it says the unit. A plain number is a constant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distribution {
    /// Always the same value: `{ constant: 40 }` or `40`.
    Constant(f64),
    /// Any value between two, all alike: `{ uniform: { min: 20, max: 60 } }`.
    Uniform {
        /// The least value.
        min: f64,
        /// The largest value.
        max: f64,
    },
    /// The bell curve, with values below zero taken as zero:
    /// `{ normal: { mean: 100, deviation: 10 } }`.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        deviation: f64,
    },
    /// The bell curve of the logarithm, with its long tail: `{ lognormal: { median: 40, sigma: 0.3 } }`.
    LogNormal {
        /// Half of all values are below it.
        median: f64,
        /// The standard deviation of the natural logarithm.
        sigma: f64,
    },
    /// Waiting times of independent events: `{ exponential: { mean: 40 } }`.
    Exponential {
        /// The mean.
        mean: f64,
    },
}

impl Distribution {
    /// Draws a value, never below zero and never endless.
    pub(super) fn draw(&self, dice: &mut Dice) -> f64 {
        let value = match *self {
            Self::Constant(value) => value,
            Self::Uniform { min, max } => min + (max - min) * dice.unit(),
            Self::Normal { mean, deviation } => mean + deviation * bell(dice),
            Self::LogNormal { median, sigma } => median * (sigma * bell(dice)).exp(),
            Self::Exponential { mean } => -mean * (1.0 - dice.unit()).ln(),
        };
        // Ten billion is beyond every use and keeps conversions to durations in range.
        value.clamp(0.0, 1e10)
    }

    /// Says what is wrong with the parameters, given the least value that makes sense.
    pub(super) fn check(&self, least: f64) -> Result<(), String> {
        let (center, spread) = match *self {
            Self::Constant(value) => (value, 0.0),
            Self::Uniform { min, max } if min > max => return Err(format!("min {min} is more than max {max}")),
            Self::Uniform { min, max } => (min, max - min),
            Self::Normal { mean, deviation } => (mean, deviation),
            Self::LogNormal { median, sigma } => (median, sigma),
            Self::Exponential { mean } => (mean, 0.0),
        };
        if !(center.is_finite() && center.abs() <= 1e9) {
            return Err(format!("{center} is beyond one billion"));
        }
        if !(spread.is_finite() && spread >= 0.0) {
            return Err(format!("the spread {spread} is not a number of at least 0"));
        }
        if center < least {
            return Err(format!("{center} is less than {least}"));
        }
        Ok(())
    }
}

/// A draw from the standard normal distribution (Box and Muller 1958).
fn bell(dice: &mut Dice) -> f64 {
    let radius = (-2.0 * (1.0 - dice.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * dice.unit()).cos()
}

/// The written form with a name; a plain number is read beside it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Named {
    /// Always the same value.
    Constant(f64),
    /// Any value between two, all alike.
    Uniform { min: f64, max: f64 },
    /// The bell curve, with values below zero taken as zero.
    Normal { mean: f64, deviation: f64 },
    /// The bell curve of the logarithm: half of all values are below `median`; `sigma` is the
    /// standard deviation of the natural logarithm.
    LogNormal { median: f64, sigma: f64 },
    /// Waiting times of independent events.
    Exponential { mean: f64 },
}

impl From<Named> for Distribution {
    fn from(named: Named) -> Self {
        match named {
            Named::Constant(value) => Self::Constant(value),
            Named::Uniform { min, max } => Self::Uniform { min, max },
            Named::Normal { mean, deviation } => Self::Normal { mean, deviation },
            Named::LogNormal { median, sigma } => Self::LogNormal { median, sigma },
            Named::Exponential { mean } => Self::Exponential { mean },
        }
    }
}

struct NumberOrNamed;

impl<'de> Visitor<'de> for NumberOrNamed {
    type Value = Distribution;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or one of constant, uniform, normal, lognormal and exponential with its parameters")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Distribution, E> {
        Ok(Distribution::Constant(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Distribution, E> {
        Ok(Distribution::Constant(value as f64))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Distribution, E> {
        Ok(Distribution::Constant(value as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Distribution, A::Error> {
        Named::deserialize(de::value::MapAccessDeserializer::new(map)).map(Distribution::from)
    }
}

impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrNamed)
    }
}

impl JsonSchema for Distribution {
    fn schema_name() -> Cow<'static, str> {
        "Distribution".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let named = generator.subschema_for::<Named>();
        json_schema!({
            "description": "A distribution; the field that holds it says the unit. A plain number is a constant.",
            "anyOf": [{ "type": "number", "description": "Always this value." }, named],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Distribution, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn both_written_forms_are_read() {
        assert_eq!(read("40"), Ok(Distribution::Constant(40.0)));
        assert_eq!(read(r#"{ "constant": 40 }"#), Ok(Distribution::Constant(40.0)));
        let uniform = Distribution::Uniform { min: 1.0, max: 2.5 };
        assert_eq!(read(r#"{ "uniform": { "min": 1, "max": 2.5 } }"#), Ok(uniform));
        assert!(read(r#""fast""#).unwrap_err().contains("lognormal and exponential"));
        assert!(read(r#"{ "gamma": { "mean": 1 } }"#).unwrap_err().contains("unknown variant `gamma`"));
    }

    #[test]
    fn means_of_many_draws_are_the_configured_ones() {
        let cases = [
            (Distribution::Constant(7.0), 7.0),
            (Distribution::Uniform { min: 2.0, max: 4.0 }, 3.0),
            (Distribution::Normal { mean: 100.0, deviation: 10.0 }, 100.0),
            (Distribution::Exponential { mean: 40.0 }, 40.0),
            // The mean of a lognormal is its median times exp(sigma^2 / 2).
            (Distribution::LogNormal { median: 40.0, sigma: 0.5 }, 40.0 * 0.125f64.exp()),
        ];
        for (distribution, mean) in cases {
            let mut dice = Dice::new(&[3]);
            let sum: f64 = (0..40_000).map(|_| distribution.draw(&mut dice)).sum();
            let found = sum / 40_000.0;
            assert!((found - mean).abs() < mean * 0.02, "{distribution:?}: {found}");
        }
    }

    #[test]
    fn no_draw_is_below_zero_or_endless() {
        let mut dice = Dice::new(&[4]);
        let wide = Distribution::Normal { mean: 0.0, deviation: 100.0 };
        let tail = Distribution::LogNormal { median: 1.0, sigma: 1000.0 };
        for _ in 0..1000 {
            assert!(wide.draw(&mut dice) >= 0.0);
            assert!((0.0..=1e10).contains(&tail.draw(&mut dice)));
        }
    }

    #[test]
    fn bad_parameters_are_told() {
        assert_eq!(Distribution::Constant(0.0).check(0.0), Ok(()));
        assert!(Distribution::Constant(f64::NAN).check(0.0).is_err());
        assert!(Distribution::Normal { mean: 1.0, deviation: -1.0 }.check(0.0).is_err());
        assert!(Distribution::Exponential { mean: 0.5 }.check(1.0).is_err());
    }
}
