//! The surface on real sockets, asked by a client written by hand.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atp_core::port::{BoxFuture, GroupBy};
use atp_core::{Error, ErrorKind};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(10);

/// A router that says what the test tells it to.
#[derive(Default)]
struct Played {
    draining: AtomicBool,
    ledger_down: AtomicBool,
    /// In thousandths.
    weight: AtomicU32,
    /// Holds back the answer of `usage_recent` until it is dropped or sent.
    held: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Control for Played {
    fn readiness(&self) -> Readiness {
        let readiness = Readiness::default().pass("targets");
        let readiness = match self.draining.load(Ordering::Relaxed) {
            true => readiness.fail("accepting", "the router is draining"),
            false => readiness.pass("accepting"),
        };
        match self.ledger_down.load(Ordering::Relaxed) {
            true => readiness.warn("ledger", "disk full"),
            false => readiness.pass("ledger"),
        }
    }

    fn version(&self) -> Version {
        Version { version: "1.2.3", commit: None, config: 4, uptime: Duration::from_secs(5), workers: 2 }
    }

    fn metrics_text(&self) -> String {
        String::from("# TYPE up gauge\nup 1\n")
    }

    fn config(&self) -> Value {
        json!({ "listen": "127.0.0.1:7443" })
    }

    fn models(&self) -> Value {
        json!([{ "id": "m" }])
    }

    fn ledger(&self) -> Value {
        json!({ "up": true })
    }

    fn usage_recent(&self, limit: usize) -> BoxFuture<'static, Result<Value, Error>> {
        let held = self.held.lock().unwrap().take();
        Box::pin(async move {
            if let Some(held) = held {
                let _sent = held.await;
            }
            Ok(json!([{ "limit": limit }]))
        })
    }

    fn usage_totals(&self, by: GroupBy, since_ms: u64) -> BoxFuture<'static, Result<Value, Error>> {
        Box::pin(async move {
            match by {
                GroupBy::Key => {
                    Err(Error::router(ErrorKind::Internal, "the ledger cannot be read").with_cause("secret"))
                }
                GroupBy::Model => Ok(json!([since_ms])),
                GroupBy::Provider | GroupBy::Tenant => {
                    Err(Error::router(ErrorKind::Backpressure, "the ledger is busy"))
                }
            }
        })
    }

    fn flow(&self, part: FlowPart) -> Value {
        json!({ "part": format!("{part:?}") })
    }

    fn set_weight(&self, tenant: &str, weight: atp_core::Weight) -> Result<Value, Error> {
        if tenant != "shop" {
            return Err(Error::caller(ErrorKind::NotFound, format!("no tenant `{tenant}`")));
        }
        let before = self.weight.swap(weight.thousandths(), Ordering::Relaxed);
        Ok(json!({ "before": before, "after": weight.thousandths() }))
    }

    fn choice(&self, part: ChoicePart) -> Value {
        json!({ "part": format!("{part:?}") })
    }

    fn pin(&self, model: &str, status: Option<atp_core::Status>) -> Result<Value, Error> {
        match model {
            "m" => Ok(json!({ "model": model, "status": status })),
            _ => Err(Error::caller(ErrorKind::NotFound, format!("no model `{model}`"))),
        }
    }

    fn observation_schema(&self) -> Value {
        json!({ "type": "object" })
    }

    fn observations(&self, wanted: ObservationQuery) -> BoxFuture<'static, Result<Value, Error>> {
        Box::pin(std::future::ready(Ok(json!({ "observations": [format!("{wanted:?}")] }))))
    }

    fn unix_millis(&self) -> u64 {
        100_000_000
    }
}

/// A running surface.
struct Surface {
    address: SocketAddr,
    control: Arc<Played>,
    stop: Option<oneshot::Sender<()>>,
    done: tokio::task::JoinHandle<()>,
}

#[expect(clippy::disallowed_methods, reason = "the test owns the task and awaits it")]
async fn surface(serving: Serving) -> Surface {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let control = Arc::new(Played::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let served = Arc::clone(&control);
    let done = tokio::spawn(async move { serve(listener, served, serving, async { drop(stopped.await) }).await });
    Surface { address, control, stop: Some(stop), done }
}

/// What came back: the status, the head in lower case, the body.
struct Got {
    status: u16,
    head: String,
    body: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Sends raw bytes on a connection of its own and reads until the other side closes.
async fn send(address: SocketAddr, request: &str) -> Got {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    timeout(SOON, stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Got { status, head: head.to_lowercase(), body: body.to_owned() }
}

async fn ask(address: SocketAddr, method: &str, target: &str) -> Got {
    send(address, &format!("{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn every_route_answers_with_json() {
    let surface = surface(Serving::default()).await;
    for (path, field) in [
        ("/admin", "routes"),
        ("/admin/version", "workers"),
        ("/admin/config", "listen"),
        ("/admin/ledger", "up"),
        ("/admin/usage", "rows"),
        ("/admin/usage/totals", "totals"),
        ("/healthz", "checks"),
        ("/admin/flow", "part"),
        ("/livez", "status"),
        ("/readyz", "reasons"),
        ("/admin/observation_schema", "type"),
        ("/admin/observations", "observations"),
    ] {
        let got = ask(surface.address, "GET", path).await;
        assert_eq!(got.status, 200, "{path}: {}", got.body);
        assert!(got.head.contains("content-type: application/json"), "{path}: {}", got.head);
        assert!(got.head.contains("cache-control: no-store"), "{path}");
        assert!(got.json().get(field).is_some(), "{path}: {}", got.body);
    }
    assert_eq!(ask(surface.address, "GET", "/admin/models").await.json(), json!([{ "id": "m" }]));
    let listed = ask(surface.address, "GET", "/admin").await.json();
    assert_eq!(listed["changes"][0]["path"], "/admin/fair/weight");
    for route in listed["routes"].as_array().unwrap() {
        assert_eq!(ask(surface.address, "GET", route["path"].as_str().unwrap()).await.status, 200);
    }
}

#[tokio::test]
async fn metrics_are_text_of_the_scraped_format() {
    let surface = surface(Serving::default()).await;
    let got = ask(surface.address, "GET", "/metrics").await;
    assert!(got.head.contains("content-type: text/plain; version=0.0.4"), "{}", got.head);
    assert_eq!(got.body, "# TYPE up gauge\nup 1\n");
    let head = ask(surface.address, "HEAD", "/metrics").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.head.contains("content-length: 21"), "{}", head.head);
}

#[tokio::test]
async fn draining_turns_readiness_off_and_leaves_the_process_alive() {
    let surface = surface(Serving::default()).await;
    surface.control.draining.store(true, Ordering::Relaxed);
    let ready = ask(surface.address, "GET", "/readyz").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reasons"], json!(["accepting: the router is draining"]));
    let health = ask(surface.address, "GET", "/healthz").await;
    assert_eq!((health.status, &health.json()["status"]), (503, &json!("unhealthy")));
    assert_eq!(ask(surface.address, "GET", "/livez").await.status, 200);
}

#[tokio::test]
async fn a_ledger_in_trouble_degrades_health_and_not_readiness() {
    let surface = surface(Serving::default()).await;
    surface.control.ledger_down.store(true, Ordering::Relaxed);
    let health = ask(surface.address, "GET", "/healthz").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("degraded")));
    assert_eq!(health.json()["checks"]["ledger"], json!({ "status": "warn", "detail": "disk full" }));
    assert_eq!(ask(surface.address, "GET", "/readyz").await.status, 200);
}

#[tokio::test]
async fn queries_reach_the_ledger_and_bad_ones_do_not() {
    let surface = surface(Serving::default()).await;
    assert_eq!(ask(surface.address, "GET", "/admin/usage?limit=7").await.json()["rows"][0]["limit"], 7);
    let totals = ask(surface.address, "GET", "/admin/usage/totals?by=model&since=24h").await.json();
    assert_eq!(totals, json!({ "by": "model", "since_ms": 13_600_000, "totals": [13_600_000] }));
    for bad in ["/admin/usage?limit=0", "/admin/usage?count=1", "/admin/usage/totals?by=all"] {
        let got = ask(surface.address, "GET", bad).await;
        assert_eq!((got.status, &got.json()["error"]), (400, &json!("invalid_request")), "{bad}");
        assert!(got.head.contains("x-atp-error: invalid_request"), "{}", got.head);
    }
}

#[tokio::test]
async fn each_part_of_the_flow_has_its_path() {
    let surface = surface(Serving::default()).await;
    for (path, part) in [
        ("/admin/flow", "All"),
        ("/admin/windows", "Windows"),
        ("/admin/breakers", "Breakers"),
        ("/admin/fair/weights", "Weights"),
        ("/admin/fair/served", "Served"),
    ] {
        assert_eq!(ask(surface.address, "GET", path).await.json(), json!({ "part": part }), "{path}");
    }
}

#[tokio::test]
async fn each_part_of_choosing_has_its_path() {
    let surface = surface(Serving::default()).await;
    for (path, part) in [
        ("/admin/arms", "Arms"),
        ("/admin/budgets", "Budgets"),
        ("/admin/model_status", "ModelStatus"),
        ("/admin/cluster_stats", "ClusterStats"),
        ("/admin/experiments", "Experiments"),
        ("/admin/shadow_stats", "ShadowStats"),
        ("/admin/lifecycle", "Lifecycle"),
    ] {
        assert_eq!(ask(surface.address, "GET", path).await.json(), json!({ "part": part }), "{path}");
    }
    let got = ask(surface.address, "GET", "/admin/observations?limit=3&model=m").await.json();
    let told = got["observations"][0].as_str().unwrap();
    assert!(told.contains("limit: 3") && told.contains("Some(\"m\")"), "{told}");
    let bad = ask(surface.address, "GET", "/admin/observations?limit=many").await;
    assert_eq!((bad.status, &bad.json()["error"]), (400, &json!("invalid_request")));
}

#[tokio::test]
async fn a_model_is_pinned_and_unpinned_by_post() {
    let surface = surface(Serving::default()).await;
    let pinned = ask(surface.address, "POST", "/admin/lifecycle/pin?model=m&status=retired").await;
    assert_eq!((pinned.status, pinned.json()), (200, json!({ "model": "m", "status": "retired" })));
    let unpinned = ask(surface.address, "POST", "/admin/lifecycle/unpin?model=m").await;
    assert_eq!((unpinned.status, unpinned.json()), (200, json!({ "model": "m", "status": null })));
    for (path, status) in [
        ("/admin/lifecycle/pin?model=n&status=active", 404),
        ("/admin/lifecycle/pin?model=m&status=gone", 422),
        ("/admin/lifecycle/unpin", 400),
    ] {
        assert_eq!(ask(surface.address, "POST", path).await.status, status, "{path}");
    }
    assert_eq!(ask(surface.address, "GET", "/admin/lifecycle/pin?model=m&status=active").await.status, 405);
}

#[tokio::test]
async fn a_weight_is_changed_by_post_and_by_nothing_else() {
    let surface = surface(Serving::default()).await;
    let path = "/admin/fair/weight?tenant=shop&weight=2.5";
    for method in ["GET", "HEAD", "PUT", "OPTIONS"] {
        let got = ask(surface.address, method, path).await;
        assert_eq!(got.status, 405, "{method}");
        assert!(got.head.contains("allow: post\r"), "{method}: {}", got.head);
    }
    assert_eq!(surface.control.weight.load(Ordering::Relaxed), 0);
    let changed = ask(surface.address, "POST", path).await;
    assert_eq!((changed.status, changed.json()), (200, json!({ "before": 0, "after": 2500 })));
    assert_eq!(ask(surface.address, "POST", "/admin/fair/weight?tenant=shop&weight=3").await.status, 200);
    for (query, status, code) in [
        ("tenant=shpo&weight=1", 404, "not_found"),
        ("tenant=shop&weight=200", 422, "validation_error"),
        ("tenant=shop", 400, "invalid_request"),
        ("session=shop&weight=4", 400, "invalid_request"),
    ] {
        let got = ask(surface.address, "POST", &format!("/admin/fair/weight?{query}")).await;
        assert_eq!((got.status, &got.json()["error"]), (status, &json!(code)), "{query}: {}", got.body);
    }
    assert_eq!(surface.control.weight.load(Ordering::Relaxed), 3_000);
    let wrong = ask(surface.address, "POST", "/admin/flow").await;
    assert!(wrong.status == 405 && wrong.head.contains("allow: get, head"), "{}", wrong.head);
}

#[tokio::test]
async fn a_web_page_cannot_steer() {
    let surface = surface(Serving::default()).await;
    let post = |fields: &str| {
        let path = "/admin/fair/weight?tenant=shop&weight=2";
        format!("POST {path} HTTP/1.1\r\n{fields}content-length: 0\r\nconnection: close\r\n\r\n")
    };
    for fields in [
        "host: 127.0.0.1:7444\r\norigin: https://evil.example\r\n",
        "host: 127.0.0.1:7444\r\norigin: null\r\n",
        "host: 127.0.0.1:7444\r\nsec-fetch-site: cross-site\r\n",
        "host: localhost:7444\r\nsec-fetch-site: same-site\r\norigin: http://localhost:3000\r\n",
        "host: evil.example:7444\r\n",
        "host: evil.example:7444\r\norigin: http://evil.example:7444\r\nsec-fetch-site: same-origin\r\n",
    ] {
        let got = send(surface.address, &post(fields)).await;
        assert_eq!((got.status, &got.json()["error"]), (403, &json!("permission_denied")), "{fields}");
        assert!(!got.head.contains("access-control"), "{}", got.head);
    }
    assert_eq!(surface.control.weight.load(Ordering::Relaxed), 0);
    let own = "host: 127.0.0.1:7444\r\norigin: http://127.0.0.1:7444\r\nsec-fetch-site: same-origin\r\n";
    assert_eq!(send(surface.address, &post(own)).await.status, 200);
    // What only reads is no danger: a page cannot see the answer.
    let read = "GET /admin/flow HTTP/1.1\r\nhost: localhost\r\norigin: https://a.example\r\nconnection: close\r\n\r\n";
    assert_eq!(send(surface.address, read).await.status, 200);
}

#[tokio::test]
async fn a_fault_of_the_ledger_is_an_error_without_its_cause() {
    let surface = surface(Serving::default()).await;
    let got = ask(surface.address, "GET", "/admin/usage/totals?by=key").await;
    assert_eq!(got.status, 500);
    assert_eq!(got.json(), json!({ "error": "internal_error", "detail": "the ledger cannot be read" }));
    assert_eq!(ask(surface.address, "GET", "/admin/usage/totals?by=provider").await.status, 429);
}

#[tokio::test]
async fn wrong_paths_methods_bodies_and_hosts_are_refused_with_a_way_out() {
    let surface = surface(Serving::default()).await;
    let missing = ask(surface.address, "GET", "/admin/versions").await;
    assert_eq!((missing.status, &missing.json()["error"]), (404, &json!("not_found")));
    for path in ["/admin/version", "/metrics", "/livez"] {
        let wrong = ask(surface.address, "DELETE", path).await;
        assert_eq!((wrong.status, &wrong.json()["error"]), (405, &json!("method_not_allowed")));
        assert!(wrong.head.contains("allow: get, head"), "{}", wrong.head);
    }
    let large = "POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 70000\r\nconnection: close\r\n\r\n";
    assert_eq!(send(surface.address, large).await.status, 413);
    let ask_as = |host: &str, path: &str| format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    for host in ["evil.example", "evil.example:7444", "localhost.evil.example", "127.0.0.1.evil.example"] {
        assert_eq!(send(surface.address, &ask_as(host, "/admin/usage")).await.status, 403, "{host}");
        assert_eq!(send(surface.address, &ask_as(host, "/readyz")).await.status, 200, "{host}");
    }
    for host in ["localhost:7444", "127.0.0.1:7444", "[::1]:7444", "10.0.0.1"] {
        assert_eq!(send(surface.address, &ask_as(host, "/admin/usage")).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn a_connection_that_sends_nothing_is_closed() {
    let serving = Serving { header_timeout: Duration::from_millis(50), ..Serving::default() };
    let surface = surface(serving).await;
    let mut silent = TcpStream::connect(surface.address).await.unwrap();
    let mut slow = TcpStream::connect(surface.address).await.unwrap();
    slow.write_all(b"GET /livez HT").await.unwrap();
    let mut kept = TcpStream::connect(surface.address).await.unwrap();
    kept.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    for stream in [&mut silent, &mut slow, &mut kept] {
        let mut bytes = Vec::new();
        // Closed with or without an answer or a reset: what counts is that it ends.
        let ended = timeout(SOON, stream.read_to_end(&mut bytes)).await;
        assert!(ended.is_ok(), "the connection stays open");
    }
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_for_a_place() {
    let surface = surface(Serving { connections: 1, ..Serving::default() }).await;
    let first = TcpStream::connect(surface.address).await.unwrap();
    // The kernel takes the second connection; the surface does not, while the first is open.
    let waiting = ask(surface.address, "GET", "/livez");
    let mut waiting = std::pin::pin!(waiting);
    assert!(timeout(Duration::from_millis(100), waiting.as_mut()).await.is_err());
    drop(first);
    assert_eq!(timeout(SOON, waiting).await.unwrap().status, 200);
}

#[tokio::test]
async fn shutdown_lets_a_request_finish_and_closes_what_is_idle() {
    let mut surface = surface(Serving::default()).await;
    let (release, held) = oneshot::channel();
    *surface.control.held.lock().unwrap() = Some(held);
    let mut idle = TcpStream::connect(surface.address).await.unwrap();
    assert_eq!(ask(surface.address, "GET", "/livez").await.status, 200);
    let running = ask(surface.address, "GET", "/admin/usage");
    let mut running = std::pin::pin!(running);
    assert!(timeout(Duration::from_millis(100), running.as_mut()).await.is_err());
    surface.stop.take().unwrap().send(()).unwrap();
    let mut rest = Vec::new();
    timeout(SOON, idle.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(TcpStream::connect(surface.address).await.is_err(), "nothing listens any more");
    release.send(()).unwrap();
    assert_eq!(timeout(SOON, running).await.unwrap().status, 200);
    timeout(SOON, surface.done).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let mut surface = surface(Serving { grace: Duration::from_millis(50), ..Serving::default() }).await;
    let (_release, held) = oneshot::channel();
    *surface.control.held.lock().unwrap() = Some(held);
    let running = ask(surface.address, "GET", "/admin/version");
    running.await;
    let mut stuck = TcpStream::connect(surface.address).await.unwrap();
    stuck.write_all(b"GET /admin/usage HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    surface.stop.take().unwrap().send(()).unwrap();
    timeout(SOON, surface.done).await.unwrap().unwrap();
}

#[test]
fn the_lookup_answers_its_paths_and_no_other() {
    let lookup = health::lookup(Arc::new(Played::default()));
    for path in health::PATHS {
        assert_eq!(lookup(path).unwrap().status(), 200, "{path}");
    }
    for path in ["/admin/version", "/", "/healthz/", "/metrics/x"] {
        assert!(lookup(path).is_none(), "{path}");
    }
}
