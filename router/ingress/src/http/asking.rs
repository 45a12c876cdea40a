//! From a request in another form than OpenAI's to the exchange that stands for it: who asks, what he wishes, and
//! where what he asks goes on as.

use std::sync::Arc;

use atp_core::{Caller, Error, Exchange, Operation, Payload, Rope};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use super::Inner;
use super::handle::admit;
use super::wishes::Wishes;
use crate::intake;
use crate::respond::Asked;
use crate::settings::Limits;

/// Who asks, and what he wishes beside what he asks.
pub(crate) struct Asking {
    pub(crate) caller: Arc<Caller>,
    pub(crate) wishes: Wishes,
    pub(crate) limits: Limits,
}

impl Asking {
    /// Reads a request's head.
    pub(crate) fn read(inner: &Inner, headers: &HeaderMap) -> Result<Self, Error> {
        let (caller, limits) = admit(inner, headers)?;
        let wishes = Wishes::read(headers, &caller)?;
        Ok(Self { caller, wishes, limits })
    }

    /// The exchange of a JSON body that was made of what he asks. `path` is where it is asked, below a provider's base
    /// URL; `headers` go on with it, beside those that describe it.
    pub(crate) fn exchange(
        self,
        operation: Operation,
        path: &'static str,
        body: Rope,
        mut headers: HeaderMap,
        asked: &Asked,
    ) -> Result<Exchange, Error> {
        let Self { caller, wishes, limits } = self;
        let Wishes { patience, qos, session, reuse, restarts, hints } = wishes;
        let fields = intake::scanned(&limits, operation, &body)?;
        let stream = fields.stream == Some(true);
        let accept = if stream { "text/event-stream" } else { "application/json" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        Ok(Exchange {
            id: asked.id,
            operation,
            model: Arc::from(fields.model.as_deref().unwrap_or_default()),
            method: Method::POST,
            path: Arc::from(path),
            headers,
            payload: Payload::Rope(body),
            stream,
            fields,
            qos: qos.unwrap_or(caller.qos),
            caller,
            session,
            reuse,
            restarts,
            patience,
            hints,
            received: asked.received,
        })
    }
}
