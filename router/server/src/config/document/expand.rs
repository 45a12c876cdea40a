//! `${NAME}` inside any text of the file.
//!
//! Replacement happens on the tree, after parsing: what a variable holds can never change the structure of the file,
//! and errors keep showing what was written instead of what the variable holds.

use super::super::env::Env;
use super::super::error::{Code, Issue};
use super::super::path::{FieldPath, Segment};
use super::node::{Node, Number, Value};

/// Something wrong, and where.
pub(crate) type Found = (FieldPath, Issue);

/// Replaces every `${NAME}` and `${NAME:-default}` of the tree; `$${` stands for `${` itself.
pub(crate) fn expand(root: &mut Node, env: &dyn Env) -> Vec<Found> {
    let mut found = Vec::new();
    walk(root, &mut FieldPath::default(), env, &mut found);
    found
}

fn walk(node: &mut Node, path: &mut FieldPath, env: &dyn Env, found: &mut Vec<Found>) {
    let steps: Vec<(Segment, &mut Node)> = match &mut node.value {
        Value::Map(entries) => entries.iter_mut().map(|(key, child)| (Segment::Key(key.text.clone()), child)).collect(),
        Value::List(items) => items.iter_mut().enumerate().map(|(at, item)| (Segment::Index(at), item)).collect(),
        Value::Text(text) if text.contains("${") => {
            match replace(text, env) {
                Ok(full) => {
                    let raw = std::mem::take(text);
                    node.value = retype(full);
                    node.raw = Some(raw);
                }
                Err(issue) => found.push((path.clone(), issue)),
            }
            return;
        }
        _ => return,
    };
    for (segment, child) in steps {
        path.0.push(segment);
        walk(child, path, env, found);
        path.0.pop();
    }
}

/// A text that is a number or a flag once its variables are replaced is one for the field that asks.
fn retype(text: String) -> Value {
    match text.as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        digits => match digits.parse() {
            Ok(number) => Value::Number { number: Number::Unsigned(number), text },
            Err(_) => Value::Text(text),
        },
    }
}

fn replace(text: &str, env: &dyn Env) -> Result<String, Issue> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((inside, behind)) = after.split_once('}') else {
            let issue = Issue::new(Code::BadValue, "`${` without its `}`");
            return Err(issue.allowed("`${NAME}`, `${NAME:-default}`, or `$${` for the two characters themselves"));
        };
        out.push_str(&variable(inside, env)?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

fn variable(inside: &str, env: &dyn Env) -> Result<String, Issue> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    check_name(name)?;
    match (env.get(name).filter(|value| !value.is_empty()), default) {
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(unset(name).allowed(&format!("set {name}, or give a default: `${{{name}:-default}}`"))),
    }
}

/// The error of a variable that is not there.
pub(crate) fn unset(name: &str) -> Issue {
    Issue::new(Code::Environment, &format!("the environment variable {name} is not set"))
}

/// Whether a text can name a variable at all.
pub(crate) fn check_name(name: &str) -> Result<(), Issue> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.is_empty() && name.bytes().all(fits) && !name.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(());
    }
    Err(Issue::new(Code::BadValue, "this is not the name of an environment variable")
        .allowed("letters, digits and `_`, not starting with a digit"))
}
