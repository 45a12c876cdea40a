//! Whether an answer is to be trusted, by what it shows itself: its form, whether it declines, how sure its
//! model was. Only where all of it can be seen before it goes out.

use std::future::poll_fn;
use std::task::Poll;

use atp_core::{Capability, Error, Features, Finish, FullBody, Operation, Signs};
use bytes::{Bytes, BytesMut};

use super::choice::Choice;
use super::leg::{Leg, Made};
use super::walk::Reason;
use crate::attempt::Opening;
use crate::clock;
use crate::pipeline::Shared;
use crate::queue;
use crate::settle::Books;
use crate::snapshot::Escalation;

/// How much of a stream is held back at most: beyond, it goes out unjudged.
const MOST_HELD: usize = 1 << 20;

/// What was seen of an answer.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) signs: Option<Signs>,
    /// Why it is not to be trusted.
    pub(super) reason: Option<Reason>,
}

/// Looks at an answer that is whole, or, where that is configured, at a stream that is held back until it is.
///
/// # Errors
///
/// That of a held stream that breaks off.
pub(super) async fn look(shared: &Shared, choice: &Choice, leg: &mut Leg, made: &mut Made) -> Result<Judged, Error> {
    let operation = leg.exchange.operation;
    let rules = choice.rules.escalation;
    let failed = made.begun.opening.failure().is_some();
    if !matches!(operation, Operation::Chat | Operation::Completions) || failed {
        return Ok(Judged::default());
    }
    if leg.exchange.stream && !(rules.enabled && rules.hold_streams) {
        return Ok(Judged::default());
    }
    let Some(whole) = whole(leg, made).await? else { return Ok(Judged::default()) };
    let signs = (shared.dialect.signs)(operation, &whole);
    let needs = leg.books.chosen.as_ref().map(|chosen| chosen.basis.features).unwrap_or_default();
    Ok(Judged { signs: Some(signs), reason: reason(&rules, &needs, &signs) })
}

/// All bytes of an answer, which stay in it; a stream is held back until its end. `None` where they are too many
/// to be held.
///
/// # Errors
///
/// That of a held stream that breaks off.
pub(super) async fn whole(leg: &mut Leg, made: &mut Made) -> Result<Option<Bytes>, Error> {
    let opening = &mut made.begun.opening;
    if !leg.exchange.stream {
        return Ok(take(opening));
    }
    leg.books.goes_on_at(opening, made.begun.now);
    let held = hold(&mut leg.books, opening).await;
    let now = clock::now();
    if let Err(error) = &held {
        leg.broke = Some(leg.books.breaks(error, opening.answer.body.report(), now));
    }
    made.begun.now = now;
    held
}

/// Why an answer with these signs is not to be trusted.
fn reason(rules: &Escalation, asked: &Features, signs: &Signs) -> Option<Reason> {
    if !rules.enabled {
        return None;
    }
    if format_ok(asked, signs) == Some(false) {
        return Some(Reason::Format);
    }
    if refuses(signs) {
        return Some(Reason::Refusal);
    }
    let unsure = signs.confidence.is_some_and(|confidence| confidence < rules.min_confidence);
    unsure.then_some(Reason::LowConfidence)
}

/// Whether the answer has the form that was asked for; `None` where none was, or where its length was cut by
/// the request's own limit, or where it calls a tool instead.
pub(super) fn format_ok(asked: &Features, signs: &Signs) -> Option<bool> {
    let told = asked.needs.has(Capability::Json) && !signs.tool_calls && signs.finish != Some(Finish::Length);
    told.then_some(signs.json == Some(true))
}

/// Whether it declines to answer.
pub(super) fn refuses(signs: &Signs) -> bool {
    signs.refusal || signs.finish == Some(Finish::ContentFilter)
}

/// The bytes of an answer that has been read to its end, which stay in it.
fn take(opening: &mut Opening) -> Option<Bytes> {
    let whole = opening.answer.body.as_mut().take_full()?;
    let report = opening.answer.body.report().clone();
    opening.answer.body = Box::pin(FullBody::new(whole.clone(), report));
    Some(whole)
}

/// Holds a stream back until its end; `None` where it is too long for that.
async fn hold(books: &mut Books, opening: &mut Opening) -> Result<Option<Bytes>, Error> {
    let run = books.run().cloned();
    let mut size: usize = opening.held.iter().map(Bytes::len).sum();
    let mut holding = Holding { books, opening, goes_out: false };
    while !holding.opening.ended && size <= MOST_HELD {
        let (body, bill) = (&mut holding.opening.answer.body, holding.books.bill.as_ref());
        let next = poll_fn(|cx| {
            if run.as_ref().is_some_and(|run| run.poll_preempted(cx).is_ready()) {
                return Poll::Ready(Some(Err(queue::preempted(bill, clock::now()))));
            }
            body.as_mut().poll_chunk(cx)
        });
        match next.await {
            Some(Ok(chunk)) => {
                size += chunk.len();
                holding.opening.held.push(chunk);
            }
            Some(Err(error)) => return Err(error),
            None => holding.opening.ended = true,
        }
    }
    holding.goes_out = true;
    if !holding.opening.ended {
        return Ok(None);
    }
    let mut all = BytesMut::with_capacity(size);
    holding.opening.held.iter().for_each(|chunk| all.extend_from_slice(chunk));
    Ok(Some(all.freeze()))
}

/// A stream that is being held back. Dropped before its end, or broken off, it has been made all the same: the
/// pieces of one that goes out are counted when they do.
struct Holding<'a> {
    books: &'a mut Books,
    opening: &'a mut Opening,
    goes_out: bool,
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        if self.goes_out {
            return;
        }
        let Opening { answer, held, .. } = &mut *self.opening;
        let report = answer.body.report();
        held.drain(..).for_each(|piece| self.books.withheld(piece, report));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_was_asked_for_has_to_be_whole_unless_the_caller_cut_it() {
        let json = Features { needs: [Capability::Json].into_iter().collect(), ..Features::default() };
        let of = |json| Signs { json, ..Signs::default() };
        assert_eq!(format_ok(&Features::default(), &of(Some(false))), None, "nobody asked for any");
        assert_eq!(format_ok(&json, &of(Some(true))), Some(true));
        assert_eq!(format_ok(&json, &of(Some(false))), Some(false));
        assert_eq!(format_ok(&json, &of(None)), Some(false), "a text is no JSON");
        assert_eq!(format_ok(&json, &Signs { finish: Some(Finish::Length), ..of(Some(false)) }), None);
        assert_eq!(format_ok(&json, &Signs { tool_calls: true, ..of(None) }), None);
    }

    #[test]
    fn the_first_reason_counts_and_none_where_it_is_switched_off() {
        let json = Features { needs: [Capability::Json].into_iter().collect(), ..Features::default() };
        let on = Escalation::default();
        let signs = Signs { refusal: true, confidence: Some(0.1), ..Signs::default() };
        assert_eq!(reason(&on, &json, &signs), Some(Reason::Format));
        assert_eq!(reason(&on, &Features::default(), &signs), Some(Reason::Refusal));
        let unsure = Signs { confidence: Some(0.59), ..Signs::default() };
        assert_eq!(reason(&on, &Features::default(), &unsure), Some(Reason::LowConfidence));
        assert_eq!(reason(&on, &Features::default(), &Signs { confidence: Some(0.6), ..unsure }), None);
        assert_eq!(reason(&Escalation { enabled: false, ..on }, &json, &signs), None);
    }
}
