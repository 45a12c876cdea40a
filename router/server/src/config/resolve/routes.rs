//! Which model answers: what is known of models, and the routes that choose among them.

use std::sync::Arc;
use std::time::Duration;

use atp_core::{MicroUsd, Status, Weights};
use atp_routing::bandit::Strategy;

use super::super::document::shape::nearest;
use super::super::error::{Code, Issue};
use super::super::path::FieldPath;
use super::super::raw::{
    RawConfig, RawEnsemble, RawExperiment, RawJudge, RawMode, RawModel, RawRoute, RawStrategy, RawWeights,
};
use super::super::resolved::{
    Ensemble, EnsembleMode, Escalation, Experiment, Judge, Manner, Model, ModelFacts, ModelName, RouteRules, Sticky,
};
use super::super::value::Share;
use super::secrets::{LABEL, is_label};
use super::{Context, models};

/// The name that chooses among all models where no route has it.
const AUTO: &str = "auto";
/// What may stand behind a route's name.
const SUFFIXES: [&str; 3] = [":fast", ":balanced", ":high"];
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What is known of a model.
pub(super) fn facts(context: &mut Context<'_>, path: &FieldPath, raw: &RawModel) -> ModelFacts {
    let quality = raw.quality.map(|given| context.number(&path.key("quality"), Some(given), 0.0..=1.0, 0.0));
    let millis =
        |context: &mut Context<'_>, given| context.number(&path.key("latency_p95_ms"), Some(given), 1..=86_400_000, 1);
    let latency_p95 = raw.latency_p95_ms.map(|given| Duration::from_millis(millis(context, given)));
    let tokens = |given| context.number(&path.key("context"), Some(given), 16..=1_000_000_000, 16);
    let window = raw.context.map(tokens);
    let mut label = |path: FieldPath, text: &str| {
        if !is_label(text) {
            let issue = Issue::new(Code::BadValue, "this cannot be a label");
            context.fail(&path, issue.allowed(LABEL));
        }
        Arc::from(text)
    };
    let region = raw.region.as_deref().map(|region| label(path.key("region"), region));
    let scopes = raw.data_scopes.as_ref();
    let scope = |(place, text): (usize, &String)| label(path.key("data_scopes").index(place), text);
    ModelFacts {
        quality,
        latency_p95,
        context: window,
        capabilities: raw.capabilities.as_ref().map(|list| list.iter().map(|(_, each)| (*each).into()).collect()),
        safety: raw.safety.map(Into::into),
        status: raw.status.map(Into::into).unwrap_or_default(),
        region,
        data_scopes: scopes.map(|list| list.iter().map(scope).collect()),
    }
}

/// Every route in configured order; `auto` over all models behind them, where nothing else has that name.
pub(super) fn resolve(raw: &RawConfig, context: &mut Context<'_>, models: &[Model]) -> Vec<RouteRules> {
    let path = FieldPath::of(&["routes"]);
    let mut routes: Vec<RouteRules> =
        raw.routes.0.iter().map(|(name, raw)| route(context, &path.key(name), name, raw, models)).collect();
    let taken = routes.iter().any(|route| *route.name == *AUTO)
        || context.document.names(&path).contains(&AUTO)
        || models.iter().any(|model| model.is_called(AUTO));
    let every: Vec<Arc<str>> = models.iter().filter_map(exact).collect();
    if !taken && !every.is_empty() {
        routes.push(RouteRules { listed: false, ..plain(AUTO, every) });
    }
    routes
}

/// The name of a model that is no pattern.
fn exact(model: &Model) -> Option<Arc<str>> {
    match &model.name {
        ModelName::Exact(name) => Some(Arc::clone(name)),
        ModelName::Pattern { .. } => None,
    }
}

/// A route of which nothing else is said. The reference page shows these defaults, and a test compares the two.
fn plain(name: &str, candidates: Vec<Arc<str>>) -> RouteRules {
    RouteRules {
        name: Arc::from(name),
        listed: true,
        candidates,
        manner: Manner::One(Strategy::default()),
        weights: None,
        explore: 0.05,
        prior_weight: 10.0,
        half_life: DAY,
        safety: None,
        escalation: Escalation::default(),
        sticky: Sticky::default(),
        experiment: None,
    }
}

fn route(context: &mut Context<'_>, path: &FieldPath, name: &str, raw: &RawRoute, models: &[Model]) -> RouteRules {
    check_name(context, path, name, models);
    let candidates = candidates(context, path, raw, models);
    let default = plain(name, candidates);
    let strategy = raw.strategy.and_then(RawStrategy::of_one);
    let several = raw.strategy.is_some_and(|strategy| strategy.of_one().is_none());
    let manner = match &raw.ensemble {
        None if several => Manner::Several(ensemble(context, path, &RawEnsemble::default(), raw, models)),
        Some(given) if several => Manner::Several(ensemble(context, path, given, raw, models)),
        Some(_) => {
            let issue = Issue::new(Code::Conflict, "this route asks one model, so nothing is made of several answers");
            context
                .fail_name(&path.key("ensemble"), issue.found("`ensemble`").allowed("`strategy: ensemble` beside it"));
            default.manner.clone()
        }
        None => strategy.map_or_else(|| default.manner.clone(), Manner::One),
    };
    let route = RouteRules {
        manner,
        weights: raw.weights.map(|weights| self::weights(context, &path.key("weights"), weights)),
        explore: share(context, &path.key("explore"), raw.explore, 0.5, default.explore),
        prior_weight: context.number(&path.key("prior_weight"), raw.prior_weight, 0.0..=1e6, default.prior_weight),
        half_life: context.span_within(&path.key("half_life"), raw.half_life, SECOND..=365 * DAY, default.half_life),
        safety: raw.safety.map(Into::into),
        escalation: escalation(context, path, raw),
        sticky: sticky(context, path, raw),
        experiment: raw.experiment.as_ref().map(|given| experiment(context, path, given, &default.candidates, models)),
        ..default
    };
    warn(context, path, &route, models);
    route
}

/// A route's name has to lead to the route and to nothing else.
fn check_name(context: &mut Context<'_>, path: &FieldPath, name: &str, models: &[Model]) {
    let suffix = SUFFIXES.into_iter().find(|suffix| name.ends_with(suffix));
    if !models::is_name(name) || name.contains('*') || suffix.is_some() {
        let message = match suffix {
            Some(_) => "the end of this name asks for a quality",
            None => "this cannot be the name of a route",
        };
        let allowed = "1 to 256 bytes without white space and `*`, not ending in `:fast`, `:balanced` or `:high`";
        context.fail_name(path, Issue::new(Code::BadValue, message).found(&format!("{name:?}")).allowed(allowed));
    } else if let Some(model) = models.iter().find(|model| model.is_called(name)) {
        let message = format!("`models` has this name already, for `{}`", model.name.as_text());
        let issue = Issue::new(Code::Duplicate, &message).found(&format!("`{name}`"));
        context.fail_name(path, issue.allowed("a name that no model and no alias has"));
    }
}

/// The candidates by the names of their models, each once.
fn candidates(context: &mut Context<'_>, path: &FieldPath, raw: &RawRoute, models: &[Model]) -> Vec<Arc<str>> {
    let path = path.key("candidates");
    if raw.candidates.is_empty() {
        let issue = Issue::new(Code::MissingField, "a route without candidates can choose nobody");
        context.fail(&path, issue.allowed("at least one name of `models`"));
    }
    let mut found: Vec<Arc<str>> = Vec::new();
    for (place, name) in raw.candidates.iter() {
        let path = path.index(place);
        let Some(model) = model(context, &path, name, models) else { continue };
        if found.contains(&model) {
            let issue = Issue::new(Code::Duplicate, &format!("the model `{model}` is a candidate already"));
            context.fail(&path, issue.allowed("each model once, by its name or by one of its aliases"));
        } else {
            found.push(model);
        }
    }
    found
}

/// The model of a name; `None` where there is none, which has then been reported.
fn model(context: &mut Context<'_>, path: &FieldPath, name: &str, models: &[Model]) -> Option<Arc<str>> {
    if let Some(model) = models.iter().find(|model| model.is_called(name)) {
        return exact(model);
    }
    let written = context.document.names(&FieldPath::of(&["models"]));
    let pattern = models.iter().find(|model| *model.name.as_text() == *name || model.name.matched(name).is_some());
    if let Some(pattern) = pattern {
        let message = format!("this is served by the pattern `{}`, of which nothing is known", pattern.name.as_text());
        let issue = Issue::new(Code::Conflict, &message);
        context
            .fail(path, issue.allowed("the name of a model without `*`; give this one a place of its own in `models`"));
    } else if !written.contains(&name) {
        let exact: Vec<Arc<str>> = models.iter().filter_map(exact).collect();
        let known: Vec<String> = exact.iter().take(20).map(|known| format!("`{known}`")).collect();
        let allowed = if known.is_empty() { "a model of `models`".to_owned() } else { known.join(", ") };
        let near = nearest(name, exact.iter().map(|name| &**name));
        let issue = Issue::new(Code::UnknownReference, "no model of this name is configured");
        context.fail(path, issue.allowed(&allowed).near(near));
    }
    None
}

/// A share between nothing and `most`.
fn share(context: &mut Context<'_>, path: &FieldPath, given: Option<Share>, most: f64, default: f64) -> f64 {
    let Some(Share(share)) = given else { return default };
    if (0.0..=most).contains(&share) {
        return share;
    }
    let issue = Issue::new(Code::OutOfRange, "this share is outside its range");
    context.fail(path, issue.allowed(&format!("from 0 to {most}, which is `{}%`", most * 100.0)));
    default
}

fn weights(context: &mut Context<'_>, path: &FieldPath, raw: RawWeights) -> Weights {
    let mut weight = |field: &str, given| context.number(&path.key(field), given, 0.0..=1000.0, 0.0);
    let weights = Weights {
        quality: weight("quality", raw.quality),
        cost: weight("cost", raw.cost),
        latency: weight("latency", raw.latency),
    };
    if weights.quality + weights.cost + weights.latency <= 0.0 {
        let issue = Issue::new(Code::Conflict, "with these weights nothing counts");
        context.fail(path, issue.allowed("at least one of `quality`, `cost` and `latency` above 0"));
    }
    weights
}

fn escalation(context: &mut Context<'_>, path: &FieldPath, raw: &RawRoute) -> Escalation {
    let (default, raw) = (Escalation::default(), raw.escalation);
    let path = path.key("escalation").key("min_confidence");
    Escalation {
        enabled: raw.enabled.unwrap_or(default.enabled),
        min_confidence: context.number(&path, raw.min_confidence, 0.0..=1.0, default.min_confidence),
        hold_streams: raw.hold_streams.unwrap_or(default.hold_streams),
    }
}

fn sticky(context: &mut Context<'_>, path: &FieldPath, raw: &RawRoute) -> Sticky {
    let (default, raw) = (Sticky::default(), raw.sticky);
    Sticky {
        session: raw.session.unwrap_or(default.session),
        prefix: raw.prefix.unwrap_or(default.prefix),
        ttl: context.span_within(&path.key("sticky").key("ttl"), raw.ttl, SECOND..=7 * DAY, default.ttl),
    }
}

fn experiment(
    context: &mut Context<'_>,
    path: &FieldPath,
    raw: &RawExperiment,
    candidates: &[Arc<str>],
    models: &[Model],
) -> Experiment {
    let path = path.key("experiment");
    let at = path.key("challenger");
    let challenger = raw.challenger.as_deref().and_then(|name| model(context, &at, name, models));
    if challenger.as_ref().is_some_and(|model| !candidates.contains(model)) {
        let issue = Issue::new(Code::Conflict, "this model is no candidate of the route, so it would never be asked");
        let allowed = "one of `candidates`; with `status: shadow` it answers nobody but in the shadow";
        context.fail(&at, issue.allowed(allowed));
    }
    let judge = match &raw.judge {
        Some(RawJudge::Model(name)) => model(context, &path.key("judge").key("model"), name, models).map(Judge::Model),
        Some(RawJudge::Signs) | None => None,
    };
    Experiment {
        challenger,
        share: share(context, &path.key("share"), raw.share, 1.0, 0.05),
        max_usd_per_day: raw.max_usd_per_day.map_or(MicroUsd(1_000_000), |dollars| dollars.0),
        judge: judge.unwrap_or(Judge::Signs),
    }
}

fn ensemble(
    context: &mut Context<'_>,
    route: &FieldPath,
    raw: &RawEnsemble,
    of: &RawRoute,
    models: &[Model],
) -> Ensemble {
    let path = route.key("ensemble");
    let written = of.candidates.iter().count();
    if written < 2 {
        let issue = Issue::new(Code::Conflict, "an ensemble of one is none");
        context.fail(&route.key("candidates"), issue.allowed("at least two candidates, or another `strategy`"));
    }
    let mode = match &raw.mode {
        Some(RawMode::FirstWin) => EnsembleMode::FirstWin,
        Some(RawMode::Quorum) | None => EnsembleMode::Quorum,
        Some(RawMode::Weighted) => EnsembleMode::Weighted,
        Some(RawMode::Arbiter(arbiter)) => {
            let path = path.key("mode").key("arbiter").key("model");
            let max_cost = arbiter.max_usd.map_or(MicroUsd(100_000), |dollars| dollars.0);
            model(context, &path, &arbiter.model, models)
                .map_or(EnsembleMode::FirstWin, |model| EnsembleMode::Arbiter { model, max_cost })
        }
    };
    let most = written.max(2);
    Ensemble {
        mode,
        size: context.number(&path.key("size"), raw.size, 2..=most, most.min(3)),
        agree: context.number(&path.key("agree"), raw.agree, 0.0..=1.0, 0.85),
        patience: context.span_within(&path.key("patience"), raw.patience, Duration::ZERO..=600 * SECOND, 2 * SECOND),
    }
}

/// Says where no candidate can ever be chosen.
fn warn(context: &mut Context<'_>, path: &FieldPath, route: &RouteRules, models: &[Model]) {
    let of = |name: &Arc<str>| models.iter().find(|model| model.is_called(name)).map(|model| &model.facts);
    let facts: Vec<&ModelFacts> = route.candidates.iter().filter_map(of).collect();
    let chosen = |facts: &&ModelFacts| matches!(facts.status, Status::Active | Status::Fallback);
    let safe = |facts: &&ModelFacts| route.safety.is_none_or(|least| facts.safety.is_some_and(|grade| grade >= least));
    if facts.is_empty() || facts.iter().any(|facts| chosen(facts) && safe(facts)) {
        return;
    }
    let why = if facts.iter().any(chosen) { "has the `safety` that it requires" } else { "is `active` or `fallback`" };
    context.warnings.push(format!("`{path}` chooses nobody: none of its candidates {why}"));
}
