//! Strings and numbers within a schema's bounds.

use serde_json::{Map, Number, Value};

use super::{Maker, limit};

/// The longest string that is made where `minLength` asks for one.
const LONGEST: usize = 100_000;

impl Maker<'_> {
    /// A name of the prompt, else one of its keywords, in turn; `simulated` where it has none.
    pub(super) fn word(&mut self) -> String {
        let index = self.next_name;
        self.next_name += 1;
        if let Some(name) = self.words.names.get(index) {
            return name.clone();
        }
        self.dice.pick(&self.words.keys).cloned().unwrap_or_else(|| "simulated".to_owned())
    }

    pub(super) fn string(&mut self, schema: &Map<String, Value>, path: &str) -> Result<String, String> {
        if let Some(text) = schema.get("format").and_then(Value::as_str).and_then(|format| self.formatted(format)) {
            return Ok(text);
        }
        let least = limit(schema, "minLength").unwrap_or(0);
        let most = limit(schema, "maxLength").unwrap_or(usize::MAX);
        if least > most || least > LONGEST {
            return Err(format!("{path}/minLength is {least}, more than maxLength or than {LONGEST}"));
        }
        let mut text = self.word();
        while text.chars().count() < least {
            text.push(' ');
            text.push_str(&self.word());
        }
        if text.chars().count() > most {
            text = text.chars().take(most).collect();
        }
        Ok(text)
    }

    /// A value of a common format; `None` for a format that is only a remark.
    fn formatted(&mut self, format: &str) -> Option<String> {
        let mut part = |least: usize, count: usize| least + self.dice.below(count);
        let date = format!("20{:02}-{:02}-{:02}", part(20, 10), part(1, 12), part(1, 28));
        let time = format!("{:02}:{:02}:00Z", part(0, 24), part(0, 60));
        let text = match format {
            "date" => date,
            "time" => time,
            "date-time" => format!("{date}T{time}"),
            "duration" => format!("PT{}M", part(1, 59)),
            "email" => format!("person{}@example.com", part(1, 99)),
            "hostname" => format!("host{}.example.com", part(1, 99)),
            "ipv4" => format!("192.0.2.{}", part(1, 254)),
            "ipv6" => format!("2001:db8::{:x}", part(1, 0xffff)),
            "uri" | "uri-reference" | "url" => format!("https://example.com/{}", part(1, 999)),
            "uuid" => {
                let (a, b) = (self.dice.roll(), self.dice.roll());
                let (time, low) = (a >> 32, (a >> 16) & 0xffff);
                let (high, variant) = (a & 0xfff, 0x8000 | (b >> 50));
                format!("{time:08x}-{low:04x}-4{high:03x}-{variant:04x}-{:012x}", b & 0xffff_ffff_ffff)
            }
            _ => return None,
        };
        Some(text)
    }

    pub(super) fn integer(&mut self, schema: &Map<String, Value>, path: &str) -> Result<i64, String> {
        let step = match schema.get("multipleOf") {
            None => 1,
            Some(step) => whole_step(step).ok_or_else(|| format!("{path}/multipleOf is no whole number above 0"))?,
        };
        let (low, high) = bounds(schema, 0.0, 100.0);
        let strict = |keyword: &str, bound: f64| schema.get(keyword).and_then(Value::as_f64) == Some(bound);
        let least = if strict("exclusiveMinimum", low) { low.floor() + 1.0 } else { low.ceil() };
        let most = if strict("exclusiveMaximum", high) { high.ceil() - 1.0 } else { high.floor() };
        // Saturating conversions: a bound beyond 64 bits is as good as none.
        let (first, last) = ((least as i64).div_euclid(step), (most as i64).div_euclid(step));
        let first = if first.saturating_mul(step) < least as i64 { first + 1 } else { first };
        if first > last {
            return Err(format!("{path} leaves no whole number between {low} and {high}"));
        }
        let told = self
            .told(|number| number.fract() == 0.0 && number >= least && number <= most && (number as i64) % step == 0);
        let drawn = |maker: &mut Self| {
            let count = usize::try_from(last.saturating_sub(first).saturating_add(1)).unwrap_or(usize::MAX);
            first.saturating_add(i64::try_from(maker.dice.below(count)).unwrap_or(0)).saturating_mul(step)
        };
        Ok(told.map_or_else(|| drawn(self), |number| number as i64))
    }

    pub(super) fn number(&mut self, schema: &Map<String, Value>, path: &str) -> Result<Value, String> {
        if schema.contains_key("multipleOf") {
            let whole = schema.get("multipleOf").is_some_and(|step| whole_step(step).is_some());
            if !whole {
                return Err(format!("{path}/multipleOf is beyond what the simulated provider can fill"));
            }
            return self.integer(schema, path).map(|whole| Value::Number(Number::from(whole)));
        }
        let (low, high) = bounds(schema, 0.0, 100.0);
        let open = |keyword: &str, number: f64| schema.get(keyword).and_then(Value::as_f64) == Some(number);
        let fits = |number: f64| {
            number >= low && number <= high && !open("exclusiveMinimum", number) && !open("exclusiveMaximum", number)
        };
        let middle = low + (high - low) / 2.0;
        let number = self.told(fits).unwrap_or(middle);
        if !fits(number) {
            return Err(format!("{path} leaves no number between {low} and {high}"));
        }
        Number::from_f64(number).map(Value::Number).ok_or_else(|| format!("{path} has bounds that are no numbers"))
    }

    /// The next number of the prompt that fits.
    fn told(&mut self, fits: impl Fn(f64) -> bool) -> Option<f64> {
        let rest = self.words.numbers.get(self.next_number..)?;
        let at = rest.iter().position(|number| fits(*number))?;
        self.next_number += at + 1;
        rest.get(at).copied()
    }
}

/// A schema's bounds; where one is missing, a span of `width` from the other or from `start`.
fn bounds(schema: &Map<String, Value>, start: f64, width: f64) -> (f64, f64) {
    let get = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let low = [get("minimum"), get("exclusiveMinimum")].into_iter().flatten().reduce(f64::max);
    let high = [get("maximum"), get("exclusiveMaximum")].into_iter().flatten().reduce(f64::min);
    match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, low + width),
        (None, Some(high)) => (if high >= start { start.min(high) } else { high - width }, high),
        (None, None) => (start, start + width),
    }
}

fn whole_step(step: &Value) -> Option<i64> {
    let step = step.as_f64().filter(|step| step.fract() == 0.0 && (1.0..1e15).contains(step))?;
    Some(step as i64)
}
