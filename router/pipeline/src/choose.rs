//! Step 4: which targets are asked, in which order.

mod nearest;

use std::sync::Arc;

use atp_core::{Error, ErrorKind, Exchange, Hints, Operation};
use atp_routing::Order;
use atp_routing::plan;

use crate::live::{Found, Live, Route};

/// How much of a caller's text is repeated in an error.
const SHOWN: usize = 80;
/// How many models are named that may see a label.
const SEERS: usize = 3;

/// The order in which the lanes of `route` are asked.
pub(crate) fn order(route: &Route) -> Order {
    match &route.weights {
        Some(weights) => plan::by_weight(weights, &mut rand::rng()),
        None => plan::as_configured(route.lanes.len()),
    }
}

/// The order, with the lane first that has given a turn.
pub(crate) fn beginning_with(granted: usize, mut order: Order) -> Order {
    let place = order.iter().position(|lane| *lane == granted);
    if let Some(passed) = place.and_then(|place| order.get_mut(..=place)) {
        passed.rotate_right(1);
    }
    order
}

/// What was found, or a refusal that names what could have been asked for.
pub(crate) fn route(found: Option<Found>, live: &Live, exchange: &Exchange) -> Result<Found, Error> {
    found.ok_or_else(|| {
        if exchange.operation == Operation::Raw { no_provider(live, exchange) } else { no_model(live, exchange) }
    })
}

/// Whether `route` may see what the request carries: data with a label goes to those alone that carry it.
///
/// # Errors
///
/// [`ErrorKind::Permission`], naming the header, the label and who may see it.
pub(crate) fn may_see(route: &Route, live: &Live, exchange: &Exchange) -> Result<(), Error> {
    let label = |hints: &Option<Box<Hints>>| hints.as_ref().and_then(|hints| hints.data_scope.clone());
    if exchange.hints.is_none() && exchange.caller.hints.is_none() {
        return Ok(());
    }
    match label(&exchange.hints).or_else(|| label(&exchange.caller.hints)) {
        Some(label) if !route.scopes.contains(&label) => Err(out_of_scope(route, live, exchange, &label)),
        _ => Ok(()),
    }
}

fn out_of_scope(route: &Route, live: &Live, exchange: &Exchange, label: &Arc<str>) -> Error {
    let asked = if exchange.operation == Operation::Raw {
        String::from("calls that go to a provider as they are")
    } else {
        format!("the model `{}`", route.name)
    };
    let able: Vec<String> = live.seers_of(label).take(SEERS).map(|name| format!("`{name}`")).collect();
    let out = if able.is_empty() {
        String::from("no model may; add the label to the `data_scopes` of one")
    } else {
        format!("ask for {}, or add the label to a model's `data_scopes`", able.join(" or "))
    };
    let text = format!("x-atp-data-scope (or the key's `data_scope`) is `{label}`, which {asked} may not see; {out}");
    Error::caller(ErrorKind::Permission, text).with_param("x-atp-data-scope")
}

fn no_model(live: &Live, exchange: &Exchange) -> Error {
    let asked = &*exchange.model;
    let near = nearest::names(asked, live.model_names());
    let hint = hint(&near, "GET /v1/models lists the names");
    let text = format!("the model `{}` does not exist here; {hint}", shown(asked));
    Error::caller(ErrorKind::ModelNotFound, text).with_param("model")
}

fn no_provider(live: &Live, exchange: &Exchange) -> Error {
    let asked = &*exchange.model;
    let near = nearest::names(asked, live.provider_names());
    let hint = hint(&near, "the configuration's `providers` lists the names");
    Error::caller(ErrorKind::NotFound, format!("the provider `{}` does not exist here; {hint}", shown(asked)))
}

fn hint(near: &[&str], otherwise: &str) -> String {
    if near.is_empty() {
        return otherwise.to_owned();
    }
    let quoted: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    format!("did you mean {}? {otherwise}", quoted.join(" or "))
}

/// The beginning of a caller's text, without what could upset a terminal or a log.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
