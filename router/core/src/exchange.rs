//! One request on its way to a provider.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method};

use crate::body::Payload;
use crate::caller::Caller;
use crate::choice::Hints;
use crate::fields::Fields;
use crate::id::RequestId;
use crate::qos::Qos;

/// What the caller asks for. Small and closed: a metric label, and the adapter's key to the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/completions`.
    Completions,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `POST /v1/moderations`.
    Moderations,
    /// `POST /v1/images/*`.
    Images,
    /// `POST /v1/audio/*`.
    Audio,
    /// `/providers/{name}/*`, passed on as it is.
    Raw,
}

impl Operation {
    /// Every operation, for metrics.
    pub const ALL: [Self; 7] =
        [Self::Chat, Self::Completions, Self::Embeddings, Self::Moderations, Self::Images, Self::Audio, Self::Raw];

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Moderations => "moderations",
            Self::Images => "images",
            Self::Audio => "audio",
            Self::Raw => "raw",
        }
    }
}

/// What a caller says about answers that were made before, or for another request (`x-atp-cache`,
/// `cache-control`), from what allows most to what allows least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Reuse {
    /// They may be used where the model is configured for it.
    #[default]
    Allowed,
    /// This answer is to be a new one; it may be kept for others (`no-cache`).
    Renew,
    /// This answer is to be a new one and is not to be kept (`no-store`).
    Forbidden,
}

/// What a caller can bear in the middle of a stream (`x-atp-accept-restart`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restarts {
    /// What has been sent stands: a stream that cannot go on ends with an error.
    #[default]
    Refused,
    /// A marker may tell that what came before it is void and the answer begins anew.
    Accepted,
}

/// One request, read and authenticated, with everything that the pipeline and the adapters need.
#[derive(Debug)]
pub struct Exchange {
    /// Names it everywhere.
    pub id: RequestId,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// What is asked.
    pub operation: Operation,
    /// The model asked for; for [`Operation::Raw`], the provider's name.
    pub model: Arc<str>,
    /// The method, for [`Operation::Raw`]; `POST` otherwise.
    pub method: Method,
    /// The provider-side path below its base URL, with its query: `/chat/completions`.
    pub path: Arc<str>,
    /// The caller's headers, without credentials and hop-by-hop fields.
    pub headers: HeaderMap,
    /// The body, exactly as received.
    pub payload: Payload,
    /// What the scan of a JSON body found; empty for other bodies.
    pub fields: Fields,
    /// Whether the answer is asked for as a stream of events.
    pub stream: bool,
    /// The class of service: the key's, or a lower one that the request asked for (`x-atp-qos`).
    pub qos: Qos,
    /// Whose turn it is within the tenant (`x-atp-session`); the key where none is named.
    pub session: Option<Arc<str>>,
    /// Whether an answer that was made before, or for another, may answer it.
    pub reuse: Reuse,
    /// Whether its stream may begin anew.
    pub restarts: Restarts,
    /// The caller's own ceiling on every timer (`x-atp-timeout-ms`).
    pub patience: Option<Duration>,
    /// What the caller says about which model is to answer; `None` where it says nothing.
    pub hints: Option<Box<Hints>>,
    /// When the request's head was read.
    pub received: Instant,
}
