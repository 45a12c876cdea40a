//! Two candidates beside each other: the one that is late, and the next one. Who begins first is kept.
//!
//! Their futures borrow the legs, so that a leg that is dropped in the middle can still be asked what it has
//! cost, and so that the exchange's own books outlive whichever try they were with.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use atp_core::{Error, Exchange};

use super::{Walk, nowhere};
use crate::attempt;
use crate::clock;
use crate::live::Route;
use crate::plan::learn::{self, Short};
use crate::plan::leg::{Came, Leg};
use crate::plan::walk::Reason;
use crate::settle::Books;

/// Who of two came to an end first.
enum First {
    One(Result<Came, Error>),
    Other(Result<Came, Error>),
}

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Came, Error>> + Send + 'a>>;

impl Walk {
    /// Asks a candidate, and where it is late the next one beside it: the leg that is the exchange's now, and
    /// what came of it.
    pub(super) async fn race(&mut self, mut one: Box<Leg>) -> (Box<Leg>, Result<Came, Error>) {
        let Some(route) = self.route(one.arm) else { return (one, Err(nowhere())) };
        match self.hurry_at.filter(|_| self.has_next()) {
            None => {
                let result = one.ask(&self.live, &route).await;
                (one, result)
            }
            // Rare and large: what every chosen answer waits in has no room for it.
            Some(at) => Box::pin(self.hurried(one, &route, at)).await,
        }
    }

    /// The same where the candidate counts as late from `at` on.
    async fn hurried(&mut self, mut one: Box<Leg>, route: &Arc<Route>, at: Instant) -> (Box<Leg>, Result<Came, Error>) {
        let live = Arc::clone(&self.live);
        let like = attempt::copy(&one.exchange);
        let mut asked: Asking<'_> = Box::pin(one.ask(&live, route));
        let late = match clock::before(at, &mut asked).await {
            None => self.late(&like),
            Some(result) => {
                drop(asked);
                return (one, result);
            }
        };
        let Some((mut other, beside)) = late else {
            let result = asked.await;
            return (one, result);
        };
        let mut asked_too: Asking<'_> = Box::pin(other.ask(&live, &beside));
        match sooner(&mut asked, &mut asked_too).await {
            First::One(Err(error)) if attempt::elsewhere(&error) => {
                drop(asked);
                let result = asked_too.await;
                self.failed(&one, &error);
                follows(&mut one, &mut other);
                (other, result)
            }
            First::Other(Err(error)) => {
                drop(asked_too);
                self.failed(&other, &error);
                let result = asked.await;
                one.books.counts_tries_of(&other.books);
                (one, result)
            }
            First::One(result) => {
                drop((asked, asked_too));
                one.books.counts_tries_of(&other.books);
                self.loses(&mut other, &mut one);
                (one, result)
            }
            First::Other(result) => {
                drop((asked, asked_too));
                follows(&mut one, &mut other);
                self.loses(&mut one, &mut other);
                (other, result)
            }
        }
    }

    /// The candidate that is asked beside one that is late, which happens once.
    fn late(&mut self, like: &Exchange) -> Option<(Box<Leg>, Arc<Route>)> {
        self.hurry_at = None;
        let leg = self.another(Reason::Latency, like, clock::now())?;
        let route = self.route(leg.arm)?;
        Some((leg, route))
    }

    /// A leg that was slower: what it has cost as far as that can be told, and that it was tried.
    fn loses(&self, loser: &mut Leg, winner: &mut Leg) {
        learn::leg(&self.shared, &self.basis, loser, &Short::Slower);
        if !loser.books.was_asked() {
            return;
        }
        self.dropped(&mut winner.books, loser);
    }

    /// A candidate was asked and is dropped: its provider has got the prompt, has worked since, and bills that.
    pub(in crate::plan) fn dropped(&self, books: &mut Books, leg: &mut Leg) {
        let prompt = self.plan.candidates.get(leg.arm).map_or(0, |candidate| candidate.forecast.input);
        let (usage, cost) = leg.books.leaves(prompt, &self.basis.ask, leg.exchange.qos);
        books.spends(Some(usage), cost);
    }
}

/// The exchange's books are those of `to` from now on. It has been waited for somebody since `from` began.
fn follows(from: &mut Leg, to: &mut Leg) {
    from.books.waited_since(from.began);
    from.books.hand_over(&mut to.books);
}

/// The first of two to come to an end; where both have, the first.
async fn sooner(one: &mut Asking<'_>, other: &mut Asking<'_>) -> First {
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(First::One(result)),
        Poll::Pending => other.as_mut().poll(cx).map(First::Other),
    })
    .await
}
