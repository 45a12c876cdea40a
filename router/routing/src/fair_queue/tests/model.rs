//! The same rules without data structures: everything is looked through from one end to the other, no
//! session is ever forgotten, and nothing is kept that could be computed. Slow, and plain to check.

use std::collections::BTreeMap;

use super::*;
use crate::fair_queue::tag::{flow_rate, session_rate};

const START: u128 = 1 << 100;

/// One place in a common virtual time.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    tag: u128,
    floor: u128,
    rate: u128,
}

impl Account {
    fn lift(&mut self, clock: u128, level: u128) {
        if self.tag <= clock {
            (self.tag, self.floor) = (level, level);
        }
    }

    fn add(&mut self, tokens: u64) -> u128 {
        self.add_beside(tokens, (1, 1))
    }

    fn add_beside(&mut self, tokens: u64, (sum, most): (u128, u128)) -> u128 {
        let time = u128::from(tokens) * (self.rate * sum / most);
        self.tag += time;
        time
    }

    fn give_back(&mut self, tokens: u64) {
        self.give_time_back(u128::from(tokens) * self.rate);
    }

    fn give_time_back(&mut self, time: u128) {
        let to = self.tag.saturating_sub(time);
        // Not below the floor, and never upwards.
        self.tag = if to >= self.floor { to } else { self.floor.min(self.tag) };
    }
}

#[derive(Debug, Default)]
struct Session {
    account: Account,
    behind: u128,
    seq: u64,
    /// Numbers and costs.
    line: Vec<(usize, u64)>,
}

#[derive(Debug)]
struct Flow {
    tenant: usize,
    qos: Qos,
    account: Account,
    longest: u128,
    /// Tokens that it was charged in all, and what they cost.
    paid: (u128, u128),
    seq: u64,
    again: Vec<usize>,
    sessions: BTreeMap<u64, Session>,
    clock: u128,
    weights: BTreeMap<u64, Weight>,
}

impl Flow {
    fn len(&self) -> usize {
        self.again.len() + self.sessions.values().map(|session| session.line.len()).sum::<usize>()
    }

    fn waiting(&self) -> impl Iterator<Item = (u128, u64, u64)> {
        let waiting = self.sessions.iter().filter(|(_, session)| !session.line.is_empty());
        waiting.map(|(name, session)| (session.account.tag + session.behind, session.seq, *name))
    }

    fn level(&self) -> u128 {
        self.waiting().map(|(tag, ..)| tag).min().map_or(self.clock, |least| least.min(self.clock))
    }

    fn session(&mut self, name: u64) -> &mut Session {
        let rate = session_rate(self.weights.get(&name).copied().unwrap_or_default()).into();
        self.sessions
            .entry(name)
            .or_insert_with(|| Session { account: Account { rate, ..Account::default() }, ..Session::default() })
    }

    /// When no session waits, all begin anew.
    fn end_of_busy_period(&mut self) {
        if self.waiting().next().is_none() {
            self.sessions.clear();
            self.clock = 0;
        }
    }

    fn push(&mut self, name: u64, number: usize, cost: u64, seq: u64) {
        let (clock, level) = (self.clock, self.level());
        if self.session(name).line.is_empty() {
            let waiting: Vec<_> = self.waiting().map(|(.., name)| name).collect();
            if let [alone] = waiting[..] {
                let account = &mut self.session(alone).account;
                account.floor = account.floor.max(level);
            }
            let session = self.session(name);
            session.account.lift(clock, level);
            let start = session.account.tag.max(level + u128::from(cost) * session.account.rate);
            (session.behind, session.seq) = (start - session.account.tag, seq);
        }
        self.session(name).line.push((number, cost));
    }

    fn pop(&mut self, seq: u64) -> (usize, u64, u64) {
        let (start, _, name) = self.waiting().min().expect("somebody waits");
        self.clock = self.clock.max(start);
        let session = self.session(name);
        let (number, cost) = session.line.remove(0);
        (session.account.tag, session.behind, session.seq) = (start, 0, seq);
        session.account.add(cost);
        self.end_of_busy_period();
        (number, cost, name)
    }

    fn charge(&mut self, name: u64, delta: i64) {
        let (clock, level) = (self.clock, self.level());
        let waiting = self.waiting().count();
        if waiting == 0 {
            return;
        }
        let session = self.session(name);
        if delta < 0 {
            session.account.give_back(delta.unsigned_abs());
        } else if session.line.is_empty() {
            session.account.lift(clock, level);
            session.account.add(delta.unsigned_abs());
        } else {
            let time = session.account.add(delta.unsigned_abs());
            if waiting == 1 {
                self.clock += time;
            }
        }
    }
}

/// The reference.
#[derive(Debug)]
pub(super) struct Model {
    flows: Vec<Flow>,
    clock: u128,
    latest: u128,
    shift: [u128; 3],
    seq: u64,
    sessions: BTreeMap<usize, (usize, Option<u64>)>,
}

impl Model {
    pub(super) fn new(flows: &[(usize, Qos, Weight)]) -> Self {
        let flows = flows.iter().map(|(tenant, qos, weight)| Flow {
            tenant: *tenant,
            qos: *qos,
            longest: 0,
            paid: (0, 0),
            account: Account { rate: flow_rate(*weight, *qos).into(), ..Account::default() },
            seq: 0,
            again: Vec::new(),
            sessions: BTreeMap::new(),
            clock: 0,
            weights: BTreeMap::new(),
        });
        let flows = flows.collect();
        Self { flows, clock: START, latest: START, shift: [0; 3], seq: 0, sessions: BTreeMap::new() }
    }

    pub(super) fn len_of(&self, qos: Qos) -> usize {
        self.flows.iter().filter(|flow| flow.qos == qos).map(Flow::len).sum()
    }

    pub(super) fn waiting_of(&self, flow: usize) -> usize {
        self.flows[flow].len()
    }

    pub(super) fn set_weight(&mut self, flow: usize, weight: Weight) {
        let flow = &mut self.flows[flow];
        flow.account.rate = flow_rate(weight, flow.qos).into();
    }

    pub(super) fn set_session_weight(&mut self, flow: usize, name: u64, weight: Weight) {
        let flow = &mut self.flows[flow];
        flow.weights.insert(name, weight);
        if let Some(session) = flow.sessions.get_mut(&name) {
            session.account.rate = session_rate(weight).into();
        }
    }

    pub(super) fn push(&mut self, flow: usize, name: u64, cost: u64, turn: Turn, number: usize) {
        self.seq += 2;
        let seq = self.seq;
        if self.flows[flow].len() == 0 {
            let level = self.level();
            if let [alone] = self.backlogged()[..] {
                let floor = level + self.shift_of(alone);
                let account = &mut self.flows[alone].account;
                account.floor = account.floor.max(floor);
            }
            self.lift(flow, level);
            self.flows[flow].seq = seq - 1;
        }
        let of = &mut self.flows[flow];
        match turn {
            Turn::Again => of.again.push(number),
            Turn::New => of.push(name, number, cost, seq),
        }
        self.sessions.insert(number, (flow, (turn == Turn::New).then_some(name)));
    }

    /// The number of who is served, and what is charged.
    pub(super) fn pop(&mut self, allowed: Allowed) -> Option<(usize, u64)> {
        let least = self.backlogged().into_iter().map(|flow| self.start(flow)).min()?;
        let candidates = self.backlogged().into_iter().filter(|flow| allowed.contains(self.flows[*flow].qos));
        let flow = candidates.min_by_key(|flow| (self.start(*flow), self.flows[*flow].seq))?;
        let start = self.start(flow);
        self.seq += 1;
        let beside = self.beside(flow);
        let of = &mut self.flows[flow];
        let (number, cost) = if of.again.is_empty() {
            let (number, cost, _) = of.pop(self.seq);
            (number, cost)
        } else {
            (of.again.remove(0), 0)
        };
        of.seq = self.seq;
        let qos = of.qos;
        let time = self.pay(flow, cost, beside);
        self.clock = self.clock.max(least);
        if start > least {
            let same = self.backlogged().into_iter().filter(|flow| self.flows[*flow].qos == qos);
            let first = same.map(|flow| self.start(flow)).min().unwrap_or_else(|| self.start(flow));
            self.shift[qos as usize] += first.saturating_sub(self.clock + 128 * time).min(time);
        }
        self.note(flow);
        self.end_of_busy_period();
        Some((number, cost))
    }

    pub(super) fn remove(&mut self, number: usize) -> bool {
        let Some((flow, name)) = self.sessions.get(&number).copied() else { return false };
        let of = &mut self.flows[flow];
        let before = of.len();
        match name {
            None => of.again.retain(|other| *other != number),
            Some(name) => {
                if let Some(session) = of.sessions.get_mut(&name) {
                    session.line.retain(|(other, _)| *other != number);
                    if session.line.is_empty() {
                        session.behind = 0;
                    }
                }
                of.end_of_busy_period();
            }
        }
        let found = of.len() < before;
        self.end_of_busy_period();
        found
    }

    pub(super) fn charge(&mut self, flow: usize, name: u64, delta: i64) {
        let mut tokens = delta.unsigned_abs();
        let backlogged = self.backlogged();
        if delta < 0 {
            let of = &mut self.flows[flow];
            let (all, cost) = of.paid;
            tokens = tokens.min(all as u64);
            let back = cost * u128::from(tokens) / all.max(1);
            of.paid = (all - u128::from(tokens), cost - back);
            of.account.give_time_back(back);
            self.note(flow);
            self.flows[flow].charge(name, -(tokens as i64));
            return;
        } else if backlogged.is_empty() {
            self.flows[flow].paid.0 += u128::from(tokens);
            return;
        }
        let beside = self.beside(flow);
        if backlogged.contains(&flow) {
            let time = self.pay(flow, tokens, beside);
            self.note(flow);
            if backlogged.len() == 1 {
                self.clock += time;
            }
        } else {
            self.lift(flow, self.level());
            self.pay(flow, tokens, beside);
            self.note(flow);
        }
        self.flows[flow].charge(name, delta);
    }

    fn pay(&mut self, flow: usize, tokens: u64, beside: (u128, u128)) -> u128 {
        let of = &mut self.flows[flow];
        let time = of.account.add_beside(tokens, beside);
        of.longest = of.longest.max(time);
        of.paid = (of.paid.0 + u128::from(tokens), of.paid.1 + time);
        time
    }

    /// The factors of the tenant's classes in use, their sum and the largest.
    fn beside(&mut self, flow: usize) -> (u128, u128) {
        let longest = self.flows[flow].longest;
        let used = |place: &usize| {
            let other = &self.flows[*place];
            let recent = other.account.tag + longest > self.clock + self.shift_of(*place);
            other.tenant == self.flows[flow].tenant && (*place == flow || other.len() > 0 || recent)
        };
        let used: Vec<u128> =
            (0..self.flows.len()).filter(used).map(|place| self.flows[place].qos.factor().into()).collect();
        if used.len() == 1 {
            self.flows[flow].longest = 0;
        }
        (used.iter().sum(), used.into_iter().max().unwrap_or(1))
    }

    fn backlogged(&self) -> Vec<usize> {
        (0..self.flows.len()).filter(|flow| self.flows[*flow].len() > 0).collect()
    }

    fn shift_of(&self, flow: usize) -> u128 {
        self.shift[self.flows[flow].qos as usize]
    }

    /// A flow's start tag in common time.
    fn start(&self, flow: usize) -> u128 {
        self.flows[flow].account.tag.saturating_sub(self.shift_of(flow))
    }

    fn level(&self) -> u128 {
        self.backlogged().into_iter().map(|flow| self.start(flow)).min().unwrap_or(self.clock).min(self.clock)
    }

    fn lift(&mut self, flow: usize, level: u128) {
        let shift = self.shift_of(flow);
        self.flows[flow].account.lift(self.clock + shift, level + shift);
    }

    fn note(&mut self, flow: usize) {
        self.latest = self.latest.max(self.start(flow));
    }

    fn end_of_busy_period(&mut self) {
        if self.backlogged().is_empty() {
            self.clock = self.clock.max(self.latest);
        }
    }
}
