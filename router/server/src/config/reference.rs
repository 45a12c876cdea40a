//! The JSON schema of the file, and the reference page made of it.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;

use schemars::schema_for;
use serde_json::{Map, Value};

use super::env::variables;
use super::raw::{RawConfig, RawPersona};

const INTRO: &str = include_str!("reference/intro.md");

/// The JSON schema of the configuration file.
#[must_use]
pub fn schema_json() -> String {
    let mut text = serde_json::to_string_pretty(&schema()).unwrap_or_default();
    text.push('\n');
    text
}

fn schema() -> Value {
    let mut schema = schema_for!(RawConfig).to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), "ATP Router configuration".into());
    }
    schema
}

/// The name of every field, at any depth.
pub(super) fn field_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect_names(&schema(), &mut names);
    collect_names(&schema_for!(RawPersona).to_value(), &mut names);
    names
}

fn collect_names(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let properties = fields.get("properties").and_then(Value::as_object);
            names.extend(properties.into_iter().flatten().map(|(name, _)| name.clone()));
            fields.values().for_each(|inner| collect_names(inner, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        _ => {}
    }
}

/// The reference page: docs/configuration.md.
#[must_use]
pub fn reference_markdown() -> String {
    let schema = schema();
    let mut out = INTRO.to_owned();
    for (name, section) in sections(&schema) {
        // Writing to a `String` cannot fail.
        let _ = write_section(&mut out, &heading(&name), section);
    }
    let _ = write_environment(&mut out);
    out
}

/// Every type with fields, in the order in which a reader meets them.
fn sections(schema: &Value) -> Vec<(String, &Value)> {
    let mut found = vec![("the file".to_owned(), schema)];
    let mut waiting = VecDeque::from([schema]);
    while let Some(next) = waiting.pop_front() {
        let mut names = Vec::new();
        references(next, &mut names);
        for name in names {
            let Some(target) = schema.pointer(&format!("/$defs/{name}")) else { continue };
            if found.iter().all(|(known, _)| *known != name) {
                found.push((name, target));
                waiting.push_back(target);
            }
        }
    }
    found
}

/// The types that a type refers to, the types beside it not included.
fn references(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = reference(fields) {
                names.push(name.to_owned());
            }
            fields.iter().filter(|(key, _)| *key != "$defs").for_each(|(_, inner)| references(inner, names));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        _ => {}
    }
}

fn reference(fields: &Map<String, Value>) -> Option<&str> {
    fields.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}

/// `SimulatedModel` as `simulated model`.
fn heading(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() && !words.ends_with(' ') && !name.contains(' ') {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

fn write_section(out: &mut String, name: &str, section: &Value) -> std::fmt::Result {
    writeln!(out, "\n## {name}\n")?;
    if let Some(text) = section["description"].as_str() {
        writeln!(out, "{}", paragraph(text))?;
    }
    let Some(fields) = section["properties"].as_object() else {
        return variants(out, section);
    };
    writeln!(out, "\n| Field | Type | Default | Meaning |\n|---|---|---|---|")?;
    let required: Vec<&str> = section["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (field, about) in fields {
        let default = match &about["default"] {
            _ if required.contains(&field.as_str()) => "required".to_owned(),
            Value::String(text) => format!("`{text}`"),
            Value::Null | Value::Object(_) | Value::Array(_) => String::new(),
            other => format!("`{other}`"),
        };
        let meaning = about["description"].as_str().map(paragraph).unwrap_or_default().replace('|', "\\|");
        writeln!(out, "| `{field}` | {} | {default} | {meaning} |", type_name(about))?;
    }
    Ok(())
}

/// A type without fields is a choice of forms.
fn variants(out: &mut String, section: &Value) -> std::fmt::Result {
    let forms = section["oneOf"].as_array().or_else(|| section["anyOf"].as_array());
    writeln!(out)?;
    for form in forms.into_iter().flatten() {
        let meaning = form["description"].as_str().map(paragraph).unwrap_or_default();
        writeln!(out, "- {}{}{meaning}", form_name(form), if meaning.is_empty() { "" } else { ": " })?;
    }
    Ok(())
}

/// `{ uniform: { min: number, max: number } }`, or the name of a type.
fn form_name(form: &Value) -> String {
    match form["properties"].as_object() {
        Some(fields) => format!("`{}`", shape(fields)),
        None => type_name(form),
    }
}

fn shape(fields: &Map<String, Value>) -> String {
    let field = |(name, about): (&String, &Value)| match about["properties"].as_object() {
        Some(inner) => format!("{name}: {}", shape(inner)),
        None => format!("{name}: {}", type_name(about)),
    };
    format!("{{ {} }}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
}

/// A type in words, with a link where it has a section of its own.
fn type_name(about: &Value) -> String {
    if let Some(name) = about.as_object().and_then(reference) {
        let heading = heading(name);
        return format!("[{heading}](#{})", heading.replace(' ', "-"));
    }
    if let Some(words) = words(about) {
        return words;
    }
    if let Some(format) = about["format"].as_str().filter(|format| FORMATS.contains(format)) {
        return format!("[{format}](#notations)");
    }
    let first = match &about["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        other => other.as_str(),
    };
    match first {
        Some("array") => format!("list of {}", type_name(&about["items"])),
        Some("object") => match &about["additionalProperties"] {
            Value::Object(_) => format!("map of names to {}", type_name(&about["additionalProperties"])),
            _ => "map".to_owned(),
        },
        Some("integer") => "whole number".to_owned(),
        Some("string") => "text".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

/// The notations that have a section of their own.
const FORMATS: [&str; 7] = ["duration", "size", "percent", "share", "dollars", "address", "secret"];

/// The forms of a choice; what is left when nothing is taken away, where there is only one.
fn words(about: &Value) -> Option<String> {
    let quote = |word: &Value| word.as_str().map(|word| format!("`{word}`"));
    if let Some(list) = about["enum"].as_array() {
        return Some(list.iter().filter_map(quote).collect::<Vec<_>>().join(", "));
    }
    if about.get("const").is_some() {
        return quote(&about["const"]);
    }
    if FORMATS.contains(&about["format"].as_str().unwrap_or_default()) {
        return None;
    }
    let forms = about["oneOf"].as_array().or_else(|| about["anyOf"].as_array())?;
    let names: Vec<String> = forms.iter().filter(|form| form["type"] != "null").map(form_name).collect();
    Some(names.join(", "))
}

/// Doc comments are wrapped for the source; the page is not.
fn paragraph(text: &str) -> String {
    text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(" ")
}

fn write_environment(out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n## Environment\n")?;
    writeln!(
        out,
        "A variable that is set wins over its field; one that is set to nothing counts as not set. The key of a vendor \
         is read where a provider of that vendor has no `api_key`; see `.env.example` for every name.\n"
    )?;
    writeln!(out, "| Variable | Field | Default | Meaning |\n|---|---|---|---|")?;
    for variable in variables(&[]) {
        let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
        let default = if variable.default.contains(' ') { variable.default.clone() } else { code(&variable.default) };
        writeln!(out, "| `{}` | {} | {default} | {} |", variable.name, code(&variable.field), variable.meaning)?;
    }
    Ok(())
}
