//! From an exchange to its plan: what it needs, how the candidates stand, and the choice.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use atp_core::port::Reading;
use atp_core::{
    Candidate, Capabilities, Capability, Dropped, Error, ErrorKind, Exchange, Features, Hints, Operation, Plan,
    Quality, Retry, Role, Terms, Weights,
};
use atp_routing::bandit::{Context, UNKNOWN_QUALITY};
use atp_routing::candidate::{CandidateFacts, CandidateNow, Needs, barred};
use atp_routing::decide::{Request, Scale};
use atp_routing::estimate::Ask;
use atp_routing::sticky::StickyKeys;
use atp_routing::task;
use rand::RngExt;

use super::choice::Arm;
use super::chosen::Basis;
use super::{Asked, log, shadow};
use crate::clock;
use crate::live::{Live, Route};
use crate::money;
use crate::pipeline::Shared;
use crate::snapshot::ModelFacts;

/// What a caller is told to wait where every model that could answer fails at present.
const PAUSE: Duration = Duration::from_secs(1);

/// What a choice is made from.
struct Question {
    request: Request,
    now: Vec<CandidateNow>,
    ask: Ask,
}

/// Makes the plan of an exchange.
///
/// # Errors
///
/// [`ErrorKind::BudgetDenied`] where money alone stands in the way of every candidate, else
/// [`ErrorKind::NoModelsAvailable`], with the reason of each.
pub(super) fn decide(
    shared: &Shared,
    live: &Live,
    asked: &Asked,
    exchange: &Exchange,
    now: Instant,
) -> Result<Basis, Error> {
    let question = question(shared, live, asked, exchange, now);
    let span = tracing::debug_span!(
        "bandit.select",
        "bandit.strategy" = asked.choice.mind_rules.strategy.label(),
        "bandit.cluster" = &*question.request.cluster,
        "bandit.candidates" = question.now.len(),
        "bandit.choice" = tracing::field::Empty,
    );
    let plan = log::decide(&asked.choice, shared.journal.as_ref(), &question.request, &question.now);
    if let Some(primary) = plan.primary() {
        span.record("bandit.choice", &*primary.model);
        let scores = plan.candidates.iter().filter(|each| each.dropped.is_none()).map(|each| each.terms.score);
        shared.metrics.plan.chose(scores.fold(0.0, f64::max), primary.terms.score);
    }
    basis(asked, question, plan)
}

/// Makes the plan that an exchange would get, and leaves no trace.
///
/// # Errors
///
/// As [`decide`].
pub(super) fn would(
    shared: &Shared,
    live: &Live,
    asked: &Asked,
    exchange: &Exchange,
    now: Instant,
) -> Result<Arc<Plan>, Error> {
    let question = question(shared, live, asked, exchange, now);
    let plan = asked.choice.mind().would(&question.request, &question.now);
    basis(asked, question, plan).map(|basis| basis.plan)
}

fn basis(asked: &Asked, question: Question, mut plan: Plan) -> Result<Basis, Error> {
    if plan.order.is_empty() {
        return Err(nobody(&plan));
    }
    let Question { request, now: candidates, ask } = question;
    let facts = &asked.choice.mind_rules.candidates;
    let fits = |arm: &usize| {
        let (facts, now) = (facts.get(*arm), candidates.get(*arm));
        facts.zip(now).is_some_and(|(facts, now)| fits_shadow(&request.needs, facts, now))
    };
    let rules = asked.choice.rules.experiment.as_ref();
    let challenger = rules.and_then(|rules| shadow::challenger(rules, &asked.choice, &plan, fits));
    if let Some(arm) = challenger {
        plan.roles.insert(plan.roles.len().min(1), (Role::Challenger, arm));
    }
    Ok(Basis {
        plan: Arc::new(plan),
        route: Arc::clone(&asked.choice.rules.name),
        context: request.context,
        features: request.features,
        ask,
        scale: Scale::of(&request.needs, facts, &candidates),
        challenger,
        data_scope: request.needs.data_scope,
    })
}

/// Whether a model may answer a request in the shadow: it has to be able to, and to be allowed to see it. What the
/// caller would pay does not matter, because he does not pay it.
fn fits_shadow(needs: &Needs, facts: &CandidateFacts, now: &CandidateNow) -> bool {
    let unfit = matches!(
        barred(needs, facts, now),
        Some(Dropped::Lacks(_) | Dropped::DataScope | Dropped::Safety | Dropped::Context)
    );
    now.healthy && !unfit
}

fn question(shared: &Shared, live: &Live, asked: &Asked, exchange: &Exchange, now: Instant) -> Question {
    let features = (shared.dialect.features)(exchange, Reading::Whole);
    let hints = hints(exchange);
    let cluster = task::cluster(&features, hints.task.as_deref());
    let context = task::context(&features, cluster);
    let ask = Ask::new(&features, cluster, most(exchange), exchange.fields.n.unwrap_or(1));
    let candidates = picture(live, asked, exchange, &ask, now);
    let request = request(asked, exchange, &hints, features, context, clock::unix_ms(now));
    Question { request, now: candidates, ask }
}

/// What the request says, and its key where the request says nothing.
fn hints(exchange: &Exchange) -> Hints {
    match (&exchange.hints, &exchange.caller.hints) {
        (Some(said), Some(key)) => said.or(key),
        (Some(only), None) | (None, Some(only)) => (**only).clone(),
        (None, None) => Hints::default(),
    }
}

/// The most output tokens of one choice.
fn most(exchange: &Exchange) -> Option<u64> {
    match exchange.operation {
        Operation::Chat | Operation::Completions => exchange.fields.max_tokens,
        _ => Some(0),
    }
}

/// How the candidates stand: read in passing, nobody is waited for.
fn picture(live: &Live, asked: &Asked, exchange: &Exchange, ask: &Ask, now: Instant) -> Vec<CandidateNow> {
    let one = |arm: &Arm| {
        let (forecast, p95_ms) = arm.route.known.picture(ask, arm.price, exchange.qos, now);
        let tokens = forecast.input.saturating_add(forecast.output_guarded);
        let standing = arm.route.pool.standing(arm.route.class(exchange, None), tokens, now);
        CandidateNow {
            status: arm.route.known.status().unwrap_or(arm.facts.status),
            forecast,
            p95_ms,
            healthy: standing.healthy,
            room: standing.room,
            affordable: money::covers(live, exchange, forecast.guarded.unwrap_or_default(), tokens),
        }
    };
    asked.choice.arms.iter().map(one).collect()
}

fn request(
    asked: &Asked,
    exchange: &Exchange,
    hints: &Hints,
    features: Features,
    context: Context,
    now_ms: u64,
) -> Request {
    let rules = &asked.choice.rules;
    // The name says it more plainly than a header.
    let quality = asked.quality.or(hints.quality).unwrap_or_default();
    let slo = hints.latency_slo.map(|slo| u64::try_from(slo.as_millis()).unwrap_or(u64::MAX));
    Request {
        id: exchange.id,
        tenant: Arc::clone(&exchange.caller.tenant),
        asked: Arc::clone(&exchange.model),
        features,
        context,
        cluster: Arc::from(task::cluster_name(context.cluster)),
        needs: Needs {
            capabilities: needed(exchange.operation, &features),
            max_output: most(exchange),
            weights: asked.choice.weights(quality),
            max_cost: hints.max_cost,
            usual_cost: hints.usual_cost,
            slo_ms: slo,
            data_scope: hints.data_scope.clone(),
            safety: rules.safety,
            ..Needs::of(quality)
        },
        keys: keys(exchange, &features),
        now_ms,
        seed: rand::rng().random(),
    }
}

/// What a model has to be able to do: the endpoint itself, and what the request makes use of there.
fn needed(operation: Operation, features: &Features) -> Capabilities {
    let endpoint = match operation {
        Operation::Chat | Operation::Completions => Capability::Chat,
        Operation::Embeddings => Capability::Embeddings,
        Operation::Moderations => Capability::Moderations,
        Operation::Images => Capability::Imaging,
        // What the request says of sound is the endpoint itself.
        Operation::Audio => return Capabilities::default().with(Capability::Speech),
        // Routes are never asked for these.
        Operation::Raw => return features.needs,
    };
    features.needs.with(endpoint)
}

/// What the request has in common with those before it, of the same tenant alone.
fn keys(exchange: &Exchange, features: &Features) -> StickyKeys {
    let named = |what: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        exchange.caller.tenant.hash(&mut hasher);
        what(&mut hasher);
        hasher.finish()
    };
    let session = exchange.session.as_ref().map(|session| named(&|hasher| session.hash(hasher)));
    let prefix = (features.prefix != 0).then(|| named(&|hasher| features.prefix.hash(hasher)));
    StickyKeys { session, prefix }
}

/// The plan of a name that is a model's.
pub(super) fn only(shared: &Shared, route: &Arc<Route>, exchange: &Exchange, now: Instant) -> Plan {
    let (features, hints) = ((shared.dialect.features)(exchange, Reading::Whole), hints(exchange));
    let cluster = task::cluster(&features, hints.task.as_deref());
    let ask = Ask::new(&features, cluster, most(exchange), exchange.fields.n.unwrap_or(1));
    let arm = Arm::new(Arc::clone(route), ModelFacts::default());
    let (forecast, p95_ms) = route.known.picture(&ask, arm.price, exchange.qos, now);
    let quality = hints.quality.unwrap_or_default();
    let candidate = Candidate {
        model: Arc::clone(&route.name),
        price: arm.price,
        quality: UNKNOWN_QUALITY,
        latency_p95: p95_ms.map(Duration::from_millis),
        forecast,
        dropped: None,
        terms: Terms { probability: 1.0, ..Terms::default() },
    };
    Plan {
        id: exchange.id,
        tenant: Arc::clone(&exchange.caller.tenant),
        route: Arc::clone(&exchange.model),
        cluster: Arc::from(task::cluster_name(cluster)),
        prompt_hash: features.prompt_hash,
        quality,
        weights: Weights::of(quality),
        max_cost: hints.max_cost,
        latency_slo: hints.latency_slo,
        strategy: Arc::from("only"),
        reason: Arc::from("the request names a model"),
        candidates: vec![candidate],
        order: vec![0],
        roles: vec![(Role::Primary, 0)],
        explored: false,
    }
}

/// Why nobody may answer, with the reason of each candidate.
fn nobody(plan: &Plan) -> Error {
    let reason = |dropped: Option<Dropped>| dropped.map_or("not chosen", Dropped::label);
    let each = plan.candidates.iter().map(|each| format!("{}: {}", each.model, told(each.dropped, reason)));
    let each: Vec<String> = each.collect();
    let all = |fits: fn(Dropped) -> bool| plan.candidates.iter().all(|each| each.dropped.is_some_and(fits));
    let some = |what: Dropped| plan.candidates.iter().any(|each| each.dropped == Some(what));
    let text = format!("no model of `{}` may answer this request ({})", plan.route, each.join(", "));
    if all(|why| matches!(why, Dropped::Cost | Dropped::UnknownPrice)) {
        let most = plan.max_cost.map_or_else(String::new, |most| format!("; the request may cost {most} USD"));
        let error = Error::caller(ErrorKind::BudgetDenied, format!("{text}{most}, raise that or ask for less"));
        return error.with_param("max_cost_usd");
    }
    if all(|why| matches!(why, Dropped::Cost | Dropped::UnknownPrice | Dropped::Budget)) {
        return Error::caller(ErrorKind::BudgetDenied, text);
    }
    let error = Error::router(ErrorKind::NoModelsAvailable, text);
    if some(Dropped::Health) { error.with_retry(Retry::After(PAUSE)) } else { error }
}

fn told(dropped: Option<Dropped>, label: impl Fn(Option<Dropped>) -> &'static str) -> String {
    match dropped {
        Some(Dropped::Lacks(capability)) => format!("lacks {}", capability.label()),
        other => label(other).to_owned(),
    }
}

/// What is asked of the whole exchange beyond its own patience: not more than four times the latency that was
/// asked for.
pub(crate) fn patience(exchange: &Exchange) -> Option<Duration> {
    let said = exchange.hints.as_ref().and_then(|hints| hints.latency_slo);
    let slo = said.or_else(|| exchange.caller.hints.as_ref().and_then(|hints| hints.latency_slo))?;
    let most = slo.saturating_mul(super::walk::HARD_STOP);
    Some(exchange.patience.map_or(most, |patience| patience.min(most)))
}

/// The quality that a name asks for, where it is a route's name with one: `auto:high`.
pub(crate) const QUALITIES: [(&str, Quality); 4] =
    [("fast", Quality::Fast), ("low", Quality::Fast), ("balanced", Quality::Balanced), ("high", Quality::High)];
