//! What may be spent, and where choices are written down.

use std::path::Path;
use std::time::Duration;

use atp_core::MicroUsd;

use super::*;
use crate::config::resolved::{Budget, JournalSettings, Per};

const SIM: &str =
    "providers: { sim: { kind: simulated } }\nmodels: { m: { targets: [ { provider: sim, model: sim-fast } ] } }\n";

fn budget(micros: Option<u64>, tokens: Option<u64>, per: Per) -> Budget {
    Budget { cost: micros.map(MicroUsd), tokens, per }
}

#[test]
fn a_budget_is_one_or_a_list() {
    let resolved = good(&format!(
        "{SIM}keys:\n  - {{ name: a, key: aaaaaaaaaaaaaaaaaaaa, budget: {{ usd: 5.0, tokens: 1000000, per: month }}, \
         max_cost_usd: 0.5 }}\n  - name: b\n    key: bbbbbbbbbbbbbbbbbbbb\n    budget:\n      - {{ usd: 0.1 }}\n      - \
         {{ tokens: 7, per: minute }}\n  - {{ name: c, key: cccccccccccccccccccc }}\nlimits: {{ session_budget: {{ \
         tokens: 9, per: total }} }}\ntenants: {{ a: {{ budget: [ {{ usd: 3, per: hour }} ] }}, c: {{ weight: 2.5 }} }}\n"
    ));
    let purses: Vec<_> = resolved.keys.iter().map(|key| key.purse.clone()).collect();
    assert_eq!(purses[0].budgets, [budget(Some(5_000_000), Some(1_000_000), Per::Month)]);
    assert_eq!((purses[0].request, purses[1].request), (Some(MicroUsd(500_000)), None));
    assert_eq!(purses[1].budgets, [budget(Some(100_000), None, Per::Day), budget(None, Some(7), Per::Minute)]);
    assert_eq!(purses[2], <_>::default());
    assert_eq!(resolved.money.session, [budget(None, Some(9), Per::Total)]);
    assert_eq!(resolved.money.tenants, [("a".into(), vec![budget(Some(3_000_000), None, Per::Hour)])]);
    let weights: Vec<(&str, f64)> =
        resolved.tenants.iter().map(|tenant| (&*tenant.name, tenant.weight.as_f64())).collect();
    assert_eq!(weights, [("a", 1.0), ("b", 1.0), ("c", 2.5)]);
}

#[test]
fn without_keys_the_tenant_is_anonymous() {
    let resolved = good(&format!("{SIM}tenants: {{ anonymous: {{ budget: {{ usd: 1 }} }} }}\n"));
    assert_eq!(resolved.money.tenants, [("anonymous".into(), vec![budget(Some(1_000_000), None, Per::Day)])]);
    let errors = bad(&format!("{SIM}tenants: {{ annonymous: {{ budget: {{ usd: 1 }} }} }}\n"));
    assert_eq!((errors[0].code, errors[0].nearest.as_deref()), (Code::UnknownReference, Some("anonymous")));
}

#[test]
fn a_key_that_is_wrong_does_not_make_its_tenant_unknown() {
    let errors =
        bad(&format!("{SIM}keys: [ {{ name: a, key: [ ] }} ]\ntenants: {{ a: {{ budget: {{ usd: 1 }} }} }}\n"));
    assert_eq!(errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), ["keys[0].key"]);
}

#[test]
fn budgets_without_books_are_warned_of() {
    let text = format!(
        "{SIM}keys: [ {{ name: a, key: aaaaaaaaaaaaaaaaaaaa, budget: {{ usd: 5 }} }} ]\nledger: {{ enabled: false }}\n"
    );
    let warned = |text: &str| good(text).warnings.iter().any(|line| line.contains("begin anew with each start"));
    assert!(warned(&text) && !warned(&text.replace("{ usd: 5 }", "{ usd: 5, per: minute }")));
    assert!(!warned(&text.replace("enabled: false", "enabled: true")));
}

#[test]
fn choices_are_written_down_where_the_file_says() {
    let resolved = good(SIM);
    let usual = |path: &str, keep: Option<Duration>| JournalSettings {
        enabled: true,
        path: path.into(),
        max_file: 100 << 20,
        keep,
    };
    let days = |days: u64| Some(Duration::from_secs(days * 24 * 3600));
    assert_eq!(resolved.decisions, usual("./data/decisions", days(14)));
    assert_eq!(resolved.observations, usual("./data/observations", None));
    let text = format!(
        "{SIM}decisions: {{ path: /var/lib/atp/why, max_file: 1MiB, keep: 30d }}\nobservations: {{ enabled: false }}\n"
    );
    let resolved = good(&text);
    let settings = JournalSettings { max_file: 1 << 20, ..usual("/var/lib/atp/why", days(30)) };
    assert_eq!((resolved.decisions.clone(), resolved.observations.enabled), (settings, false));
    let moved = load_with(&text, &env(&[("ROUTER_DATA_DIR", "/tmp/data")])).unwrap();
    assert_eq!(moved.decisions.path, Path::new("/tmp/data/why"));
    assert_eq!(moved.observations.path, Path::new("/tmp/data/observations"));
    assert_eq!(
        Resolved::needs_restart(&good(SIM), &resolved),
        ["decisions.path", "decisions.max_file", "decisions.keep", "observations.enabled"]
    );
}

#[test]
fn each_change_of_a_budget_is_one_line_of_a_reload() {
    let text = format!(
        "{SIM}keys: [ {{ name: a, key: aaaaaaaaaaaaaaaaaaaa, budget: {{ usd: 5.0, per: day }} }} ]\n\
         tenants: {{ a: {{ budget: {{ usd: 9 }} }} }}\nlimits: {{ session_budget: {{ tokens: 9 }} }}\n"
    );
    let changed = text.replace("usd: 5.0", "usd: 6.5").replace("usd: 9", "usd: 8").replace("tokens: 9", "tokens: 10");
    let lines = Resolved::describe_changes(&good(&text), &good(&changed));
    assert_eq!(
        lines,
        [
            "keys.a.budget[0].usd: 5.0 -> 6.5",
            "limits.session_budget[0].tokens: 9 -> 10",
            "tenants.a.budget[0].usd: 9.0 -> 8.0",
        ]
    );
    assert_eq!(Resolved::needs_restart(&good(&text), &good(&changed)), Vec::<&str>::new());
}
