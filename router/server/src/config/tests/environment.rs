//! What the environment overrides, and what it is told when it is wrong.

use super::*;

fn with(pairs: &[(&str, &str)]) -> Resolved {
    load_with(MINIMAL, &env(pairs)).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_variable_overrides_its_field() {
    let resolved = with(&[
        ("ROUTER_HOST", "127.0.0.2"),
        ("ROUTER_PORT", "8443"),
        ("ROUTER_ADMIN_HOST", "::1"),
        ("ROUTER_ADMIN_PORT", "8444"),
        ("ROUTER_WORKERS", "5"),
        ("ROUTER_RPS_LIMIT", "50"),
        ("ROUTER_RPS_BURST", "100"),
        ("DEFAULT_QOS", "Bronze"),
        ("ROUTER_MAX_PROMPT_CHARS", "6000"),
        ("ROUTER_MAX_CONCURRENT", "200"),
        ("ROUTER_DATA_DIR", "/var/lib/atp"),
        ("RUST_LOG", "warn"),
    ]);
    assert_eq!(resolved.listen, "127.0.0.2:8443".parse().unwrap());
    assert_eq!(resolved.admin_listen, "[::1]:8444".parse().unwrap());
    assert_eq!(resolved.workers, 5);
    let rps = resolved.limits.rps.unwrap();
    assert_eq!((rps.per_second, rps.burst.get()), (50.0, 100));
    assert_eq!(resolved.flow.qos, atp_core::Qos::Bronze);
    assert_eq!((resolved.limits.max_prompt_chars, resolved.limits.max_concurrent), (Some(6000), 200));
    assert_eq!(resolved.ledger.path, Path::new("/var/lib/atp/usage.db"));
    assert_eq!(resolved.logs.level, "warn");
}

#[test]
fn a_burst_of_the_file_goes_with_the_rate_of_the_file() {
    let text = format!("{MINIMAL}limits: {{ rps: {{ rate: 5, burst: 9 }} }}\n");
    let rps = |pairs: &[(&str, &str)]| load_with(&text, &env(pairs)).unwrap().limits.rps.unwrap();
    assert_eq!((rps(&[]).per_second, rps(&[]).burst.get()), (5.0, 9));
    assert_eq!(rps(&[("ROUTER_RPS_LIMIT", "7")]).burst.get(), 7);
    assert_eq!(rps(&[("ROUTER_RPS_BURST", "3")]).burst.get(), 3);
}

#[test]
fn a_variable_without_a_value_is_not_set() {
    assert_eq!(with(&[("ROUTER_PORT", ""), ("ROUTER_HOST", "  ")]).listen, "127.0.0.1:7443".parse().unwrap());
}

#[test]
fn a_bad_value_names_variable_value_and_what_is_allowed() {
    let wrong = [
        ("ROUTER_HOST", "example.com"),
        ("ROUTER_PORT", "70000"),
        ("ROUTER_ADMIN_HOST", "localhost:1"),
        ("ROUTER_ADMIN_PORT", "-1"),
        ("ROUTER_WORKERS", "0"),
        ("ROUTER_RPS_LIMIT", "nan"),
        ("ROUTER_RPS_BURST", "0"),
        ("DEFAULT_QOS", "platinum"),
        ("ROUTER_MAX_PROMPT_CHARS", "6k"),
        ("ROUTER_MAX_CONCURRENT", "0"),
        ("ATP_LOG", "loud"),
    ];
    let errors = load_with(MINIMAL, &env(&wrong)).unwrap_err();
    assert_eq!(errors.errors().len(), wrong.len());
    for ((variable, value), error) in wrong.iter().zip(errors.errors()) {
        assert_eq!(
            (error.code, error.source.as_str(), error.field.as_str()),
            (Code::Environment, "environment", *variable)
        );
        assert_eq!(error.found.as_deref(), Some(format!("`{value}`").as_str()));
        assert!(error.allowed.is_some());
    }
}

#[test]
fn an_open_host_without_keys_is_the_variable_s_fault() {
    let errors = load_with(MINIMAL, &env(&[("ROUTER_HOST", "0.0.0.0")])).unwrap_err();
    assert_eq!(errors.errors()[0].field, "ROUTER_HOST");
}

#[test]
fn the_log_level_of_the_router_wins_over_the_common_one() {
    assert_eq!(with(&[("ATP_LOG", "debug"), ("RUST_LOG", "trace")]).logs.level, "debug");
    assert_eq!(with(&[("RUST_LOG", "info,atp_adapters=trace")]).logs.level, "info,atp_adapters=trace");
}

#[test]
fn the_variables_of_openai_are_for_openai_alone() {
    let text = r#"
providers:
  openai: { vendor: openai, api_key: from-the-file, base_url: "http://file" }
  second: { vendor: openai, api_key: from-the-file, base_url: "http://file" }
  third: { kind: openai }
  other: { kind: openai, base_url: "http://other" }
"#;
    let env = env(&[("OPENAI_API_KEY", "from-env"), ("OPENAI_BASE_URL", "http://env/v1/")]);
    let resolved = load_with(text, &env).unwrap();
    let seen = |name: &str| {
        let http = resolved.provider(name).unwrap().kind.http().unwrap();
        (http.base_url.clone(), http.api_key.as_ref().map(|key| key.expose().to_owned()))
    };
    let is = |url: &str, key: &str| (url.to_owned(), (!key.is_empty()).then(|| key.to_owned()));
    assert_eq!(seen("openai"), is("http://env/v1", "from-env"), "the provider of that name is overridden");
    assert_eq!(seen("second"), is("http://file", "from-the-file"), "another account is not");
    assert_eq!(seen("third"), is("http://env/v1", "from-env"), "what is left out is filled in");
    assert_eq!(seen("other"), is("http://other", ""), "a key never goes to another server");
}

#[test]
fn ollama_lives_where_the_environment_says() {
    let text = "providers: { ollama: { kind: ollama, base_url: \"http://file\" }, gpu: { kind: ollama, base_url: \"http://gpu\" }, o: { kind: ollama } }\n";
    let urls = |pairs: &[(&str, &str)]| -> Vec<String> {
        let resolved = load_with(text, &env(pairs)).unwrap();
        resolved.providers.iter().map(|provider| provider.kind.http().unwrap().base_url.clone()).collect()
    };
    assert_eq!(urls(&[]), ["http://file", "http://gpu", "http://127.0.0.1:11434"]);
    assert_eq!(urls(&[("OLLAMA_BASE_URL", "http://env")]), ["http://env", "http://gpu", "http://env"]);
    let errors = load_with(text, &env(&[("OLLAMA_BASE_URL", "env:11434")])).unwrap_err();
    assert_eq!(errors.errors()[0].field, "OLLAMA_BASE_URL");
}

#[test]
fn the_file_of_the_environment() {
    assert_eq!(crate::config::env::config_path(&env(&[("ATP_CONFIG", "/etc/atp.yaml")])), Some("/etc/atp.yaml".into()));
    assert_eq!(crate::config::env::config_path(&no_env()), None);
}

/// The environment is read in one file, so that every variable is in the table of that file.
#[test]
fn nobody_else_reads_the_environment() {
    let mut readers = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["router", "adapters", "observability", "cli"].iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let reads = ["env::var(", "env::var_os(", "env::vars(", "env::vars_os("];
                if reads.iter().any(|read| text.contains(read)) {
                    readers.push(path);
                }
            }
        }
    }
    let own = root().join("router/server/src/config/env.rs");
    assert_eq!(readers, [own], "read the variable in config/env.rs and pass its value on");
}
