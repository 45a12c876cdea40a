//! What is asked of every gateway, and what the project aims at for it.

use std::time::Duration;

use crate::load::{Plan, Scenario};

/// Scripts of the upstream that the scenarios use; a gateway serves each as a model of that name.
pub(super) const MODELS: [&str; 6] = ["fast", "stream64", "stream64-burst", "stream64-paced", "embed100", "idle"];

/// One row of the comparison.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// What `--only` names it by.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    model: &'static str,
    scenario: Scenario,
    concurrency: usize,
    pace: Loop,
    ramp: Duration,
    /// Largest processor time per request that is aimed at, as a multiple of nginx's.
    pub(super) cpu_aim: Option<f64>,
    /// Largest p50 and p99 that are aimed at, as multiples of nginx's.
    pub(super) latency_aim: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loop {
    Closed,
    /// At the rate that the command line fixes.
    FixedRate,
}

/// The rows, in the order in which they are run and shown.
pub(super) const ROWS: [Row; 8] = [
    Row {
        cpu_aim: Some(1.3),
        ..closed("chat", "1 KB chat, 32 under way", "fast", Scenario::Chat { prompt_bytes: 800 }, 32)
    },
    Row {
        latency_aim: Some(1.1),
        ..closed("chat-1", "1 KB chat, one at a time", "fast", Scenario::Chat { prompt_bytes: 800 }, 1)
    },
    Row {
        pace: Loop::FixedRate,
        ..closed("chat-rate", "1 KB chat, open loop", "fast", Scenario::Chat { prompt_bytes: 800 }, 256)
    },
    Row {
        cpu_aim: Some(1.2),
        ..closed(
            "stream",
            "64-chunk stream at once, 16 under way",
            "stream64",
            Scenario::Stream { prompt_bytes: 800 },
            16,
        )
    },
    Row {
        cpu_aim: Some(1.2),
        ..closed(
            "burst",
            "64-chunk stream in one write, 16 under way",
            "stream64-burst",
            Scenario::Stream { prompt_bytes: 800 },
            16,
        )
    },
    Row {
        cpu_aim: Some(1.2),
        ramp: Duration::from_millis(320),
        ..closed(
            "paced",
            "64-chunk stream, 5 ms apart, 128 under way",
            "stream64-paced",
            Scenario::Stream { prompt_bytes: 800 },
            128,
        )
    },
    Row {
        cpu_aim: Some(1.0),
        ..closed(
            "prompt",
            "300 KB prompt, half streamed, 8 under way",
            "fast",
            Scenario::Mixed { prompt_bytes: 300_000 },
            8,
        )
    },
    closed(
        "embed",
        "embeddings of 100 inputs, 600 KB reply, 8 under way",
        "embed100",
        Scenario::Embeddings { inputs: 100 },
        8,
    ),
];

const fn closed(
    id: &'static str,
    title: &'static str,
    model: &'static str,
    scenario: Scenario,
    concurrency: usize,
) -> Row {
    Row {
        id,
        title,
        model,
        scenario,
        concurrency,
        pace: Loop::Closed,
        ramp: Duration::ZERO,
        cpu_aim: None,
        latency_aim: None,
    }
}

/// How long each measurement is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    pub(super) warmup: Duration,
    pub(super) length: Duration,
    /// Requests a second of the open loop.
    pub(super) rate: f64,
}

impl Row {
    pub(super) fn plan(&self, url: &str, slice: Slice) -> Plan {
        Plan {
            concurrency: self.concurrency,
            rate: (self.pace == Loop::FixedRate).then_some(slice.rate),
            // Streams that begin one after another have to be all under way.
            warmup: slice.warmup.max(self.ramp + self.ramp / 4),
            duration: slice.length,
            ramp: self.ramp,
            timeout: Duration::from_secs(20),
            api_key: Some(super::gateway::API_KEY.to_owned()),
            ..Plan::new(url, self.model, self.scenario)
        }
    }
}
