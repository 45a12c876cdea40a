//! Models, checked and complete.

use std::borrow::Cow;
use std::sync::Arc;

use atp_core::{Price, Timeouts};

use super::choice::ModelFacts;
use super::flow::{Breaker, Cache, Hedge, OnCut, Queue, Window};

/// One name that callers may ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its name, which may be a pattern.
    pub name: ModelName,
    /// Other names; none of them is a pattern.
    pub aliases: Vec<Arc<str>>,
    /// Who may answer, in configured order; at least one.
    pub targets: Vec<Target>,
    /// Whether the first target to be asked is drawn by weight.
    pub weighted: bool,
    /// What happens when the caller leaves.
    pub on_disconnect: OnDisconnect,
    /// What happens when an answer breaks off.
    pub on_cut: OnCut,
    /// Who may wait for it.
    pub queue: Queue,
    /// Asking a second target; `None` asks none.
    pub hedge: Option<Hedge>,
    /// Whether identical requests under way share one answer.
    pub coalesce: bool,
    /// Keeping answers; `None` keeps none.
    pub cache: Option<Cache>,
    /// What choosing goes by.
    pub facts: ModelFacts,
}

impl Model {
    /// Whether this is exactly its name or one of its aliases; never true of a pattern.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        let exact = matches!(&self.name, ModelName::Exact(own) if **own == *name);
        exact || self.aliases.iter().any(|alias| **alias == *name)
    }
}

/// A model's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModelName {
    /// One name.
    Exact(Arc<str>),
    /// Every name that starts with `prefix` and ends with `suffix`, with at least one character between them.
    Pattern {
        /// What stands before the `*`.
        prefix: Arc<str>,
        /// What stands behind it.
        suffix: Arc<str>,
    },
}

impl ModelName {
    /// Reads a name; `None` where it has more than one `*`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('*') {
            None => Some(Self::Exact(Arc::from(text))),
            Some((_, suffix)) if suffix.contains('*') => None,
            Some((prefix, suffix)) => Some(Self::Pattern { prefix: Arc::from(prefix), suffix: Arc::from(suffix) }),
        }
    }

    /// What the `*` stands for in a name that fits this pattern.
    #[must_use]
    pub fn matched<'n>(&self, name: &'n str) -> Option<&'n str> {
        let Self::Pattern { prefix, suffix } = self else { return None };
        let matched = name.strip_prefix(&**prefix)?.strip_suffix(&**suffix)?;
        (!matched.is_empty()).then_some(matched)
    }

    /// The name as the file writes it.
    #[must_use]
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::Exact(name) => Cow::Borrowed(name),
            Self::Pattern { prefix, suffix } => Cow::Owned(format!("{prefix}*{suffix}")),
        }
    }
}

/// One provider's model that may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The provider's name.
    pub provider: Arc<str>,
    /// Its place in `Resolved::providers`.
    pub provider_index: usize,
    /// The provider's name for the model.
    pub model: TargetModel,
    /// Its share where the model is weighted; at least 1.
    pub weight: u32,
    /// The timers of a try, with those of model and provider already merged.
    pub timeouts: Timeouts,
    /// What its tokens cost.
    pub price: TargetPrice,
    /// How many requests it may have in flight; the same for every target of this provider and model.
    pub window: Window,
    /// When it is left alone; likewise.
    pub breaker: Breaker,
    /// Whether it goes on with an answer whose beginning it is given.
    pub prefill: bool,
}

/// The provider's name for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetModel {
    /// Always the same.
    Fixed(Arc<str>),
    /// What the pattern's `*` stands for, between two texts.
    Matched {
        /// What stands before it.
        prefix: Arc<str>,
        /// What stands behind it.
        suffix: Arc<str>,
    },
}

impl TargetModel {
    /// The name as the file writes it.
    #[must_use]
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::Fixed(name) => Cow::Borrowed(name),
            Self::Matched { prefix, suffix } => Cow::Owned(format!("{prefix}*{suffix}")),
        }
    }

    /// The name to send, for what the pattern of the model matched (anything, where it is none).
    #[must_use]
    pub fn name<'n>(&'n self, matched: &'n str) -> Cow<'n, str> {
        match self {
            Self::Fixed(name) => Cow::Borrowed(name),
            Self::Matched { prefix, suffix } if prefix.is_empty() && suffix.is_empty() => Cow::Borrowed(matched),
            Self::Matched { prefix, suffix } => Cow::Owned(format!("{prefix}{matched}{suffix}")),
        }
    }
}

/// What a target's tokens cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPrice {
    /// This, by the file or by the shipped table.
    Known(Price),
    /// Nobody knows: usage is counted, cost is not, and a metric says so.
    Unknown,
    /// The model is known only when it is asked for; the shipped table is asked then, for this vendor.
    ByName(Option<Arc<str>>),
}

impl TargetPrice {
    /// The price for the provider's name of the model.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<Price> {
        match self {
            Self::Known(price) => Some(*price),
            Self::Unknown => None,
            Self::ByName(vendor) => super::super::prices::shipped().lookup(vendor.as_deref(), name),
        }
    }
}

/// What happens when the caller leaves in the middle of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDisconnect {
    /// The provider's work ends at once.
    #[default]
    Cancel,
    /// The answer is read on for at most so many tokens.
    Drain(u64),
    /// The answer is read to its end.
    Complete,
}
