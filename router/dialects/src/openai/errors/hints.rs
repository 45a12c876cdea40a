//! How long to wait, and what is left of a rate limit, in the many ways providers say it.

use std::time::Duration;

use atp_core::{RateFact, RateFacts};
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

/// No hint is believed beyond this: it keeps arithmetic on clocks safe, and a target that asks for
/// more is out of service rather than busy.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// From this on a plain number is a time (seconds since the Unix epoch; 2001) and no duration.
const EPOCH_SECONDS: f64 = 1e9;
/// From this on a time is told in milliseconds.
const EPOCH_MILLIS: f64 = 1e11;

/// The pause that the headers of a refusal ask for: `retry-after-ms`, else `retry-after`, else the
/// reset of whichever rate limit is used up, else the earliest reset.
pub(super) fn pause(headers: &HeaderMap, now_unix: Duration) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(text_of);
    let millis = text("retry-after-ms").and_then(|ms| positive(ms.parse::<f64>().ok()? / 1000.0));
    let after = || text("retry-after").and_then(|value| wait(value, now_unix));
    millis.or_else(after).or_else(|| reset(headers, now_unix)).map(|pause| pause.min(LONGEST))
}

fn text_of(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(str::trim)
}

fn reset(headers: &HeaderMap, now_unix: Duration) -> Option<Duration> {
    let limits = limits(headers, now_unix);
    let spent = limits.iter().filter(|limit| limit.fact.remaining == Some(0)).filter_map(|limit| limit.fact.reset);
    spent.max().or_else(|| limits.iter().filter_map(|limit| limit.fact.reset).min())
}

/// The facts of an answer's rate-limit headers. Where one thing is limited in several ways (by
/// minute and by day, input alone and with output), the one with the least left counts. A limit of output
/// alone does not: nobody knows beforehand what of it a request takes, and input is never held against it.
pub(super) fn facts(headers: &HeaderMap, now_unix: Duration) -> RateFacts {
    let limits = limits(headers, now_unix);
    // Anthropic repeats the tightest of its limits under a name of its own, also where it is the output's.
    let repeats = |fact: RateFact| limits.iter().any(|limit| limit.thing == Thing::Output && limit.fact == fact);
    let tightest = |thing| {
        let of = limits.iter().filter(|limit| limit.thing == thing).map(|limit| limit.fact);
        let of = of.filter(|fact| thing != Thing::Tokens || !repeats(*fact));
        of.min_by_key(|fact| fact.remaining.unwrap_or(u64::MAX)).unwrap_or_default()
    };
    RateFacts { requests: tightest(Thing::Requests), tokens: tightest(Thing::Tokens) }
}

/// Whether a header's name is one of those that tell a rate limit.
pub(super) fn is_of_limits(name: &str) -> bool {
    const START: [&str; 5] = ["x-ratelimit", "anthropic-ratelimit-", "ratelimit-", "x-tokenlimit-", "ratelimitbysize-"];
    START.iter().any(|start| name.starts_with(start))
}

/// One limit: its headers have the same name but for the word that says which of its facts they are.
struct Limit<'h> {
    /// The name around that word.
    name: (&'h str, &'h str),
    thing: Thing,
    fact: RateFact,
}

/// What is limited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thing {
    Requests,
    /// Input, or input and output.
    Tokens,
    /// Output tokens alone.
    Output,
    Other,
}

/// Reads `x-ratelimit-FACT-THING` (OpenAI and most others), `x-ratelimit-FACT` (OpenRouter),
/// `anthropic-ratelimit-THING-FACT`, `x-tokenlimit-FACT` (Together), `x-ratelimitbysize-FACT-minute`
/// (Mistral), where FACT is `limit`, `remaining` or `reset`.
fn limits(headers: &HeaderMap, now_unix: Duration) -> SmallVec<[Limit<'_>; 4]> {
    let mut limits = SmallVec::<[Limit<'_>; 4]>::new();
    for (name, value) in headers {
        if !is_of_limits(name.as_str()) {
            continue;
        }
        let (Some((front, word, back)), Some(text)) = (fact_told(name.as_str()), text_of(value)) else { continue };
        let at = limits.iter().position(|limit| limit.name == (front, back)).unwrap_or(limits.len());
        if at == limits.len() {
            limits.push(Limit { name: (front, back), thing: thing(front, back), fact: RateFact::default() });
        }
        let Some(Limit { fact, .. }) = limits.get_mut(at) else { continue };
        match word {
            "limit" => fact.limit = count(text),
            "remaining" => fact.remaining = count(text),
            _ => fact.reset = wait(text, now_unix).map(|reset| reset.min(LONGEST)),
        }
    }
    limits
}

/// Splits a name around its first whole word that names a fact.
fn fact_told(name: &str) -> Option<(&str, &str, &str)> {
    let mut at = 0;
    for word in name.split('-') {
        if matches!(word, "limit" | "remaining" | "reset") {
            return Some((name.get(..at)?, word, name.get(at + word.len()..)?));
        }
        at += word.len() + 1;
    }
    None
}

/// What a limit of this name limits; requests where it names nothing.
fn thing(front: &str, back: &str) -> Thing {
    let mut thing = Thing::Requests;
    let is_output = front.split('-').chain(back.split('-')).any(|word| word == "output");
    for word in front.split('-').chain(back.split('-')) {
        match word {
            "tokens" | "token" | "tokenlimit" | "ratelimitbysize" => {
                return if is_output { Thing::Output } else { Thing::Tokens };
            }
            "" | "x" | "ratelimit" | "anthropic" | "requests" | "request" | "req" => {}
            "second" | "minute" | "hour" | "day" | "month" => {}
            _ => thing = Thing::Other,
        }
    }
    thing
}

/// `100`, `59.0`, or `100, 100;w=60`, whose first number is the one in force.
fn count(text: &str) -> Option<u64> {
    let number = text.split([',', ';']).next()?.trim();
    let float = || number.parse::<f64>().ok().filter(|number| (0.0..1e15).contains(number)).map(|number| number as u64);
    number.parse().ok().or_else(float)
}

/// A wait told as seconds, a duration as Go writes it, a time since the epoch, or a date.
fn wait(text: &str, now_unix: Duration) -> Option<Duration> {
    if let Ok(number) = text.parse::<f64>() {
        return match number {
            millis if millis >= EPOCH_MILLIS => Some(positive(millis / 1000.0)?.saturating_sub(now_unix)),
            seconds if seconds >= EPOCH_SECONDS => Some(positive(seconds)?.saturating_sub(now_unix)),
            seconds => positive(seconds),
        };
    }
    go_duration(text).or_else(|| date(text).map(|at| at.saturating_sub(now_unix)))
}

fn positive(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// `6m0s`, `1m26.4s`, `20ms`, `1h2m3s`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.find(|char: char| !(char.is_ascii_digit() || char == '.'))?;
        let (number, behind) = rest.split_at_checked(unit)?;
        let len = behind.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(len)?;
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = behind;
    }
    if text.is_empty() { None } else { positive(total) }
}

/// A date as HTTP writes it (RFC 9110, section 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`) or as
/// RFC 3339 does, as the time since the Unix epoch.
fn date(text: &str) -> Option<Duration> {
    let stamp = text.parse::<jiff::Timestamp>().ok();
    let stamp = stamp.or_else(|| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok())?;
    positive(stamp.as_duration().as_secs_f64())
}
