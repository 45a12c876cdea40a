//! Health and metrics: the paths that load balancers and scrapers ask for, on both ports.
//!
//! `/livez` says that the process answers at all; a supervisor restarts it otherwise. `/readyz` says
//! whether requests should be sent here. `/healthz` tells everything; its status is that of readiness, so
//! that it serves as the one probe of simple set-ups.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::control::{CheckState, Control, Readiness};
use crate::reply;

/// The name of the service in `/healthz`.
const SERVICE: &str = "atp-router";

/// Answers a path of this module, and `None` to any other: what the router's own port is given.
pub type HealthLookup = Arc<dyn Fn(&str) -> Option<Response<Bytes>> + Send + Sync>;

/// The paths that [`respond`] answers, by `GET` and `HEAD`.
pub const PATHS: [&str; 4] = ["/healthz", "/livez", "/readyz", "/metrics"];

/// [`respond`] as a value, for a listener that may not know this crate.
#[must_use]
pub fn lookup(control: Arc<dyn Control>) -> HealthLookup {
    Arc::new(move |path| respond(path, control.as_ref()))
}

/// The answer to one of [`PATHS`].
#[must_use]
pub fn respond(path: &str, control: &dyn Control) -> Option<Response<Bytes>> {
    match path {
        "/healthz" => Some(healthz(control)),
        "/livez" => Some(reply::json(StatusCode::OK, &json!({ "status": "alive" }))),
        "/readyz" => Some(readyz(control)),
        "/metrics" => Some(reply::full(StatusCode::OK, reply::METRICS_TYPE, control.metrics_text())),
        _ => None,
    }
}

fn healthz(control: &dyn Control) -> Response<Bytes> {
    let (readiness, version) = (control.readiness(), control.version());
    let word = if !readiness.ready() {
        "unhealthy"
    } else if readiness.any(CheckState::Warn) {
        "degraded"
    } else {
        "healthy"
    };
    let body = json!({
        "status": word,
        "service": SERVICE,
        "version": version.version,
        "timestamp_ms": control.unix_millis(),
        "uptime_s": version.uptime.as_secs(),
        "checks": checks(&readiness),
    });
    reply::json(status(&readiness), &body)
}

fn readyz(control: &dyn Control) -> Response<Bytes> {
    let readiness = control.readiness();
    let failed = readiness.checks.iter().filter(|check| check.state == CheckState::Fail);
    let reasons: Vec<String> = failed.map(|check| format!("{}: {}", check.name, check.detail)).collect();
    let body = json!({ "ready": readiness.ready(), "reasons": reasons, "checks": checks(&readiness) });
    reply::json(status(&readiness), &body)
}

fn status(readiness: &Readiness) -> StatusCode {
    if readiness.ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn checks(readiness: &Readiness) -> Value {
    let entry = |check: &crate::control::Check| {
        let mut body = json!({ "status": check.state.label() });
        if let (false, Some(body)) = (check.detail.is_empty(), body.as_object_mut()) {
            body.insert(String::from("detail"), Value::from(check.detail.as_str()));
        }
        (String::from(check.name), body)
    };
    Value::Object(readiness.checks.iter().map(entry).collect::<Map<String, Value>>())
}
