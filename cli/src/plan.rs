//! `atp plan`: which model a router would choose, and why.

use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::args::Connect;
use crate::ask::prompt;
use crate::failure::Failure;
use crate::router::Router;
use crate::term::{Brush, Style, Terminal, columns, harmless};

#[derive(Args)]
pub(crate) struct PlanArgs {
    /// The question; `-`, or none with something piped in, reads it from standard input.
    prompt: Vec<String>,
    /// The route; without it, `auto`.
    #[arg(short, long, value_name = "ROUTE")]
    model: Option<String>,
    /// How good the answer has to be: fast, balanced or high.
    #[arg(long, value_name = "QUALITY")]
    quality: Option<String>,
    /// The most that the answer may cost, in dollars.
    #[arg(long, value_name = "USD")]
    max_cost: Option<f64>,
    /// How long the answer may take, in milliseconds.
    #[arg(long, value_name = "MS")]
    latency_slo: Option<u64>,
    /// The kind of work, as in code or summarize.
    #[arg(long, value_name = "KIND")]
    task: Option<String>,
    #[command(flatten)]
    connect: Connect,
    /// Print the plan as the router tells it.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Asks and prints.
pub(crate) fn run(args: &PlanArgs, term: &Terminal) -> Result<(), Failure> {
    let prompt = prompt::read(&args.prompt)?;
    let told = Router::of(&args.connect)?.plan(&question(args, &prompt))?;
    if args.json {
        return term.write_json(&told);
    }
    let plan = Plan::deserialize(&told).map_err(|error| {
        Failure::new(format!("the answer is no plan: {error}")).hint("is the router of the same version as this `atp`?")
    })?;
    term.write(&table(&plan, term.out))
}

/// The request's body.
fn question(args: &PlanArgs, prompt: &str) -> Value {
    let given = [
        ("model", args.model.as_ref().map(|model| json!(model))),
        ("quality", args.quality.as_ref().map(|quality| json!(quality))),
        ("max_cost_usd", args.max_cost.map(|usd| json!(usd))),
        ("latency_slo_ms", args.latency_slo.map(|millis| json!(millis))),
        ("task_type", args.task.as_ref().map(|task| json!(task))),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(Map::from_iter(given.chain([("prompt".to_owned(), json!(prompt))])))
}

#[derive(Deserialize)]
struct Plan {
    selected_model: Option<String>,
    candidates: Vec<Candidate>,
    reasoning: String,
    cluster_hint: String,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    strategy: String,
    quality: String,
    order: Vec<String>,
}

#[derive(Deserialize)]
struct Candidate {
    model: String,
    stats: Stats,
    dropped: Option<String>,
    lacks: Option<String>,
    terms: Option<Terms>,
}

#[derive(Deserialize)]
struct Stats {
    cost_per_1k: Option<f64>,
    quality_pred: f64,
    latency_p95: Option<f64>,
}

#[derive(Deserialize)]
struct Terms {
    score: f64,
    probability: f64,
}

/// The candidates in the order in which they would be asked, then those that were dropped, with why; and the reason.
fn table(plan: &Plan, brush: Brush) -> String {
    let head = ["", "MODEL", "QUALITY", "USD/1K", "P95", "SCORE", "CHANCE", "DROPPED"].map(str::to_owned);
    let place = |candidate: &Candidate| plan.metadata.order.iter().position(|model| *model == candidate.model);
    let mut candidates: Vec<_> = plan.candidates.iter().map(|candidate| (place(candidate), candidate)).collect();
    candidates.sort_by_key(|(place, _)| place.unwrap_or(usize::MAX));
    let rows: Vec<_> = std::iter::once(head).chain(candidates.iter().map(|(place, each)| row(*place, each))).collect();
    let mut lines = columns(&rows).into_iter().map(|cells| cells.concat().trim_end().to_owned());
    let mut out: String = lines.next().map(|head| brush.paint(Style::Dim, &head) + "\n").unwrap_or_default();
    for (line, (place, _)) in lines.zip(&candidates) {
        let line = if *place == Some(0) { brush.paint(Style::Bold, &line) } else { line };
        out.push_str(&format!("{line}\n"));
    }
    let chosen = plan.selected_model.as_deref().unwrap_or("nobody");
    let Metadata { strategy, quality, .. } = &plan.metadata;
    let why = format!("{chosen} would answer: {}", plan.reasoning);
    let how = format!("{strategy} · {quality} quality · {} work", plan.cluster_hint);
    out.push_str(&format!("\n{}\n{}\n", harmless(&why), brush.paint(Style::Dim, &harmless(&how))));
    out
}

fn row(place: Option<usize>, candidate: &Candidate) -> [String; 8] {
    let Candidate { model, stats, dropped, lacks, terms } = candidate;
    let unknown = || "-".to_owned();
    let dropped = match (dropped, lacks) {
        (Some(reason), Some(lacks)) => format!("{reason}: {lacks}"),
        (Some(reason), None) => reason.clone(),
        (None, _) => String::new(),
    };
    [
        place.map(|place| (place + 1).to_string()).unwrap_or_default(),
        harmless(model).into_owned(),
        format!("{:.2}", stats.quality_pred),
        stats.cost_per_1k.map_or_else(unknown, |cost| format!("{cost:.6}")),
        stats.latency_p95.map_or_else(unknown, |millis| format!("{millis:.0} ms")),
        terms.as_ref().map_or_else(unknown, |terms| format!("{:.3}", terms.score)),
        terms.as_ref().map_or_else(unknown, |terms| format!("{:.1} %", terms.probability * 100.0)),
        dropped,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_who_would_answer_stands_first_and_the_dropped_last() {
        let stats = |cost: Value| json!({"cost_per_1k": cost, "quality_pred": 0.8, "latency_p95": null});
        let terms = |score: f64| json!({"score": score, "probability": 0.95});
        let told = json!({
            "selected_model": "b",
            "candidates": [
                {"model": "blind", "stats": stats(json!(null)), "dropped": "capability", "lacks": "images", "terms": null},
                {"model": "a", "stats": stats(json!(0.0005)), "dropped": null, "terms": terms(0.5)},
                {"model": "b", "stats": stats(json!(0.001)), "dropped": null, "terms": terms(0.75)},
            ],
            "reasoning": "it looked best",
            "cluster_hint": "code",
            "metadata": {"strategy": "contextual", "quality": "balanced", "order": ["b", "a"]},
        });
        let wanted = "   MODEL  QUALITY  USD/1K    P95  SCORE  CHANCE  DROPPED
1  b      0.80     0.001000  -    0.750  95.0 %
2  a      0.80     0.000500  -    0.500  95.0 %
   blind  0.80     -         -    -      -       capability: images

b would answer: it looked best
contextual · balanced quality · code work
";
        assert_eq!(table(&Plan::deserialize(&told).expect("a plan"), Brush::Plain), wanted);
    }

    #[test]
    fn only_what_is_given_is_asked() {
        use clap::Parser as _;
        let read = |line: &[&str]| match crate::args::Cli::try_parse_from(line).map(|cli| cli.command) {
            Ok(crate::args::Command::Plan(args)) => question(&args, "p"),
            _ => Value::Null,
        };
        assert_eq!(read(&["atp", "plan", "x"]), json!({"prompt": "p"}));
        let full = ["atp", "plan", "-m", "r", "--quality", "high", "--max-cost", "0.5", "--latency-slo", "900", "x"];
        let wanted =
            json!({"prompt": "p", "model": "r", "quality": "high", "max_cost_usd": 0.5, "latency_slo_ms": 900});
        assert_eq!(read(&full), wanted);
    }
}
