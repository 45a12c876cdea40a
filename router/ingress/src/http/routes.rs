//! The table of paths. A new endpoint is a row here.

use std::sync::Arc;

use atp_core::Operation;
use http::Method;

use super::native::Endpoint;

/// Paths below `/v1` that are model calls, all of them `POST`. The path behind the provider's base
/// URL is the same.
const OPERATIONS: [(&str, Operation); 10] = [
    ("/chat/completions", Operation::Chat),
    ("/completions", Operation::Completions),
    ("/embeddings", Operation::Embeddings),
    ("/moderations", Operation::Moderations),
    ("/images/generations", Operation::Images),
    ("/images/edits", Operation::Images),
    ("/images/variations", Operation::Images),
    ("/audio/speech", Operation::Audio),
    ("/audio/transcriptions", Operation::Audio),
    ("/audio/translations", Operation::Audio),
];

/// Paths below `/v1` that speak the router's own dialect. What decides the method is the endpoint itself, because
/// it refuses another one in its own words.
const NATIVE: [(&str, Endpoint<'static>); 4] = [
    ("/ask", Endpoint::Ask),
    ("/plan", Endpoint::Plan),
    ("/feedback", Endpoint::Feedback),
    ("/observe", Endpoint::Observe),
];

/// What a path is.
pub(super) enum Route<'a> {
    /// A model call, and its path at the provider.
    Operation(Operation, Arc<str>),
    /// `/providers/{provider}/{rest}`; `rest` begins with a slash.
    Raw {
        /// The provider's configured name.
        provider: &'a str,
        /// The path behind the provider's base URL.
        rest: &'a str,
    },
    /// One of the router's own.
    Native(Endpoint<'a>),
    /// The list of models.
    Models,
    /// One model; names may hold slashes.
    Model(&'a str),
    /// A known path under another method; the one that is allowed.
    WrongMethod(&'static str),
    /// None of these.
    Unknown,
}

/// The table, with the paths shared so that no request allocates one.
pub(super) struct Table(Vec<(&'static str, Operation, Arc<str>)>);

impl Table {
    pub(super) fn new() -> Self {
        Self(OPERATIONS.iter().map(|(path, operation)| (*path, *operation, Arc::from(*path))).collect())
    }

    /// Finds a path's meaning. The prefix `/v1` may be missing and a slash may trail: client
    /// libraries differ in what they take for a base URL.
    pub(super) fn find<'a>(&self, method: &Method, path: &'a str) -> Route<'a> {
        if let Some(below) = path.strip_prefix("/providers/") {
            return match below.split_once('/') {
                Some((provider, _)) if !provider.is_empty() => {
                    Route::Raw { provider, rest: below.get(provider.len()..).unwrap_or("/") }
                }
                _ => Route::Unknown,
            };
        }
        let below = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let below = below.strip_suffix('/').unwrap_or(below);
        if let Some((_, operation, shared)) = self.0.iter().find(|(known, _, _)| *known == below) {
            return if method == Method::POST {
                Route::Operation(*operation, Arc::clone(shared))
            } else {
                Route::WrongMethod("POST")
            };
        }
        if let Some((_, endpoint)) = NATIVE.iter().find(|(known, _)| *known == below) {
            return Route::Native(*endpoint);
        }
        if let Some(id) = below.strip_prefix("/decisions/").filter(|id| !id.is_empty()) {
            return Route::Native(Endpoint::Decision(id));
        }
        let model = below.strip_prefix("/models/").filter(|name| !name.is_empty());
        match (model, below == "/models") {
            (None, false) => Route::Unknown,
            _ if method != Method::GET => Route::WrongMethod("GET"),
            (Some(name), _) => Route::Model(name),
            (None, true) => Route::Models,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &Method, path: &str) -> String {
        match Table::new().find(method, path) {
            Route::Operation(operation, path) => format!("{} {path}", operation.label()),
            Route::Raw { provider, rest } => format!("raw {provider} {rest}"),
            Route::Native(endpoint) => format!("{endpoint:?}"),
            Route::Models => "models".to_owned(),
            Route::Model(name) => format!("model {name}"),
            Route::WrongMethod(allowed) => format!("use {allowed}"),
            Route::Unknown => "unknown".to_owned(),
        }
    }

    #[test]
    fn every_operation_is_found_with_and_without_prefix_and_slash() {
        for (path, operation) in OPERATIONS {
            for written in [format!("/v1{path}"), path.to_owned(), format!("/v1{path}/")] {
                assert_eq!(found(&Method::POST, &written), format!("{} {path}", operation.label()));
            }
        }
    }

    #[test]
    fn other_paths_are_what_they_are() {
        assert_eq!(found(&Method::GET, "/v1/models"), "models");
        assert_eq!(found(&Method::GET, "/v1/models/groq/llama-3"), "model groq/llama-3");
        assert_eq!(found(&Method::GET, "/v1/chat/completions"), "use POST");
        assert_eq!(found(&Method::POST, "/v1/models"), "use GET");
        assert_eq!(found(&Method::GET, "/providers/up/files/f-1"), "raw up /files/f-1");
        assert_eq!(found(&Method::GET, "/providers/up"), "unknown");
        assert_eq!(found(&Method::GET, "/v1x/models"), "unknown");
        assert_eq!(found(&Method::POST, "/v1/ask/"), "Ask");
        assert_eq!(found(&Method::GET, "/v1/plan"), "Plan");
        assert_eq!(found(&Method::GET, "/v1/decisions/req_1"), "Decision(\"req_1\")");
        assert_eq!(found(&Method::GET, "/v1/decisions/"), "unknown");
    }
}
