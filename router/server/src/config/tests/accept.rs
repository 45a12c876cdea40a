//! Files that are right, and what they mean.

use std::time::Duration;

use atp_core::Price;

use super::*;
use crate::config::resolved::{
    HttpProvider, ModelName, OnDisconnect, ProviderKind, RateLimit, TargetModel, TargetPrice,
};

const UP: &str = "providers:\n  up: { kind: openai, base_url: \"http://127.0.0.1:9100/v1\" }\n";

fn http<'a>(resolved: &'a Resolved, name: &str) -> &'a HttpProvider {
    resolved.provider(name).and_then(|provider| provider.kind.http()).unwrap()
}

#[test]
fn the_minimal_file_works_as_it_stands() {
    let resolved = good(MINIMAL);
    assert_eq!(resolved.listen, "127.0.0.1:7443".parse().unwrap());
    assert_eq!(resolved.admin_listen, "127.0.0.1:7444".parse().unwrap());
    let up = http(&resolved, "up");
    assert_eq!(up.base_url, "http://127.0.0.1:9100/v1");
    assert_eq!(up.api_key.as_ref().unwrap().expose(), "secret");
    assert_eq!(up.vendor, None);
    let [model] = resolved.models.as_slice() else { panic!("{:?}", resolved.models) };
    assert_eq!(model.name, ModelName::Exact("m".into()));
    assert_eq!(model.targets[0].model, TargetModel::Fixed("m".into()));
    assert_eq!(model.targets[0].price, TargetPrice::Unknown);
    assert!(resolved.warnings.iter().any(|warning| warning.contains("`m`")), "{:?}", resolved.warnings);
    assert_eq!(resolved.watched, [PathBuf::from("atp.yaml")]);
}

#[test]
fn slashes_at_the_end_of_a_base_url_do_not_matter() {
    let resolved = good(&MINIMAL.replace("9100/v1", "9100/v1//"));
    assert_eq!(http(&resolved, "up").base_url, "http://127.0.0.1:9100/v1");
}

#[test]
fn a_vendor_needs_its_name_and_a_key() {
    let text =
        "providers: { groq: { vendor: groq, api_key: k } }\nmodels: { m: { targets: [ { provider: groq } ] } }\n";
    let resolved = good(text);
    let groq = http(&resolved, "groq");
    assert_eq!(groq.base_url, "https://api.groq.com/openai/v1");
    assert_eq!(groq.vendor.as_deref(), Some("groq"));
    let from_env = load_with("providers: { groq: { vendor: groq } }\n", &env(&[("GROQ_API_KEY", "from-env")])).unwrap();
    assert_eq!(http(&from_env, "groq").api_key.as_ref().unwrap().expose(), "from-env");
}

#[test]
fn a_vendor_behind_another_address_needs_no_key() {
    let resolved = good("providers: { groq: { vendor: groq, base_url: \"http://127.0.0.1:9100\" } }\n");
    assert_eq!(http(&resolved, "groq").api_key, None);
}

#[test]
fn a_key_is_read_from_a_variable_or_a_file_anew_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("atp.yaml");
    std::fs::write(folder.path().join("key.txt"), "  first\n").unwrap();
    let text = format!(
        "{UP}  b: {{ kind: openai, base_url: \"http://h\", api_key: {{ file: key.txt }} }}\n  \
         c: {{ kind: openai, base_url: \"http://h\", api_key: {{ env: KEY }} }}\n  \
         d: {{ kind: openai, base_url: \"http://h\", api_key: \"Bearer-${{KEY}}\", headers: {{ x-a: \"${{KEY}}\" }} }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let load = |key: &str| load_file(&file, &env(&[("KEY", key)]), &vendors(), &[]).unwrap();
    let key = |resolved: &Resolved, name: &str| http(resolved, name).api_key.clone().unwrap().expose().to_owned();
    let first = load("one");
    assert_eq!([key(&first, "b"), key(&first, "c"), key(&first, "d")], ["first", "one", "Bearer-one"]);
    assert_eq!(http(&first, "d").headers[0].1.as_bytes(), b"one");
    assert_eq!(first.watched, [file.clone(), folder.path().join("key.txt")]);
    std::fs::write(folder.path().join("key.txt"), "second").unwrap();
    let second = load("two");
    assert_eq!([key(&second, "b"), key(&second, "c"), key(&second, "d")], ["second", "two", "Bearer-two"]);
}

#[test]
fn variables_stand_inside_texts_with_defaults_and_an_escape() {
    let text = "listen: \"${HOST:-127.0.0.1}:${PORT}\"\nworkers: ${N}\nproviders:\n  up: { kind: openai, base_url: \"http://${H}/v1\", \
                api_key: \"$${H}$H\" }\n";
    let resolved = load_with(text, &env(&[("PORT", "8080"), ("N", "3"), ("H", "host")])).unwrap();
    assert_eq!(resolved.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(resolved.workers, 3);
    assert_eq!(http(&resolved, "up").base_url, "http://host/v1");
    assert_eq!(http(&resolved, "up").api_key.as_ref().unwrap().expose(), "${H}$H");
}

#[test]
fn the_innermost_timer_counts() {
    let text = "providers:\n  up: { kind: openai, base_url: \"http://h\", timeouts: { connect: 1s, idle: 2s, first_byte: 3s } }\nmodels:\n  \
                m: { targets: [ { provider: up, timeouts: { connect: 7s } } ], timeouts: { connect: 5s, idle: 6s } }\n";
    let timeouts = good(text).models[0].targets[0].timeouts;
    let seconds = [timeouts.connect, timeouts.idle, timeouts.first_byte, timeouts.total].map(|span| span.as_secs());
    assert_eq!(seconds, [7, 6, 3, 600]);
}

#[test]
fn prices_come_from_the_target_then_the_model_then_the_table() {
    let text = format!(
        "{UP}  sim: {{ kind: simulated }}\nmodels:\n  \
         gpt-4o: {{ targets: [ {{ provider: up }}, {{ provider: up, prices: {{ input: 1, output: 2 }} }}, {{ provider: sim, model: sim-fast }} ] }}\n  \
         m: {{ targets: [ {{ provider: up, model: gpt-4o }} ], prices: {{ input: 0, output: 0 }} }}\n  \
         \"gpt-*\": {{ targets: [ {{ provider: up }} ] }}\n"
    );
    let resolved = good(&text);
    let price = |model: usize, target: usize| resolved.models[model].targets[target].price.clone();
    assert_eq!(
        price(0, 0),
        TargetPrice::Known(Price { input: 2_500_000, output: 10_000_000, cached_input: 1_250_000 })
    );
    assert_eq!(price(0, 1), TargetPrice::Known(Price { input: 1, output: 2, cached_input: 1 }));
    assert!(matches!(price(0, 2), TargetPrice::Known(price) if price.input == 100_000));
    assert_eq!(price(1, 0), TargetPrice::Known(Price { input: 0, output: 0, cached_input: 0 }));
    assert_eq!(price(2, 0), TargetPrice::ByName(None));
    assert_eq!(price(2, 0).of("gpt-4o-mini").map(|price| price.input), Some(150_000));
    assert_eq!(resolved.warnings, Vec::<String>::new());
}

#[test]
fn names_are_exact_then_aliases_then_the_longest_pattern() {
    let text = format!(
        "{UP}models:\n  \"*\": {{ targets: [ {{ provider: up, model: any }} ] }}\n  \
         \"gpt-*\": {{ targets: [ {{ provider: up }} ] }}\n  \
         \"gpt-4*-turbo\": {{ targets: [ {{ provider: up, model: \"x-*\" }} ] }}\n  \
         \"groq/*\": {{ targets: [ {{ provider: up }} ] }}\n  \
         gpt-4o: {{ targets: [ {{ provider: up }} ], aliases: [ best ] }}\n"
    );
    let resolved = good(&text);
    let sent = |asked: &str| {
        let (model, matched) = resolved.model(asked).unwrap();
        (model.name.as_text().into_owned(), model.targets[0].model.name(matched).into_owned())
    };
    let pair = |model: &str, sent: &str| (model.to_owned(), sent.to_owned());
    assert_eq!(sent("gpt-4o"), pair("gpt-4o", "gpt-4o"));
    assert_eq!(sent("best"), pair("gpt-4o", "gpt-4o"));
    assert_eq!(sent("gpt-4o-mini"), pair("gpt-*", "gpt-4o-mini"));
    assert_eq!(sent("gpt-4.5-turbo"), pair("gpt-4*-turbo", "x-.5"));
    assert_eq!(sent("groq/llama/x"), pair("groq/*", "llama/x"));
    assert_eq!(sent("gpt-"), pair("*", "any"));
    assert!(good(&format!("{UP}models: {{ m: {{ targets: [ {{ provider: up }} ] }} }}\n")).model("n").is_none());
}

#[test]
fn weights_and_leaving_are_as_written() {
    let text = format!(
        "{UP}models:\n  a: {{ targets: [ {{ provider: up, weight: 9 }}, {{ provider: up }} ], on_disconnect: {{ drain: 500 }} }}\n  \
         b: {{ targets: [ {{ provider: up }} ], on_disconnect: complete }}\n  c:\n    targets: [ {{ provider: up }} ]\n    on_disconnect:\n"
    );
    let resolved = good(&text);
    assert_eq!((resolved.models[0].weighted, resolved.models[1].weighted), (true, false));
    assert_eq!([resolved.models[0].targets[0].weight, resolved.models[0].targets[1].weight], [9, 1]);
    let leaving: Vec<OnDisconnect> = resolved.models.iter().map(|model| model.on_disconnect).collect();
    assert_eq!(leaving, [OnDisconnect::Drain(500), OnDisconnect::Complete, OnDisconnect::Cancel]);
}

#[test]
fn keys_keep_only_their_digest_and_take_the_common_limit() {
    let text = format!(
        "{UP}listen: 0.0.0.0:7443\nlimits: {{ rps: {{ rate: 2.5 }} }}\nkeys:\n  - {{ name: web, key: 0123456789abcdef }}\n  \
         - {{ name: job, key: 12345678901234567, tenant: batch, rps_limit: {{ rate: 10, burst: 50 }} }}\n"
    );
    let resolved = good(&text);
    let [web, job] = resolved.keys.as_slice() else { panic!("{:?}", resolved.keys) };
    let hex: String = web.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f");
    assert_eq!((&*web.caller.tenant, &*job.caller.tenant, job.caller.index), ("web", "batch", 1));
    let limit = |per_second: f64, burst: u32| Some(RateLimit { per_second, burst: burst.try_into().unwrap() });
    assert_eq!((web.rps, job.rps), (limit(2.5, 3), limit(10.0, 50)));
    assert_eq!(web.rps.unwrap().period(), Duration::from_millis(400));
}

#[test]
fn an_open_address_without_keys_is_served_only_on_purpose() {
    let text = format!("{UP}listen: 0.0.0.0:7443\n");
    assert_eq!(bad(&text)[0].code, Code::Conflict);
    assert_eq!(bad(&format!("{text}keys: []\n"))[0].code, Code::Conflict);
    assert_eq!(bad(&format!("{text}keys:\n"))[0].code, Code::Conflict);
    assert!(good(&format!("{text}allow_anonymous: true\n")).allow_anonymous);
}

#[test]
fn a_certificate_is_tried_against_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("atp.yaml");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let one = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write("cert.pem", &one.cert.pem());
    write("key.pem", &one.signing_key.serialize_pem());
    write("other.pem", &other.signing_key.serialize_pem());
    write("atp.yaml", &format!("{UP}tls: {{ cert: cert.pem, key: key.pem }}\n"));
    let resolved = load_file(&file, &no_env(), &[], &[]).unwrap();
    assert_eq!(resolved.tls.as_ref().unwrap().certified.cert.len(), 1);
    assert_eq!(resolved.watched.len(), 3);
    write("atp.yaml", &format!("{UP}tls: {{ cert: cert.pem, key: other.pem }}\n"));
    let errors = load_file(&file, &no_env(), &[], &[]).unwrap_err();
    assert_eq!((errors.errors()[0].code, errors.errors()[0].field.as_str()), (Code::Conflict, "tls.key"));
    write("atp.yaml", &format!("{UP}tls: {{ cert: cert.pem, key: cert.pem }}\n"));
    let errors = load_file(&file, &no_env(), &[], &[]).unwrap_err();
    assert_eq!((errors.errors()[0].code, errors.errors()[0].field.as_str()), (Code::BadValue, "tls.key"));
}

#[test]
fn the_authorities_of_a_provider_are_read_and_watched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("atp.yaml");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let one = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let up = |url: &str| format!("providers:\n  up: {{ kind: openai, base_url: \"{url}\", ca_file: ca.pem }}\n");
    write("ca.pem", &(one.cert.pem() + &other.cert.pem()));
    write("atp.yaml", &up("https://localhost:9100/v1"));
    let resolved = load_file(&file, &no_env(), &[], &[]).unwrap();
    let authorities = resolved.providers[0].kind.http().unwrap().authorities.clone().unwrap();
    assert_eq!(authorities.pem.as_ref(), (one.cert.pem() + &other.cert.pem()).as_bytes());
    assert_eq!(resolved.watched, [file.clone(), folder.path().join("ca.pem")]);
    write("ca.pem", &one.cert.pem());
    let rotated = load_file(&file, &no_env(), &[], &[]).unwrap();
    assert_eq!(Resolved::describe_changes(&resolved, &rotated), ["providers.up.authorities: changed"]);
    assert!(!rotated.redacted_json().to_string().contains("BEGIN CERTIFICATE"));
    write("atp.yaml", &up("http://localhost:9100/v1"));
    let plain = load_file(&file, &no_env(), &[], &[]).unwrap();
    let said = |config: &Resolved| config.warnings.iter().any(|line| line.contains("`up` is reached without TLS"));
    assert!(said(&plain) && !said(&rotated), "{:?}", plain.warnings);
}

#[test]
fn authorities_that_are_none_are_refused_at_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("atp.yaml");
    let ca = folder.path().join("ca.pem");
    let text = "providers:\n  up: { kind: openai, base_url: \"https://localhost/v1\", ca_file: ca.pem }\n";
    std::fs::write(&file, text).unwrap();
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().signing_key.serialize_pem();
    let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (content, code, said) in [
        (None, Code::File, "cannot be read"),
        (Some(""), Code::BadValue, "holds no PEM of the right kind"),
        (Some(key.as_str()), Code::BadValue, "holds no PEM of the right kind"),
        (Some(garbled), Code::BadValue, "certificate 1 of"),
    ] {
        if let Some(content) = content {
            std::fs::write(&ca, content).unwrap();
        }
        let errors = load_file(&file, &no_env(), &[], &[]).unwrap_err();
        let [error] = errors.errors() else { panic!("{errors}") };
        assert_eq!((error.code, error.field.as_str()), (code, "providers.up.ca_file"), "{error}");
        assert_eq!((error.line, error.column), (Some(2), Some(66)), "{error}");
        assert!(error.message.contains(said), "{error}");
    }
}

#[test]
fn a_simulated_provider_has_typed_settings() {
    let text = "providers:\n  sim:\n    kind: simulated\n    simulated:\n      seed: 7\n      models:\n        a: { quality: 0.5, \
                tokens_per_second: 40, output_tokens: { uniform: { min: 1, max: 2 } } }\n";
    let resolved = good(text);
    let ProviderKind::Simulated(config) = &resolved.providers[0].kind else { panic!("{:?}", resolved.providers) };
    assert_eq!((config.seed, config.models["a"].quality), (7, 0.5));
}

#[test]
fn fields_without_a_value_count_as_not_there() {
    let resolved = good(&format!("{UP}keys:\nlimits:\n  rps:\nmodels:\nledger: {{ retention: }}\n"));
    assert_eq!((resolved.keys.len(), resolved.limits.rps, resolved.ledger.retention), (0, None, None));
}
