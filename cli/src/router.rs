//! A running router, as its commands ask it.

mod address;
mod http;
mod refusal;
mod sse;

use std::time::Duration;

use serde_json::Value;

pub(crate) use self::address::Address;
pub(crate) use self::http::Answer;
use self::http::{More, Request};
pub(crate) use self::refusal::{ErrorObject, of_event};
use self::sse::Decoder;
use crate::args::Connect;
use crate::failure::Failure;

/// How long a list may take.
const LIST_SILENCE: Duration = Duration::from_secs(15);
/// How long an answer may be silent. The router's own timers are shorter, and tell more.
const CHAT_SILENCE: Duration = Duration::from_secs(900);
/// The longest list or whole answer that is read, in bytes.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A router and the key that it is asked with.
pub(crate) struct Router {
    /// Where it is.
    pub(crate) address: Address,
    key: Option<String>,
}

/// The admin port of a router.
pub(crate) struct Admin {
    /// Where it is.
    pub(crate) address: Address,
}

impl Admin {
    /// The admin port at a URL.
    pub(crate) fn at(url: &str) -> Result<Self, Failure> {
        let there = |failure: Failure| failure.hint("write it as in http://127.0.0.1:7444 (--admin or ATP_ADMIN_URL)");
        Ok(Self { address: Address::parse(url).map_err(there)? })
    }

    /// Queues, lanes and shares, as `/admin/flow` tells them; with arms, budgets and experiments, where the router
    /// tells these too.
    pub(crate) fn flow(&self) -> Result<Value, Failure> {
        let mut told = self.get("/admin/flow")?;
        for (path, field) in
            [("/admin/arms", "arms"), ("/admin/budgets", "budgets"), ("/admin/experiments", "experiments")]
        {
            let Ok(mut more) = self.get(path) else { continue };
            if let (Some(fields), Some(value)) = (told.as_object_mut(), more.get_mut(field)) {
                fields.insert(field.to_owned(), value.take());
            }
        }
        Ok(told)
    }

    /// What a path of the admin port tells.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = Request { path, key: None, body: None, silence: LIST_SILENCE };
        let there = |failure: Failure| {
            failure.hint("start a router with `atp up`, or name another admin address with --admin or ATP_ADMIN_URL")
        };
        let mut answer = http::send(&self.address, &request).map_err(there)?;
        if answer.status != 200 {
            return Err(there(Failure::new(format!("{} has no {path} (HTTP {})", self.address, answer.status))));
        }
        whole(&mut answer).map_err(there)
    }
}

/// One model of a router's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    /// What to ask for.
    pub(crate) id: String,
    /// Who serves it, where the router says so.
    pub(crate) owner: String,
}

impl Router {
    /// The router that the options and the environment name.
    pub(crate) fn of(connect: &Connect) -> Result<Self, Failure> {
        let key = connect.key();
        if key.is_some_and(|key| key.contains(|c: char| c.is_control() || !c.is_ascii())) {
            return Err(Failure::usage("the key holds characters that no header may hold")
                .hint("look for a line end at the end of --key or ATP_API_KEY"));
        }
        Ok(Self { address: Address::parse(connect.url())?, key: key.map(str::to_owned) })
    }

    /// The key that it is asked with.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The list of models as the router sent it.
    pub(crate) fn model_list(&self) -> Result<Value, Failure> {
        let request = Request { path: "/v1/models", key: self.key(), body: None, silence: LIST_SILENCE };
        let mut answer = self.send(&request)?;
        whole(&mut answer)
    }

    /// The models, in the router's order.
    pub(crate) fn models(&self) -> Result<Vec<Model>, Failure> {
        models_of(&self.model_list()?).ok_or_else(|| {
            Failure::new(format!("the list of models at {} is not the one of a router", self.address))
                .hint("name the router's address with --url or ATP_URL")
        })
    }

    /// The model that is meant when none is named: the first that a request can name.
    pub(crate) fn first_model(&self) -> Result<String, Failure> {
        let first = self.models()?.into_iter().map(|model| model.id).find(|id| !id.contains('*'));
        first.ok_or_else(|| {
            Failure::new(format!("the router at {} lists no model", self.address))
                .hint("name one with -m, or add one under `models` in the router's configuration")
        })
    }

    /// Sends a chat completion; the answer's body is still to be read.
    pub(crate) fn chat(&self, body: &Value) -> Result<Answer, Failure> {
        let body = body.to_string();
        self.send(&Request { path: "/v1/chat/completions", key: self.key(), body: Some(&body), silence: CHAT_SILENCE })
    }

    /// Which model would answer an ask, and why; nobody is asked.
    pub(crate) fn plan(&self, body: &Value) -> Result<Value, Failure> {
        let body = body.to_string();
        let request = Request { path: "/v1/plan", key: self.key(), body: Some(&body), silence: LIST_SILENCE };
        whole(&mut self.send(&request)?)
    }

    fn send(&self, request: &Request<'_>) -> Result<Answer, Failure> {
        let answer = http::send(&self.address, request)?;
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(refusal::of_answer(answer)) }
    }
}

/// Reads an answer in one piece.
pub(crate) fn whole(answer: &mut Answer) -> Result<Value, Failure> {
    let body = answer.body.read_all(MAX_BODY)?;
    serde_json::from_slice(&body).map_err(|error| {
        Failure::new(format!("the answer is not JSON: {error}"))
            .hint("is this the address of a router? see --url and ATP_URL")
    })
}

/// Reads a stream of events and hands over the data of those that arrived together, until the stream
/// ends or `sink` wants no more.
pub(crate) fn events(
    answer: &mut Answer,
    mut sink: impl FnMut(&[String]) -> Result<Next, Failure>,
) -> Result<(), Failure> {
    let mut decoder = Decoder::default();
    let (mut bytes, mut data) = (Vec::new(), Vec::new());
    loop {
        let more = answer.body.read(&mut bytes)?;
        let fed = decoder.feed(&bytes, &mut data);
        fed.map_err(|sse::TooLong| Failure::new("the stream holds a line that is no event of a chat"))?;
        if sink(&data)? == Next::Enough || more == More::No {
            return Ok(());
        }
        bytes.clear();
        data.clear();
    }
}

/// Whether a stream is read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Read on.
    More,
    /// The last event has come.
    Enough,
}

/// The entries of OpenAI's list object; nothing where it is none.
fn models_of(list: &Value) -> Option<Vec<Model>> {
    let text = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let entries = list.get("data")?.as_array()?.iter();
    entries
        .map(|entry| Some(Model { id: text(entry, "id")?, owner: text(entry, "owned_by").unwrap_or_default() }))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_keeps_its_order() {
        let list = json!({"object": "list", "data": [{"id": "b", "owned_by": "up"}, {"id": "a"}]});
        let models = models_of(&list).expect("a list");
        assert_eq!(
            models,
            [Model { id: "b".to_owned(), owner: "up".to_owned() }, Model { id: "a".to_owned(), owner: String::new() }]
        );
    }

    #[test]
    fn what_is_no_list_is_none() {
        for other in [json!({}), json!({"data": "x"}), json!({"data": [{"name": "x"}]}), json!([])] {
            assert_eq!(models_of(&other), None, "{other}");
        }
    }
}
