//! The fleet by its own calls: who is taken up, who is asked, who is forgotten.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use atp_adapters::remote::client::Remote;
use atp_proto::adapter::v1::{CapabilitiesResponse, HealthResponse, HealthStatus, RegisterRequest};
use tonic::Code;

use super::*;
use crate::config::load_str;

const FILE: &str = "providers: { own: { kind: simulated }, pool: { kind: grpc } }\n\
    models: { m: { targets: [ { provider: own, model: sim-fast } ] } }\n\
    adapters: { report_every: 1s, silence: 10s }\n";

fn config(text: &str) -> Resolved {
    let env = std::collections::BTreeMap::<String, String>::new();
    load_str(text, Path::new("t.yaml"), &env, &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn fleet() -> (Fleet, Arc<Remote>) {
    let config = config(FILE);
    let fleet = Fleet::offline(&config).unwrap();
    let pool = config.providers.iter().find(|provider| &*provider.name == "pool").unwrap();
    let crate::config::resolved::ProviderKind::Grpc(grpc) = &pool.kind else { panic!("{pool:?}") };
    let remote = fleet.provider(&pool.name, grpc).unwrap();
    (fleet, remote)
}

fn asking(name: &str, id: &str, port: u16, models: &[&str]) -> RegisterRequest {
    let capabilities = CapabilitiesResponse {
        adapter_id: id.to_owned(),
        models: models.iter().map(ToString::to_string).collect(),
        ..CapabilitiesResponse::default()
    };
    RegisterRequest { name: name.to_owned(), endpoint: format!("127.0.0.1:{port}"), capabilities: Some(capabilities) }
}

fn places(remote: &Remote) -> Vec<String> {
    remote.endpoints().iter().map(|endpoint| endpoint.place().to_string()).collect()
}

fn health(status: HealthStatus) -> HealthResponse {
    HealthResponse { status: status as i32, ..HealthResponse::default() }
}

#[tokio::test(start_paused = true)]
async fn who_registers_is_asked_and_who_leaves_is_not() {
    let (fleet, remote) = fleet();
    assert!(places(&remote).is_empty() && fleet.registered().is_empty());
    let first = fleet.register(asking("pool", "a", 1, &["x"])).unwrap();
    fleet.register(asking("pool", "b", 2, &["x", "y"])).unwrap();
    assert_eq!(places(&remote), ["http://127.0.0.1:1", "http://127.0.0.1:2"]);
    let known = Registered { name: "pool".to_owned(), models: vec!["x".to_owned(), "y".to_owned()], any_model: false };
    assert_eq!(fleet.registered(), [known]);
    fleet.leave(&first);
    assert_eq!(places(&remote), ["http://127.0.0.1:2"]);
    assert_eq!(fleet.report(&first, health(HealthStatus::Healthy)).unwrap_err().code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn one_of_the_same_id_takes_the_place_of_the_former() {
    let (fleet, remote) = fleet();
    let former = fleet.register(asking("pool", "a", 1, &["x"])).unwrap();
    fleet.register(asking("pool", "a", 2, &["x"])).unwrap();
    assert_eq!(places(&remote), ["http://127.0.0.1:2"]);
    fleet.leave(&former);
    assert_eq!(places(&remote), ["http://127.0.0.1:2"], "the former's word counts for nothing any more");
}

#[tokio::test(start_paused = true)]
async fn the_silent_are_forgotten_and_their_models_after_them() {
    let (fleet, remote) = fleet();
    let lease = fleet.register(asking("pool", "a", 1, &[])).unwrap();
    fleet.register(asking("pool", "b", 2, &["x"])).unwrap();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(4)).await;
        fleet.report(&lease, health(HealthStatus::Healthy)).unwrap();
        fleet.sweep();
    }
    assert_eq!(places(&remote), ["http://127.0.0.1:1"]);
    tokio::time::advance(Duration::from_secs(11)).await;
    fleet.sweep();
    assert!(places(&remote).is_empty());
    assert!(fleet.registered()[0].any_model, "out of order for a while, not unknown");
    tokio::time::advance(Duration::from_secs(11)).await;
    fleet.sweep();
    assert!(fleet.registered().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_says_that_it_drains_is_given_nothing_new() {
    let (fleet, remote) = fleet();
    let lease = fleet.register(asking("pool", "a", 1, &["x"])).unwrap();
    fleet.report(&lease, health(HealthStatus::Draining)).unwrap();
    assert!(places(&remote).is_empty());
    fleet.report(&lease, health(HealthStatus::Healthy)).unwrap();
    assert_eq!(places(&remote).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_stand_in_a_configuration_is_refused() {
    let (fleet, _remote) = fleet();
    let cases = [
        (asking("no label", "a", 1, &["x"]), Code::InvalidArgument, "`name`"),
        (asking("pool", "", 1, &["x"]), Code::InvalidArgument, "adapter_id"),
        (asking("pool", "a", 1, &["x *"]), Code::InvalidArgument, "models"),
        (asking("own", "a", 1, &["x"]), Code::AlreadyExists, "another kind"),
        (
            RegisterRequest { endpoint: "ftp://a".to_owned(), ..asking("pool", "a", 1, &["x"]) },
            Code::InvalidArgument,
            "endpoint",
        ),
    ];
    for (request, code, named) in cases {
        let refused = fleet.register(request).unwrap_err();
        assert_eq!(refused.code(), code);
        assert!(refused.message().contains(named), "{refused}");
    }
}

#[test]
fn only_who_may_is_taken_up() {
    let terms = |more: &str| Terms::of(&config(&format!("{FILE}{more}")));
    assert!(terms("").admit(None).is_ok(), "this machine alone is served");
    let keys = "keys: [ { name: a, key: aaaaaaaaaaaaaaaaaaaa } ]\n";
    assert_eq!(terms(keys).admit(None).unwrap_err().code(), Code::PermissionDenied);
    let token = FILE.replace("silence: 10s", "silence: 10s, token: secret");
    let terms = Terms::of(&config(&format!("{token}{keys}")));
    assert_eq!(terms.admit(None).unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(terms.admit(Some("wrong")).unwrap_err().code(), Code::Unauthenticated);
    assert!(terms.admit(Some("secret")).is_ok());
}

#[test]
fn what_is_written_down_wins_over_who_registers() {
    let registered = |name: &str| Registered {
        name: name.to_owned(),
        models: vec!["m".to_owned(), "n".to_owned()],
        any_model: false,
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("atp.yaml");
    std::fs::write(&file, FILE).unwrap();
    let env = std::collections::BTreeMap::<String, String>::new();
    let all = [registered("own"), registered("pool"), registered("new")];
    let config = crate::config::load_file(&file, &env, &[], &all).unwrap_or_else(|errors| panic!("{errors}"));
    let names: Vec<_> = config.models.iter().map(|model| model.name.as_text().into_owned()).collect();
    assert_eq!(names, ["m", "pool/m", "pool/n", "n", "new/m", "new/n"]);
    let providers: Vec<_> = config.providers.iter().map(|provider| (&*provider.name, provider.kind.label())).collect();
    assert_eq!(providers, [("own", "simulated"), ("pool", "grpc"), ("new", "grpc")]);
    assert_eq!(&*config.models[0].targets[0].provider, "own");
}
