//! Choosing and money as JSON: arms, models, kinds of work, budgets, challengers, lives.
//!
//! Money is in dollars, shares and qualities are from 0 to 1, what is not known is `null`.

use std::sync::Arc;

use atp_admin::ChoicePart;
use atp_core::{Error, ErrorKind, MicroUsd, Status};
use atp_pipeline::snapshot::Whose;
use atp_pipeline::view::ExperimentStatus;
use atp_pipeline::{BudgetLine, BudgetView, Pipeline};
use atp_routing::experiment::Standing;
use atp_routing::lifecycle;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::nearest;

/// The part that is asked for.
pub(super) fn part(pipeline: &Pipeline, part: ChoicePart) -> Value {
    match part {
        ChoicePart::Arms => json!({ "arms": pipeline.arms() }),
        ChoicePart::ModelStatus => json!({ "models": pipeline.model_status() }),
        ChoicePart::ClusterStats => json!({ "clusters": pipeline.cluster_stats() }),
        ChoicePart::Experiments => {
            json!({ "experiments": pipeline.experiments().iter().map(experiment).collect::<Vec<_>>() })
        }
        ChoicePart::ShadowStats => json!({ "shadow": shadow(&pipeline.experiments()) }),
        ChoicePart::Lifecycle => json!({ "models": pipeline.lifecycle().iter().map(life).collect::<Vec<_>>() }),
        ChoicePart::Budgets => json!({ "budgets": pipeline.budgets().iter().flat_map(budgets).collect::<Vec<_>>() }),
    }
}

/// Keeps a model at a status, or lets evidence decide on it again.
pub(super) fn pin(pipeline: &Pipeline, model: &str, status: Option<Status>) -> Result<Value, Error> {
    let done = match status {
        Some(status) => pipeline.pin(model, status),
        None => pipeline.unpin(model),
    };
    let lives = pipeline.lifecycle();
    if done {
        tracing::info!(model, status = status.map(Status::label), "a model was pinned or unpinned on the admin port");
        return Ok(lives.iter().find(|life| *life.model == *model).map(life).unwrap_or_default());
    }
    if lives.iter().any(|life| *life.model == *model) {
        let text = format!("the model `{model}` is not pinned, so it cannot be unpinned");
        return Err(Error::caller(ErrorKind::NotFound, text).with_param("model"));
    }
    let names: Vec<&str> = lives.iter().map(|life| &*life.model).collect();
    let near = nearest(model, names.iter().copied());
    let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let text = format!("no route may choose a model `{model}`; they may choose {}{near}", names.join(", "));
    Err(Error::caller(ErrorKind::NotFound, text).with_param("model"))
}

fn experiment(of: &ExperimentStatus) -> Value {
    let challenger = |(model, standing): &(Arc<str>, Standing)| trial(model, standing);
    json!({
        "route": &*of.route,
        "share": of.share,
        "max_usd_per_day": of.max_per_day.as_usd(),
        "judge": &*of.judge,
        "challengers": of.challengers.iter().map(challenger).collect::<Vec<_>>(),
    })
}

fn trial(model: &str, of: &Standing) -> Value {
    json!({
        "model": model,
        "samples": of.samples,
        "wins": of.wins,
        "ties": of.ties,
        "losses": of.losses,
        "win_rate": of.win_rate,
        "interval": [of.low, of.high],
        "p_value": of.p_value,
        "finding": of.finding,
        "spend_usd": of.spend.as_usd(),
        "spend_today_usd": of.spend_today.as_usd(),
        "champion_cost_usd": of.champion_cost.as_usd(),
        "challenger_cost_usd": of.challenger_cost.as_usd(),
    })
}

/// What challengers did, by model over all routes, in the order in which they were first asked.
fn shadow(experiments: &[ExperimentStatus]) -> Vec<Value> {
    let mut sums: Vec<(&str, [u64; 6])> = Vec::new();
    for (model, of) in experiments.iter().flat_map(|each| &each.challengers) {
        let told = [of.samples, of.wins, of.ties, of.losses, of.champion_cost.0, of.challenger_cost.0];
        match sums.iter_mut().find(|(known, _)| *known == &**model) {
            Some((_, sum)) => sum.iter_mut().zip(told).for_each(|(sum, more)| *sum = sum.saturating_add(more)),
            None => sums.push((model, told)),
        }
    }
    let row = |(model, [samples, wins, ties, losses, champion, challenger]): (&str, [u64; 6])| {
        json!({
            "model": model,
            "samples": samples,
            "wins": wins,
            "ties": ties,
            "losses": losses,
            "champion_cost_usd": MicroUsd(champion).as_usd(),
            "challenger_cost_usd": MicroUsd(challenger).as_usd(),
        })
    };
    sums.into_iter().map(row).collect()
}

fn life(of: &lifecycle::Standing) -> Value {
    let (cheaper, no_worse) = of.p_values;
    json!({
        "model": &*of.model,
        "status": of.status,
        "configured": of.configured,
        "pinned": of.pinned,
        "calls": of.calls,
        "cost_ratio": of.cost_ratio,
        "quality_gap": of.quality_gap,
        "p_values": { "not_cheaper": cheaper, "worse": no_worse },
        "flipped_at": of.flipped_ms.and_then(time),
    })
}

/// One row for each budget of an account.
fn budgets(account: &BudgetView) -> impl Iterator<Item = Value> + '_ {
    account.lines.iter().map(|line| budget(account, line))
}

fn budget(account: &BudgetView, line: &BudgetLine) -> Value {
    let whose = match account.whose {
        Whose::Key => "key",
        Whose::Tenant => "tenant",
        Whose::Session => "session",
    };
    json!({
        "whose": whose,
        "name": &*account.name,
        "per": line.budget.per.label(),
        "limit": { "usd": line.budget.cost.map(MicroUsd::as_usd), "tokens": line.budget.tokens },
        "spent": { "usd": line.spent.cost.as_usd(), "tokens": line.spent.tokens },
        "reserved": { "usd": account.reserved.cost.as_usd(), "tokens": account.reserved.tokens },
        "remaining": {
            "usd": line.left_usd_micros.map(|left| MicroUsd(left).as_usd()),
            "tokens": line.left_tokens,
        },
        "resets_at": line.turns_ms.and_then(time),
        "burn_usd_per_min": account.burn_usd_per_min,
        "denied": { "usd": account.denied_usd, "tokens": account.denied_tokens },
        "spikes": account.spikes,
    })
}

/// A moment as RFC 3339 writes it.
fn time(unix_ms: u64) -> Option<String> {
    let moment = Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
    Some(moment.to_string())
}

#[cfg(test)]
mod tests;
