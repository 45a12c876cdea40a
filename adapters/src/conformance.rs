//! The contract of [`atp_core::port::Provider`], sentence by sentence, for every adapter.
//!
//! A [`Stage`] sets up a provider whose far side plays a [`Scene`]. The functions of [`suite`] are
//! the claims; [`claims!`] makes a test of each of them for one stage. Stages inside the process
//! run in paused time; those with sockets run in real time, with timers short enough to wait for.

pub(crate) mod far_side;
#[cfg(feature = "local")]
mod local;
mod ollama;
pub(crate) mod openai;
mod persona;
mod remote;
mod simulated;
mod suite;

use std::sync::Arc;
use std::time::Duration;

use atp_core::port::{Provider, Try};
use atp_core::{
    Answer, Caller, Continuity, Error, Exchange, Operation, Payload, RequestId, Restarts, Reuse, Rope, Timeouts,
};
use bytes::Bytes;
use http::{HeaderMap, Method};

/// What the far side does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// Answers properly.
    Serve,
    /// Answers with one token, ended by the length, where it is asked for one at most, else with more.
    Bounded,
    /// Answers with a stream that goes on for minutes, an event every few milliseconds.
    Long,
    /// Refuses with 429 and says when to come back.
    Overloaded,
    /// Fails with 500.
    Failed,
    /// Refuses the request with 400.
    Rejected,
    /// Says nothing at all.
    Silent,
    /// Falls silent within the answer.
    Stalled,
    /// Breaks the connection within the answer.
    Cut,
    /// Tells an error within a stream.
    Told,
}

/// A far side that plays scenes.
trait Stage {
    /// A provider whose far side plays `scene` on every call from now on.
    async fn provider(&self, scene: Scene) -> Arc<dyn Provider>;

    /// How many calls the far side is working on.
    fn work(&self) -> usize;

    /// The bytes of a served stream as the far side speaks them, where it speaks the caller's
    /// dialect by the byte; `asked` says whether the caller asked for the usage.
    fn words(&self, asked: bool) -> Option<String>;
}

/// Makes a test of each claim for one stage.
macro_rules! claims {
    ($stage:expr, paused: $paused:literal, $($claim:ident),* $(,)?) => {
        $(
            #[tokio::test(start_paused = $paused)]
            async fn $claim() {
                $crate::conformance::suite::$claim(&$stage).await;
            }
        )*
    };
}

/// Every claim of the suite, for one stage.
macro_rules! all_claims {
    ($stage:expr, paused: $paused:literal) => {
        $crate::conformance::claims!(
            $stage,
            paused: $paused,
            success_is_an_answer,
            a_ceiling_is_the_most_that_the_far_side_is_asked_for,
            a_refusal_is_an_error_with_the_providers_own_words,
            a_whole_answer_is_there_when_the_future_resolves,
            a_cut_whole_answer_is_an_error,
            silence_before_the_answer_runs_into_the_first_byte_timer,
            silence_within_a_stream_runs_into_the_idle_timer,
            a_stream_that_still_speaks_runs_into_the_total_timer,
            dropping_the_future_ends_the_work,
            dropping_the_body_ends_the_work,
            the_report_is_truthful_at_every_chunk,
            a_cut_stream_is_an_error_and_never_complete,
            an_error_within_a_stream_is_passed_on_and_reported,
            usage_is_told_to_those_who_asked_and_known_always,
            the_callers_bytes_are_the_providers,
        );
    };
}

use all_claims;
use claims;

/// Timers that no claim is about: long enough for a slow machine, in paused time free.
const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_secs(20),
    idle: Duration::from_secs(20),
    total: Duration::from_secs(60),
};

/// The timer that a claim is about.
const SHORT: Duration = Duration::from_millis(200);

/// How a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// For one body.
    Whole,
    /// For a stream.
    Stream,
    /// For a stream with its usage.
    StreamWithUsage,
}

impl Ask {
    fn body(self) -> String {
        let more = match self {
            Self::Whole => "",
            Self::Stream => r#", "stream": true"#,
            Self::StreamWithUsage => r#", "stream": true, "stream_options": { "include_usage": true }"#,
        };
        let messages = r#"[ { "role": "user", "content": "How do rivers shape their valleys over time?" } ]"#;
        format!(r#"{{ "model": "m", "messages": {messages}{more} }}"#)
    }
}

async fn call(provider: &Arc<dyn Provider>, ask: Ask, timeouts: Timeouts) -> Result<Answer, Error> {
    call_for(provider, ask, None, timeouts).await
}

/// The same, for so many output tokens at most.
async fn call_for(
    provider: &Arc<dyn Provider>,
    ask: Ask,
    ceiling: Option<u64>,
    timeouts: Timeouts,
) -> Result<Answer, Error> {
    let rope = Rope::from(Bytes::from(ask.body()));
    let exchange = exchange(Operation::Chat, &rope);
    provider
        .call(Try {
            exchange: &exchange,
            model: "m",
            payload: Payload::Rope(rope),
            continuity: Continuity::None,
            ceiling,
            timeouts,
        })
        .await
}

/// The exchange of a body.
pub(crate) fn exchange(operation: Operation, rope: &Rope) -> Exchange {
    let fields = atp_dialects::scan::scan(rope).unwrap();
    Exchange {
        id: RequestId::from_parts(1_700_000_000_000, 5),
        caller: Arc::new(Caller::anonymous()),
        operation,
        model: Arc::from("m"),
        method: Method::POST,
        path: Arc::from("/chat/completions"),
        headers: HeaderMap::new(),
        payload: Payload::Rope(Rope::new()),
        stream: fields.stream == Some(true),
        fields,
        qos: atp_core::Qos::default(),
        session: None,
        reuse: Reuse::Allowed,
        restarts: Restarts::Refused,
        patience: None,
        hints: None,
        received: tokio::time::Instant::now().into_std(),
    }
}

async fn next(answer: &mut Answer) -> Option<Result<Bytes, Error>> {
    std::future::poll_fn(|cx| answer.body.as_mut().poll_chunk(cx)).await
}

/// Everything that a body gives, and how it ended.
async fn drain(answer: &mut Answer) -> (String, Option<Error>) {
    let mut bytes = Vec::new();
    let error = loop {
        match next(answer).await {
            None => break None,
            Some(Err(error)) => break Some(error),
            Some(Ok(chunk)) => bytes.extend_from_slice(&chunk),
        }
    };
    (String::from_utf8(bytes).unwrap(), error)
}

/// Waits until the far side works on as many calls; 50 ms is what a caller who leaves is promised.
async fn works_on(stage: &impl Stage, count: usize) {
    for _ in 0..50 {
        if stage.work() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(stage.work(), count, "calls that the far side works on after 50 ms");
}
