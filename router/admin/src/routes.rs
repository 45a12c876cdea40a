//! The route table of the control plane, and how a request finds its row.

use std::net::IpAddr;
use std::sync::Arc;

use atp_core::port::BoxFuture;
use atp_core::{Error, ErrorKind};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::control::{ChoicePart, Control, FlowPart};
use crate::{browser, health, query, reply};

/// No route here takes a body; one that announces more than this is refused instead of drained.
const BODY_MOST: u64 = 64 * 1024;

/// What a route is given: the query, and the router.
type Handler = fn(&str, &dyn Control) -> BoxFuture<'static, Result<Value, Error>>;

/// One row: method, path, what it shows, and how.
struct Route {
    method: Method,
    path: &'static str,
    about: &'static str,
    handler: Handler,
}

const fn get(path: &'static str, about: &'static str, handler: Handler) -> Route {
    Route { method: Method::GET, path, about, handler }
}

/// A route that changes something: its query says what, and it takes no body.
const fn post(path: &'static str, about: &'static str, handler: Handler) -> Route {
    Route { method: Method::POST, path, about, handler }
}

/// Every route beside those of [`health::PATHS`]. `GET` serves `HEAD` too.
static ROUTES: [Route; 25] = [
    get("/admin", "this list", index),
    get("/admin/version", "version, commit, configuration, uptime, workers", version),
    get("/admin/config", "the configuration in force, without secrets", |_, control| now(control.config())),
    get("/admin/models", "models and their targets", |_, control| now(control.models())),
    get("/admin/adapters", "adapters in processes of their own", |_, control| now(control.adapters())),
    get("/admin/ledger", "how the ledger is doing", |_, control| now(control.ledger())),
    get("/admin/usage", "the newest usage rows; ?limit=1..1000", usage),
    get("/admin/usage/totals", "sums; ?by=key|tenant|model|provider&since=24h", totals),
    get("/admin/flow", "queues, lanes and tenants", |_, control| now(control.flow(FlowPart::All))),
    get("/admin/windows", "each lane's window", |_, control| now(control.flow(FlowPart::Windows))),
    get("/admin/breakers", "each lane's breaker", |_, control| now(control.flow(FlowPart::Breakers))),
    get("/admin/fair/weights", "each tenant's weight", |_, control| now(control.flow(FlowPart::Weights))),
    get("/admin/fair/served", "what each tenant was served", |_, control| now(control.flow(FlowPart::Served))),
    get("/admin/arms", "what each route has learnt of each model", |_, control| now(control.choice(ChoicePart::Arms))),
    get("/admin/budgets", "what each key and tenant may spend and has", |_, control| {
        now(control.choice(ChoicePart::Budgets))
    }),
    get("/admin/model_status", "how each model stands", |_, control| now(control.choice(ChoicePart::ModelStatus))),
    get("/admin/cluster_stats", "each route's kinds of work", |_, control| {
        now(control.choice(ChoicePart::ClusterStats))
    }),
    get("/admin/experiments", "each route's challengers", |_, control| now(control.choice(ChoicePart::Experiments))),
    get("/admin/shadow_stats", "what challengers did", |_, control| now(control.choice(ChoicePart::ShadowStats))),
    get("/admin/lifecycle", "where each model stands in its life", |_, control| {
        now(control.choice(ChoicePart::Lifecycle))
    }),
    get("/admin/observations", "what came of choices; ?limit&offset&model&cluster&schema_version", observations),
    get("/admin/observation_schema", "the form of an observation", |_, control| now(control.observation_schema())),
    post("/admin/fair/weight", "changes a tenant's weight; ?tenant=NAME&weight=0.1..100", set_weight),
    post("/admin/lifecycle/pin", "keeps a model's status; ?model=NAME&status=active|shadow|fallback|retired", pin),
    post(
        "/admin/lifecycle/unpin",
        "lets evidence decide on a model again, from where it stood before it was pinned; ?model=NAME",
        unpin,
    ),
];

/// Answers a request. Never fails: what goes wrong is an answer too.
pub(crate) async fn respond(parts: Parts, control: Arc<dyn Control>) -> Response<Bytes> {
    if let Some(refusal) = refuse_body(&parts.headers) {
        return reply::error(&refusal);
    }
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    let path = parts.uri.path();
    if method == Method::GET
        && let Some(response) = health::respond(path, control.as_ref())
    {
        return response;
    }
    let Some(route) = ROUTES.iter().find(|route| route.path == path) else {
        return if health::PATHS.contains(&path) { wrong_method(&method, path) } else { not_found(path) };
    };
    if route.method != method {
        return wrong_method(&method, path);
    }
    let steered = route.method != Method::GET;
    let foreign = || if steered { browser::refuse(&parts.headers) } else { None };
    if let Some(refusal) = refuse_host(&parts).or_else(foreign) {
        return reply::error(&refusal);
    }
    match (route.handler)(parts.uri.query().unwrap_or_default(), control.as_ref()).await {
        Ok(body) => reply::json(StatusCode::OK, &body),
        Err(error) => {
            if error.kind() == ErrorKind::Internal {
                tracing::warn!(path = route.path, reason = %error, "admin request failed");
            }
            reply::error(&error)
        }
    }
}

fn now(body: Value) -> BoxFuture<'static, Result<Value, Error>> {
    Box::pin(std::future::ready(Ok(body)))
}

fn fail(error: Error) -> BoxFuture<'static, Result<Value, Error>> {
    Box::pin(std::future::ready(Err(error)))
}

fn index(_: &str, _: &dyn Control) -> BoxFuture<'static, Result<Value, Error>> {
    let of = |method: Method| ROUTES.iter().filter(move |route| route.method == method);
    let shows = of(Method::GET).map(|route| json!({ "path": route.path, "shows": route.about }));
    let changes = of(Method::POST).map(|route| json!({ "path": route.path, "does": route.about }));
    now(json!({
        "health": health::PATHS,
        "routes": shows.collect::<Vec<Value>>(),
        "changes": changes.collect::<Vec<Value>>(),
    }))
}

fn version(_: &str, control: &dyn Control) -> BoxFuture<'static, Result<Value, Error>> {
    let version = control.version();
    now(json!({
        "version": version.version,
        "commit": version.commit,
        "config_version": version.config,
        "uptime_s": version.uptime.as_secs(),
        "workers": version.workers,
    }))
}

fn usage(query: &str, control: &dyn Control) -> BoxFuture<'static, Result<Value, Error>> {
    match query::limit(query) {
        Ok(limit) => {
            let rows = control.usage_recent(limit);
            Box::pin(async move { Ok(json!({ "rows": rows.await? })) })
        }
        Err(error) => fail(error),
    }
}

fn totals(query: &str, control: &dyn Control) -> BoxFuture<'static, Result<Value, Error>> {
    match query::totals(query, control.unix_millis()) {
        Ok((by, since_ms)) => {
            let totals = control.usage_totals(by, since_ms);
            Box::pin(async move { Ok(json!({ "by": by.label(), "since_ms": since_ms, "totals": totals.await? })) })
        }
        Err(error) => fail(error),
    }
}

fn observations(query: &str, control: &dyn Control) -> BoxFuture<'static, Result<Value, Error>> {
    match query::observations(query) {
        Ok(wanted) => control.observations(wanted),
        Err(error) => fail(error),
    }
}

fn set_weight(query: &str, control: &dyn Control) -> BoxFuture<'static, Result<Value, Error>> {
    let changed = query::weight(query).and_then(|(tenant, weight)| control.set_weight(&tenant, weight));
    Box::pin(std::future::ready(changed))
}

fn pin(query: &str, control: &dyn Control) -> BoxFuture<'static, Result<Value, Error>> {
    let pinned = query::pin(query).and_then(|(model, status)| control.pin(&model, Some(status)));
    Box::pin(std::future::ready(pinned))
}

fn unpin(query: &str, control: &dyn Control) -> BoxFuture<'static, Result<Value, Error>> {
    let unpinned = query::unpin(query).and_then(|model| control.pin(&model, None));
    Box::pin(std::future::ready(unpinned))
}

fn not_found(path: &str) -> Response<Bytes> {
    let text = format!("there is no `{path}` on the admin port; GET /admin lists what there is");
    reply::error(&Error::caller(ErrorKind::NotFound, text))
}

fn wrong_method(method: &Method, path: &str) -> Response<Bytes> {
    let changes = ROUTES.iter().any(|route| route.path == path && route.method == Method::POST);
    let (text, allowed) = match changes {
        true => (format!("`{path}` changes something and shows nothing; `{method}` does not fit, ask by POST"), "POST"),
        false => (format!("`{path}` is not changed by `{method}`; ask by GET"), "GET, HEAD"),
    };
    let error = Error::caller(ErrorKind::MethodNotAllowed, text);
    reply::method_not_allowed(&error, HeaderValue::from_static(allowed))
}

fn refuse_body(headers: &HeaderMap) -> Option<Error> {
    let announced = headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse::<u64>().ok()?;
    (announced > BODY_MOST).then(|| {
        let text = format!("the body has {announced} bytes; nothing here takes one, and {BODY_MOST} are passed over");
        Error::caller(ErrorKind::BodyTooLarge, text)
    })
}

/// Refuses a name that is not this machine's. The surface stands on loopback without a key, and a web page
/// that any browser here has open can point its own name at 127.0.0.1 and then read the answers as its own;
/// it cannot make the browser send another name. Health and metrics hold nothing private and are left open,
/// because probes and scrapers ask by service name.
fn refuse_host(parts: &Parts) -> Option<Error> {
    let host = parts.headers.get(HOST)?;
    let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    let own = authority.as_ref().is_some_and(|authority| {
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
    });
    (!own).then(|| {
        let text = format!("the admin surface answers to an IP address or `localhost`, not to {host:?}");
        Error::caller(ErrorKind::Permission, text)
    })
}
