//! The order of the request path, and why each step stands where it stands.
//!
//! This is the table of contents. A new step is a line in [`Step`], a line in `steps` at the same
//! place, and a module of its own: privacy and policy between limit and plan (nothing may be stored
//! or leave before them, and neither a cache's key nor its value may hold personal data).
//!
//! A name that is a model goes through all steps but the plan. A name behind which the router chooses goes
//! through settle, limit and plan once; each model that its plan has asked goes through the rest as if it had
//! been asked by its own name (`plan`).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use atp_core::{Error, Exchange, Payload, Reply, Rope};

use crate::attempt::{self, Begun, Plan, Rescue};
use crate::choose;
use crate::clock;
use crate::limit;
use crate::live::{Found, Live};
use crate::money;
use crate::pipeline::Shared;
use crate::queue;
use crate::settle::{self, Books};

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Opens the books; closes them once, whichever way the exchange ends.
    Settle,
    /// Request rate, then exchanges in flight.
    Limit,
    /// Which models, in which order, where the router chooses.
    Plan,
    /// An answer that was made before, or is being made for an identical request.
    Cache,
    /// What it may cost at most is set aside, or the request is refused.
    Budget,
    /// A fair turn at one of the lanes, or an honest refusal.
    Queue,
    /// Which targets, in which order.
    Choose,
    /// Walks the plan: try, fail over, try again, give up.
    Attempt,
    /// One provider-model pair: the try itself.
    Lane,
}

impl Step {
    /// Every step, in the order in which an exchange meets it.
    pub const ORDER: [Self; 9] = [
        Self::Settle,
        Self::Limit,
        Self::Plan,
        Self::Cache,
        Self::Budget,
        Self::Queue,
        Self::Choose,
        Self::Attempt,
        Self::Lane,
    ];

    /// The step's name, as in log lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::Limit => "limit",
            Self::Plan => "plan",
            Self::Cache => "cache",
            Self::Budget => "budget",
            Self::Queue => "queue",
            Self::Choose => "choose",
            Self::Attempt => "attempt",
            Self::Lane => "lane",
        }
    }

    /// Why it stands where it stands.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Settle => "outermost, so that refusals are counted too",
            Self::Limit => "before any work, because it is the cheapest refusal",
            Self::Plan => "before all that belongs to a model: its answers, its price, its queue",
            Self::Cache => "behind the limits, which count what is asked, and before all that costs anything",
            Self::Budget => {
                "behind the answers that are free, and before the queue: nobody waits for what he cannot pay"
            }
            Self::Queue => "behind every refusal and every answer that costs no provider's time",
            Self::Choose => "as late as possible, so that it sees the targets' health as it is now",
            Self::Attempt => "behind the choice, because it walks the plan that was chosen",
            Self::Lane => "innermost, so that each try, not each exchange, tells about a provider",
        }
    }
}

/// An exchange that goes its way: what it began with.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    /// The configuration that it began with.
    pub(crate) live: Arc<Live>,
    pub(crate) found: Option<Found>,
    /// Set when the caller leaves, where the work goes on without him.
    pub(crate) left: Option<Arc<AtomicBool>>,
}

/// Takes an exchange through all steps but the cache, which has its own way into them where a model has
/// one ([`crate::cache::step`]).
///
/// The exchange is a kilobyte: it stays where it is and is lent to each step, because what an async
/// function owns is copied into its state, and again into that of the next.
pub(crate) async fn run(call: Call, exchange: &mut Exchange) -> Reply {
    let mut books = settle::open(call.shared, exchange, call.left);
    match admit(&mut books, &call.live, exchange) {
        Ok(()) => serve(books, &call.live, call.found, exchange).await,
        Err(error) => books.refuse(error),
    }
}

/// The steps in front of the cache.
pub(crate) fn admit(books: &mut Books, live: &Live, exchange: &Exchange) -> Result<(), Error> {
    books.enter(Step::Limit);
    books.hold(limit::admit(live, &exchange.caller, &books.shared.metrics.permits)?);
    Ok(())
}

/// The steps behind the cache.
pub(crate) async fn serve(mut books: Books, live: &Arc<Live>, found: Option<Found>, exchange: &mut Exchange) -> Reply {
    match steps(&mut books, live, found, exchange).await {
        Ok((begun, rescue)) => books.answer(begun.opening, begun.now, rescue),
        Err(error) => books.refuse(error),
    }
}

/// The steps of one model, from its budget on.
pub(crate) async fn steps(
    books: &mut Books,
    live: &Arc<Live>,
    found: Option<Found>,
    exchange: &mut Exchange,
) -> Result<(Begun, Option<Box<Rescue>>), Error> {
    // A name that leads nowhere waits for nothing.
    let Found { route, star } = choose::route(found, live, exchange)?;
    choose::may_see(&route, live, exchange)?;
    let route = route.named(&exchange.model, star.as_ref());
    books.route = Some(Arc::clone(&route));
    let wished = choose::order(&route);

    books.enter(Step::Budget);
    money::reserve(books, &route, star.as_ref(), live, exchange)?;

    books.enter(Step::Queue);
    let now = clock::now();
    let bounds = queue::Bounds::new(&route, star.as_ref(), exchange, now);
    let granted = queue::turn(books, &route, live, exchange, &wished, bounds, now).await?;

    books.enter(Step::Choose);
    let order = choose::beginning_with(granted, wished);

    books.enter(Step::Attempt);
    let payload = std::mem::replace(&mut exchange.payload, Payload::Rope(Rope::new()));
    let plan = Plan { exchange, route: &route, star: star.as_ref(), retries: &live.retries, order, bounds };
    // Each try of the plan enters `Step::Lane`.
    let mut begun = attempt::run(books, plan, payload, now).await?;
    let rescue = begun.left.take().map(|left| Box::new(Rescue::new(exchange, live, &route, star, *left)));
    Ok((begun, rescue))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_one_of_the_table() {
        let names: Vec<&str> = Step::ORDER.into_iter().map(Step::name).collect();
        assert_eq!(names, ["settle", "limit", "plan", "cache", "budget", "queue", "choose", "attempt", "lane"]);
        assert!(Step::ORDER.is_sorted(), "the enum's own order is the path's");
        assert!(Step::ORDER.into_iter().all(|step| !step.reason().is_empty()));
    }
}
