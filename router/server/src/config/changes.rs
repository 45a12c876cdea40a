//! What a reload changed, in words for the log and without any secret.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use super::path::FieldPath;
use super::resolved::Resolved;

/// Fields that are used once, at start.
const AT_START: [&str; 14] = [
    "listen",
    "admin.listen",
    "workers",
    "ledger.enabled",
    "ledger.path",
    "ledger.queue",
    "decisions.enabled",
    "decisions.path",
    "decisions.max_file",
    "decisions.keep",
    "observations.enabled",
    "observations.path",
    "observations.max_file",
    "observations.keep",
];

/// Marks a fingerprint, so that it is compared and never shown.
const HIDDEN: &str = "\u{0}hidden";

impl Resolved {
    /// What differs between two configurations, one line for each field, in the words of the file:
    /// `models.m.on_disconnect: "cancel" -> "complete"`. Of a secret only that it changed.
    #[must_use]
    pub fn describe_changes(old: &Self, new: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        compare(&FieldPath::default(), &by_name(old.json(fingerprint)), &by_name(new.json(fingerprint)), &mut lines);
        for (field, reordered) in [
            ("providers", reordered(old.providers.iter().map(|p| &*p.name), new.providers.iter().map(|p| &*p.name))),
            ("models", reordered(old.models.iter().map(|m| &m.name), new.models.iter().map(|m| &m.name))),
        ] {
            if reordered {
                lines.push(format!("{field}: order changed"));
            }
        }
        lines
    }

    /// Which changed fields are used only at start, so that they wait for a restart.
    #[must_use]
    pub fn needs_restart(old: &Self, new: &Self) -> Vec<&'static str> {
        let (old_json, new_json) = (old.json(fingerprint), new.json(fingerprint));
        let at = |json: &Value, path: &str| json.pointer(&format!("/{}", path.replace('.', "/"))).cloned();
        let mut fields: Vec<&str> =
            AT_START.into_iter().filter(|path| at(&old_json, path) != at(&new_json, path)).collect();
        if old.tls.is_some() != new.tls.is_some() {
            fields.push("tls");
        }
        fields
    }
}

fn fingerprint(secret: &[u8]) -> Value {
    let mut hasher = DefaultHasher::new();
    secret.hash(&mut hasher);
    json!({ HIDDEN: hasher.finish() })
}

/// Lists of things with names become maps, so that each is compared with itself and not with its neighbour.
fn by_name(json: Value) -> Value {
    match json {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, by_name(value))).collect())
        }
        Value::Array(items)
            if !items.is_empty() && items.iter().all(|item| item.get("name").is_some_and(Value::is_string)) =>
        {
            let named = items.into_iter().filter_map(|item| {
                let name = item.get("name")?.as_str()?.to_owned();
                Some((name, by_name(item)))
            });
            Value::Object(named.collect())
        }
        // An empty list stands for an empty map of names, which compares as well.
        Value::Array(items) if items.is_empty() => Value::Object(Map::new()),
        other => other,
    }
}

fn compare(path: &FieldPath, old: &Value, new: &Value, lines: &mut Vec<String>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(old_fields), Value::Object(new_fields)) if !is_hidden(old) && !is_hidden(new) => {
            let names: BTreeSet<&String> = old_fields.keys().chain(new_fields.keys()).collect();
            for name in names {
                compare_part(&path.key(name), old_fields.get(name), new_fields.get(name), lines);
            }
        }
        (Value::Array(old_items), Value::Array(new_items)) if has_fields(old_items) && has_fields(new_items) => {
            for at in 0..old_items.len().max(new_items.len()) {
                compare_part(&path.index(at), old_items.get(at), new_items.get(at), lines);
            }
        }
        _ if is_hidden(old) || is_hidden(new) => lines.push(match (old, new) {
            (Value::Null, _) => format!("{path}: added"),
            (_, Value::Null) => format!("{path}: removed"),
            _ => format!("{path}: changed"),
        }),
        (Value::Object(_), Value::Null) => lines.push(format!("{path}: removed")),
        (Value::Null, Value::Object(_)) => lines.push(format!("{path}: added")),
        _ => lines.push(format!("{path}: {old} -> {new}")),
    }
}

fn compare_part(path: &FieldPath, old: Option<&Value>, new: Option<&Value>, lines: &mut Vec<String>) {
    match (old, new) {
        (Some(old), Some(new)) => compare(path, old, new, lines),
        (Some(_), None) => lines.push(format!("{path}: removed")),
        (None, Some(_)) => lines.push(format!("{path}: added")),
        (None, None) => {}
    }
}

fn has_fields(items: &[Value]) -> bool {
    items.iter().all(Value::is_object)
}

fn is_hidden(value: &Value) -> bool {
    value.get(HIDDEN).is_some()
}

/// Whether the names that both have stand in another order.
fn reordered<T: PartialEq>(old: impl Iterator<Item = T>, new: impl Iterator<Item = T>) -> bool {
    let (old, new): (Vec<T>, Vec<T>) = (old.collect(), new.collect());
    let kept_old = old.iter().filter(|name| new.contains(name));
    let kept_new = new.iter().filter(|name| old.contains(name));
    !kept_old.eq(kept_new)
}
