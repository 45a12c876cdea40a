//! `Plan` and `Decision`: why a model would answer, or has answered.

use std::time::Duration;

use atp_core::{Candidate, Decision, Dropped, Error, ErrorKind, Plan, Quality, RequestId};
use atp_dialects::native::request::USUAL_MODEL;
use atp_proto::router::v1 as pb;
use http::{HeaderMap, Response};

use super::call::Call;
use super::chat::{self, Delivery};
use super::fault::{Fault, shown};
use super::{routing, wire};
use crate::http::Inner;
use crate::http::handle::admit;
use crate::respond::OutBody;

/// `Plan`.
pub(super) async fn plan(inner: &Inner, call: Call<'_>) -> Result<Response<OutBody>, Error> {
    let asked = call.asked;
    let asking = routing::asking(inner, &call.head.headers)?;
    let headers = routing::onward(&call.head.headers);
    let request: pb::PlanRequest = call.message(&asking.limits).await?;
    let Some(mut request) = request.chat else {
        return Err(Fault::missing("chat", "the chat that would be asked").into());
    };
    if request.model.is_empty() {
        USUAL_MODEL.clone_into(&mut request.model);
    }
    let exchange = chat::of(&request, Delivery::Whole, asking, headers, asked)?;
    let plan = inner.gateway.plan(&exchange)?;
    Ok(wire::unary(&pb::PlanResponse { plan: Some(told(&plan)) }, HeaderMap::new(), asked))
}

/// `Decision`.
pub(super) async fn decision(inner: &Inner, call: Call<'_>) -> Result<Response<OutBody>, Error> {
    let asked = call.asked;
    let (caller, limits) = admit(inner, &call.head.headers)?;
    let request: pb::DecisionRequest = call.message(&limits).await?;
    if request.id.is_empty() {
        return Err(Fault::missing("id", "the `request_id` or `plan_id` of an answer").into());
    }
    let found = RequestId::parse(&request.id).and_then(|id| inner.gateway.decision(&caller, id));
    let Some(found) = found else {
        let text = format!(
            "no choice is remembered for {}; send the `plan_id` of an answer to this tenant that is not too old",
            shown(&request.id)
        );
        return Err(Error::caller(ErrorKind::NotFound, text));
    };
    Ok(wire::unary(&decided(&found), HeaderMap::new(), asked))
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn quality(quality: Quality) -> pb::Quality {
    match quality {
        Quality::Fast => pb::Quality::Fast,
        Quality::Balanced => pb::Quality::Balanced,
        Quality::High => pb::Quality::High,
    }
}

fn told(plan: &Plan) -> pb::RoutePlan {
    let name = |place: &usize| plan.candidates.get(*place).map(|candidate| candidate.model.to_string());
    let weights = plan.weights;
    pb::RoutePlan {
        id: plan.id.to_string(),
        route: plan.route.to_string(),
        selected_model: plan.primary().map(|candidate| candidate.model.to_string()).unwrap_or_default(),
        candidates: plan.candidates.iter().map(candidate).collect(),
        order: plan.order.iter().filter_map(name).collect(),
        roles: plan
            .roles
            .iter()
            .filter_map(|(role, place)| Some(pb::PlannedRole { role: role.label().to_owned(), model: name(place)? }))
            .collect(),
        reason: plan.reason.to_string(),
        strategy: plan.strategy.to_string(),
        cluster: plan.cluster.to_string(),
        prompt_hash: format!("{:016x}", plan.prompt_hash),
        quality: quality(plan.quality).into(),
        weights: Some(pb::Weights { quality: weights.quality, cost: weights.cost, latency: weights.latency }),
        max_cost_usd_micros: plan.max_cost.map(|cost| cost.0),
        latency_slo_ms: plan.latency_slo.map(millis),
        explored: plan.explored,
    }
}

fn candidate(from: &Candidate) -> pb::Candidate {
    let (forecast, terms) = (from.forecast, from.terms);
    let lacks = match from.dropped {
        Some(Dropped::Lacks(capability)) => capability.label(),
        _ => "",
    };
    pb::Candidate {
        model: from.model.to_string(),
        price: from.price.map(|price| pb::Price {
            input: price.input,
            output: price.output,
            cached_input: price.cached_input,
        }),
        quality: from.quality,
        latency_p95_ms: from.latency_p95.map(millis),
        forecast: Some(pb::Forecast {
            input_tokens: forecast.input,
            output_tokens: forecast.output,
            output_tokens_guarded: forecast.output_guarded,
            cost_usd_micros: forecast.cost.map(|cost| cost.0),
            cost_usd_micros_guarded: forecast.guarded.map(|cost| cost.0),
        }),
        dropped: from.dropped.map(Dropped::label).unwrap_or_default().to_owned(),
        lacks: lacks.to_owned(),
        terms: from.dropped.is_none().then_some(pb::Terms {
            quality: terms.quality,
            cost: terms.cost,
            latency: terms.latency,
            reliability: terms.reliability,
            bonus: terms.bonus,
            score: terms.score,
            probability: terms.probability,
        }),
    }
}

fn decided(decision: &Decision) -> pb::DecisionResponse {
    let result = decision.result.as_ref().map(|upshot| pb::DecisionResult {
        model: upshot.model.as_deref().unwrap_or_default().to_owned(),
        outcome: upshot.outcome.to_owned(),
        cost_usd_micros: upshot.cost.map(|cost| cost.0),
        input_tokens: upshot.tokens.map(|(input, _)| input),
        output_tokens: upshot.tokens.map(|(_, output)| output),
        latency_ms: millis(upshot.latency),
        reward: upshot.reward,
        escalations: upshot.escalations,
    });
    pb::DecisionResponse {
        plan: Some(told(&decision.plan)),
        tenant: decision.plan.tenant.to_string(),
        result,
        score: decision.score,
    }
}
