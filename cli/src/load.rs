//! `atp load`: many requests, and how they were answered.

pub(crate) mod span;

use std::time::Duration;

use atp_bench::load::{Mark, Plan, Scenario, run_marked};
use clap::{Args, ValueEnum};

use self::span::span;
use crate::args::Connect;
use crate::failure::Failure;
use crate::router::Router;
use crate::term::Terminal;

#[derive(Args)]
pub(crate) struct LoadArgs {
    /// The model; without it, the first that the router lists.
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    /// What is sent; `stream` asks for streamed answers, `mixed` for every second one.
    #[arg(short, long, value_enum, default_value = "chat")]
    scenario: Kind,
    /// Requests under way at any time; with --rate, connections at most.
    #[arg(short, long, value_name = "N", default_value_t = 16)]
    concurrency: usize,
    /// Requests a second, sent whether or not earlier ones are answered.
    #[arg(short, long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// How long is measured: 500ms, 10s, 2m.
    #[arg(short, long, value_parser = span, default_value = "10s")]
    duration: Duration,
    /// What runs before the measurement begins.
    #[arg(long, value_parser = span, default_value = "500ms")]
    warmup: Duration,
    /// End earlier, after so many requests.
    #[arg(short = 'n', long, value_name = "N")]
    requests: Option<u64>,
    /// Length of a prompt in bytes.
    #[arg(long, value_name = "N", default_value_t = 800)]
    prompt_bytes: usize,
    /// Inputs of an embeddings request.
    #[arg(long, value_name = "N", default_value_t = 100)]
    inputs: usize,
    /// A request without its whole answer after this time has failed.
    #[arg(long, value_parser = span, default_value = "60s")]
    timeout: Duration,
    /// A further header field, `name: value`; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "FIELD", value_parser = header)]
    headers: Vec<(String, String)>,
    #[command(flatten)]
    connect: Connect,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Chat,
    Stream,
    Mixed,
    Embeddings,
}

/// Sends and tells.
pub(crate) fn run(args: &LoadArgs, term: &Terminal) -> Result<(), Failure> {
    let plan = plan(args)?;
    // A closed loop of thousands needs more descriptors than a shell gives; what the system allows is enough or
    // shows in the report as failed connections.
    let _ = atp_bench::pin::raise_open_files();
    let progress = term.bar("warming up");
    let report = run_marked(&plan, |mark| match mark {
        Mark::Begin => progress.reach(0.0, "measuring".to_owned()),
        Mark::Progress { part, done, failed } => progress.reach(part, format!("{done} answered, {failed} failed")),
        Mark::End => progress.reach(1.0, "waiting for what is under way".to_owned()),
    });
    drop(progress);
    let report = report.map_err(|error| Failure::usage(format!("{error:#}")))?;
    if args.json {
        let value = serde_json::to_value(&report);
        term.write_json(&value.map_err(|error| Failure::new(format!("the report is no JSON: {error}")))?)?;
    } else {
        term.write(&report.table())?;
    }
    if report.done > 0 {
        return Ok(());
    }
    Err(Failure::new("no request was answered well").hint("`atp ask` shows what the router says to one of them"))
}

fn plan(args: &LoadArgs) -> Result<Plan, Failure> {
    let router = Router::of(&args.connect)?;
    let model = match &args.model {
        Some(model) => model.clone(),
        None => router.first_model()?,
    };
    let prompt_bytes = args.prompt_bytes;
    let scenario = match args.scenario {
        Kind::Chat => Scenario::Chat { prompt_bytes },
        Kind::Stream => Scenario::Stream { prompt_bytes },
        Kind::Mixed => Scenario::Mixed { prompt_bytes },
        Kind::Embeddings => Scenario::Embeddings { inputs: args.inputs },
    };
    Ok(Plan {
        concurrency: args.concurrency,
        rate: args.rate,
        warmup: args.warmup,
        duration: args.duration,
        requests: args.requests,
        timeout: args.timeout,
        api_key: router.key().map(str::to_owned),
        headers: args.headers.clone(),
        ..Plan::new(&router.address.versioned(), &model, scenario)
    })
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header field is written `name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
