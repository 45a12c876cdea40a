//! The ports: how rooms reach each other without knowing each other.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::answer::{Answer, Finish, Reply};
use crate::body::{Payload, Rope};
use crate::caller::Caller;
use crate::error::{Error, ErrorKind};
use crate::exchange::{Exchange, Operation};
use crate::fields::Fields;
use crate::id::RequestId;
use crate::money::MicroUsd;
use crate::plan::{Decision, Observation, Plan};
use crate::resume::Continuity;
use crate::task::{Features, Signs};
use crate::timing::Timeouts;
use crate::usage::Usage;

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The one service behind every entrance.
pub trait Gateway: Send + Sync {
    /// Answers an exchange. Dropping the future, or the answer's body, cancels it.
    fn call(&self, exchange: Exchange) -> BoxFuture<'static, Reply>;

    /// Counts a request that an entrance refused before it became an exchange.
    fn refused(&self, operation: Option<Operation>, error: &Error);

    /// The models that can be asked for, in configured order; patterns are not listed.
    fn models(&self) -> Vec<ModelCard>;

    /// The card of one name, also where a pattern or an alias serves it.
    fn model(&self, name: &str) -> Option<ModelCard>;

    /// Which model would answer, and why, without asking any.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ModelNotFound`] for a name that leads nowhere, [`ErrorKind::NoModelsAvailable`] where
    /// every candidate is dropped.
    fn plan(&self, exchange: &Exchange) -> Result<Arc<Plan>, Error> {
        Err(Error::caller(ErrorKind::ModelNotFound, format!("the model `{}` does not exist here", exchange.model)))
    }

    /// A choice of a request of this caller's tenant, and what is known of how it went.
    fn decision(&self, caller: &Caller, id: RequestId) -> Option<Arc<Decision>> {
        let _ = (caller, id);
        None
    }

    /// Takes what is told about an answer, hours later too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] where no choice of that id is remembered for this caller's tenant.
    fn observe(&self, caller: &Caller, observation: &Observation) -> Result<(), Error> {
        let _ = caller;
        Err(Error::caller(ErrorKind::NotFound, format!("no choice is remembered for {}", observation.id)))
    }
}

/// What a request is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// All that is known of it.
    Whole,
    /// What it will use. Nothing is hashed, which is half of the work: `prompt_hash` and `prefix` stay 0.
    Estimate,
}

/// What the request path needs to know of its callers' dialect, and may not know itself.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// The status by which an entrance answers an error.
    pub status: fn(&Error) -> u16,
    /// The event by which a caller is told that what came before it is void, and why.
    pub restart: fn(&Error) -> Bytes,
    /// What kind of work a request is, and how large. Reads the whole body: not for every request.
    pub features: fn(&Exchange, Reading) -> Features,
    /// What the bytes of a whole answer, or of a stream from its first to its last, show of its quality.
    pub signs: fn(Operation, &[u8]) -> Signs,
    /// What ends a stream that may go on no longer, with the dialect's length reason, as its proper end.
    /// Gets the last bytes of the stream that were passed on, which tell its id and model.
    pub length: fn(Operation, &[u8]) -> Bytes,
    /// The text of an answer, for a judge or for a comparison; `None` where it has none.
    pub text: fn(Operation, &[u8]) -> Option<String>,
    /// A chat request that the router makes itself: the model's name, a system text, a user's text, the most
    /// output tokens.
    pub chat: fn(&str, &str, &str, u64) -> Chat,
}

/// A chat request in a dialect's own words.
#[derive(Debug, Clone)]
pub struct Chat {
    /// What it asks for.
    pub operation: Operation,
    /// The path below a provider's base URL.
    pub path: &'static str,
    /// The body.
    pub body: Rope,
    /// What a scan of it finds.
    pub fields: Fields,
}

/// What is told about a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCard {
    /// The name to ask for.
    pub id: Arc<str>,
    /// The provider of its first target.
    pub owner: Arc<str>,
    /// Seconds since the Unix epoch: when the configuration that holds it was loaded.
    pub created: u64,
}

/// One try of an exchange at one provider.
pub struct Try<'a> {
    /// The request. Its `payload` is empty here; the try's own payload is the one to send.
    pub exchange: &'a Exchange,
    /// The provider's name for the model.
    pub model: &'a str,
    /// What to send before the adapter's own changes.
    pub payload: Payload,
    /// Whether it goes on with another try, or may be gone on with.
    pub continuity: Continuity<'a>,
    /// The most output tokens that may be paid for; `None` where nothing bounds them. The adapter lowers
    /// the request's own limit to it, or sets one.
    pub ceiling: Option<u64>,
    /// The timers of this try, already lowered by the caller's patience and by what is left of the
    /// exchange's total.
    pub timeouts: Timeouts,
}

/// A provider of models. The contract, which the conformance suite checks for every adapter:
///
/// 1. A status below 400 is an [`Answer`]; anything else is an [`Error`] with kind, side and retry
///    set, carrying the provider's own status and body.
/// 2. An answer that is not a stream has been read to its end when the future resolves, where it is
///    no larger than the adapter's cap, so that its usage is known and a cut answer is an error.
/// 3. A stream's body enforces the idle timer itself. `first_byte` covers the head and, for a
///    stream, the wait for the first chunk.
/// 4. Dropping the future or the body ends the provider's work at once.
/// 5. The body's report is truthful at every chunk; an error told inside the stream sets `failure`.
/// 6. A caller of the same dialect sees the provider's bytes unchanged, but for what was added to
///    the request by the router (a usage chunk that the caller did not ask for).
/// 7. A try that goes on with another ([`Continuity::Continue`]) yields what follows, in events that the
///    caller cannot tell from those of the stream that broke off; its report tells its own usage.
pub trait Provider: Send + Sync {
    /// The provider's configured name.
    fn name(&self) -> &Arc<str>;

    /// Sends one try.
    fn call<'a>(&'a self, attempt: Try<'a>) -> BoxFuture<'a, Result<Answer, Error>>;

    /// How many connections to the provider are open now; 0 for one without connections.
    fn connections(&self) -> usize {
        0
    }

    /// Closes connections that have been idle for long. Called every few seconds.
    fn sweep(&self) {}
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The answer came to its end.
    Served,
    /// Refused before a provider was asked: the caller's fault or a limit.
    Refused,
    /// Every try failed, or the answer broke off.
    Failed,
    /// The caller left.
    Cancelled,
}

impl Outcome {
    /// Every outcome, for metrics.
    pub const ALL: [Self; 4] = [Self::Served, Self::Refused, Self::Failed, Self::Cancelled];

    /// The metric label and ledger value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One line of the books: an exchange that has ended.
#[derive(Debug, Clone)]
pub struct UsageRow {
    /// The idempotency key: writing a row twice changes nothing.
    pub id: RequestId,
    /// The key that asked.
    pub key: Arc<str>,
    /// The tenant that the key belongs to.
    pub tenant: Arc<str>,
    /// What was asked.
    pub operation: Operation,
    /// The model asked for.
    pub model: Arc<str>,
    /// The router's model that answered, where the router chose it.
    pub chosen: Option<Arc<str>>,
    /// The provider that answered last; empty where none was asked.
    pub provider: Arc<str>,
    /// The provider's name for the model.
    pub target: Arc<str>,
    /// Whether the answer was a stream.
    pub stream: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// The error's code, where there was one.
    pub error: Option<&'static str>,
    /// The status that the caller saw.
    pub status: u16,
    /// Why the model stopped.
    pub finish: Option<Finish>,
    /// Tokens as the provider reported them; `None` where it did not. Where a budget has to know all the
    /// same, the router's own estimate.
    pub usage: Option<Usage>,
    /// Whether `usage` is the router's own estimate, because the provider told nothing.
    pub metered: bool,
    /// What it cost; `None` where the price or the usage is unknown.
    pub cost: Option<MicroUsd>,
    /// How many tries were made.
    pub attempts: u32,
    /// Microseconds from the request's head to the first byte of the answer.
    pub first_byte_us: u64,
    /// Microseconds from the request's head to the end of the answer.
    pub total_us: u64,
    /// Microseconds of the router's own work before the first byte.
    pub overhead_us: u64,
}

/// Where usage rows go. Never blocks: a row that finds no room is dropped and counted.
pub trait Ledger: Send + Sync {
    /// Takes a row.
    fn record(&self, row: UsageRow);
}

/// Which of the files that tell what was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JournalFile {
    /// Choices and what was learnt of them, complete enough to make every choice again.
    Decisions,
    /// One line per answer to a choice, for people and for other programs.
    Observations,
    /// Models that were promoted or demoted.
    Lifecycle,
}

/// Where lines go that are kept for later: rotated files, one JSON value per line. Never blocks.
pub trait Journal: Send + Sync {
    /// Takes a line, without its end. Where there is no room it is dropped and counted, and the answer is
    /// `Lost`, so that who writes what must be complete can begin anew.
    fn write(&self, file: JournalFile, line: String) -> Kept;

    /// Whether there is such a file at all. Where there is none nobody needs to make its lines.
    fn takes(&self, file: JournalFile) -> bool {
        let _ = file;
        true
    }
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It will stand in the file.
    Queued,
    /// It will stand in the file, as the first of a new one: what the file begins with is due.
    First,
    /// It is lost.
    Lost,
}

/// By what the sums of usage rows are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// By the key that asked.
    Key,
    /// By the model asked for.
    Model,
    /// By the provider that answered last.
    Provider,
    /// By the tenant that the key belongs to.
    Tenant,
}

impl GroupBy {
    /// Every grouping, for catalogues and tests.
    pub const ALL: [Self; 4] = [Self::Key, Self::Model, Self::Provider, Self::Tenant];

    /// The name in a query, and the column of a ledger.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Tenant => "tenant",
        }
    }

    /// The grouping of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.label() == name)
    }
}
