//! One candidate that is asked: cache, budget, queue, choose, attempt, lane, as if it had been asked by name.

use std::sync::Arc;
use std::time::Instant;

use atp_core::{Answer, Error, Exchange, MicroUsd, Reply, Reused, Usage};

use crate::attempt::{Begun, Rescue};
use crate::cache::{Cell, Found as InCache, Recorder};
use crate::live::{Found, Live, Route};
use crate::settle::Books;
use crate::stack::{self, Step};

/// One candidate, with books and an exchange of its own.
pub(super) struct Leg {
    /// Its place in the plan.
    pub(super) arm: usize,
    pub(super) books: Books,
    pub(super) exchange: Exchange,
    pub(super) began: Instant,
    /// What has been used of an answer that broke off while it was held back, and what that costs.
    pub(super) broke: Option<(Usage, Option<MicroUsd>)>,
}

/// How an answer begins.
pub(super) enum Came {
    /// It was kept.
    Kept(Box<Answer>),
    /// A provider makes it.
    Begun(Box<Made>),
}

/// An answer that a provider makes.
pub(super) struct Made {
    pub(super) begun: Begun,
    pub(super) rescue: Option<Box<Rescue>>,
    /// Where it is to be kept.
    pub(super) recorder: Option<Recorder>,
}

impl Leg {
    /// Asks the candidate. Answers that were kept are used, and new ones kept; a call is not shared with
    /// others, because it may be given up for another candidate.
    pub(super) async fn ask(&mut self, live: &Arc<Live>, route: &Arc<Route>) -> Result<Came, Error> {
        self.books.enter(Step::Cache);
        self.books.route = Some(Arc::clone(route));
        let mut recorder = None;
        if let Some(cell) = &route.cache
            && let Some(body) = Cell::concerns(&self.exchange)
        {
            match cell.find_alone(&self.exchange, body) {
                InCache::Hit(kept) => return Ok(Came::Kept(Box::new(kept.answer()))),
                InCache::Record(found) => recorder = Some(found),
                InCache::Join(_) | InCache::Lead(..) | InCache::Nothing => {}
            }
        }
        let found = Found { route: Arc::clone(route), star: None };
        let (begun, rescue) = stack::steps(&mut self.books, live, Some(found), &mut self.exchange).await?;
        Ok(Came::Begun(Box::new(Made { begun, rescue, recorder })))
    }

    /// Its answer goes out.
    pub(super) fn answer(self, came: Came) -> Reply {
        let mut books = self.books;
        if let Some(chosen) = &mut books.chosen {
            chosen.leg_began = self.began;
            chosen.gathers(self.exchange.stream);
            // What is told while the answer is under way is told of this model.
            if let Some(route) = &books.route {
                books.shared.memory.answers(chosen.basis.plan.id, &route.name);
            }
        }
        match came {
            Came::Kept(answer) => books.reuse(*answer, Reused::Hit),
            Came::Begun(made) => {
                let Made { begun, rescue, recorder } = *made;
                let reply = books.answer(begun.opening, begun.now, rescue);
                match recorder {
                    Some(recorder) => recorder.listen(reply),
                    None => reply,
                }
            }
        }
    }
}
