//! What to send, where, how fast and for how long.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;

/// The body of every request of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Scenario {
    /// Chat completions, each answered in one piece.
    Chat {
        /// Length of the prompt in bytes.
        prompt_bytes: usize,
    },
    /// Chat completions, each answered as a stream.
    Stream {
        /// Length of the prompt in bytes.
        prompt_bytes: usize,
    },
    /// Chat completions, every second one streamed.
    Mixed {
        /// Length of the prompt in bytes.
        prompt_bytes: usize,
    },
    /// Embeddings.
    Embeddings {
        /// Inputs per request.
        inputs: usize,
    },
}

/// One run of the load generator. Every run is bounded by its duration.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Base URL with the version, as SDKs take it: `http://127.0.0.1:7443/v1`.
    pub url: String,
    /// The model that is asked for.
    pub model: String,
    /// What is asked.
    pub scenario: Scenario,
    /// Closed loop: requests under way at any time. Open loop: connections at most.
    pub concurrency: usize,
    /// Requests a second of an open loop; nothing means a closed loop.
    pub rate: Option<f64>,
    /// What runs before the measurement begins.
    pub warmup: Duration,
    /// Length of the measurement.
    pub duration: Duration,
    /// Exactly so many requests are sent, without a warm-up, unless the duration ends first.
    pub requests: Option<u64>,
    /// Over how long the first requests of a closed loop are spread, so that long streams do not
    /// begin and end in waves.
    pub ramp: Duration,
    /// A request without its whole answer after this time has failed.
    pub timeout: Duration,
    /// Sent as `authorization: Bearer`.
    pub api_key: Option<String>,
    /// Further header fields of every request.
    pub headers: Vec<(String, String)>,
}

impl Plan {
    /// A closed loop of one caller for ten seconds; change what differs.
    #[must_use]
    pub fn new(url: &str, model: &str, scenario: Scenario) -> Self {
        Self {
            url: url.to_owned(),
            model: model.to_owned(),
            scenario,
            concurrency: 1,
            rate: None,
            warmup: Duration::ZERO,
            duration: Duration::from_secs(10),
            requests: None,
            ramp: Duration::ZERO,
            timeout: Duration::from_secs(60),
            api_key: None,
            headers: Vec::new(),
        }
    }

    /// Refuses what cannot run, with the field, its value and the way out.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.concurrency == 0 || self.concurrency > 100_000 {
            bail!("concurrency {}: 1 to 100000 are possible", self.concurrency);
        }
        if let Some(rate) = self.rate.filter(|rate| !(rate.is_finite() && (0.01..=1_000_000.0).contains(rate))) {
            bail!("rate {rate}: 0.01 to 1000000 requests a second are possible");
        }
        if self.duration.is_zero() {
            bail!("duration 0: give the run a length, for example 10 s");
        }
        for (name, value) in &self.headers {
            if name.is_empty() || name.contains([':', '\r', '\n', ' ']) || value.contains(['\r', '\n']) {
                bail!("header `{name}`: names have no colon or space, values no line ends");
            }
        }
        Ok(())
    }

    /// The requests to send in turn.
    pub(super) fn messages(&self, target: &Target) -> Vec<Message> {
        let chat = |prompt_bytes: usize, streamed: Streamed| {
            let stream = if streamed == Streamed::Yes { r#","stream":true"# } else { "" };
            let model = json_text(&self.model);
            let prompt = prose(prompt_bytes);
            let body = format!(
                r#"{{"model":{model},"messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"{prompt}"}}],"max_tokens":128,"temperature":0.7{stream}}}"#
            );
            Message { bytes: self.message(target, "/chat/completions", &body), streamed }
        };
        match self.scenario {
            Scenario::Chat { prompt_bytes } => vec![chat(prompt_bytes, Streamed::No)],
            Scenario::Stream { prompt_bytes } => vec![chat(prompt_bytes, Streamed::Yes)],
            Scenario::Mixed { prompt_bytes } => {
                vec![chat(prompt_bytes, Streamed::No), chat(prompt_bytes, Streamed::Yes)]
            }
            Scenario::Embeddings { inputs } => {
                let inputs: Vec<_> = (0..inputs).map(|number| format!("input {number}: {}", prose(60))).collect();
                let body =
                    serde_json::json!({"model": self.model, "input": inputs, "encoding_format": "float"}).to_string();
                vec![Message { bytes: self.message(target, "/embeddings", &body), streamed: Streamed::No }]
            }
        }
    }

    fn message(&self, target: &Target, path: &str, body: &str) -> Vec<u8> {
        let mut head = format!(
            "POST {}{path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\naccept: application/json\r\nuser-agent: atp-load\r\ncontent-length: {}\r\n",
            target.path,
            target.authority,
            body.len()
        );
        if let Some(key) = &self.api_key {
            head.push_str(&format!("authorization: Bearer {key}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.push_str(body);
        head.into_bytes()
    }
}

/// A request, ready to write.
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
    pub(super) streamed: Streamed,
}

/// Whether the answer must be an event stream that ends with `[DONE]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Streamed {
    Yes,
    No,
}

/// Where a base URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// `host:port` as it stands in the URL.
    pub authority: String,
    /// The path before `/chat/completions`, without a slash at its end.
    pub path: String,
}

impl Target {
    /// Takes a base URL apart and resolves its host.
    ///
    /// # Errors
    /// Another scheme than `http`, or a host that does not resolve.
    pub fn parse(url: &str) -> anyhow::Result<Self> {
        let Some(rest) = url.strip_prefix("http://") else {
            bail!("url `{url}`: the load generator speaks plain http only, as in http://127.0.0.1:7443/v1");
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let with_port = if authority.rsplit(']').next().is_some_and(|tail| tail.contains(':')) {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        let address = with_port
            .to_socket_addrs()
            .with_context(|| format!("url `{url}`: host `{authority}`"))?
            .next()
            .with_context(|| format!("url `{url}`: host `{authority}` has no address"))?;
        Ok(Self { address, authority: authority.to_owned(), path: path.trim_end_matches('/').to_owned() })
    }
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Text of so many bytes that needs no escape.
fn prose(bytes: usize) -> String {
    "Tell me why tokens and dollars are bandwidth, in plain words. ".chars().cycle().take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_taken_apart() {
        let target = Target::parse("http://127.0.0.1:7443/v1/").expect("a legal url");
        assert_eq!((target.address.port(), target.path.as_str()), (7443, "/v1"));
        let target = Target::parse("http://[::1]").expect("a legal url");
        assert_eq!((target.address.port(), target.path.as_str()), (80, ""));
        assert!(Target::parse("https://127.0.0.1").expect_err("no tls").to_string().contains("plain http"));
    }

    #[test]
    fn bodies_are_json_of_the_size_asked_for() {
        let target = Target::parse("http://127.0.0.1:1/v1").expect("a legal url");
        let plan = Plan::new("", "a\"b", Scenario::Mixed { prompt_bytes: 300_000 });
        let messages = plan.messages(&target);
        assert_eq!(messages.len(), 2);
        for message in messages {
            let at = crate::http1::head_length(&message.bytes).expect("a head");
            let body: serde_json::Value = serde_json::from_slice(&message.bytes[at..]).expect("json");
            assert_eq!(body["model"], "a\"b");
            assert_eq!(body["messages"][1]["content"].as_str().map(str::len), Some(300_000));
            assert_eq!(body["stream"].as_bool().unwrap_or(false), message.streamed == Streamed::Yes);
        }
    }
}
