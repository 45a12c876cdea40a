//! `atp up` without a file.

use super::*;
use crate::config::resolved::{ProviderKind, TargetPrice};

fn up(pairs: &[(&str, &str)]) -> Resolved {
    embedded(&env(pairs), &vendors(), &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn models(resolved: &Resolved) -> Vec<String> {
    resolved.models.iter().map(|model| model.name.as_text().into_owned()).collect()
}

#[test]
fn nothing_at_all_serves_the_simulated_models() {
    let resolved = up(&[]);
    assert_eq!(resolved.listen, "127.0.0.1:7443".parse().unwrap());
    assert_eq!(resolved.admin_listen, "127.0.0.1:7444".parse().unwrap());
    assert_eq!(models(&resolved), ["sim-fast", "sim-balanced", "sim-high"]);
    assert!(matches!(resolved.providers.as_slice(), [only] if matches!(only.kind, ProviderKind::Simulated(_))));
    assert!(resolved.models.iter().all(|model| matches!(model.targets[0].price, TargetPrice::Known(_))));
    assert_eq!((resolved.file, resolved.warnings, resolved.watched), (None, Vec::new(), Vec::new()));
}

#[test]
fn every_key_in_the_environment_adds_its_vendor() {
    let resolved =
        up(&[("GROQ_API_KEY", "k"), ("OPENAI_API_KEY", "k"), ("AZURE_OPENAI_API_KEY", "k"), ("MISTRAL_API_KEY", "")]);
    let names: Vec<&str> = resolved.providers.iter().map(|provider| &*provider.name).collect();
    assert_eq!(names, ["openai", "groq", "simulated"], "azure has no address without a resource; an empty key is none");
    let asked = |name: &str| {
        let (model, matched) = resolved.model(name).unwrap();
        (model.targets[0].provider.to_string(), model.targets[0].model.name(matched).into_owned())
    };
    assert_eq!(asked("gpt-4o"), ("openai".into(), "gpt-4o".into()));
    assert_eq!(asked("o3-mini"), ("openai".into(), "o3-mini".into()));
    assert_eq!(asked("openai/gpt-4o"), ("openai".into(), "gpt-4o".into()));
    assert_eq!(asked("groq/openai/gpt-oss-120b"), ("groq".into(), "openai/gpt-oss-120b".into()));
}

#[test]
fn the_local_model_comes_first_and_costs_nothing() {
    let resolved = up(&[
        ("ATP_LOCAL_MODEL_URL", "http://127.0.0.1:8099/v1"),
        ("ATP_LOCAL_MODEL_NAME", "smollm2-135m"),
        ("GROQ_API_KEY", "k"),
    ]);
    assert_eq!(models(&resolved).first().map(String::as_str), Some("smollm2-135m"));
    assert!(matches!(resolved.models[0].targets[0].price, TargetPrice::Known(price) if price.output == 0));
    assert_eq!(resolved.warnings, Vec::<String>::new());
    let unnamed = up(&[("ATP_LOCAL_MODEL_URL", "http://127.0.0.1:8099/v1")]);
    assert_eq!(models(&unnamed)[0], "local");
}

#[test]
fn ollama_is_served_by_prefix() {
    let resolved = up(&[("OLLAMA_BASE_URL", "http://ollama:11434/")]);
    let (model, matched) = resolved.model("ollama/llama3.2:1b").unwrap();
    assert_eq!(model.targets[0].model.name(matched), "llama3.2:1b");
    assert_eq!(resolved.providers[0].kind.http().unwrap().base_url, "http://ollama:11434");
}

#[test]
fn a_bad_variable_is_named() {
    for (variable, value) in [("ROUTER_PORT", "x"), ("OLLAMA_BASE_URL", "not a url"), ("ROUTER_HOST", "0.0.0.0")] {
        let errors = embedded(&env(&[(variable, value)]), &vendors(), &[]).unwrap_err();
        assert_eq!(errors.errors().len(), 1, "{errors}");
        assert_eq!(errors.errors()[0].field, variable);
    }
}

#[test]
fn the_router_s_own_address_is_no_provider() {
    let own = [("OPENAI_API_KEY", "anything"), ("OPENAI_BASE_URL", "http://localhost:7443/v1"), ("GROQ_API_KEY", "k")];
    let resolved = up(&own);
    let names: Vec<&str> = resolved.providers.iter().map(|provider| &*provider.name).collect();
    assert_eq!(names, ["groq", "simulated"]);
    assert!(resolved.warnings.iter().any(|warning| warning.contains("OPENAI_BASE_URL")), "{:?}", resolved.warnings);
}

#[test]
fn every_shipped_vendor_can_be_embedded_at_once() {
    let shipped = VendorRow::shipped();
    let keys: BTreeMap<String, String> =
        shipped.iter().filter_map(|row| Some((row.key_env.clone()?, "key".to_owned()))).collect();
    let resolved = embedded(&keys, &shipped, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(resolved.providers.len() >= 25, "{}", resolved.providers.len());
}
