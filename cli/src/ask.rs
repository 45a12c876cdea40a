//! `atp ask`: one question, its answer as it arrives, and what it took.

pub(crate) mod prompt;
mod reply;
mod summary;

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use self::reply::{Event, Reply};
use crate::args::Connect;
use crate::failure::Failure;
use crate::router::{self, Answer, Next, Router};
use crate::term::{Progress, Style, Terminal};

#[derive(Args)]
pub(crate) struct AskArgs {
    /// The question; `-`, or none with something piped in, reads it from standard input.
    prompt: Vec<String>,
    /// The model; without it, the first that the router lists.
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    /// Instructions that come before the question.
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// The most tokens that the answer may have.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    #[command(flatten)]
    connect: Connect,
    /// Print one JSON object with the answer and what it took.
    #[arg(long)]
    pub(crate) json: bool,
    /// Ask for the answer in one piece.
    #[arg(long)]
    no_stream: bool,
}

/// Asks and prints.
pub(crate) fn run(args: &AskArgs, term: &Terminal) -> Result<(), Failure> {
    let prompt = prompt::read(&args.prompt)?;
    let router = Router::of(&args.connect)?;
    let model = match &args.model {
        Some(model) => model.clone(),
        None => router.first_model()?,
    };
    let progress = term.spinner(&model);
    let started = now();
    let mut answer = router.chat(&question(args, &model, &prompt))?;
    let mut reply = Reply::new(&model, |name| answer.header(name));
    let screen = Screen { term, progress: &progress, json: args.json };
    let told = if args.no_stream {
        router::whole(&mut answer).and_then(|body| reply.take_whole(&body)).and_then(|text| screen.show(&text))
    } else {
        stream(&mut answer, &mut reply, &screen, started)
    };
    reply.total = now().duration_since(started);
    progress.clear();
    // What has arrived stands on the terminal; whatever comes next begins on a line of its own.
    if !args.json && !reply.text.is_empty() && !reply.text.ends_with('\n') {
        term.write("\n")?;
    }
    told?;
    reply.take_trailers(|name| answer.trailer(name));
    if args.json {
        return term.write_json(&reply.json());
    }
    term.note(&term.err.paint(Style::Dim, &summary::line(&reply)));
    Ok(())
}

/// The time of this crate's only clock.
fn now() -> Instant {
    Instant::now()
}

/// The request's body.
fn question(args: &AskArgs, model: &str, prompt: &str) -> Value {
    let system = args.system.iter().map(|text| json!({"role": "system", "content": text}));
    let messages: Vec<Value> = system.chain([json!({"role": "user", "content": prompt})]).collect();
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("messages".to_owned(), json!(messages));
    if let Some(most) = args.max_tokens {
        body.insert("max_tokens".to_owned(), json!(most));
    }
    if !args.no_stream {
        body.insert("stream".to_owned(), json!(true));
        body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    Value::Object(body)
}

/// Where the answer is shown while it arrives.
struct Screen<'a> {
    term: &'a Terminal,
    progress: &'a Progress,
    json: bool,
}

impl Screen<'_> {
    /// Shows a piece of the answer; as JSON it is shown at the end.
    fn show(&self, text: &str) -> Result<(), Failure> {
        if self.json || text.is_empty() {
            return Ok(());
        }
        self.progress.clear();
        self.term.write_foreign(text)
    }
}

/// Reads the stream to its end.
fn stream(answer: &mut Answer, reply: &mut Reply, screen: &Screen<'_>, started: Instant) -> Result<(), Failure> {
    let mut done = false;
    router::events(answer, |events| {
        let elapsed = now().duration_since(started);
        let mut piece = String::new();
        let mut failure = None;
        for data in events {
            match reply.take_event(data, elapsed) {
                Ok(Event::Text(text)) => piece.push_str(&text),
                Ok(Event::Thought) => screen.progress.say("thinking"),
                Ok(Event::Other) => {}
                Ok(Event::Done) => done = true,
                Err(error) => failure = Some(error),
            }
            if done || failure.is_some() {
                break;
            }
        }
        // What came before an error is part of the answer.
        screen.show(&piece)?;
        failure.map_or(Ok(if done { Next::Enough } else { Next::More }), Err)
    })?;
    if done || reply.finish.is_some() {
        return Ok(());
    }
    Err(Failure::new("the answer was cut: the stream ended without its last event")
        .hint("ask again; the router's log says which provider cut it"))
}

/// A duration as people read it.
fn human(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds if seconds < 60.0 => format!("{seconds:.2} s"),
        seconds => format!("{:.0} min {:02.0} s", (seconds / 60.0).floor(), seconds % 60.0),
    }
}
