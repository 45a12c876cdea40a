//! Shares, queues, windows, breakers: what is given nearer counts, what is not makes room for it.

use std::collections::BTreeMap;
use std::time::Duration;

use atp_core::Qos;

use super::super::env::Overrides;
use super::super::error::{Code, Issue};
use super::super::path::FieldPath;
use super::super::raw::{
    RawBreaker, RawCache, RawConfig, RawCut, RawHedge, RawModel, RawQos, RawQueue, RawTarget, RawWindow,
};
use super::super::resolved::{Breaker, Cache, Flow, Hedge, OnCut, Queue, TargetModel, Window};
use super::super::value::Percent;
use super::Context;

/// More requests in flight than any provider of today takes.
const MAX_WINDOW: u64 = 1_000_000;
/// More waiting requests than any caller waits behind.
const MAX_WAITING: u64 = 1_000_000;
const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The class that the file names.
pub(super) fn class(raw: RawQos) -> Qos {
    match raw {
        RawQos::Gold => Qos::Gold,
        RawQos::Silver => Qos::Silver,
        RawQos::Bronze => Qos::Bronze,
    }
}

/// What holds where nothing nearer says otherwise.
pub(super) fn defaults(raw: &RawConfig, context: &mut Context<'_>, overrides: &Overrides) -> Flow {
    let path = FieldPath::of(&["flow"]);
    let raw = &raw.flow;
    Flow {
        qos: overrides.default_qos.or(raw.qos.map(class)).unwrap_or_default(),
        window: window(context, &path.key("window"), raw.window, Window::default()),
        queue: queue(context, &path, raw.queue, Queue::default()),
        breaker: breaker(context, &path.key("breaker"), raw.breaker, Breaker::default()),
    }
}

/// A window with the bounds of `outer` where its own are not given. A given `max` lowers a start and a least of `outer`
/// to it, a given `min` raises the start; nothing raises the largest of `outer`, because somebody may rely on it.
fn window(context: &mut Context<'_>, path: &FieldPath, raw: RawWindow, outer: Window) -> Window {
    let mut bound = |field: &str, given: Option<u64>| {
        let number = context.number(&path.key(field), given, 1..=MAX_WINDOW, 0);
        // What is out of range has been told, and counts as not given, so that nothing else seems to contradict it.
        u32::try_from(number).ok().filter(|bound| *bound > 0)
    };
    let (min, start, max) = (bound("min", raw.min), bound("start", raw.start), bound("max", raw.max));
    let highest = max.unwrap_or(outer.max);
    let lowest = min.unwrap_or(outer.min.min(start.unwrap_or(highest)).min(highest));
    let wrong = |field: &str, what: &str, bound: u32, allowed: &str| {
        let issue = Issue::new(Code::Conflict, &format!("this is {what}, which is {bound}"));
        Some((path.key(field), issue.allowed(&format!("{allowed} {bound}, or another `{}`", last_word(what)))))
    };
    let fault = match (min, start) {
        (Some(min), _) if min > highest => wrong("min", "above `max`", highest, "at most"),
        (_, Some(start)) if start > highest => wrong("start", "above `max`", highest, "at most"),
        (_, Some(start)) if start < lowest => wrong("start", "below `min`", lowest, "at least"),
        _ => None,
    };
    if let Some((path, issue)) = fault {
        context.fail(&path, issue);
    }
    let lowest = lowest.min(highest);
    Window { min: lowest, start: start.unwrap_or(outer.start).clamp(lowest, highest), max: highest }
}

/// The field in the words of a conflict: `max` of "above `max`".
fn last_word(text: &str) -> &str {
    text.rsplit_once(' ').map_or(text, |(_, word)| word).trim_matches('`')
}

/// Who may wait. `path` is that of the map which holds `queue`.
pub(super) fn queue(context: &mut Context<'_>, path: &FieldPath, raw: RawQueue, outer: Queue) -> Queue {
    let path = path.key("queue");
    let waiting = context.number(&path.key("max_waiting"), raw.max_waiting, 0..=MAX_WAITING, outer.max_waiting as u64);
    Queue {
        max_waiting: usize::try_from(waiting).unwrap_or(outer.max_waiting),
        max_wait: context.span_within(&path.key("max_wait"), raw.max_wait, MS..=HOUR, outer.max_wait),
    }
}

fn breaker(context: &mut Context<'_>, path: &FieldPath, raw: RawBreaker, outer: Breaker) -> Breaker {
    let failures = context.number(&path.key("failures"), raw.failures, 0..=1000, u64::from(outer.failures));
    let longest = context.span_within(&path.key("max_rest"), raw.max_rest, MS..=HOUR, outer.max_rest);
    let inherited = if raw.max_rest.is_some() { outer.rest.min(longest) } else { outer.rest };
    let rest = context.span_within(&path.key("rest"), raw.rest, MS..=HOUR, inherited);
    if raw.rest.is_some() && raw.max_rest.is_some() && longest < rest {
        let issue = Issue::new(Code::Conflict, "the longest rest is shorter than the first");
        context.fail(&path.key("max_rest"), issue.allowed("at least `rest`"));
    }
    Breaker { failures: u32::try_from(failures).unwrap_or(outer.failures), rest, max_rest: longest.max(rest) }
}

/// Asking twice.
pub(super) fn hedge(context: &mut Context<'_>, path: &FieldPath, raw: &RawModel) -> Option<Hedge> {
    let RawHedge { extra, after } = raw.hedge?;
    let path = path.key("hedge");
    let Percent(percent) = extra.unwrap_or(Percent(5.0));
    if !(0.1..=100.0).contains(&percent) {
        let issue = Issue::new(Code::OutOfRange, "this share is outside its range");
        context.fail(&path.key("extra"), issue.allowed("from `0.1%` to `100%`; no `hedge` for nothing"));
    }
    if raw.targets.iter().count() == 1 {
        context.warnings.push(format!("`{path}` has no effect: the model has one target, and a second one is asked"));
    }
    let per_mille = (percent.clamp(0.1, 100.0) * 10.0).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=1000")]
    let extra_per_mille = per_mille as u32;
    let after = after.map(|after| context.span_within(&path.key("after"), Some(after), MS..=HOUR, MS));
    Some(Hedge { extra_per_mille, after })
}

/// Keeping answers.
pub(super) fn cache(context: &mut Context<'_>, path: &FieldPath, raw: &RawModel) -> Option<Cache> {
    let raw: RawCache = raw.cache?;
    let path = path.key("cache");
    let ttl = context.span_within(&path.key("ttl"), raw.ttl, 1000 * MS..=DAY, Duration::from_secs(600));
    let total = raw.max_bytes.map(|size| size.0);
    let total = context.number(&path.key("max_bytes"), total, 64 << 10..=1 << 40, 64 << 20);
    let entry = raw.max_entry.map(|size| size.0);
    // A given `max_bytes` below the common largest answer lowers that.
    let entry = context.number(&path.key("max_entry"), entry, 1 << 10..=total, total.min(1 << 20));
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    Some(Cache { ttl, max_bytes: bytes(total), max_entry: bytes(entry) })
}

/// What a cut answer comes to.
pub(super) fn on_cut(context: &mut Context<'_>, path: &FieldPath, raw: &RawModel) -> OnCut {
    let word = match raw.on_cut {
        None | Some(RawCut::Fail) => return OnCut::Fail,
        Some(RawCut::Restart) => OnCut::Restart,
        Some(RawCut::Continue) => OnCut::Continue,
    };
    let prefilled = raw.targets.iter().any(|(_, target)| target.prefill == Some(true));
    if word == OnCut::Continue && !prefilled {
        let why = "has no effect: no target of the model has `prefill: true`, so nobody can go on with an answer";
        context.warnings.push(format!("`{}` {why}", path.key("on_cut")));
    }
    word
}

/// What several targets share because they are the same provider's same model: a window and a breaker.
#[derive(Default)]
pub(super) struct Lanes(BTreeMap<(usize, String), Lane>);

#[derive(Default)]
struct Lane {
    window: Option<(Window, FieldPath)>,
    breaker: Option<(Breaker, FieldPath)>,
}

impl Lanes {
    /// Takes what a target says of its lane. Two targets of one lane may both speak only where they say the same.
    pub(super) fn learn(
        &mut self,
        context: &mut Context<'_>,
        path: &FieldPath,
        raw: &RawTarget,
        flow: &Flow,
        of: (usize, &TargetModel),
    ) {
        let lane = self.0.entry((of.0, of.1.as_text().into_owned())).or_default();
        if let Some(given) = raw.window {
            let path = path.key("window");
            let window = window(context, &path, given, flow.window);
            agree(context, &mut lane.window, window, path);
        }
        if let Some(given) = raw.breaker {
            let path = path.key("breaker");
            let breaker = breaker(context, &path, given, flow.breaker);
            agree(context, &mut lane.breaker, breaker, path);
        }
    }

    /// What holds for a target, by what any target of its lane said.
    pub(super) fn of(&self, provider: usize, model: &TargetModel, flow: &Flow) -> (Window, Breaker) {
        let lane = self.0.get(&(provider, model.as_text().into_owned()));
        let window = lane.and_then(|lane| lane.window.as_ref()).map_or(flow.window, |(window, _)| *window);
        let breaker = lane.and_then(|lane| lane.breaker.as_ref()).map_or(flow.breaker, |(breaker, _)| *breaker);
        (window, breaker)
    }
}

fn agree<T: PartialEq>(context: &mut Context<'_>, known: &mut Option<(T, FieldPath)>, value: T, path: FieldPath) {
    match known {
        Some((first, place)) if *first != value => {
            let message = format!("`{place}` says something else of the same provider's same model");
            let issue = Issue::new(Code::Conflict, &message).found("other values");
            context.fail_name(&path, issue.allowed("the same values, or none here: they share one"));
        }
        Some(_) => {}
        None => *known = Some((value, path)),
    }
}
