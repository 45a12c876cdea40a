//! What is known of models, and the routes that choose among them, as the admin port tells it.

use serde::Deserialize;
use serde_json::Value;

use crate::term::{Brush, Style, columns, harmless};

/// What is not known.
const NONE: &str = "-";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    models: Vec<Model>,
    routes: Vec<Route>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Model {
    name: String,
    targets: Vec<String>,
    quality: Option<f64>,
    latency_p95_ms: Option<u64>,
    context: Option<u64>,
    capabilities: Option<Vec<String>>,
    safety: Option<String>,
    status: String,
    data_scopes: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Route {
    name: String,
    /// A list of names, or words that stand for one.
    candidates: Value,
    strategy: String,
    explore: String,
}

/// Two tables: models, then routes.
pub(super) fn text(told: &Value, brush: Brush) -> String {
    // A router of another version may tell less.
    let told = Told::deserialize(told).unwrap_or_default();
    let mut text = table(
        ["MODEL", "QUALITY", "P95", "CONTEXT", "CAN", "SAFETY", "STATUS", "DATA", "ANSWERED BY"],
        told.models.iter().map(model),
        brush,
    );
    if !told.routes.is_empty() {
        text.push('\n');
        text.push_str(&table(["ROUTE", "STRATEGY", "EXPLORES", "CANDIDATES"], told.routes.iter().map(route), brush));
    }
    text
}

fn model(model: &Model) -> [String; 9] {
    let list = |names: Option<&Vec<String>>| names.map_or_else(|| NONE.to_owned(), |names| names.join(" "));
    [
        model.name.clone(),
        model.quality.map_or_else(|| NONE.to_owned(), |quality| format!("{quality:.2}")),
        model.latency_p95_ms.map_or_else(|| NONE.to_owned(), |p95| format!("{p95} ms")),
        model.context.map_or_else(|| NONE.to_owned(), |tokens| tokens.to_string()),
        list(model.capabilities.as_ref()),
        model.safety.clone().unwrap_or_else(|| NONE.to_owned()),
        model.status.clone(),
        list(model.data_scopes.as_ref()),
        model.targets.join(", "),
    ]
}

fn route(route: &Route) -> [String; 4] {
    let names = route.candidates.as_array().map(|names| names.iter().filter_map(Value::as_str).collect::<Vec<_>>());
    let candidates =
        names.map_or_else(|| route.candidates.as_str().unwrap_or(NONE).to_owned(), |names| names.join(", "));
    [route.name.clone(), route.strategy.clone(), route.explore.clone(), candidates]
}

fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>, brush: Brush) -> String {
    let harmless_row = |row: [String; N]| row.map(|cell| harmless(&cell).into_owned());
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows.map(harmless_row)).collect();
    let line = |(place, cells): (usize, [String; N])| {
        let text = match (place, cells.split_first()) {
            (0, _) | (_, None) => brush.paint(Style::Dim, cells.concat().trim_end()),
            (_, Some((name, rest))) => format!("{}{}", brush.paint(Style::Bold, name), rest.concat().trim_end()),
        };
        text.trim_end().to_owned() + "\n"
    };
    columns(&rows).into_iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_and_routes_are_two_tables() {
        let told = json!({
            "models": [
                { "name": "small", "targets": ["sim/small"], "quality": 0.7, "latency_p95_ms": 600, "context": 128000,
                  "capabilities": ["json", "streaming"], "safety": "B", "status": "active", "data_scopes": ["public"] },
                { "name": "sim/*", "targets": ["sim/*"], "status": "active" },
            ],
            "routes": [
                { "name": "auto", "candidates": "every model", "strategy": "contextual", "explore": "5%" },
                { "name": "mine", "candidates": ["small", "large"], "strategy": "ucb", "explore": "1%" },
            ],
        });
        let expected = "\
MODEL  QUALITY  P95     CONTEXT  CAN             SAFETY  STATUS  DATA    ANSWERED BY
small  0.70     600 ms  128000   json streaming  B       active  public  sim/small
sim/*  -        -       -        -               -       active  -       sim/*

ROUTE  STRATEGY    EXPLORES  CANDIDATES
auto   contextual  5%        every model
mine   ucb         1%        small, large
";
        assert_eq!(text(&told, Brush::Plain), expected);
        assert_eq!(text(&json!({ "models": 7 }), Brush::Plain).lines().count(), 1);
    }
}
