//! What `atp up` prints once it serves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use atp_server::{Started, StartedModel, StartedRoute};
use serde_json::json;

use crate::args::{DEFAULT_ADMIN, DEFAULT_URL};
use crate::term::{Brush, Style, columns, harmless};
use crate::version::VERSION;

/// So many models are listed; the rest is counted.
const MOST_MODELS: usize = 40;
/// So many candidates of a route are named.
const MOST_CANDIDATES: usize = 4;
/// The service that gRPC clients ask for, on the port of the API.
const GRPC: &str = "atp.router.v1.RouterService";
const QUESTION: &str = "Why are tokens and dollars bandwidth?";

/// The whole banner.
pub(super) fn text(started: &Started, brush: Brush) -> String {
    let title = format!("{} {VERSION}", brush.paint(Style::Bold, "ATP Router"));
    let mut lines = vec![String::new(), format!("  {title}"), String::new()];
    lines.extend(facts(started, brush));
    lines.extend(models(&started.models, brush));
    if !started.warnings.is_empty() {
        lines.push(String::new());
    }
    for warning in &started.warnings {
        lines.push(format!("  {} {}", brush.paint(Style::Yellow, "warning:"), harmless(warning)));
    }
    lines.extend(first_steps(started, brush));
    lines.push(String::new());
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn facts(started: &Started, brush: Brush) -> Vec<String> {
    let mut rows = vec![
        ["API".to_owned(), format!("{}/v1", url(started))],
        ["gRPC".to_owned(), format!("{} {GRPC}", reachable(started.listen))],
        ["admin".to_owned(), format!("http://{}", reachable(started.admin))],
        ["config".to_owned(), harmless(&started.source).into_owned()],
        ["keys".to_owned(), keys(started)],
        ["workers".to_owned(), started.workers.to_string()],
    ];
    if let Some(auto) = started.routes.iter().find(|route| route.name == "auto") {
        rows.push(["auto".to_owned(), chooses(auto)]);
    }
    let line = |[name, value]: [String; 2]| format!("  {}{value}", brush.paint(Style::Dim, &name));
    columns(&rows).into_iter().map(line).collect()
}

/// What happens to who asks for a route.
fn chooses(route: &StartedRoute) -> String {
    let names: Vec<&str> = route.candidates.iter().take(MOST_CANDIDATES).map(String::as_str).collect();
    let more = route.candidates.len().saturating_sub(MOST_CANDIDATES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let how = if route.strategy == "ensemble" { "asks several" } else { "chooses" };
    harmless(&format!("{how} among {}{more} ({})", names.join(", "), route.strategy)).into_owned()
}

fn keys(started: &Started) -> String {
    match started.keys {
        0 if started.listen.ip().is_loopback() => "none configured, so only this machine is served".to_owned(),
        0 => "none configured: whoever reaches this address is served".to_owned(),
        count => count.to_string(),
    }
}

fn models(models: &[StartedModel], brush: Brush) -> Vec<String> {
    let row =
        |model: &StartedModel| [harmless(&model.name).into_owned(), harmless(&model.targets.join(", ")).into_owned()];
    let rows: Vec<_> = models.iter().take(MOST_MODELS).map(row).collect();
    let mut lines = vec![String::new(), format!("  {}", brush.paint(Style::Dim, "models"))];
    let line = |[name, targets]: [String; 2]| {
        format!("    {}{}", brush.paint(Style::Cyan, &name), brush.paint(Style::Dim, &targets))
    };
    lines.extend(columns(&rows).into_iter().map(line));
    if models.is_empty() {
        lines.push("    none; add some under `models` in the configuration".to_owned());
    }
    if let Some(more) = models.len().checked_sub(MOST_MODELS).filter(|more| *more > 0) {
        lines.push(format!("    and {more} more: `atp models` lists them"));
    }
    lines
}

/// Commands to copy, which work as they stand.
fn first_steps(started: &Started, brush: Brush) -> Vec<String> {
    let model = started.models.iter().find(|model| !model.pattern);
    let mut lines = vec![String::new(), format!("  {}", brush.paint(Style::Dim, "try it"))];
    if started.keys > 0 {
        lines.push("    export ATP_API_KEY=...    # one of the configured keys".to_owned());
    }
    lines.push(format!("    {}", curl(started, model)));
    // `atp ask` speaks no TLS.
    if let (Some(_), false) = (model, started.tls) {
        lines.push(format!("    {}", ask(started)));
    }
    // The admin port never has TLS.
    lines.push(format!("    {}", top(started)));
    lines
}

fn curl(started: &Started, model: Option<&StartedModel>) -> String {
    let mut line = "curl -N".to_owned();
    // A certificate is rarely made out for the address that is shown here.
    line.push_str(if started.tls { " -k" } else { "" });
    let url = url(started);
    line.push_str(&match model {
        Some(_) => format!(" {url}/v1/chat/completions -H 'content-type: application/json'"),
        None => format!(" {url}/v1/models"),
    });
    if started.keys > 0 {
        line.push_str(" -H \"authorization: Bearer $ATP_API_KEY\"");
    }
    if let Some(model) = model {
        // By hand, in the order in which people write it.
        let (name, question) = (json!(model.name), json!(QUESTION));
        let body = format!(r#"{{"model":{name},"stream":true,"messages":[{{"role":"user","content":{question}}}]}}"#);
        line.push_str(&format!(" -d {}", quoted(&body)));
    }
    line
}

fn ask(started: &Started) -> String {
    let url = url(started);
    let option = if url == DEFAULT_URL { String::new() } else { format!("--url {url} ") };
    format!("atp ask {option}\"{QUESTION}\"")
}

fn top(started: &Started) -> String {
    let url = format!("http://{}", reachable(started.admin));
    let option = if url == DEFAULT_ADMIN { String::new() } else { format!(" --admin {url}") };
    format!("atp top{option}    # who uses which model, live")
}

/// For a POSIX shell. Control characters cannot occur: JSON escapes them.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn url(started: &Started) -> String {
    format!("http{}://{}", if started.tls { "s" } else { "" }, reachable(started.listen))
}

/// An address to connect to: a listener on every interface is reached on the loopback one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests;
