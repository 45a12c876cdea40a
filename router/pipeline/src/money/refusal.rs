//! How a refusal for money is told: whose budget, how large, what is spent and held of it, and when it turns.

use std::time::Duration;

use atp_core::{Error, ErrorKind, MicroUsd, Retry};
use atp_routing::budget::{Denied, Short, Shortage};

use super::cell::{Cell, Cells};

/// The refusal of an exchange; `whole` is the ceiling of all models that it asks, where it may ask several.
pub(super) fn refusal(denied: &Denied, cells: &Cells, whole: Option<MicroUsd>, now_ms: u64) -> Error {
    match denied {
        Denied::Cap { cap, needed } if whole.is_some_and(|whole| whole > *cap) => {
            over_share(*cap, whole.unwrap_or_default(), *needed)
        }
        Denied::Cap { cap, needed } => over_cap(*cap, *needed),
        Denied::Account { place, shortage, needed } => {
            let needed = match shortage.of {
                Short::Cost => dollars(needed.cost),
                Short::Tokens => format!("{} tokens", needed.tokens),
            };
            let whose = cells.get(*place).map_or_else(|| String::from("the account"), |cell| owner(cell));
            over_budget(&whose, shortage, &needed, now_ms)
        }
    }
}

/// The refusal of one whose own ceiling is too low.
fn over_cap(cap: MicroUsd, needed: MicroUsd) -> Error {
    let text = format!(
        "the request may cost {} at most and is estimated to cost up to {}; raise the ceiling, shorten the prompt, \
         or lower `max_tokens`",
        dollars(cap),
        dollars(needed)
    );
    Error::caller(ErrorKind::BudgetDenied, text).with_param("max_cost_usd")
}

/// The refusal of a model for which others of the same exchange leave too little.
fn over_share(left: MicroUsd, whole: MicroUsd, needed: MicroUsd) -> Error {
    let text = format!(
        "the request may cost {} at most, of which the other models that it asks leave {}, and this one is estimated \
         to cost up to {}; raise the ceiling, shorten the prompt, or lower `max_tokens`",
        dollars(whole),
        dollars(left),
        dollars(needed)
    );
    Error::caller(ErrorKind::BudgetDenied, text).with_param("max_cost_usd")
}

/// The refusal of one that names a ceiling where no cost is known.
pub(super) fn unpriced(model: &str, cap: MicroUsd) -> Error {
    let text = format!(
        "the request may cost {} at most, but the model `{model}` has no price, so that this cannot be kept; set \
         `prices` for the model, or leave the ceiling out",
        dollars(cap)
    );
    Error::caller(ErrorKind::BudgetDenied, text).with_param("max_cost_usd")
}

fn over_budget(whose: &str, shortage: &Shortage, needed: &str, now_ms: u64) -> Error {
    let Shortage { line, reserved, of } = shortage;
    let (limit, spent, held) = match of {
        Short::Cost => {
            (dollars(line.budget.cost.unwrap_or_default()), dollars(line.spent.cost), dollars(reserved.cost))
        }
        Short::Tokens => (
            format!("{} tokens", line.budget.tokens.unwrap_or_default()),
            line.spent.tokens.to_string(),
            reserved.tokens.to_string(),
        ),
    };
    let pause = line.turns_ms().map(|turns| Duration::from_millis(turns.saturating_sub(now_ms).max(1)));
    let when = match pause {
        Some(pause) => format!("it turns in {} s", pause.as_millis().div_ceil(1_000)),
        None => String::from("it does not turn"),
    };
    let text = format!(
        "the budget of {whose} is {limit} per {}, of which {spent} are spent and {held} are held for requests under \
         way; this request takes up to {needed}; {when}",
        line.budget.per.label()
    );
    let error = Error::caller(ErrorKind::BudgetDenied, text);
    match pause {
        Some(pause) => error.with_retry(Retry::After(pause)),
        None => error,
    }
}

fn owner(cell: &Cell) -> String {
    format!("the {} `{}`", cell.whose.label(), cell.name)
}

fn dollars(cost: MicroUsd) -> String {
    format!("{cost} USD")
}
