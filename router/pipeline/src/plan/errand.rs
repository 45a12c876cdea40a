//! Requests that the router makes itself: a challenger in the shadow, a judge, an arbiter.
//!
//! They go the way of every request from the budget on, in the lowest class and under the name
//! [`TENANT`], so that they wait behind the callers they are for, and the books tell what they cost. Nobody
//! else is billed, limited or told. Their answers are read to the end, up to [`MOST`] bytes.

use std::future::poll_fn;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use atp_core::answer::BoxBody;
use atp_core::{
    Caller, Error, ErrorKind, Exchange, Finish, MicroUsd, Payload, Qos, RequestId, Restarts, Reuse, Rope, Usage,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use rand::RngExt;

use crate::clock;
use crate::live::Live;
use crate::pipeline::Shared;
use crate::settle::{self, Books};
use crate::stack::{self, Step};

/// Whose requests they are, in the books and at the models.
const TENANT: &str = "atp-router";

/// The longest answer that is read.
pub(super) const MOST: usize = 1 << 20;

static CALLER: LazyLock<Arc<Caller>> = LazyLock::new(|| {
    let name: Arc<str> = Arc::from(TENANT);
    // No place in the configuration: its flows and accounts are looked up by name, and there are none.
    let nowhere = usize::MAX;
    Arc::new(Caller {
        key: Arc::clone(&name),
        tenant: name,
        index: nowhere,
        tenant_index: nowhere,
        qos: Qos::Bronze,
        hints: None,
    })
});

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Heard {
    /// All of its bytes.
    pub(super) bytes: Bytes,
    /// Why it ended.
    pub(super) finish: Option<Finish>,
    /// What it used and cost, where that is known.
    pub(super) usage: Option<Usage>,
    pub(super) cost: Option<MicroUsd>,
}

/// A request that has come to nothing.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Error,
    /// What it has cost all the same; `None` where a provider was at work, and it is not known.
    pub(super) cost: Option<MicroUsd>,
}

impl Failed {
    /// Without an answer: only who was at work on one when the time was up, or his connection broke, has cost anything.
    fn unanswered(error: Error, books: &Books) -> Self {
        let began = matches!(
            error.kind(),
            ErrorKind::TimeoutFirstByte
                | ErrorKind::TimeoutIdle
                | ErrorKind::TimeoutTotal
                | ErrorKind::ProviderCut
                | ErrorKind::ProviderGarbled
        );
        let cost = if began && books.was_asked() { None } else { Some(MicroUsd::default()) };
        Self { error, cost }
    }
}

/// A request like `of`, to be sent by the router itself to the model of this name.
pub(super) fn copy(of: &Exchange, model: &Arc<str>, body: Rope, now: Instant) -> Exchange {
    Exchange {
        id: RequestId::from_parts(clock::unix_ms(now), rand::rng().random()),
        caller: Arc::clone(&CALLER),
        operation: of.operation,
        // The name that stands in the body: what differs from it is put right on the way out.
        model: Arc::clone(&of.model),
        method: of.method.clone(),
        path: Arc::clone(&of.path),
        headers: of.headers.clone(),
        payload: Payload::Rope(body),
        fields: of.fields.clone(),
        stream: of.stream,
        qos: Qos::Bronze,
        session: Some(Arc::clone(model)),
        reuse: Reuse::Forbidden,
        restarts: Restarts::Refused,
        patience: None,
        hints: None,
        received: now,
    }
}

/// A question of the router's own to a model, in the words of the callers' dialect: instructions, then what is asked.
pub(super) fn question(shared: &Shared, model: &Arc<str>, texts: (&str, &str), most: u64) -> Exchange {
    let now = clock::now();
    let chat = (shared.dialect.chat)(model, texts.0, texts.1, most);
    Exchange {
        id: RequestId::from_parts(clock::unix_ms(now), rand::rng().random()),
        caller: Arc::clone(&CALLER),
        operation: chat.operation,
        model: Arc::clone(model),
        method: Method::POST,
        path: Arc::from(chat.path),
        headers: HeaderMap::new(),
        payload: Payload::Rope(chat.body),
        fields: chat.fields,
        stream: false,
        qos: Qos::Bronze,
        session: None,
        reuse: Reuse::Forbidden,
        restarts: Restarts::Refused,
        patience: None,
        hints: None,
        received: now,
    }
}

/// Whether a model may see data with this label: a judge and an arbiter see what they judge.
pub(super) fn may_see(live: &Live, name: &str, label: Option<&Arc<str>>) -> bool {
    let Some(label) = label else { return true };
    live.find_model(name).is_some_and(|found| found.route.scopes.iter().any(|scope| scope == label))
}

/// Sends a request to the model `name`, and reads its answer. It is the router's own, with a row of its own.
///
/// # Errors
///
/// As any exchange; [`ErrorKind::ModelNotFound`] where there is no such model any more, and
/// [`ErrorKind::ProviderGarbled`] for an answer that is too long.
pub(super) async fn run(
    shared: &Arc<Shared>,
    live: &Arc<Live>,
    name: &str,
    exchange: Exchange,
) -> Result<Heard, Failed> {
    let mut books = settle::open(Arc::clone(shared), &exchange, None);
    books.enter(Step::Plan);
    ask(books, live, name, exchange).await
}

/// The same, with the books of whoever pays for it.
///
/// # Errors
///
/// Those of [`run`].
pub(super) async fn ask(
    mut books: Books,
    live: &Arc<Live>,
    name: &str,
    mut exchange: Exchange,
) -> Result<Heard, Failed> {
    let found = live.find_model(name);
    let reply = match stack::steps(&mut books, live, found, &mut exchange).await {
        Ok((begun, rescue)) => books.answer(begun.opening, begun.now, rescue),
        Err(error) => {
            let failed = Failed::unanswered(error.clone(), &books);
            books.refuse(error);
            return Err(failed);
        }
    };
    let mut body = match reply.result {
        Ok(answer) => answer.body,
        Err(error) => return Err(Failed { error, cost: None }),
    };
    let read = read(&mut body).await;
    let (report, cost) = (body.report(), body.cost());
    match (read, &report.failure) {
        (Ok(bytes), None) => Ok(Heard { bytes, finish: report.finish, usage: report.usage, cost }),
        (Ok(_), Some(failure)) => Err(Failed { error: failure.clone(), cost }),
        (Err(error), _) => Err(Failed { error, cost }),
    }
}

/// All bytes of an answer.
async fn read(body: &mut BoxBody) -> Result<Bytes, Error> {
    if let Some(whole) = body.as_mut().take_full() {
        return Ok(whole);
    }
    let mut all = BytesMut::new();
    while let Some(chunk) = poll_fn(|cx| body.as_mut().poll_chunk(cx)).await {
        all.extend_from_slice(&chunk?);
        if all.len() > MOST {
            return Err(Error::provider(ErrorKind::ProviderGarbled, "the answer is longer than it may be"));
        }
    }
    Ok(all.freeze())
}
