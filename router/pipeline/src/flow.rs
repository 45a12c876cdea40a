//! Sharing models: who waits for whom, in which order, and what each lane carries.
//!
//! # Words
//!
//! A *lane* ([`lane::LaneCell`]) is one provider's model, shared by every route that leads there: how many
//! tries may be in flight, at which pace they may begin, whether it is well. A *pool* ([`pool::Pool`]) is
//! one model, configured by its name or asked for behind a pattern: who waits for it. A *flow* ([`flow_cell::FlowCell`]) is one tenant's requests of
//! one class in one pool. A *turn* ([`turn::Turn`]) is the right to one try at one lane: a slot of it. A
//! *bill* is what an exchange is charged for its share.
//!
//! What is decided, and why, stands in `atp-routing`: [`atp_routing::fair_queue`] (whose turn it is),
//! [`atp_routing::share`] (who may use which slot, who gives way), [`atp_routing::control`] (what a lane
//! may carry), [`atp_routing::drain`] (when to come back). Here is what makes it safe between cores.
//!
//! # Who owns what
//!
//! | thing | where | who changes it |
//! |---|---|---|
//! | in flight and limit of a lane | one word ([`slots`]) | who takes or gives back a slot; the control |
//! | used pace of a lane | two words | who takes a slot, where a pace is known |
//! | what a lane has learned | [`atp_routing::Control`], a lock | first tokens and ends of tries, a sweep |
//! | who waits | [`atp_routing::FairQueue`], the pool's lock | who has to wait; who makes room while somebody does |
//! | a turn | the exchange: its future, then its answer's body | its end, once |
//! | a turn that was handed over | the waiter, until its future takes it | that future, or its drop |
//!
//! # Who waits for whom
//!
//! Nobody waits for a lock that is held across an await. Where nobody waits for a pool and a lane has
//! room, a turn is one compare-and-swap: no lock, no allocation. Else the request joins the queue.
//! Whoever makes room (a slot comes back, a window grows, a gate opens) looks whether somebody waits for
//! that lane, and then hands out turns under the pool's lock in fair order: a slot is taken *for* the
//! waiter, and only then is he woken.
//!
//! No wake-up is lost: who joins says so before he looks for room, and who makes room does so before he
//! looks for who has joined, with a fence between on both sides, so that one of the two sees the other
//! (Dekker). No slot is lost or doubled: a waiter changes from waiting to granted to gone under the pool's
//! lock, and a turn that nobody takes gives its slot back by its drop, which hands it to the next.
//! `tests/loom_flow.rs` explores the interleavings.
//!
//! Room that time alone makes (a pause is over, a pace allows the next, an ejected lane may be probed)
//! has nobody who makes it: one task to a pool watches the clock while somebody waits for that
//! (`pacer`). An arrival that finds a lane shut whose time has come opens it itself.
//!
//! # How it ends
//!
//! A wait ends with a turn, with the caller's leaving, or with a refusal that says when to come back: at
//! once where the queue is full, where every lane has failed (503, the time of the next probe) or is
//! paused for longer than one may wait (429); else when the model's longest wait, the caller's patience or
//! the exchange's total is over. Those who wait already when the last lane is ejected are told, and stay where
//! its rest is shorter than what is left of their wait. A try that failed gives its slot back before another
//! target is asked, and waits for whichever target has not failed it and is free first, before those who come
//! new, without a second charge. A bronze try that gold preempts goes back to the queue where its caller has
//! seen nothing of the answer, and is then spared; where he has, it ends with an error in the stream.
//!
//! # Who goes ahead
//!
//! A flow that holds little (nothing, or less than half of its equal part) goes ahead of those who wait, on slots
//! that only such flows may take, and in turn among its like: so a tenant who asks now and then does not notice
//! one who fills the window. The bound of the queue leaves each flow its equal part of it. Who is first and wants
//! more tokens than his lane's pace lets through now is held, and passed by gold alone.
//!
//! # Locks, in the order in which they may be held together
//!
//! A pool's list of flows, the pool's queue, then any one of: a waiter's state, a lane's list of bronze
//! tries, a lane's control (for a probe alone). Nothing that can wake, spawn or drop a turn happens under
//! any of them.

mod bill;
mod directory;
pub mod flow_cell;
pub mod lane;
mod pace;
mod pacer;
mod picture;
pub mod pool;
mod preempt;
mod registry;
pub mod slots;
mod standing;
mod tenants;
pub mod turn;
pub mod waiter;

pub(crate) use self::bill::{Asked, Bill};
pub(crate) use self::directory::{Directory, Known};
pub(crate) use self::preempt::Run;
pub(crate) use self::registry::Registry;
pub(crate) use self::tenants::Tenants;
