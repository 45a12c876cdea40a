//! What operators are shown of budgets and challengers.

use atp_routing::budget::{Amount, Budget, Per};

use super::*;

#[test]
fn each_budget_of_an_account_is_a_row() {
    let line = |cost: Option<u64>, tokens: Option<u64>, per: Per, turns_ms: Option<u64>| BudgetLine {
        budget: Budget { cost: cost.map(MicroUsd), tokens, per },
        spent: Amount { cost: MicroUsd(1_250_000), tokens: 700 },
        left_usd_micros: cost.map(|most| most - 1_500_000),
        left_tokens: tokens.map(|most| most - 800),
        turns_ms,
    };
    let view = BudgetView {
        whose: Whose::Key,
        name: Arc::from("app"),
        lines: vec![
            line(Some(5_000_000), None, Per::Day, Some(1_767_225_600_000)),
            line(None, Some(1000), Per::Total, None),
        ],
        reserved: Amount { cost: MicroUsd(250_000), tokens: 100 },
        burn_usd_per_min: 0.5,
        denied_usd: 3,
        denied_tokens: 1,
        spikes: 2,
        used_ms: 0,
    };
    let rows: Vec<Value> = budgets(&view).collect();
    assert_eq!(
        rows[0],
        json!({
            "whose": "key", "name": "app", "per": "day",
            "limit": { "usd": 5.0, "tokens": null }, "spent": { "usd": 1.25, "tokens": 700 },
            "reserved": { "usd": 0.25, "tokens": 100 }, "remaining": { "usd": 3.5, "tokens": null },
            "resets_at": "2026-01-01T00:00:00Z", "burn_usd_per_min": 0.5, "denied": { "usd": 3, "tokens": 1 },
            "spikes": 2,
        })
    );
    assert_eq!((&rows[1]["per"], &rows[1]["resets_at"]), (&json!("total"), &Value::Null));
    assert_eq!(rows[1]["remaining"], json!({ "usd": null, "tokens": 200 }));
}

#[test]
fn challengers_are_summed_over_routes() {
    let standing = |wins: u64, losses: u64| Standing {
        samples: wins + losses,
        wins,
        ties: 0,
        losses,
        win_rate: 0.5,
        low: 0.25,
        high: 0.75,
        p_value: 1.0,
        finding: atp_routing::experiment::Finding::Open,
        spend: MicroUsd(3_000_000),
        spend_today: MicroUsd(500_000),
        champion_cost: MicroUsd(2_000_000),
        challenger_cost: MicroUsd(1_000_000),
    };
    let status = |route: &str, challengers: Vec<(Arc<str>, Standing)>| ExperimentStatus {
        route: Arc::from(route),
        share: 0.05,
        max_per_day: MicroUsd(1_000_000),
        judge: Arc::from("signs"),
        challengers,
    };
    let all = [
        status("auto", vec![("b".into(), standing(3, 1))]),
        status("other", vec![("c".into(), standing(0, 2)), ("b".into(), standing(1, 1))]),
    ];
    let rows = shadow(&all);
    assert_eq!(
        rows[0],
        json!({
            "model": "b", "samples": 6, "wins": 4, "ties": 0, "losses": 2,
            "champion_cost_usd": 4.0, "challenger_cost_usd": 2.0,
        })
    );
    assert_eq!((rows.len(), &rows[1]["model"]), (2, &json!("c")));
    let told = experiment(&all[0]);
    assert_eq!((&told["max_usd_per_day"], &told["challengers"][0]["interval"]), (&json!(1.0), &json!([0.25, 0.75])));
}
