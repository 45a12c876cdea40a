//! A provider whose calls go to adapters in other processes.
//!
//! Adapters of one name are replicas: each call goes to the one with the fewest under way, and to the next one where
//! it cannot be reached, as long as nothing of the request has been seen. One that is taken out of the list gets
//! nothing new; what it has under way holds its connections and finishes.

mod answer;
mod endpoint;
mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use atp_core::port::{BoxFuture, Provider, Try};
use atp_core::{Answer, Error, ErrorKind, Payload, Rope};
use http::Method;

use crate::http_client::Outgoing;

use answer::{Asked, Fault};
pub use endpoint::{Endpoint, EndpointError, Place, Standing};
use endpoint::{Outcome, UnderWay};

/// What is known of a group of adapters.
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// The provider's configured name.
    pub name: Arc<str>,
    /// The largest answer, in bytes, that is read to its end before it is passed on, and the largest message.
    pub whole_answer_cap: usize,
}

/// Adapters of one name.
pub struct Remote {
    name: Arc<str>,
    cap: usize,
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    /// Where the next search begins, so that equals take turns.
    turn: AtomicUsize,
}

impl Remote {
    /// Makes the provider. Opens nothing.
    #[must_use]
    pub fn new(config: RemoteConfig, endpoints: Vec<Arc<Endpoint>>) -> Self {
        Self {
            name: config.name,
            cap: config.whole_answer_cap,
            endpoints: ArcSwap::from_pointee(endpoints),
            turn: AtomicUsize::new(0),
        }
    }

    /// Puts other adapters in the place of those before. Calls under way stay where they are.
    pub fn put(&self, endpoints: Vec<Arc<Endpoint>>) {
        self.endpoints.store(Arc::new(endpoints));
    }

    /// The adapters that calls go to.
    #[must_use]
    pub fn endpoints(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.endpoints.load_full()
    }

    /// The adapter for the next call: of those that can be reached the one with the fewest calls under way; of none,
    /// the one that is due soonest. `tried` are out of the question.
    fn pick(&self, model: &str, tried: &[Arc<Endpoint>]) -> Option<Arc<Endpoint>> {
        let endpoints = self.endpoints.load();
        let start = self.turn.fetch_add(1, Ordering::Relaxed) % endpoints.len().max(1);
        let (later, sooner) = endpoints.split_at_checked(start)?;
        let left = sooner.iter().chain(later).filter(|each| !tried.iter().any(|seen| Arc::ptr_eq(seen, each)));
        left.min_by_key(|each| each.rank(model)).cloned()
    }

    async fn ask(&self, attempt: Try<'_>) -> Result<Answer, Error> {
        let Try { exchange, model, mut payload, continuity, ceiling, timeouts } = attempt;
        let mut tried = Vec::new();
        let mut last = None;
        while let Some(endpoint) = self.pick(model, &tried) {
            let again = kept(&payload);
            let attempt = Try { exchange, model, payload, continuity, ceiling, timeouts };
            let fault = match self.ask_one(&endpoint, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let error = match fault {
                Fault::Wire(error) if unseen(&error) => error,
                Fault::Wire(error) | Fault::Told(error) => return Err(error),
            };
            let Some(next) = again else { return Err(error) };
            payload = Payload::Rope(next);
            tried.push(endpoint);
            last = Some(error);
        }
        Err(last.unwrap_or_else(|| self.nobody()))
    }

    async fn ask_one(&self, endpoint: &Arc<Endpoint>, attempt: Try<'_>) -> Result<Answer, Fault> {
        let under_way = UnderWay::of(endpoint);
        let asked = Asked::of(&attempt);
        let deadline = request::deadline(attempt.timeouts.total);
        let mut out = Outgoing {
            method: Method::POST,
            uri: endpoint.complete().clone(),
            headers: endpoint.fields(),
            over: Some(&deadline),
            timeouts: attempt.timeouts,
            body: request::body(attempt),
        };
        let sent = endpoint.client().send(&mut out).await.map_err(Fault::Wire);
        let answer = match sent {
            Ok(incoming) => answer::read(incoming, asked, under_way, self.cap).await,
            Err(fault) => Err(fault),
        };
        let unreached = matches!(&answer, Err(Fault::Wire(error)) if unseen(error));
        endpoint.note(if unreached { Outcome::Unreached } else { Outcome::Reached });
        answer
    }

    fn nobody(&self) -> Error {
        let text = format!(
            "no adapter of `{}` is known; start one with `atp adapter KIND --name {0} --router URL`",
            self.name
        );
        Error::provider(ErrorKind::ProviderUnreachable, text)
    }
}

/// The body again, where it can be sent again.
fn kept(payload: &Payload) -> Option<Rope> {
    match payload {
        Payload::Rope(rope) => Some(rope.clone()),
        Payload::Once { .. } => None,
    }
}

/// Whether the adapter has seen nothing of the request, so that another one may be asked in its place.
fn unseen(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ProviderUnreachable | ErrorKind::TimeoutConnect)
}

impl Provider for Remote {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn call<'a>(&'a self, attempt: Try<'a>) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(self.ask(attempt))
    }

    fn connections(&self) -> usize {
        self.endpoints.load().iter().map(|each| each.client().connections()).sum()
    }

    fn sweep(&self) {
        for each in self.endpoints.load().iter() {
            each.client().sweep();
        }
    }
}
