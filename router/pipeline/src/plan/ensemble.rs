//! Several models answer the same, and one answer is made of theirs.
//!
//! All are asked at once, each as a leg with books of its own; the exchange's own books stand beside them until
//! it is clear whose answer goes out. When enough have answered is the panel's to say
//! ([`atp_routing::consensus`]); who is not needed any more is dropped at once. What the others have cost is
//! part of the exchange's cost: whoever asks a panel pays it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use atp_core::port::BoxFuture;
use atp_core::{Error, ErrorKind, Operation, Reply, Usage};
use atp_routing::consensus::{Panel, Rule, Verdict};
use bytes::Bytes;

use super::leg::{Came, Leg};
use super::learn::{self, Short};
use super::walk::Walk;
use super::{arbiter, signs};
use crate::clock;
use crate::live::{Live, Route};
use crate::settle::Books;
use crate::snapshot::{Ensemble, EnsembleMode};

/// A member that has come to its end.
struct Member {
    leg: Box<Leg>,
    result: Result<Said, Error>,
}

/// What it said.
struct Said {
    came: Came,
    /// All bytes of the answer; none where it is too long to be held, or was kept from before.
    bytes: Option<Bytes>,
}

/// The members, while they are asked and after.
struct Members {
    arms: Vec<usize>,
    asking: Vec<Option<BoxFuture<'static, Member>>>,
    answered: Vec<Option<(Box<Leg>, Said)>>,
}

/// Asks the first members of the plan, and answers with what comes of it.
pub(super) async fn go(mut walk: Walk, rules: &Ensemble, mut own: Books, now: Instant) -> Reply {
    let mut members = match gather(&mut walk, rules.size, now) {
        Some(members) => members,
        None => return own.refuse(alone()),
    };
    let weights: Vec<f64> = members.arms.iter().map(|arm| quality(&walk, *arm)).collect();
    let mut panel = Panel::new(&weights, rules.agree);
    let rule = rule(&rules.mode, members.arms.len());
    let mut until = None;
    let verdict = loop {
        let ended = next(&mut members.asking, until).await;
        let Some((place, Member { leg, result })) = ended else { break panel.clone().close(rule) };
        match result {
            Ok(said) => {
                panel.answer(place, &text(&walk, &leg, &said));
                until.get_or_insert_with(|| clock::now() + rules.patience);
                if let Some(slot) = members.answered.get_mut(place) {
                    *slot = Some((leg, said));
                }
            }
            Err(error) => {
                panel.fail(place);
                walk.failed(&leg, &error);
                walk.tries_of(&mut own, &leg.books);
            }
        }
        // An arbiter hears everybody who comes in time.
        let hears_all = matches!(rules.mode, EnsembleMode::Arbiter { .. });
        match panel.verdict(rule) {
            _ if hears_all && members.is_asking() => {}
            Verdict::Wait => {}
            verdict => break verdict,
        }
    };
    let metrics = &walk.shared.metrics.experiments;
    metrics.agreement(&rules.mode, panel.groups().first().map(|group| group.score));
    let winner = match (&rules.mode, verdict) {
        (EnsembleMode::Arbiter { model, max_cost }, Verdict::Take { member, .. }) => {
            let texts = members.texts(&walk);
            let asked = arbiter::choose(&walk, model, *max_cost, &texts, member).await;
            walk.spends(&mut own, asked.usage, asked.cost);
            asked.member
        }
        (_, Verdict::Take { member, .. }) => member,
        (_, Verdict::Wait | Verdict::Nothing) => return walk.refuse(own, alone()),
    };
    finish(&walk, own, members, winner)
}

/// The members of the panel, as many as the plan has, each asked from now on.
fn gather(walk: &mut Walk, size: usize, now: Instant) -> Option<Members> {
    let mut members = Members { arms: Vec::new(), asking: Vec::new(), answered: Vec::new() };
    while members.arms.len() < size.max(1) {
        let Some((leg, route)) = walk.member(now) else { break };
        let (live, shared) = (Arc::clone(&walk.live), Arc::clone(&walk.shared));
        members.arms.push(leg.arm);
        members.asking.push(Some(Box::pin(async move {
            let (leg, result) = ask(leg, &live, &route, shared.dialect.signs as usize).await;
            Member { leg, result }
        })));
        members.answered.push(None);
    }
    (!members.arms.is_empty()).then_some(members)
}
