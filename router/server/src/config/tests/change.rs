//! What a reload is said to have changed, and what a dump shows.

use super::*;

const KEYED: &str = r#"listen: 127.0.0.1:7443
providers:
  up: { kind: openai, base_url: "http://127.0.0.1:9100/v1", api_key: "first-secret", headers: { x-a: header-secret } }
  sim: { kind: simulated, simulated: { seed: 1 } }
models:
  m: { targets: [ { provider: up } ], prices: { input: 1, output: 2 } }
  n: { targets: [ { provider: sim, model: sim-fast } ] }
keys: [ { name: app, key: key-secret-of-the-app } ]
"#;

fn changes(edit: impl Fn(&str) -> String) -> Vec<String> {
    Resolved::describe_changes(&good(KEYED), &good(&edit(KEYED)))
}

#[test]
fn the_same_file_changes_nothing() {
    assert_eq!(changes(str::to_owned), Vec::<String>::new());
    assert_eq!(Resolved::needs_restart(&good(KEYED), &good(KEYED)), Vec::<&str>::new());
}

#[test]
fn each_change_is_one_line_in_the_words_of_the_file() {
    let lines = changes(|text| {
        text.replace("prices: { input: 1, output: 2 }", "prices: { input: 1, output: 3 }, on_disconnect: complete")
            .replace("keys:", "limits: { max_body: 1MiB }\nlogs: { level: debug }\nkeys:")
    });
    assert_eq!(
        lines,
        [
            "limits.max_body: 67108864 -> 1048576",
            "logs.level: \"info\" -> \"debug\"",
            "models.m.on_disconnect: \"cancel\" -> \"complete\"",
            "models.m.targets[0].prices.output: 2 -> 3",
        ]
    );
}

#[test]
fn of_a_secret_only_that_it_changed() {
    let lines = changes(|text| {
        text.replace("first-secret", "second-secret")
            .replace("header-secret", "other")
            .replace("key-secret", "new-secret")
    });
    assert_eq!(lines, ["keys.app.key: changed", "providers.up.api_key: changed", "providers.up.headers.x-a: changed"]);
    let lines = changes(|text| text.replace(", api_key: \"first-secret\"", ""));
    assert_eq!(lines, ["providers.up.api_key: removed"]);
    let lines = changes(|text| text.replace("seed: 1", "seed: 2"));
    assert_eq!(lines, ["providers.sim.seed: 1 -> 2", "providers.sim.settings: changed"]);
}

#[test]
fn what_comes_and_goes_is_named() {
    let lines = changes(|text| text.replace("  n: {", "  o: {"));
    assert_eq!(lines, ["models.n: removed", "models.o: added"]);
    let lines = changes(|text| {
        let (head, n) = text.split_once("  n:").unwrap();
        let (n, tail) = n.split_once('\n').unwrap();
        let (head, m) = head.split_once("  m:").unwrap();
        format!("{head}  n:{n}\n  m:{m}{tail}")
    });
    assert_eq!(lines, ["models: order changed"]);
    let lines = changes(|text| text.replace("keys: [ { name: app, key: key-secret-of-the-app } ]", ""));
    assert_eq!(lines, ["keys.app: removed"]);
    let lines = changes(|text| text.replace("{ provider: up }", "{ provider: up }, { provider: sim }"));
    assert_eq!(lines, ["models.m.targets[1]: added"]);
}

#[test]
fn what_is_used_at_start_waits_for_a_restart() {
    let new = KEYED.replace(
        "listen: 127.0.0.1:7443",
        "listen: 127.0.0.1:7445\nworkers: 7\nledger: { queue: 99 }\ndrain: { grace: 1s }",
    );
    assert_eq!(Resolved::needs_restart(&good(KEYED), &good(&new)), ["listen", "workers", "ledger.queue"]);
}

#[test]
fn a_dump_shows_every_field_and_no_secret() {
    let resolved = good(KEYED);
    let dump = resolved.redacted_json();
    assert_eq!(dump["providers"][0]["api_key"], "***");
    assert_eq!(dump["providers"][0]["headers"]["x-a"], "***");
    assert_eq!(dump["keys"][0]["key"], "***");
    assert_eq!(dump["models"][0]["name"], "m");
    for shown in [dump.to_string(), format!("{resolved:?}")] {
        for secret in ["first-secret", "header-secret", "key-secret"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
