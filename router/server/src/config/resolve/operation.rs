//! Limits, retries, leaving, logs, books.

use std::path::PathBuf;
use std::time::Duration;

use super::super::env::Overrides;
use super::super::error::{Code, Issue};
use super::super::path::FieldPath;
use super::super::raw::RawConfig;
use super::super::resolved::{Drain, LedgerSettings, Limits, Logs, RetryPolicy};
use super::super::value::ByteSize;
use super::Context;
use super::secrets::{rate_limit, with_burst};

const MS: Duration = Duration::from_millis(1);

/// What [`is_level`] allows.
pub(crate) const LEVELS: &str =
    "`off`, `error`, `warn`, `info`, `debug` or `trace`, or a list by part: `info,atp_adapters=debug`";

/// Whether a text is a list of log levels, each alone or behind the name of a part.
pub(crate) fn is_level(text: &str) -> bool {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let is_one = |word: &str| levels.iter().any(|level| word.trim().eq_ignore_ascii_case(level));
    !text.trim().is_empty()
        && text.split(',').all(|part| match part.rsplit_once('=') {
            Some((target, level)) => !target.trim().is_empty() && is_one(level),
            None => is_one(part),
        })
}

/// What a caller may ask of the router.
pub(super) fn limits(raw: &RawConfig, context: &mut Context<'_>, overrides: &Overrides) -> Limits {
    let raw = &raw.limits;
    let path = FieldPath::of(&["limits"]);
    let mut size = |field: &str, value: Option<ByteSize>, least: u64, default: usize| {
        let most = 1_u64 << 40;
        let bytes = context.number(&path.key(field), value.map(|size| size.0), least..=most, default as u64);
        usize::try_from(bytes).unwrap_or(default)
    };
    let max_body = size("max_body", raw.max_body, 1024, 64 << 20);
    let max_header = size("max_header", raw.max_header, 1024, 64 << 10);
    let mut count = |field: &str, value: Option<usize>, default: usize| {
        context.number(&path.key(field), value, 1..=1_000_000_000, default)
    };
    let max_connections = count("max_connections", raw.max_connections, 20_000);
    let max_concurrent = count("max_concurrent", raw.max_concurrent, 10_000);
    let max_prompt_chars = raw.max_prompt_chars.map(|chars| count("max_prompt_chars", Some(chars), chars));
    let header = context.span(&path.key("header_timeout"), raw.header_timeout, 15_000 * MS);
    let body = context.span(&path.key("body_timeout"), raw.body_timeout, 120_000 * MS);
    let idle = context.span(&path.key("idle_connection_timeout"), raw.idle_connection_timeout, 90_000 * MS);
    let file_rps = raw.rps.and_then(|rate| rate_limit(context, &path.key("rps"), rate));
    let rate = overrides.rps_limit.or(file_rps.map(|rate| rate.per_second));
    // A burst of the file belongs to the rate of the file.
    let file_burst = file_rps.map(|rate| rate.burst.get()).filter(|_| overrides.rps_limit.is_none());
    if overrides.rps_burst.is_some() && rate.is_none() {
        context
            .warnings
            .push("ROUTER_RPS_BURST is set without ROUTER_RPS_LIMIT or `limits.rps`: it limits nothing".into());
    }
    Limits {
        max_body,
        max_header,
        max_connections,
        max_concurrent: overrides.max_concurrent.unwrap_or(max_concurrent),
        max_prompt_chars: overrides.max_prompt_chars.or(max_prompt_chars),
        header_timeout: header,
        body_timeout: body,
        idle_connection_timeout: idle,
        rps: rate.map(|rate| with_burst(rate, overrides.rps_burst.or(file_burst))),
    }
}

/// Trying again.
pub(super) fn retry(raw: &RawConfig, context: &mut Context<'_>) -> RetryPolicy {
    let raw = &raw.retry;
    let path = FieldPath::of(&["retry"]);
    let backoff = path.key("backoff");
    let base = context.span(&backoff.key("base"), raw.backoff.base, 100 * MS);
    let cap = context.span(&backoff.key("cap"), raw.backoff.cap, (2000 * MS).max(base));
    if cap < base {
        let issue = Issue::new(Code::Conflict, "the bound of any pause is below that of the first");
        context.fail(&backoff.key("cap"), issue.allowed("at least `retry.backoff.base`"));
    }
    RetryPolicy {
        max_attempts: context.number(&path.key("max_attempts"), raw.max_attempts, 1..=20, 3),
        budget_ratio: context.number(&path.key("budget_ratio"), raw.budget_ratio, 0.0..=1.0, 0.1),
        budget_floor: context.number(&path.key("budget_floor"), raw.budget_floor, 0.0..=1e6, 3.0),
        backoff_base: base,
        backoff_cap: cap.max(base),
        max_wait: context.span_from(&path.key("max_wait"), raw.max_wait, Duration::ZERO, 10_000 * MS),
    }
}

/// Leaving in order.
pub(super) fn drain(raw: &RawConfig, context: &mut Context<'_>) -> Drain {
    let path = FieldPath::of(&["drain"]);
    let none = Duration::ZERO;
    Drain {
        min_delay: context.span_from(&path.key("min_delay"), raw.drain.min_delay, none, 1000 * MS),
        grace: context.span_from(&path.key("grace"), raw.drain.grace, none, 30_000 * MS),
    }
}

/// Logs.
pub(super) fn logs(raw: &RawConfig, context: &mut Context<'_>, overrides: &Overrides) -> Logs {
    let level = raw.logs.level.clone().unwrap_or_else(|| "info".to_owned());
    if !is_level(&level) {
        let issue = Issue::new(Code::BadValue, "this is not a log level").allowed(LEVELS);
        context.fail(&FieldPath::of(&["logs", "level"]), issue);
    }
    Logs {
        level: overrides.log_level.clone().unwrap_or(level),
        format: raw.logs.format.unwrap_or_default(),
        requests: raw.logs.requests.unwrap_or_default(),
    }
}

/// The books.
pub(super) fn ledger(raw: &RawConfig, context: &mut Context<'_>, overrides: &Overrides) -> LedgerSettings {
    let raw = &raw.ledger;
    let path = FieldPath::of(&["ledger"]);
    let file = raw.path.clone().unwrap_or_else(|| PathBuf::from("./data/usage.db"));
    if file.file_name().is_none() {
        let issue = Issue::new(Code::BadValue, "this path names no file");
        context.fail(&path.key("path"), issue.allowed("the path of a file, such as `./data/usage.db`"));
    }
    let name = file.file_name().unwrap_or_default();
    // Rows of less than an hour would be gone before anybody reads them.
    let retention = raw.retention.map(|span| span.0);
    if retention.is_some_and(|keep| keep < Duration::from_secs(3600)) {
        let issue = Issue::new(Code::OutOfRange, "rows would be deleted before anybody reads them");
        context.fail(&path.key("retention"), issue.allowed("`1h` or more; no `retention` to keep them for ever"));
    }
    LedgerSettings {
        enabled: raw.enabled.unwrap_or(true),
        path: overrides.data_dir.as_ref().map_or_else(|| file.clone(), |directory| directory.join(name)),
        queue: context.number(&path.key("queue"), raw.queue, 16..=10_000_000, 16_384),
        retention,
    }
}
