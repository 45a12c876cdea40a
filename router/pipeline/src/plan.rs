//! Step 3: which models answer, in which order, where a name leaves that to the router.
//!
//! A *route* is such a name: `auto`, or one that is configured, also with a quality (`auto:high`). Its
//! [`choice::Choice`] holds what it knows, and decides ([`decide`]) by the freshest picture there is without
//! waiting. The plan is then walked ([`walk`]): each candidate is a [`leg`] with books of its own, and goes
//! through cache, budget, queue, choose, attempt and lane as if it had been asked by its own name. Settle and
//! limit are passed once. When the exchange ends, the route learns ([`learn`]); what is told later is learnt by
//! the exchange's id ([`observe`]).
//!
//! Names of models never come here, and pay nothing for it.

mod arbiter;
mod choice;
mod chosen;
mod decide;
mod ensemble;
mod errand;
mod judge;
mod knowledge;
pub(crate) mod known;
mod learn;
mod leg;
mod line;
pub(crate) mod lives;
mod log;
mod memory;
mod observe;
mod shadow;
mod signs;
mod view;
mod walk;

use std::sync::Arc;

use atp_core::port::BoxFuture;
use atp_core::{Error, Exchange, Plan, Quality, Reply};
use tracing::Instrument;

pub(crate) use self::choice::{Arm, Choice};
pub(crate) use self::chosen::Chosen;
pub(crate) use self::decide::{QUALITIES, patience};
pub use self::knowledge::Knowledge;
pub(crate) use self::learn::{Ended, ended};
use self::leg::Leg;
pub(crate) use self::log::Diary;
pub(crate) use self::memory::Memory;
pub(crate) use self::observe::observe;
pub(crate) use self::view::{arms, clusters, experiments, models};
pub(crate) use self::walk::Reason;
use self::walk::Walk;
use crate::choose;
use crate::clock;
use crate::live::Live;
use crate::pipeline::Shared;
use crate::settle;
use crate::snapshot::Manner;
use crate::stack::{self, Call, Step};

/// A route, and the quality that its name was asked for with.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) choice: Arc<Choice>,
    pub(crate) quality: Option<Quality>,
}

/// Takes an exchange that asks for a route through all steps.
pub(crate) fn call(call: Call, asked: Asked, exchange: Exchange) -> BoxFuture<'static, Reply> {
    let span = tracing::debug_span!("ask", request_id = %exchange.id, route = &*exchange.model);
    Box::pin(run(call, asked, exchange).instrument(span))
}

async fn run(call: Call, asked: Asked, mut exchange: Exchange) -> Reply {
    let Call { shared, live, left, .. } = call;
    exchange.patience = patience(&exchange).or(exchange.patience);
    let books = settle::open(Arc::clone(&shared), &exchange, left.clone());
    // Books and exchange are large: they stay where they are from here on.
    let mut own = Box::new(Leg { arm: 0, books, began: exchange.received, exchange, broke: None });
    if let Err(error) = stack::admit(&mut own.books, &live, &own.exchange) {
        return own.books.refuse(error);
    }
    own.books.enter(Step::Plan);
    let now = clock::now();
    own.began = now;
    let basis = match decide::decide(&shared, &live, &asked, &own.exchange, now) {
        Ok(basis) => Arc::new(basis),
        Err(error) => return own.books.refuse(error),
    };
    shared.memory.keep(&basis, clock::unix_ms(now));
    let mut chosen = Box::new(Chosen::new(Arc::clone(&basis), now));
    let challenge = shadow::draw(&shared, &live, &asked.choice, &basis, &own.exchange, now);
    chosen.events.extend(challenge.as_ref().map(shadow::Challenge::event));
    own.books.chosen = Some(chosen);
    let choice = Arc::clone(&asked.choice);
    let walk = Walk::new(shared, live, asked.choice, basis, &own.exchange, now).left_by(left);
    let reply = match &choice.rules.manner {
        Manner::One(_) => walk.go(own).await,
        Manner::Several(rules) => Box::pin(ensemble::go(walk, rules, own)).await,
    };
    match challenge {
        Some(challenge) => challenge.listen(reply),
        None => reply,
    }
}

/// The plan that an exchange would get, which leaves no trace.
///
/// # Errors
///
/// As [`atp_core::port::Gateway::plan`].
pub(crate) fn would(shared: &Shared, live: &Live, asked: &Asked, exchange: &Exchange) -> Result<Arc<Plan>, Error> {
    decide::would(shared, live, asked, exchange, clock::now())
}

/// The plan of a name that is a model: it alone may answer.
///
/// # Errors
///
/// As [`atp_core::port::Gateway::plan`].
pub(crate) fn only(shared: &Shared, live: &Live, exchange: &Exchange) -> Result<Arc<Plan>, Error> {
    let found = choose::route(live.find(exchange), live, exchange)?;
    choose::may_see(&found.route, live, exchange)?;
    let route = found.route.known_as(&exchange.model, found.star.as_ref());
    Ok(Arc::new(decide::only(shared, &route, exchange, clock::now())))
}
