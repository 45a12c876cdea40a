//! What may be spent, and where choices are written down.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use atp_core::{Hints, MicroUsd};

use super::super::env::Overrides;
use super::super::error::{Code, Issue};
use super::super::path::FieldPath;
use super::super::raw::{RawBudget, RawConfig, RawKey, RawPer};
use super::super::resolved::{Budget, JournalSettings, Key, Model, Money, Per, Purse, Tenant};
use super::super::value::{ByteSize, Dollars, OneOrMany, Span};
use super::secrets::{LABEL, is_label};
use super::{Context, tenants};

/// A thousand million dollars: beyond it, somebody wrote another unit.
const MOST: MicroUsd = MicroUsd(1_000_000_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longer than any file of today is kept.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What tenants and sessions may spend. A tenant that no key names is a mistake: its budget would bound nobody.
pub(super) fn resolve(raw: &RawConfig, context: &mut Context<'_>, known: &[Tenant], keys: &[Key]) -> Money {
    let path = FieldPath::of(&["tenants"]);
    let mut told = Vec::new();
    for (name, raw_tenant) in &raw.tenants.0 {
        let path = path.key(name);
        tenants::check_known(context, &path, name, known, raw);
        let budgets = budgets(context, &path.key("budget"), raw_tenant.budget.as_ref());
        if !budgets.is_empty() {
            told.push((Arc::from(name.as_str()), budgets));
        }
    }
    let lasting = |budget: &Budget| budget.per != Per::Minute;
    let purses = keys.iter().flat_map(|key| &key.purse.budgets);
    let any = purses.chain(told.iter().flat_map(|(_, budgets): &(Arc<str>, Vec<Budget>)| budgets)).any(lasting);
    if any && raw.ledger.enabled == Some(false) {
        let why = "budgets are told by the ledger, so they begin anew with each start";
        context.warnings.push(format!("`ledger.enabled` is false: {why}"));
    }
    let session = FieldPath::of(&["limits", "session_budget"]);
    Money { tenants: told, session: budgets(context, &session, raw.limits.session_budget.as_ref()) }
}

/// Budgets, one for each time at most.
fn budgets(context: &mut Context<'_>, path: &FieldPath, raw: Option<&OneOrMany<RawBudget>>) -> Vec<Budget> {
    let mut budgets: Vec<Budget> = Vec::new();
    for (place, raw) in raw.into_iter().flat_map(OneOrMany::iter) {
        let path = place.map_or_else(|| path.clone(), |place| path.index(place));
        let budget = budget(context, &path, *raw);
        if budgets.iter().any(|known| known.per == budget.per) {
            let issue = Issue::new(Code::Duplicate, "another budget of this list is over the same time");
            let at = if raw.per.is_some() { path.key("per") } else { path };
            context.fail(&at, issue.allowed("one budget for each of `minute`, `hour`, `day`, `month` and `total`"));
        }
        budgets.push(budget);
    }
    budgets
}

fn budget(context: &mut Context<'_>, path: &FieldPath, raw: RawBudget) -> Budget {
    let cost = raw.usd.map(|dollars| self::dollars(context, &path.key("usd"), dollars));
    // What was taken out because it is wrong is not missing.
    let wrong = ["usd", "tokens"].iter().any(|field| context.is_reported(&path.key(field)));
    if raw.usd.is_none() && raw.tokens.is_none() && !wrong {
        let issue = Issue::new(Code::MissingField, "a budget of nothing bounds nothing");
        context.fail(path, issue.allowed("`usd`, `tokens` or both"));
    }
    let per = match raw.per {
        Some(RawPer::Minute) => Per::Minute,
        Some(RawPer::Hour) => Per::Hour,
        Some(RawPer::Day) | None => Per::Day,
        Some(RawPer::Month) => Per::Month,
        Some(RawPer::Total) => Per::Total,
    };
    Budget { cost, tokens: raw.tokens, per }
}

fn dollars(context: &mut Context<'_>, path: &FieldPath, Dollars(amount): Dollars) -> MicroUsd {
    if amount > MOST {
        let issue = Issue::new(Code::OutOfRange, "this is more than a thousand million dollars");
        context.fail(path, issue.allowed("dollars, not micro-dollars; no budget for no bound"));
    }
    amount
}

/// What a key may spend.
pub(super) fn purse(context: &mut Context<'_>, path: &FieldPath, raw: &RawKey) -> Purse {
    Purse {
        budgets: budgets(context, &path.key("budget"), raw.budget.as_ref()),
        request: raw.max_cost_usd.map(|most| dollars(context, &path.key("max_cost_usd"), most)),
    }
}

/// What holds of a key's requests that do not say otherwise; `None` where nothing does.
pub(super) fn hints(context: &mut Context<'_>, path: &FieldPath, raw: &RawKey, models: &[Model]) -> Option<Box<Hints>> {
    let millis = raw.latency_slo_ms;
    let millis = millis.map(|given| context.number(&path.key("latency_slo_ms"), Some(given), 1..=86_400_000, 1));
    let hints = Hints {
        quality: raw.quality.map(Into::into),
        max_cost: raw.max_cost_usd.map(|dollars| dollars.0),
        usual_cost: None,
        latency_slo: millis.map(Duration::from_millis),
        task: None,
        data_scope: raw.data_scope.as_deref().map(|scope| data_scope(context, path, scope, models)),
    };
    (hints != Hints::default()).then(|| Box::new(hints))
}

fn data_scope(context: &mut Context<'_>, path: &FieldPath, scope: &str, models: &[Model]) -> Arc<str> {
    let path = path.key("data_scope");
    if !is_label(scope) {
        let issue = Issue::new(Code::BadValue, "this cannot be a label");
        context.fail(&path, issue.allowed(LABEL));
    }
    let carried = |model: &Model| model.facts.data_scopes.iter().flatten().any(|known| **known == *scope);
    if !models.iter().any(carried) {
        let why = "is carried by no model's `data_scopes`, so routes choose nobody for it";
        context.warnings.push(format!("the label of `{path}` {why}"));
    }
    Arc::from(scope)
}

/// What `decisions` or `observations` say, without their names.
struct RawJournal<'r> {
    name: &'static str,
    enabled: Option<bool>,
    path: Option<&'r Path>,
    max_file: Option<ByteSize>,
    keep: Option<Span>,
    default_keep: Option<Duration>,
}

/// The log of choices.
pub(super) fn decisions(raw: &RawConfig, context: &mut Context<'_>, overrides: &Overrides) -> JournalSettings {
    let raw = &raw.decisions;
    let raw = RawJournal {
        name: "decisions",
        enabled: raw.enabled,
        path: raw.path.as_deref(),
        max_file: raw.max_file,
        keep: raw.keep,
        default_keep: Some(14 * DAY),
    };
    journal(context, overrides, &raw)
}

/// What came of choices.
pub(super) fn observations(raw: &RawConfig, context: &mut Context<'_>, overrides: &Overrides) -> JournalSettings {
    let raw = &raw.observations;
    let raw = RawJournal {
        name: "observations",
        enabled: raw.enabled,
        path: raw.path.as_deref(),
        max_file: raw.max_file,
        keep: raw.keep,
        default_keep: None,
    };
    journal(context, overrides, &raw)
}

fn journal(context: &mut Context<'_>, overrides: &Overrides, raw: &RawJournal<'_>) -> JournalSettings {
    let path = FieldPath::of(&[raw.name]);
    let directory = raw.path.map_or_else(|| Path::new("./data").join(raw.name), Path::to_path_buf);
    if directory.file_name().is_none() {
        let issue = Issue::new(Code::BadValue, "this path names no directory of its own");
        context
            .fail(&path.key("path"), issue.allowed(&format!("the path of a directory, such as `./data/{}`", raw.name)));
    }
    let inside = |data: &PathBuf| data.join(directory.file_name().unwrap_or_default());
    let size = raw.max_file.map(|size| size.0);
    let keep = raw.keep.map(|keep| context.span_within(&path.key("keep"), Some(keep), HOUR..=CENTURY, HOUR));
    JournalSettings {
        enabled: raw.enabled.unwrap_or(true),
        path: overrides.data_dir.as_ref().map_or_else(|| directory.clone(), inside),
        max_file: context.number(&path.key("max_file"), size, 64 << 10..=1 << 40, 100 << 20),
        keep: keep.or(raw.default_keep),
    }
}
