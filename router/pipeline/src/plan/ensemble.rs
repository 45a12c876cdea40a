//! Several models answer the same, and one answer is made of theirs.
//!
//! All are asked at once, each as a leg with books of its own; the exchange's own books stand beside them until
//! it is clear whose answer goes out. When enough have answered is the panel's to say
//! ([`atp_routing::consensus`]); who is not needed any more is dropped at once. What the others have cost is
//! part of the exchange's cost: whoever asks a panel pays it, its arbiter too.

mod lent;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use atp_core::port::BoxFuture;
use atp_core::{Answer, Error, ErrorKind, Exchange, FullBody, Reply};
use atp_routing::consensus::{Panel, Rule, Verdict};
use bytes::{Bytes, BytesMut};

use self::lent::{Back, Lent};
use super::leg::{Came, Leg};
use super::walk::Walk;
use super::{arbiter, signs};
use crate::clock;
use crate::live::{Live, Route};
use crate::settle::Books;
use crate::snapshot::{Ensemble, EnsembleMode};

/// What it said.
pub(super) struct Said {
    pub(super) came: Came,
    /// All bytes of the answer; none where nobody has to see them, or they are too many to be held.
    bytes: Option<Bytes>,
}

/// Whether a member's answer is read before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Whole,
    /// It counts when it begins.
    Begun,
}

/// Who is asked, who has answered, who has failed: each by its place among the members.
#[derive(Default)]
struct Members {
    arms: Vec<usize>,
    asking: Vec<Option<BoxFuture<'static, Result<Said, Error>>>>,
    /// Where each leg is found again, once it is not asked any more.
    back: Vec<Back>,
    answered: Vec<Option<(Box<Leg>, Said)>>,
    /// The last that came to nothing.
    failed: Option<(Box<Leg>, Error)>,
}

/// Asks the first members of the plan, and answers with what comes of it.
pub(super) async fn go(mut walk: Walk, rules: &Ensemble, own: Box<Leg>) -> Reply {
    let Leg { books: mut own, exchange, began, .. } = *own;
    let mut members = Members::gather(&mut walk, rules, &exchange, began);
    let weights: Vec<f64> = members.arms.iter().map(|arm| walk.quality_of(*arm)).collect();
    let mut panel = Panel::new(&weights, rules.agree);
    let rule = rule(&rules.mode, members.arms.len());
    let verdict = members.hear(&mut walk, &mut own, rules, &mut panel, rule).await;
    let share = panel.groups().first().map(|group| group.score);
    walk.shared.metrics.experiments.used(&rules.mode, share);
    let winner = match (&rules.mode, verdict) {
        (_, Verdict::Wait | Verdict::Nothing) => None,
        (EnsembleMode::Arbiter { model, max_cost }, Verdict::Take { member, .. }) => {
            let texts = members.texts(&walk);
            let chosen = arbiter::choose(&walk, &exchange, (model, *max_cost), &texts, member).await;
            own.spends(chosen.usage, chosen.cost);
            Some(chosen.member)
        }
        (_, Verdict::Take { member, .. }) => Some(member),
    };
    members.finish(walk, own, winner)
}

fn rule(mode: &EnsembleMode, members: usize) -> Rule {
    match mode {
        EnsembleMode::FirstWin | EnsembleMode::Arbiter { .. } => Rule::FirstWin,
        EnsembleMode::Quorum => Rule::Quorum(members / 2 + 1),
        EnsembleMode::Weighted => Rule::Weighted,
    }
}

impl Members {
    /// Asks as many members as the rules say and the plan has.
    fn gather(walk: &mut Walk, rules: &Ensemble, exchange: &Exchange, now: Instant) -> Self {
        let read = if rules.mode == EnsembleMode::FirstWin { Read::Begun } else { Read::Whole };
        let mut members = Self::default();
        while members.arms.len() < rules.size.max(1) {
            let Some((leg, route)) = walk.member(exchange, now) else { break };
            members.arms.push(leg.arm);
            let (lent, back) = Lent::new(leg);
            members.asking.push(Some(Box::pin(ask(lent, Arc::clone(&walk.live), route, read))));
            members.back.push(back);
            members.answered.push(None);
        }
        members
    }

    /// Hears the members until the panel has a verdict, or the others have been waited for long enough.
    async fn hear(
        &mut self,
        walk: &mut Walk,
        own: &mut Books,
        rules: &Ensemble,
        panel: &mut Panel,
        rule: Rule,
    ) -> Verdict {
        // An arbiter hears everybody who comes in time.
        let hears_all = matches!(rules.mode, EnsembleMode::Arbiter { .. });
        let mut until = None;
        loop {
            let ended = match until {
                Some(until) => clock::before(until, self.next()).await,
                None => Some(self.next().await),
            };
            let Some(Some((place, result))) = ended else { return panel.clone().close(rule) };
            let Some(mut leg) = self.back.get(place).and_then(Back::take) else { continue };
            match result {
                Ok(said) => {
                    panel.answer(place, &text(walk, &leg, &said));
                    until.get_or_insert_with(|| clock::now() + rules.patience);
                    if let Some(slot) = self.answered.get_mut(place) {
                        *slot = Some((leg, said));
                    }
                }
                Err(error) => {
                    panel.fail(place);
                    walk.failed(&leg, &error);
                    if let Some((usage, cost)) = leg.broke.take() {
                        own.spends(Some(usage), cost);
                    }
                    if let Some((before, _)) = self.failed.replace((leg, error)) {
                        own.counts_tries_of(&before.books);
                    }
                }
            }
            match panel.verdict(rule) {
                Verdict::Wait => {}
                _ if hears_all && self.asking.iter().any(Option::is_some) => {}
                verdict => return verdict,
            }
        }
    }

    /// The next member to come to its end; `None` where nobody is asked any more.
    async fn next(&mut self) -> Option<(usize, Result<Said, Error>)> {
        poll_fn(|cx| {
            let mut open = false;
            for (place, slot) in self.asking.iter_mut().enumerate() {
                let Some(asking) = slot else { continue };
                if let Poll::Ready(result) = asking.as_mut().poll(cx) {
                    *slot = None;
                    return Poll::Ready(Some((place, result)));
                }
                open = true;
            }
            if open { Poll::Pending } else { Poll::Ready(None) }
        })
        .await
    }

    /// What was said, by whom.
    fn texts(&self, walk: &Walk) -> Vec<(usize, String)> {
        let said = self.answered.iter().enumerate().filter_map(|(place, slot)| Some((place, slot.as_ref()?)));
        said.map(|(place, (leg, said))| (place, text(walk, leg, said))).collect()
    }

    /// The winner's answer goes out; the others end, and what they have cost is counted.
    fn finish(self, walk: Walk, mut own: Books, winner: Option<usize>) -> Reply {
        let Self { asking, back, answered, failed, .. } = self;
        // Who is dropped comes back: only a provider that was asked has cost anything.
        drop(asking);
        for mut leg in back.iter().filter_map(Back::take) {
            left(&walk, &mut own, &mut leg);
        }
        let mut won = None;
        for (place, slot) in answered.into_iter().enumerate() {
            match slot {
                Some(member) if Some(place) == winner => won = Some(member),
                Some((leg, said)) => walk.given_up(&mut own, leg, &said.came),
                None => {}
            }
        }
        if let Some((mut leg, said)) = won {
            if let Some((failed, _)) = &failed {
                own.counts_tries_of(&failed.books);
            }
            own.hand_over(&mut leg.books);
            return leg.answer(said.came);
        }
        match failed {
            Some((mut leg, error)) => {
                own.hand_over(&mut leg.books);
                walk.give_up(*leg, error)
            }
            None => own.refuse(Error::router(ErrorKind::Internal, "a panel has nobody to ask")),
        }
    }
}

/// A member that is not needed any more, and is still being asked or waits for its turn.
fn left(walk: &Walk, own: &mut Books, leg: &mut Leg) {
    if !leg.books.was_asked() {
        return;
    }
    walk.dropped(own, leg);
    own.counts_tries_of(&leg.books);
}

async fn ask(mut lent: Lent, live: Arc<Live>, route: Arc<Route>, read: Read) -> Result<Said, Error> {
    let Some(leg) = lent.leg() else { return Err(Error::router(ErrorKind::Internal, "a member has no leg")) };
    let result = said(leg, &live, &route, read).await;
    if let Err(error) = &result {
        leg.books.try_failed(error, clock::now());
    }
    result
}

async fn said(leg: &mut Leg, live: &Arc<Live>, route: &Arc<Route>, read: Read) -> Result<Said, Error> {
    let mut came = leg.ask(live, route).await?;
    let bytes = match &mut came {
        Came::Begun(made) => {
            // An error told inside a success is no answer that could win.
            if let Some(failure) = made.begun.opening.failure() {
                return Err(failure.clone());
            }
            if read == Read::Whole { signs::whole(leg, made).await? } else { None }
        }
        Came::Kept(answer) if read == Read::Whole => Some(kept(answer).await?),
        Came::Kept(_) => None,
    };
    Ok(Said { came, bytes })
}

/// All bytes of an answer that was kept, which stay in it: they lie in memory.
async fn kept(answer: &mut Answer) -> Result<Bytes, Error> {
    let mut all = BytesMut::new();
    while let Some(piece) = poll_fn(|cx| answer.body.as_mut().poll_chunk(cx)).await {
        all.extend_from_slice(&piece?);
    }
    let (whole, report) = (all.freeze(), answer.body.report().clone());
    answer.body = Box::pin(FullBody::new(whole.clone(), report));
    Ok(whole)
}

fn text(walk: &Walk, leg: &Leg, said: &Said) -> String {
    let bytes = said.bytes.as_ref();
    bytes.and_then(|bytes| (walk.shared.dialect.text)(leg.exchange.operation, bytes)).unwrap_or_default()
}
