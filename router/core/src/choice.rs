//! The words of choosing: what a caller asks for, and what is known of a model.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::money::MicroUsd;

/// How good the answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// Soon and cheap.
    Fast,
    /// In between.
    #[default]
    Balanced,
    /// As good as can be had.
    High,
}

impl Quality {
    /// Every one, lowest first.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Balanced, Self::High];

    /// The name in requests and configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::High => "high",
        }
    }

    /// The quality of a name; `low` is another word for fast.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "low" => Some(Self::Fast),
            other => Self::ALL.into_iter().find(|quality| quality.label() == other),
        }
    }

    /// The least predicted quality of a model that is acceptable, from 0 to 1.
    #[must_use]
    pub const fn floor(self) -> f64 {
        match self {
            Self::Fast => 0.60,
            Self::Balanced => 0.75,
            Self::High => 0.85,
        }
    }
}

/// What a caller says about which model is to answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hints {
    /// How good (`x-atp-quality`).
    pub quality: Option<Quality>,
    /// The most that it may cost (`x-atp-max-cost-usd`).
    pub max_cost: Option<MicroUsd>,
    /// The ceiling that an entrance sets where nobody has said one (`/v1/ask`). It binds models whose price is
    /// known; those without one pass it, because nobody has asked for their cost to be bounded.
    #[serde(default)]
    pub usual_cost: Option<MicroUsd>,
    /// How long the whole answer may take (`x-atp-latency-slo-ms`).
    pub latency_slo: Option<Duration>,
    /// What kind of work it is, in the caller's word (`x-atp-task`).
    pub task: Option<Arc<str>>,
    /// The label that a model must carry to see the data (`x-atp-data-scope`).
    pub data_scope: Option<Arc<str>>,
}

impl Hints {
    /// These hints, with what they leave open taken from `others`.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        Self {
            quality: self.quality.or(others.quality),
            max_cost: self.max_cost.or(others.max_cost),
            usual_cost: self.usual_cost.or(others.usual_cost),
            latency_slo: self.latency_slo.or(others.latency_slo),
            task: self.task.clone().or_else(|| others.task.clone()),
            data_scope: self.data_scope.clone().or_else(|| others.data_scope.clone()),
        }
    }
}

/// Where a model stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It may be chosen.
    #[default]
    Active,
    /// It answers beside others, never instead of them.
    Shadow,
    /// It is chosen where nothing else is left.
    Fallback,
    /// It is not chosen any more; who names it is still served.
    Retired,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Active, Self::Shadow, Self::Fallback, Self::Retired];

    /// The name in the configuration, and the metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Shadow => "shadow",
            Self::Fallback => "fallback",
            Self::Retired => "retired",
        }
    }
}

/// How safe a model's answers are held to be: A is the safest, and the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Grade {
    /// The least safe.
    D,
    /// Below the middle.
    C,
    /// Above the middle.
    B,
    /// The safest.
    A,
}

impl Grade {
    /// Every grade, the least safe first.
    pub const ALL: [Self; 4] = [Self::D, Self::C, Self::B, Self::A];

    /// The letter.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
        }
    }

    /// The grade of a letter.
    #[must_use]
    pub fn parse(letter: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grade| grade.label().eq_ignore_ascii_case(letter))
    }
}

/// What a request may need and a model may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Calling tools.
    Tools,
    /// Reading images.
    Images,
    /// Reading or writing sound.
    Audio,
    /// Answering in JSON, or by a schema.
    Json,
    /// Answering as a stream.
    Streaming,
    /// The endpoint of chats and completions.
    Chat,
    /// The endpoint of embeddings.
    Embeddings,
    /// The endpoint of moderations.
    Moderations,
    /// The endpoints that make images.
    Imaging,
    /// The endpoints that make and read sound.
    Speech,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 10] = [
        Self::Tools,
        Self::Images,
        Self::Audio,
        Self::Json,
        Self::Streaming,
        Self::Chat,
        Self::Embeddings,
        Self::Moderations,
        Self::Imaging,
        Self::Speech,
    ];
    /// Those that are endpoints of their own. A model that names one of them serves those that it names; one that names
    /// none serves chats and completions.
    pub const ENDPOINTS: [Self; 5] = [Self::Chat, Self::Embeddings, Self::Moderations, Self::Imaging, Self::Speech];

    /// The name in the configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Images => "images",
            Self::Audio => "audio",
            Self::Json => "json",
            Self::Streaming => "streaming",
            Self::Chat => "chat",
            Self::Embeddings => "embeddings",
            Self::Moderations => "moderations",
            Self::Imaging => "imaging",
            Self::Speech => "speech",
        }
    }

    /// The capability of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.label() == name)
    }
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capabilities(u16);

impl Capabilities {
    /// The set with one more.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u16)
    }

    /// Whether one is in the set.
    #[must_use]
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u16) != 0
    }

    /// What a model can do of which so much was said (`None` is nothing): with no endpoint named, it serves chats and
    /// completions; where nothing was said it is taken to be able to do all of that.
    #[must_use]
    pub fn offered(said: Option<Self>) -> Self {
        let endpoints: Self = Capability::ENDPOINTS.into_iter().collect();
        match said {
            None => Self((Self::from_iter(Capability::ALL).0 & !endpoints.0) | 1 << Capability::Chat as u16),
            Some(said) if said.0 & endpoints.0 == 0 => said.with(Capability::Chat),
            Some(said) => said,
        }
    }

    /// The first of these that `offered` lacks.
    #[must_use]
    pub fn lacking_in(self, offered: Self) -> Option<Capability> {
        Capability::ALL.into_iter().find(|capability| self.has(*capability) && !offered.has(*capability))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<T: IntoIterator<Item = Capability>>(all: T) -> Self {
        all.into_iter().fold(Self::default(), Self::with)
    }
}

/// How much each side of an answer counts in its reward. They are shares: what counts is their ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// How good it is.
    pub quality: f64,
    /// How cheap it is.
    pub cost: f64,
    /// How soon it is there.
    pub latency: f64,
}

impl Weights {
    /// The weights of a quality that was asked for, where nothing else is configured.
    #[must_use]
    pub const fn of(quality: Quality) -> Self {
        match quality {
            Quality::Fast => Self { quality: 0.4, cost: 0.3, latency: 0.3 },
            Quality::Balanced => Self { quality: 0.6, cost: 0.25, latency: 0.15 },
            Quality::High => Self { quality: 0.85, cost: 0.1, latency: 0.05 },
        }
    }

    /// The same ratio, with a sum of one; all on quality where nothing has a weight.
    #[must_use]
    pub fn normal(self) -> Self {
        let sum = self.quality + self.cost + self.latency;
        if sum > 0.0 && sum.is_finite() {
            Self { quality: self.quality / sum, cost: self.cost / sum, latency: self.latency / sum }
        } else {
            Self { quality: 1.0, cost: 0.0, latency: 0.0 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        assert!(Quality::ALL.into_iter().all(|each| Quality::parse(each.label()) == Some(each)));
        assert_eq!((Quality::parse("low"), Quality::parse("best")), (Some(Quality::Fast), None));
        assert!(Grade::ALL.into_iter().all(|each| Grade::parse(each.label()) == Some(each)));
        assert!(Capability::ALL.into_iter().all(|each| Capability::parse(each.label()) == Some(each)));
    }

    #[test]
    fn a_is_safer_than_b() {
        assert!(Grade::A > Grade::B && Grade::B > Grade::C && Grade::C > Grade::D);
    }

    #[test]
    fn what_is_lacking_is_named() {
        let needs: Capabilities = [Capability::Tools, Capability::Images].into_iter().collect();
        let offers: Capabilities = [Capability::Tools, Capability::Json].into_iter().collect();
        assert_eq!(needs.lacking_in(offers), Some(Capability::Images));
        assert_eq!(offers.lacking_in(offers), None);
        assert_eq!(Capabilities::default().lacking_in(offers), None);
    }

    #[test]
    fn who_names_no_endpoint_chats() {
        let of = |said: &[Capability]| Capabilities::offered(Some(said.iter().copied().collect()));
        let chats = [Capabilities::offered(None), of(&[Capability::Tools]), of(&[])];
        assert!(chats.iter().all(|each| each.has(Capability::Chat) && !each.has(Capability::Embeddings)));
        assert!(Capabilities::offered(None).has(Capability::Tools) && !of(&[]).has(Capability::Tools));
        let embeds = of(&[Capability::Embeddings]);
        assert!(embeds.has(Capability::Embeddings) && !embeds.has(Capability::Chat));
        let both = of(&[Capability::Embeddings, Capability::Chat]);
        assert!(both.has(Capability::Embeddings) && both.has(Capability::Chat));
    }

    #[test]
    fn what_a_request_says_goes_before_what_its_key_says() {
        let said = Hints { quality: Some(Quality::High), ..Hints::default() };
        let key = Hints { quality: Some(Quality::Fast), max_cost: Some(MicroUsd(7)), ..Hints::default() };
        assert_eq!(
            said.or(&key),
            Hints { quality: Some(Quality::High), max_cost: Some(MicroUsd(7)), ..Hints::default() }
        );
    }
}
