//! The load generator as a program of its own, for measuring without the router's binary.
#![expect(clippy::print_stdout, reason = "the report on standard output is this program's answer")]

use std::time::Duration;

use atp_bench::load::{Plan, Scenario, run};
use clap::{Parser, ValueEnum};

/// Sends requests to an OpenAI-compatible server and tells how it answered.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Base URL with the version, as SDKs take it.
    #[arg(default_value = "http://127.0.0.1:7443/v1")]
    url: String,
    /// The model to ask for.
    #[arg(long, short, default_value = "m")]
    model: String,
    /// What to send.
    #[arg(long, short, value_enum, default_value = "chat")]
    scenario: Kind,
    /// Length of the prompt in bytes.
    #[arg(long, default_value_t = 800)]
    prompt_bytes: usize,
    /// Inputs of an embeddings request.
    #[arg(long, default_value_t = 100)]
    inputs: usize,
    /// Requests under way; with a rate, connections at most.
    #[arg(long, short, default_value_t = 1)]
    concurrency: usize,
    /// Requests a second, sent whether or not earlier ones are answered.
    #[arg(long, short)]
    rate: Option<f64>,
    /// Length of the measurement in seconds.
    #[arg(long, short, default_value_t = 5.0)]
    duration: f64,
    /// Seconds that run before it.
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// End earlier, after so many requests.
    #[arg(long, short = 'n')]
    requests: Option<u64>,
    /// Seconds over which the first requests are spread.
    #[arg(long, default_value_t = 0.0)]
    ramp: f64,
    /// Sent as `authorization: Bearer`.
    #[arg(long)]
    api_key: Option<String>,
    /// A further header field, `name: value`; may be repeated.
    #[arg(long = "header", short = 'H', value_parser = header)]
    headers: Vec<(String, String)>,
    /// Bind this program to a core.
    #[arg(long)]
    core: Option<usize>,
    /// Tell the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Chat,
    Stream,
    Mixed,
    Embeddings,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written `name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(core) = arguments.core {
        atp_bench::pin::pin_to_core(core)?;
    }
    let _ = atp_bench::pin::raise_open_files();
    let prompt_bytes = arguments.prompt_bytes;
    let scenario = match arguments.scenario {
        Kind::Chat => Scenario::Chat { prompt_bytes },
        Kind::Stream => Scenario::Stream { prompt_bytes },
        Kind::Mixed => Scenario::Mixed { prompt_bytes },
        Kind::Embeddings => Scenario::Embeddings { inputs: arguments.inputs },
    };
    let plan = Plan {
        concurrency: arguments.concurrency,
        rate: arguments.rate,
        warmup: Duration::try_from_secs_f64(arguments.warmup)?,
        duration: Duration::try_from_secs_f64(arguments.duration)?,
        requests: arguments.requests,
        ramp: Duration::try_from_secs_f64(arguments.ramp)?,
        api_key: arguments.api_key,
        headers: arguments.headers,
        ..Plan::new(&arguments.url, &arguments.model, scenario)
    };
    let report = run(&plan)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(())
}
