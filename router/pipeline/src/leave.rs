//! What happens to the provider's work when the caller leaves.
//!
//! By default nothing is needed: the future, or the body, is dropped, and with it everything behind
//! it. Where a route lets the work go on, what is dropped hands it to a task instead; the exchange
//! then ends as cancelled, with the usage that it came to.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use atp_core::answer::BoxBody;
use atp_core::port::BoxFuture;
use atp_core::{Exchange, Reply};

use crate::snapshot::OnDisconnect;

/// Who runs work that outlives its caller: the server, which counts such tasks and ends them when
/// it ends. It runs them on the thread that calls it, because sockets belong to their thread, and
/// must not panic where that thread's runtime is ending: it drops the future instead.
pub type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// How many more output tokens an exchange goes on for; `None` where it ends with its caller.
/// `asked` is the most tokens that the request itself allows, where it is known.
pub(crate) fn limit(policy: OnDisconnect, stream: bool, asked: Option<u64>) -> Option<u64> {
    match policy {
        OnDisconnect::Cancel => None,
        OnDisconnect::Complete => Some(u64::MAX),
        OnDisconnect::Drain(tokens) if stream => Some(tokens),
        // It shows nothing on the way, so it goes on only where it cannot become more than that.
        OnDisconnect::Drain(tokens) => asked.filter(|asked| *asked <= tokens),
    }
}

/// The same for an exchange whose answer has not begun.
pub(crate) fn limit_of(policy: OnDisconnect, exchange: &Exchange) -> Option<u64> {
    limit(policy, exchange.stream, exchange.fields.max_tokens)
}

/// An exchange that goes on when its future is dropped.
pub(crate) struct Lasting {
    pub(crate) inner: Option<BoxFuture<'static, Reply>>,
    pub(crate) spawn: Spawn,
    pub(crate) left: Arc<AtomicBool>,
    pub(crate) limit: u64,
    /// Whether it was ever polled; nothing has begun before that.
    pub(crate) begun: bool,
}

impl Future for Lasting {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        self.begun = true;
        let Some(inner) = &mut self.inner else { return Poll::Pending };
        let polled = inner.as_mut().poll(cx);
        if polled.is_ready() {
            self.inner = None;
        }
        polled
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take().filter(|_| self.begun) {
            self.left.store(true, Ordering::Relaxed);
            let limit = self.limit;
            (self.spawn)(Box::pin(async move {
                if let Ok(answer) = inner.await.result {
                    read_on(answer.body, limit).await;
                }
            }));
        }
    }
}

/// Reads a body to its end, or up to `limit` more output tokens, and drops it.
pub(crate) async fn read_on(mut body: BoxBody, limit: u64) {
    if body.as_mut().take_full().is_some() {
        return;
    }
    let before = body.report().usage.map(|usage| usage.output);
    let mut pieces = 0u64;
    while let Some(Ok(_)) = poll_fn(|cx| body.as_mut().poll_chunk(cx)).await {
        let report = body.report();
        pieces += u64::from(report.content);
        let spent = match (before, report.usage) {
            (Some(before), Some(usage)) => usage.output.saturating_sub(before),
            _ => pieces,
        };
        if spent >= limit {
            break;
        }
    }
}
