//! What a lane's tries report, and what its control answers.

use std::time::{Duration, Instant};

use atp_core::RateFacts;

use crate::rate::Pace;
use crate::window::WindowRules;

/// How a try ended, as far as its lane is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The answer came to its end.
    Served,
    /// The provider refused for lack of room (429, 529). `pause` is what its `Retry-After` said.
    Overloaded {
        /// Nobody may begin before it is over.
        pause: Option<Duration>,
    },
    /// The try's own deadline came first: a sign of overload and of failure.
    TimedOut,
    /// The provider or the way to it failed (5xx, connection).
    Failed,
    /// The provider refused our key (401, 403).
    BadKey,
    /// Nothing about the lane: the caller left, or asked for what nobody could serve (400).
    Cancelled,
}

/// A try's first token has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstToken {
    /// When the try began.
    pub began: Instant,
    /// How many tries were in flight when it began, itself included.
    pub in_flight: u32,
    /// Tokens of its prompt, estimated.
    pub input_tokens: u64,
}

/// The answer of a try has come that is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// When the try began.
    pub began: Instant,
    /// How many tries were in flight when it began, itself included.
    pub in_flight: u32,
    /// Tokens of its prompt, estimated.
    pub input_tokens: u64,
    /// Tokens of the answer, where the provider told them.
    pub output_tokens: Option<u64>,
}

/// A try has ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// When the try began.
    pub began: Instant,
    /// How many tries were in flight when it began, itself included.
    pub in_flight: u32,
    /// Tokens that it cost, input and output.
    pub tokens: u64,
    /// How it ended.
    pub verdict: Verdict,
    /// What the provider told about its limits *just now*. Facts that came with the head of a stream
    /// go to [`Control::told`](super::Control::told) when they come: at the end of the stream they are old.
    pub limits: &'a RateFacts,
}

/// Whether a lane is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It is. A limit of 0 then means a pause that the provider asked for.
    Serving,
    /// It is left alone until [`Published::opens_at`].
    Ejected,
    /// One try at a time finds out whether it is well again.
    Probing,
}

/// Why a limit changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The window was full and healthy.
    Grown,
    /// The provider refused for lack of room, or a try's own deadline came.
    Overload,
    /// First tokens came later than an empty lane's.
    Queueing,
    /// For a moment, to see how an empty lane answers; or back from that.
    Drain,
    /// For a moment, to see whether the lane carries more; or back from that.
    Pulse,
    /// It had not been used.
    Idle,
    /// The provider asked for a pause.
    Pause,
    /// The breaker opened.
    Ejected,
    /// The breaker lets one try through.
    Probe,
    /// The lane is back, after a pause or an ejection.
    Recovered,
    /// The rules changed.
    Rules,
}

/// A change of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The limit before.
    pub before: u32,
    /// The limit now.
    pub after: u32,
    /// Why.
    pub why: Why,
}

/// What the lane's cell publishes to the fast path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    /// How many tries may be in flight; 0: nobody may begin. While [`State::Probing`] it counts only
    /// tries that [`Control::began`](super::Control::began) called a probe.
    pub limit: u32,
    /// Whether the lane is open.
    pub state: State,
    /// When [`Control::tick`](super::Control::tick) will open a lane whose limit is 0.
    pub opens_at: Option<Instant>,
    /// The pace at which tries may begin, where one is known. Its times count from
    /// [`Control::origin`](super::Control::origin).
    pub rate: Option<Pace>,
    /// The lane's 95th percentile to the first token, where enough samples are known: the time after
    /// which a hedge may start.
    pub p95_first_token: Option<Duration>,
    /// The same of the time to whole answers, where no stream was asked for.
    pub p95_answer: Option<Duration>,
    /// What this report changed about the limit.
    pub change: Option<Change>,
}

/// Whether a try may begin on a lane that is not simply open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Began {
    /// The lane serves: the limit alone decides.
    Freely,
    /// It is the one probe.
    Probe,
    /// It may not: the lane is shut, or another probe is out.
    Refused,
}

/// For the admin port.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ControlView {
    /// Whether the lane is open.
    pub state: State,
    /// How many tries may be in flight now.
    pub limit: u32,
    /// The window beneath, which a pause or ejection does not change.
    pub window: u32,
    /// Bounds of the window.
    pub rules: WindowRules,
    /// Cuts by overload so far.
    pub cuts: u64,
    /// Cuts by queueing so far.
    pub queueing_cuts: u64,
    /// Times that the lane was ejected.
    pub ejections: u64,
    /// Median time to first token of the recent past.
    pub p50_first_token: Option<Duration>,
    /// 95th percentile of it.
    pub p95_first_token: Option<Duration>,
    /// 99th percentile of it.
    pub p99_first_token: Option<Duration>,
    /// The pace, where one is known.
    pub rate: Option<Pace>,
    /// How long nobody may begin.
    pub rest: Option<Duration>,
}
