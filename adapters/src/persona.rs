//! A persona: a system prompt, the tools that it may use, what may not leave for its model, in front of any provider
//! that this house reaches.
//!
//! Each persona is a model of the provider. A chat that is asked of one gets the persona's prompt first, loses the
//! tools that are not on its list, and has personal data masked or is refused, before it goes to the upstream by the
//! upstream's name for the model. What was masked comes back in the answer, also where a stream cuts a placeholder in
//! two; calls of tools that are not on the list do not. Only chats are answered: anything else would go past all that.
//!
//! The class of service (`qos_tier`) is not minded here: a turn is taken before a provider is asked.

mod answer;
mod request;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use atp_core::port::{BoxFuture, Provider, Try};
use atp_core::{Answer, Error, ErrorKind, Operation, Qos};
use atp_privacy::Guard;

use request::Prepared;

/// Who a model is made to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persona {
    /// Its name, and the name of the model that it is.
    pub name: Arc<str>,
    /// What it is, in a few words, for people.
    pub role: String,
    /// What the model is told before all else.
    pub prompt: String,
    /// What it may use.
    pub tools: Tools,
    /// The highest class that it is served with; `None` leaves the caller's.
    pub qos: Option<Qos>,
    /// What may not leave for the model.
    pub guard: Guard,
}

/// The tools of a persona.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tools {
    /// Every one that a caller offers.
    All,
    /// Those of these names.
    Named(BTreeSet<String>),
}

impl Tools {
    /// Whether a tool may be offered and called.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }
}

/// A provider whose models are personas.
pub struct Personas {
    name: Arc<str>,
    upstream: Arc<dyn Provider>,
    model: Arc<str>,
    personas: BTreeMap<Arc<str>, Arc<Persona>>,
}

impl Personas {
    /// Puts `personas` in front of the model `model` of `upstream`.
    #[must_use]
    pub fn new(name: Arc<str>, upstream: Arc<dyn Provider>, model: Arc<str>, personas: &[Arc<Persona>]) -> Self {
        let personas = personas.iter().map(|persona| (Arc::clone(&persona.name), Arc::clone(persona))).collect();
        Self { name, upstream, model, personas }
    }

    fn persona(&self, name: &str) -> Result<&Arc<Persona>, Error> {
        self.personas.get(name).ok_or_else(|| {
            let known: Vec<String> = self.personas.keys().map(|name| format!("`{name}`")).collect();
            let text = format!("there is no persona of that name here; there are {}", known.join(", "));
            Error::caller(ErrorKind::ModelNotFound, text).with_param("model")
        })
    }

    async fn ask(&self, prepared: Prepared) -> Result<Answer, Error> {
        let Prepared { exchange, payload, ceiling, timeouts, worn } = prepared;
        let attempt = Try {
            exchange: &exchange,
            model: &self.model,
            payload,
            continuity: atp_core::Continuity::None,
            ceiling,
            timeouts,
        };
        answer::read(self.upstream.call(attempt).await?, worn)
    }
}

impl Provider for Personas {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn call<'a>(&'a self, attempt: Try<'a>) -> BoxFuture<'a, Result<Answer, Error>> {
        // Before anything else: a call to the provider as it is names no persona.
        if attempt.exchange.operation != Operation::Chat {
            return Box::pin(std::future::ready(Err(request::chats_alone())));
        }
        match self.persona(attempt.model).and_then(|persona| request::prepare(attempt, persona)) {
            Ok(prepared) => Box::pin(self.ask(prepared)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn connections(&self) -> usize {
        self.upstream.connections()
    }

    fn sweep(&self) {
        self.upstream.sweep();
    }
}
