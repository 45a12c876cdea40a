//! What a caller wishes of the router, and what the router tells of how it came by an answer.

use std::time::Instant;

use atp_core::{Caller, Error, Hints, MicroUsd, Notes, PlanEvent, Qos, Quality, RequestId, Restarts, Reuse, Reused};
use atp_dialects::native::request::Hint;
use atp_proto::router::v1 as pb;
use http::{HeaderMap, HeaderName};

use super::call;
use super::fault::Fault;
use crate::http::Inner;
use crate::http::asking::Asking;
use crate::http::handle::forwardable;
use crate::http::wishes::{Wishes, entitled, named_session};
use crate::respond;

/// Who asks, with what the call's metadata wishes.
pub(super) fn asking(inner: &Inner, headers: &HeaderMap) -> Result<Asking, Error> {
    let mut asking = Asking::read(inner, headers)?;
    let patience = &mut asking.wishes.patience;
    *patience = match (*patience, call::deadline(headers)?) {
        (Some(header), Some(deadline)) => Some(header.min(deadline)),
        (header, deadline) => header.or(deadline),
    };
    Ok(asking)
}

/// Adds what the message wishes; it goes before the metadata.
pub(super) fn wish(wishes: &mut Wishes, routing: &pb::Routing, caller: &Caller) -> Result<(), Error> {
    let within = |fault: Fault| Error::from(fault.within("routing"));
    let mut said = Hints { quality: quality(routing.quality).map_err(within)?, ..Hints::default() };
    if let Some(micros) = routing.max_cost_usd_micros {
        if micros == 0 {
            return Err(within(Fault::wrong("max_cost_usd_micros", 0, "millionths of a dollar above zero")));
        }
        said.max_cost = Some(MicroUsd(micros));
    }
    if let Some(millis) = routing.latency_slo_ms {
        Hint::LatencySlo.put_as("routing.latency_slo_ms", millis.to_string().as_bytes(), &mut said)?;
    }
    for (hint, field, word) in
        [(Hint::Task, "routing.task", &routing.task), (Hint::DataScope, "routing.data_scope", &routing.data_scope)]
    {
        if !word.is_empty() {
            hint.put_as(field, word.as_bytes(), &mut said)?;
        }
    }
    if said != Hints::default() {
        let others = wishes.hints.take().unwrap_or_default();
        wishes.hints = Some(Box::new(said.or(&others)));
    }
    if !routing.session.is_empty() {
        wishes.session = Some(named_session("routing.session", &routing.session)?);
    }
    if let Some(asked) = qos(routing.qos).map_err(within)? {
        wishes.qos = Some(entitled("routing.qos", asked, caller)?);
    }
    if let Some(reuse) = reuse(routing.reuse).map_err(within)? {
        wishes.reuse = reuse;
    }
    if let Some(accepted) = routing.accept_restart {
        wishes.restarts = if accepted { Restarts::Accepted } else { Restarts::Refused };
    }
    Ok(())
}

fn quality(value: i32) -> Result<Option<Quality>, Fault> {
    match pb::Quality::try_from(value) {
        Ok(pb::Quality::Unspecified) => Ok(None),
        Ok(pb::Quality::Fast) => Ok(Some(Quality::Fast)),
        Ok(pb::Quality::Balanced) => Ok(Some(Quality::Balanced)),
        Ok(pb::Quality::High) => Ok(Some(Quality::High)),
        Err(_) => Err(Fault::unknown("quality", value, "QUALITY_FAST, QUALITY_BALANCED or QUALITY_HIGH")),
    }
}

fn qos(value: i32) -> Result<Option<Qos>, Fault> {
    match pb::Qos::try_from(value) {
        Ok(pb::Qos::Unspecified) => Ok(None),
        Ok(pb::Qos::Bronze) => Ok(Some(Qos::Bronze)),
        Ok(pb::Qos::Silver) => Ok(Some(Qos::Silver)),
        Ok(pb::Qos::Gold) => Ok(Some(Qos::Gold)),
        Err(_) => Err(Fault::unknown("qos", value, "QOS_BRONZE, QOS_SILVER or QOS_GOLD")),
    }
}

fn reuse(value: i32) -> Result<Option<Reuse>, Fault> {
    match pb::Reuse::try_from(value) {
        Ok(pb::Reuse::Unspecified) => Ok(None),
        Ok(pb::Reuse::Allowed) => Ok(Some(Reuse::Allowed)),
        Ok(pb::Reuse::Renew) => Ok(Some(Reuse::Renew)),
        Ok(pb::Reuse::Forbidden) => Ok(Some(Reuse::Forbidden)),
        Err(_) => Err(Fault::unknown("reuse", value, "REUSE_ALLOWED, REUSE_RENEW or REUSE_FORBIDDEN")),
    }
}

/// The metadata that goes on to a provider: that of the caller's own, without what describes this call.
pub(super) fn onward(from: &HeaderMap) -> HeaderMap {
    let of_the_call = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with("grpc-")
            || name.starts_with("content-")
            || name.ends_with("-bin")
            || name.starts_with("accept")
    };
    let mut headers = forwardable(from.clone());
    let stay: Vec<HeaderName> = headers.keys().filter(|name| of_the_call(name)).cloned().collect();
    for name in &stay {
        headers.remove(name);
    }
    headers
}

/// What is known of an answer's way when it begins.
pub(super) fn info(id: RequestId, notes: &Notes, received: Instant) -> pb::RoutingInfo {
    let text = |name: &Option<std::sync::Arc<str>>| name.as_deref().unwrap_or_default().to_owned();
    let reused = match notes.reused {
        None => pb::Reused::Unspecified,
        Some(Reused::Hit) => pb::Reused::Hit,
        Some(Reused::Coalesced) => pb::Reused::Coalesced,
    };
    pb::RoutingInfo {
        request_id: id.to_string(),
        provider: text(&notes.provider),
        target_model: text(&notes.model),
        attempts: notes.attempts,
        cost_usd_micros: notes.cost.map(|cost| cost.0),
        overhead_us: respond::overhead(notes, received).as_micros() as u64,
        queued_us: notes.queued.as_micros() as u64,
        plan_id: notes.plan.as_ref().map(|plan| plan.id.to_string()).unwrap_or_default(),
        chosen_model: text(&notes.chosen),
        reused: reused.into(),
        events: notes.events.iter().map(event).collect(),
    }
}

fn event(happened: &PlanEvent) -> pb::RouteEvent {
    use pb::route_event::{Challenger, Escalation, Event};
    let event = match happened {
        PlanEvent::Escalate { model, reason } => {
            Event::Escalation(Escalation { model: model.to_string(), reason: (*reason).to_owned() })
        }
        PlanEvent::ChallengerSelected { model } => Event::Challenger(Challenger { model: model.to_string() }),
    };
    pb::RouteEvent { event: Some(event) }
}
