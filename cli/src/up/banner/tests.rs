//! The banner as it is read and as it is copied.

use super::*;

fn started() -> Started {
    let model = |name: &str, pattern: bool, targets: &[&str]| StartedModel {
        name: name.to_owned(),
        pattern,
        targets: targets.iter().map(|target| (*target).to_owned()).collect(),
    };
    Started {
        listen: SocketAddr::from(([127, 0, 0, 1], 7443)),
        admin: SocketAddr::from(([127, 0, 0, 1], 7444)),
        tls: false,
        models: vec![
            model("gpt-*", true, &["openai/gpt-*"]),
            model("sim-fast", false, &["simulated/sim-fast", "simulated/sim-high"]),
        ],
        routes: vec![StartedRoute {
            name: "auto".to_owned(),
            strategy: "contextual",
            candidates: vec!["sim-fast".to_owned(), "sim-high".to_owned()],
        }],
        keys: 0,
        source: "embedded defaults".to_owned(),
        warnings: Vec::new(),
        workers: 2,
    }
}

#[test]
fn the_banner_tells_what_a_stranger_needs() {
    let expected = r#"
  ATP Router VERSION

  API      http://127.0.0.1:7443/v1
  gRPC     127.0.0.1:7443 atp.router.v1.RouterService
  admin    http://127.0.0.1:7444
  config   embedded defaults
  keys     none configured, so only this machine is served
  workers  2
  auto     chooses among sim-fast, sim-high (contextual)

  models
    gpt-*     openai/gpt-*
    sim-fast  simulated/sim-fast, simulated/sim-high

  try it
    curl -N http://127.0.0.1:7443/v1/chat/completions -H 'content-type: application/json' -d '{"model":"sim-fast","stream":true,"messages":[{"role":"user","content":"Why are tokens and dollars bandwidth?"}]}'
    atp ask "Why are tokens and dollars bandwidth?"
    atp top    # who uses which model, live

"#;
    assert_eq!(text(&started(), Brush::Plain), expected.replace("VERSION", VERSION));
}

#[test]
fn colours_change_nothing_but_colours() {
    let coloured = text(&started(), Brush::Ansi);
    let mut plain = String::new();
    let mut parts = coloured.split("\x1b[");
    plain.push_str(parts.next().unwrap_or_default());
    parts.for_each(|part| plain.push_str(part.split_once('m').expect("a style ends with m").1));
    // Padding within a style is kept at the end of a line.
    let trimmed: String = plain.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    assert_eq!(trimmed, text(&started(), Brush::Plain));
}

#[test]
fn keys_and_an_open_address_change_the_commands() {
    let open = |port| SocketAddr::from(([0, 0, 0, 0], port));
    let started = Started { keys: 2, listen: open(9000), admin: open(9001), ..started() };
    let text = text(&started, Brush::Plain);
    assert!(text.contains("curl -N http://127.0.0.1:9000/v1/chat/completions"), "{text}");
    assert!(text.contains(r#"-H "authorization: Bearer $ATP_API_KEY""#), "{text}");
    assert!(text.contains("atp ask --url http://127.0.0.1:9000 "), "{text}");
    assert!(text.contains("atp top --admin http://127.0.0.1:9001 "), "{text}");
    assert!(text.contains("  keys     2\n"), "{text}");
}

#[test]
fn an_open_address_without_keys_is_said_aloud() {
    let started = Started { listen: SocketAddr::from(([0, 0, 0, 0], 7443)), ..started() };
    assert!(text(&started, Brush::Plain).contains("whoever reaches this address is served"));
}

#[test]
fn with_tls_only_curl_asks() {
    let text = text(&Started { tls: true, ..started() }, Brush::Plain);
    assert!(text.contains("curl -N -k https://127.0.0.1:7443/v1/chat") && !text.contains("atp ask"), "{text}");
}

#[test]
fn with_patterns_only_the_models_are_asked_for() {
    let mut started = started();
    started.models.truncate(1);
    let text = text(&started, Brush::Plain);
    assert!(text.contains("curl -N http://127.0.0.1:7443/v1/models\n") && !text.contains("atp ask"), "{text}");
}

#[test]
fn a_long_list_is_counted_and_warnings_are_shown() {
    let mut started = started();
    let one = started.models.remove(1);
    started.models = (0..42).map(|number| StartedModel { name: format!("m{number}"), ..one.clone() }).collect();
    started.warnings = vec!["no price for m0".to_owned()];
    let text = text(&started, Brush::Plain);
    assert!(text.contains("and 2 more: `atp models` lists them") && !text.contains("m40"), "{text}");
    assert!(text.contains("  warning: no price for m0\n"), "{text}");
}

#[test]
fn a_quote_in_a_name_does_not_end_the_shells_text() {
    let mut started = started();
    started.models[1].name = "it's \"m\"".to_owned();
    let text = text(&started, Brush::Plain);
    assert!(text.contains(r#"-d '{"model":"it'\''s \"m\"","stream":true,"#), "{text}");
    assert_eq!(quoted("a'b"), r"'a'\''b'");
}

#[test]
fn a_long_route_is_cut_and_none_is_not_told() {
    let mut started = started();
    started.routes[0].candidates = (0..6).map(|number| format!("m{number}")).collect();
    let shown = text(&started, Brush::Plain);
    assert!(shown.contains("  auto     chooses among m0, m1, m2, m3 and 2 more (contextual)\n"), "{shown}");
    started.routes.clear();
    assert!(!text(&started, Brush::Plain).contains("auto"));
}
