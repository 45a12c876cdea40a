//! Answers that are whole before they go out, and not trusted: another candidate is asked, once.

use atp_core::{Error, Reply};

use super::{Reason, Walk};
use crate::clock;
use crate::plan::learn::{self, Short};
use crate::plan::leg::{Came, Leg, Made};
use crate::plan::signs;
use crate::settle::Books;

/// What becomes of an answer that has begun.
#[expect(clippy::large_enum_variant, reason = "it is made once to an exchange")]
pub(super) enum Judgement {
    /// It goes out, or a better one.
    Goes(Reply),
    /// It was held back, and has broken off.
    Broke(Box<Leg>, Error),
}

impl Walk {
    /// An answer has begun. Where it can be seen whole it is looked at before it goes out.
    pub(super) async fn judge(&mut self, mut leg: Box<Leg>, came: Came) -> Judgement {
        let Came::Begun(mut made) = came else { return Judgement::Goes(leg.answer(came)) };
        let judged = match signs::look(&self.shared, &self.choice, &mut leg, &mut made).await {
            Ok(judged) => judged,
            // A stream that was held back: nothing of it went out.
            Err(error) => {
                if let Some((usage, cost)) = leg.broke.take() {
                    leg.books.spends(Some(usage), cost);
                }
                return Judgement::Broke(leg, error);
            }
        };
        if let Some(chosen) = &mut leg.books.chosen {
            chosen.signs = judged.signs;
        }
        let may = !self.judged && self.has_next() && !leg.books.is_left();
        Judgement::Goes(match judged.reason.filter(|_| may) {
            Some(reason) => Box::pin(self.second(leg, made, reason)).await,
            None => leg.answer(Came::Begun(made)),
        })
    }

    /// The answer is not trusted: the next candidate is asked, once, and its answer goes out where there is
    /// one.
    async fn second(&mut self, mut leg: Box<Leg>, made: Box<Made>, reason: Reason) -> Reply {
        (self.judged, self.hurry_at) = (true, None);
        let now = clock::now();
        let Some(mut next) = self.another(reason, &leg.exchange, now) else { return leg.answer(Came::Begun(made)) };
        let (answer, mut before) = (&made.begun.opening.answer, None);
        let report = answer.body.report();
        let cost = leg.books.rests(answer.status.as_u16(), report, now);
        if let Some(chosen) = &mut leg.books.chosen {
            before = Some((chosen.spent, chosen.signs.take()));
            chosen.spent.add(report.usage, cost);
        }
        leg.books.hand_over(&mut next.books);
        self.tell(&mut next);
        let (mut next, result) = self.race(next).await;
        let error = match result {
            Ok(came) => {
                let signs = before.and_then(|(_, signs)| signs);
                let report = made.begun.opening.answer.body.report();
                learn::leg(&self.shared, &self.basis, &leg, &Short::GivenUp(signs, report, cost));
                return next.answer(came);
            }
            Err(error) => error,
        };
        self.failed(&next, &error);
        next.books.hand_back(&mut leg.books);
        if let Some((chosen, (spent, signs))) = leg.books.chosen.as_mut().zip(before) {
            (chosen.spent, chosen.signs) = (spent, signs);
        }
        leg.answer(Came::Begun(made))
    }

    /// A whole answer that does not go out: what it has used is settled, and learnt from.
    pub(in crate::plan) fn given_up(&self, books: &mut Books, mut leg: Box<Leg>, came: &Came) {
        if let Came::Begun(made) = came {
            let answer = &made.begun.opening.answer;
            let report = answer.body.report();
            let cost = leg.books.rests(answer.status.as_u16(), report, clock::now());
            books.spends(report.usage, cost);
            learn::leg(&self.shared, &self.basis, &leg, &Short::GivenUp(None, report, cost));
        }
        books.counts_tries_of(&leg.books);
    }
}
