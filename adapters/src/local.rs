//! A model in this process: a GGUF file, run by candle on the processor, with OpenAI's dialect towards the caller.
//!
//! The router does without it unless it is built with the feature `local`. Passes through the model happen on
//! threads of their own; in front of them stands a bounded line, and who finds it full is told, from what was
//! measured, when there will be room.

mod choose;
mod file;
mod line;
mod linear;
mod llama;
#[cfg(test)]
pub(crate) mod played;
mod request;
mod spell;
mod stream;
mod template;
#[cfg(test)]
mod tests;
mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use atp_core::port::{BoxFuture, Provider, Try};
use atp_core::{Answer, Error, FullBody, Operation, Payload, RateFacts};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::deadlines::Deadlines;
use crate::dice::Dice;
use crate::going_on;
use crate::head::{Head, Shape};
use crate::refusal::Refusal;
use choose::Chooser;
use line::{Engine, Job, Line};
use request::Request;
use spell::Speller;
use stream::{Growing, Stream};
use template::Template;
use words::Words;

pub use file::LocalError;

/// OpenAI's default length of a legacy completion.
const COMPLETION_TOKENS: u64 = 16;

/// What is known of one model.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// The provider's configured name.
    pub name: Arc<str>,
    /// The GGUF file.
    pub model: PathBuf,
    /// The most tokens of prompt and answer together, where that is to be fewer than the file says.
    pub context: Option<u32>,
    /// How many requests are answered at the same time; they share the processor.
    pub slots: usize,
    /// How many more may wait.
    pub line: usize,
    /// How many threads a pass is spread over. candle takes this number from `RAYON_NUM_THREADS` once, or else
    /// from the number of cores, so that a number here can only be compared with it.
    pub threads: Option<usize>,
}

/// The provider.
pub struct Local {
    name: Arc<str>,
    fingerprint: Arc<str>,
    context: u64,
    slots: usize,
    words: Arc<Words>,
    template: Option<Template>,
    line: Arc<Line>,
    threads: Vec<JoinHandle<()>>,
}

/// What a provider is made of, wherever it comes from.
struct Parts {
    engine: Box<dyn Engine>,
    words: Words,
    template: Option<Template>,
    fingerprint: String,
    context: u64,
}

impl Local {
    /// Reads the file and starts the threads. Takes as long as the disk does.
    ///
    /// # Errors
    /// A file that cannot be run, or a number that cannot be had.
    pub fn open(config: &LocalConfig) -> Result<Self, LocalError> {
        let threads = candle_core::utils::barrier_pool().n_workers() + 1;
        if let Some(asked) = config.threads.filter(|asked| *asked != threads) {
            let text = format!(
                "`threads` is {asked}, but passes are spread over {threads}; start the process with \
                 RAYON_NUM_THREADS={asked}, or leave it out"
            );
            return Err(LocalError(text));
        }
        let opened = file::open(&config.model, config.context)?;
        let context = opened.llama.sizes().context as u64;
        let (words, template, fingerprint) = (opened.words, opened.template, opened.fingerprint);
        Self::of(Parts { engine: Box::new(opened.llama), words, template, fingerprint, context }, config)
    }

    fn of(parts: Parts, config: &LocalConfig) -> Result<Self, LocalError> {
        if config.slots == 0 {
            return Err(LocalError("`slots` is 0; the fewest is 1".to_owned()));
        }
        let words = Arc::new(parts.words);
        let line = Arc::new(Line::new(parts.engine, Arc::clone(&words), config.line));
        let thread = |number: usize| {
            let line = Arc::clone(&line);
            let named = std::thread::Builder::new().name(format!("local-{number}"));
            named.spawn(move || line.serve()).map_err(|error| LocalError(format!("no thread can be started: {error}")))
        };
        let threads = (0..config.slots).map(thread).collect::<Result<_, _>>()?;
        Ok(Self {
            name: Arc::clone(&config.name),
            fingerprint: Arc::from(parts.fingerprint),
            context: parts.context,
            slots: config.slots,
            words,
            template: parts.template,
            line,
            threads,
        })
    }

    /// How many requests are served or wait.
    #[must_use]
    pub fn present(&self) -> usize {
        self.line.present()
    }

    /// Tokens a second that prompts are read and answers are written with, as last measured.
    #[must_use]
    pub fn speeds(&self) -> (Option<f64>, Option<f64>) {
        let speed = self.line.speed();
        (speed.prompt.map(f64::recip), speed.output.map(f64::recip))
    }

    /// Everything that needs no waiting: reading, and a place in the line.
    fn begin(&self, attempt: &Try<'_>) -> Result<(Growing, Request), Error> {
        going_on::refuse(attempt)?;
        let start = Instant::now();
        self.join(attempt, start).map_err(|refusal| refusal.into_error(HeaderMap::new()))
    }

    fn join(&self, attempt: &Try<'_>, start: Instant) -> Result<(Growing, Request), Refusal> {
        let exchange = attempt.exchange;
        let (request, prompt, shape) = self.read(attempt)?;
        let input = prompt.len() as u64;
        let asked = match shape {
            Shape::Chat => request.limit()?,
            Shape::Completion => Some(request.limit()?.unwrap_or(COMPLETION_TOKENS)),
        };
        let room = self.context.saturating_sub(input);
        if room < 1 {
            return Err(Refusal::context(self.context, input, asked.unwrap_or(1)));
        }
        // As llama.cpp does: an answer that is asked to be longer than there is room ends with the room.
        let limit = asked.unwrap_or(room).min(room).min(attempt.ceiling.unwrap_or(u64::MAX)).max(1);
        let id = exchange.id.to_string();
        let seed = request.seed.map_or_else(|| crate::dice::hash(id.as_bytes()), i64::cast_unsigned);
        let (temperature, top_p) = (request.temperature(), request.top_p());
        let chooser = Chooser { temperature, top_p, dice: Dice::new(&[seed]) };
        let (tell, said) = mpsc::unbounded_channel();
        let job = Job { prompt, chooser, speller: Speller::new(request.stops()), limit, tell };
        self.line.join(job, self.slots).map_err(|(pause, waiting)| {
            let text = format!("the model serves {} and {waiting} wait, which is all that may", self.slots);
            Refusal::overloaded(text, pause)
        })?;
        let head = Head {
            shape,
            id: id.trim_start_matches("req_").to_owned(),
            created: exchange.id.unix_millis() / 1000,
            model: attempt.model.to_owned(),
            fingerprint: Arc::clone(&self.fingerprint),
        };
        Ok((Growing { said, head, input, deadlines: Deadlines::new(start, attempt.timeouts) }, request))
    }

    fn read(&self, attempt: &Try<'_>) -> Result<(Request, Vec<u32>, Shape), Refusal> {
        let operation = attempt.exchange.operation;
        let none = || {
            let message = format!("a model in the process has no {}; it has chat and completions", operation.label());
            Refusal::new(StatusCode::NOT_FOUND, "invalid_request_error", None, message)
        };
        let Payload::Rope(rope) = &attempt.payload else { return Err(none()) };
        let shape = match operation {
            Operation::Chat => Shape::Chat,
            Operation::Completions => Shape::Completion,
            _ => return Err(none()),
        };
        let request = Request::read(&rope.to_bytes())?;
        let text = match (shape, &self.template) {
            (Shape::Completion, _) => request.prompt()?.to_owned(),
            (Shape::Chat, Some(template)) => {
                template.text(&request.messages()?).map_err(|error| Refusal::invalid("messages", error))?
            }
            (Shape::Chat, None) => {
                return Err(Refusal::unsupported(
                    "messages",
                    "the model's file has no chat template; it has completions",
                ));
            }
        };
        let prompt = self.words.prompt(&text).map_err(|error| Refusal::invalid("messages", error))?;
        if prompt.is_empty() {
            return Err(Refusal::invalid("prompt", "the prompt is empty; it needs at least one token"));
        }
        Ok((request, prompt, shape))
    }
}

impl Provider for Local {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn call<'a>(&'a self, attempt: Try<'a>) -> BoxFuture<'a, Result<Answer, Error>> {
        match self.begin(&attempt) {
            Ok((growing, request)) => Box::pin(deliver(growing, request)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.line.close();
        for thread in self.threads.drain(..) {
            // It ends after the pass that it is in.
            let _ = thread.join();
        }
    }
}

async fn deliver(mut growing: Growing, request: Request) -> Result<Answer, Error> {
    let losses = request.losses();
    if request.is_stream() {
        // A stream begins with its first token, so that whatever is wrong before it is an error and no stream.
        let first = growing.first().await?;
        let body = Box::pin(Stream::new(growing, first, request.includes_usage()));
        let headers = headers("text/event-stream", &losses);
        return Ok(Answer { status: StatusCode::OK, headers, limits: RateFacts::default(), body });
    }
    let (body, report) = growing.whole().await?;
    let body = Box::pin(FullBody::new(Bytes::from(body), report));
    let headers = headers("application/json", &losses);
    Ok(Answer { status: StatusCode::OK, headers, limits: RateFacts::default(), body })
}

fn headers(content_type: &'static str, losses: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if !losses.is_empty()
        && let Ok(value) = HeaderValue::try_from(losses.join(", "))
    {
        headers.insert(HeaderName::from_static("x-atp-losses"), value);
    }
    headers
}
