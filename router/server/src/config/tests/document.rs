//! What is generated from the types is fresh, and what the pages say is true.

use std::collections::BTreeSet;

use super::*;

#[test]
fn the_reference_page_is_fresh() {
    assert_file(&root().join("docs/configuration.md"), &reference_markdown());
}

#[test]
fn the_example_environment_is_fresh() {
    assert_file(&root().join(".env.example"), &crate::config::env::env_example(&VendorRow::shipped()));
}

#[test]
fn the_example_environment_lists_every_variable_and_no_other() {
    let text = std::fs::read_to_string(root().join(".env.example")).unwrap();
    let assignment =
        |line: &str| line.strip_prefix('#').unwrap_or(line).split_once('=').map(|(name, _)| name.to_owned());
    let is_name =
        |name: &String| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let listed: BTreeSet<String> = text.lines().filter_map(assignment).filter(is_name).collect();
    let read: BTreeSet<String> =
        crate::config::env::variables(&VendorRow::shipped()).into_iter().map(|variable| variable.name).collect();
    assert_eq!(listed, read);
}

#[test]
fn every_field_is_documented() {
    fn check(schema: &serde_json::Value, place: &str) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let text = field["description"].as_str().unwrap_or_default();
            assert!(text.ends_with(['.', ')']) || place.contains("Named"), "{place}.{name}: {text:?}");
        }
        for (name, part) in schema["$defs"].as_object().into_iter().flatten() {
            check(part, name);
        }
    }
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).unwrap();
    check(&schema, "file");
    assert!(schema["properties"]["providers"]["additionalProperties"]["$ref"].is_string(), "{schema:#}");
}

/// Writes every documented default into a file and compares with a file that says nothing.
#[test]
fn documented_defaults_are_those_in_force() {
    fn defaults(schema: &serde_json::Value, part: &serde_json::Value, indent: usize, out: &mut String) -> usize {
        let mut count = 0;
        for (name, field) in part["properties"].as_object().into_iter().flatten() {
            let spaces = " ".repeat(indent);
            if let Some(target) = field["$ref"].as_str() {
                let target = schema.pointer(target.trim_start_matches('#')).unwrap();
                let mut inner = String::new();
                let inside = defaults(schema, target, indent + 2, &mut inner);
                if inside > 0 {
                    out.push_str(&format!("{spaces}{name}:\n{inner}"));
                    count += inside;
                }
            } else if field["default"].is_string() || field["default"].is_number() || field["default"].is_boolean() {
                out.push_str(&format!("{spaces}{name}: {}\n", field["default"]));
                count += 1;
            }
        }
        count
    }
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).unwrap();
    let mut written = String::new();
    let mut count = defaults(&schema, &schema, 0, &mut written);
    let mut provider = String::new();
    count += defaults(&schema, &schema["$defs"]["provider"], 4, &mut provider);
    let mut model = String::new();
    count += defaults(&schema, &schema["$defs"]["model"], 4, &mut model);
    assert!(count >= 25, "{count} defaults\n{written}{provider}{model}");
    let file = |top: &str, provider: &str, model: &str| {
        let up = format!("providers:\n  up:\n    kind: openai\n    base_url: http://h\n{provider}");
        format!("{top}{up}models:\n  m:\n    targets: [ {{ provider: up }} ]\n{model}")
    };
    let said = good(&file(&written, &provider, &model)).redacted_json();
    assert_eq!(said, good(&file("", "", "")).redacted_json());
}

/// `hedge` and `cache` are off without a word, so that their defaults are those of an empty map.
#[test]
fn documented_defaults_of_what_is_off_are_those_of_an_empty_map() {
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).unwrap();
    for part in ["hedge", "cache"] {
        let fields = schema["$defs"][part]["properties"].as_object().unwrap();
        let said: Vec<String> = fields
            .iter()
            .filter(|(_, about)| about["default"].is_string())
            .map(|(name, about)| format!("{name}: {}", about["default"]))
            .collect();
        assert!(!said.is_empty(), "{part}");
        let file = |fields: &str| {
            let text = format!(
                "providers:\n  up: {{ kind: openai, base_url: http://h }}\nmodels:\n  m: {{ targets: [ {{ provider: up }} ], {part}: {{ {fields} }} }}\n"
            );
            good(&text).redacted_json()
        };
        assert_eq!(file(&said.join(", ")), file(""), "{part}");
    }
}

#[test]
fn the_schema_accepts_no_unknown_field() {
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    for part in [
        "provider", "model", "target", "limits", "retry", "ledger", "flow", "window", "queue", "breaker", "hedge",
        "cache",
    ] {
        assert_eq!(schema["$defs"][part]["additionalProperties"], false, "{part}");
    }
}

/// The files in `config/` are what people start from.
#[test]
fn the_example_files_are_right() {
    let files: Vec<PathBuf> =
        std::fs::read_dir(root().join("config")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "yaml")) {
        let text = std::fs::read_to_string(file).unwrap();
        // Whatever an example reads from the environment or from a file is there.
        let mut names: BTreeMap<String, String> = VendorRow::shipped()
            .into_iter()
            .filter_map(|row| Some((row.key_env?, "a-secret-from-the-environment".to_owned())))
            .collect();
        for (at, part) in text.split("env: ").skip(1).enumerate() {
            let name: String =
                part.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
            names.entry(name).or_insert_with(|| format!("a-secret-of-its-own-{at}"));
        }
        let loaded = load_file(file, &names, &VendorRow::shipped(), &[]);
        let resolved = loaded.unwrap_or_else(|errors| panic!("{}", errors.pretty(Colour::Off)));
        assert_eq!(resolved.warnings, Vec::<String>::new(), "{}", file.display());
    }
}

#[test]
fn the_files_of_the_reference_page_are_right() {
    let page = reference_markdown();
    let blocks: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|part| part.split("```").next()).collect();
    assert!(blocks.len() >= 2);
    for block in blocks {
        let loaded = load_str(block, Path::new("page.yaml"), &env(&[("GROQ_API_KEY", "k")]), &VendorRow::shipped());
        loaded.unwrap_or_else(|errors| panic!("{block}\n{}", errors.pretty(Colour::Off)));
    }
}

#[test]
fn every_vendor_of_the_price_table_is_known() {
    let shipped = VendorRow::shipped();
    for vendor in crate::config::prices::shipped().vendors() {
        assert!(shipped.iter().any(|row| row.name == vendor), "{vendor}");
    }
}
