//! The one error value: what happened, whose fault it is, whether another try may help, and a text
//! that may be shown to the caller. Status codes and dialect bodies are made from it at the edge,
//! in one place per dialect; nothing else in the house knows them.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::rate::RateFacts;

/// What happened. Small and closed, so that it can be a metric label; [`ErrorKind::code`] is the
/// stable code that callers see in `x-atp-error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request cannot be understood.
    InvalidRequest,
    /// The request is understood but a value in it is not allowed.
    Validation,
    /// No key, or an unknown one.
    Authentication,
    /// The key is known and may not do this.
    Permission,
    /// The request holds, or asks for, what a policy does not let pass.
    PolicyDenied,
    /// No route of this name exists.
    NotFound,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// The model is not configured.
    ModelNotFound,
    /// The prompt is longer than the configured limit.
    PromptTooLarge,
    /// The body is larger than the configured limit.
    BodyTooLarge,
    /// The caller was slower than the read timeouts allow.
    RequestTimeout,
    /// The caller's rate limit is used up.
    RateLimited,
    /// The router has no room for this request now.
    Backpressure,
    /// The router gave up this bronze request for a gold one.
    Preempted,
    /// A budget, or the caller's own ceiling, does not cover it.
    BudgetDenied,
    /// No target of the model can serve.
    NoModelsAvailable,
    /// The caller left, or the router is ending.
    Cancelled,
    /// The provider refused the request as the caller's fault (4xx other than below).
    ProviderRejected,
    /// The provider refused the router's credentials.
    ProviderAuth,
    /// The provider is rate limiting or overloaded (429, 529, 503 with a hint).
    ProviderOverloaded,
    /// The provider failed (5xx).
    ProviderFailed,
    /// No connection to the provider could be made.
    ProviderUnreachable,
    /// The provider's connection broke, or its answer ended early.
    ProviderCut,
    /// The provider answered something that is not its protocol.
    ProviderGarbled,
    /// A timer ran out: connecting.
    TimeoutConnect,
    /// A timer ran out: waiting for the first byte of the answer.
    TimeoutFirstByte,
    /// A timer ran out: between two bytes of the answer.
    TimeoutIdle,
    /// A timer ran out: the whole exchange.
    TimeoutTotal,
    /// The configuration does not allow it.
    Configuration,
    /// A fault of the router itself.
    Internal,
}

impl ErrorKind {
    /// Every kind, for catalogues and tests.
    pub const ALL: [Self; 30] = [
        Self::InvalidRequest,
        Self::Validation,
        Self::Authentication,
        Self::Permission,
        Self::PolicyDenied,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::ModelNotFound,
        Self::PromptTooLarge,
        Self::BodyTooLarge,
        Self::RequestTimeout,
        Self::RateLimited,
        Self::Backpressure,
        Self::Preempted,
        Self::BudgetDenied,
        Self::NoModelsAvailable,
        Self::Cancelled,
        Self::ProviderRejected,
        Self::ProviderAuth,
        Self::ProviderOverloaded,
        Self::ProviderFailed,
        Self::ProviderUnreachable,
        Self::ProviderCut,
        Self::ProviderGarbled,
        Self::TimeoutConnect,
        Self::TimeoutFirstByte,
        Self::TimeoutIdle,
        Self::TimeoutTotal,
        Self::Configuration,
        Self::Internal,
    ];

    /// The kind of a stable code; `None` for any other text.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The stable code of the taxonomy: `x-atp-error`, metric labels, logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Validation => "validation_error",
            Self::Authentication => "authentication_failed",
            Self::Permission => "permission_denied",
            Self::PolicyDenied => "policy_denied",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::ModelNotFound => "model_not_found",
            Self::PromptTooLarge => "prompt_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::RateLimited => "rate_limited",
            Self::Backpressure => "backpressure",
            Self::Preempted => "preempted",
            Self::BudgetDenied => "budget_denied",
            Self::NoModelsAvailable => "no_models_available",
            Self::Cancelled => "request_cancelled",
            Self::ProviderRejected => "provider_rejected",
            Self::ProviderAuth => "provider_auth",
            Self::ProviderOverloaded => "provider_overloaded",
            Self::ProviderFailed => "provider_failed",
            Self::ProviderUnreachable => "provider_unreachable",
            Self::ProviderCut => "provider_cut",
            Self::ProviderGarbled => "provider_garbled",
            Self::TimeoutConnect => "timeout_connect",
            Self::TimeoutFirstByte => "timeout_first_byte",
            Self::TimeoutIdle => "timeout_idle",
            Self::TimeoutTotal => "timeout_total",
            Self::Configuration => "configuration_error",
            Self::Internal => "internal_error",
        }
    }
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The caller's request, key, or leaving.
    Caller,
    /// The router's own limits or faults.
    Router,
    /// The provider's answer, silence or connection.
    Provider,
}

impl Side {
    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Router => "router",
            Self::Provider => "provider",
        }
    }
}

/// Whether another try may help, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// No: the same request would fail the same way everywhere.
    Never,
    /// Another target may serve it; this one should not be asked again at once.
    Elsewhere,
    /// This target may serve it after a pause; another one may serve it now.
    After(Duration),
}

/// The provider's own words, kept so that a caller of the same dialect sees them unchanged.
#[derive(Debug, Clone)]
pub struct ProviderReply {
    /// The provider's status.
    pub status: StatusCode,
    /// Headers that are fit to be passed on (rate-limit facts, content type, request id).
    pub headers: HeaderMap,
    /// The provider's error body.
    pub body: Bytes,
    /// What it told about its rate limits.
    pub limits: RateFacts,
}

/// The one error value. Boxed inside, because it travels in `Result`s on the hot path.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    side: Side,
    retry: Retry,
    public: Cow<'static, str>,
    param: Option<Cow<'static, str>>,
    cause: Option<String>,
    provider: Option<ProviderReply>,
}

impl Error {
    /// An error with no further try in it. `public` is shown to the caller: name the field, the
    /// value and the way out, and no secret.
    #[must_use]
    pub fn new(kind: ErrorKind, side: Side, public: impl Into<Cow<'static, str>>) -> Self {
        let inner =
            Inner { kind, side, retry: Retry::Never, public: public.into(), param: None, cause: None, provider: None };
        Self(Box::new(inner))
    }

    /// The caller's fault.
    #[must_use]
    pub fn caller(kind: ErrorKind, public: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, Side::Caller, public)
    }

    /// The router's limits or faults.
    #[must_use]
    pub fn router(kind: ErrorKind, public: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, Side::Router, public)
    }

    /// The provider's fault; another target may serve it.
    #[must_use]
    pub fn provider(kind: ErrorKind, public: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, Side::Provider, public).with_retry(Retry::Elsewhere)
    }

    /// Sets whether another try may help.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Names the request field at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    /// Adds what only the log may hold.
    #[must_use]
    pub fn with_cause(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// Keeps the provider's own answer.
    #[must_use]
    pub fn with_provider_reply(mut self, reply: ProviderReply) -> Self {
        self.0.provider = Some(reply);
        self
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whose fault it is.
    #[must_use]
    pub fn side(&self) -> Side {
        self.0.side
    }

    /// Whether another try may help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The text that may be shown to the caller.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.0.public
    }

    /// The request field at fault, if one is.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// What only the log may hold.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The provider's own answer, if it gave one.
    #[must_use]
    pub fn provider_reply(&self) -> Option<&ProviderReply> {
        self.0.provider.as_ref()
    }

    /// How long the caller or the next try should wait, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.0.retry {
            Retry::After(pause) => Some(pause),
            Retry::Never | Retry::Elsewhere => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.code(), self.0.public)?;
        match &self.0.cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("side", &self.0.side)
            .field("retry", &self.0.retry)
            .field("public", &self.0.public)
            .field("cause", &self.0.cause)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {}
