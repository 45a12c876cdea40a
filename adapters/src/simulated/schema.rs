//! Values that are valid for a JSON schema, made from the words of a prompt.
//!
//! The subset is the one of structured outputs and function parameters: types, `properties` and
//! `required`, `items` and `prefixItems`, `enum`, `const`, `anyOf`, `oneOf`, `allOf`, `$ref` within
//! the document, bounds of numbers, lengths and counts, and the common string formats. A schema
//! beyond it is refused with the keyword's name rather than answered with a value that may not fit.

use serde_json::{Map, Number, Value};

use super::words::Words;
use crate::dice::Dice;

mod scalar;

/// Keywords that would make a value invalid if they were ignored.
const UNSUPPORTED: &[&str] = &[
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "not",
    "pattern",
    "patternProperties",
    "propertyNames",
    "then",
];

/// Below this depth, what is optional is left out, so that a recursive schema comes to an end.
const SHALLOW: usize = 5;

/// Deeper than this, a schema is taken for one without an end.
const DEEPEST: usize = 64;

/// Makes a value for a schema; the error names the keyword that stands in the way, and where.
pub(super) fn instance(schema: &Value, words: &Words, dice: Dice) -> Result<Value, String> {
    Maker { root: schema, words, dice, next_name: 0, next_number: 0 }.value(schema, "#", 0)
}

/// The state of one making: names and numbers of the prompt are used in turn.
struct Maker<'a> {
    root: &'a Value,
    words: &'a Words,
    dice: Dice,
    next_name: usize,
    next_number: usize,
}

impl Maker<'_> {
    fn value(&mut self, schema: &Value, path: &str, depth: usize) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err(format!("{path} is a recursion without an end"));
        }
        let schema = match schema {
            Value::Bool(true) => return Ok(Value::String(self.word())),
            Value::Object(schema) => schema,
            _ => return Err(format!("{path} is not a schema that a value could fit")),
        };
        if let Some(keyword) = UNSUPPORTED.iter().find(|keyword| schema.contains_key(**keyword)) {
            return Err(format!("{path}/{keyword} is beyond what the simulated provider can fill"));
        }
        if let Some(value) = schema.get("const") {
            return Ok(value.clone());
        }
        if let Some(Value::Array(values)) = schema.get("enum") {
            return self.dice.pick(values).cloned().ok_or_else(|| format!("{path}/enum is empty"));
        }
        if let Some(merged) = self.combined(schema, path, depth)? {
            return self.value(&Value::Object(merged), path, depth + 1);
        }
        self.typed(schema, path, depth)
    }

    /// Resolves one `$ref`, `allOf`, `anyOf` or `oneOf` by laying the part over its surroundings.
    fn combined(
        &mut self,
        schema: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<Option<Map<String, Value>>, String> {
        let mut rest = schema.clone();
        if let Some(Value::String(target)) = rest.remove("$ref") {
            let pointer =
                target.strip_prefix('#').ok_or_else(|| format!("{path}/$ref leaves the document: {target}"))?;
            let part = self.root.pointer(pointer).ok_or_else(|| format!("{path}/$ref finds nothing at {target}"))?;
            return overlay(rest, part, path).map(Some);
        }
        if let Some(Value::Array(parts)) = rest.remove("allOf") {
            return parts.iter().try_fold(rest, |merged, part| overlay(merged, part, path)).map(Some);
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(Value::Array(parts)) = rest.remove(keyword) {
                let part = self.branch(&parts, depth).ok_or_else(|| format!("{path}/{keyword} is empty"))?;
                return overlay(rest, part, path).map(Some);
            }
        }
        Ok(None)
    }

    /// Something other than null where that is shallow; deep down whatever ends soonest.
    fn branch<'s>(&mut self, parts: &'s [Value], depth: usize) -> Option<&'s Value> {
        let is_null = |part: &&Value| part.get("type").and_then(Value::as_str) == Some("null");
        if depth > SHALLOW {
            let ends = |part: &&Value| part.get("$ref").is_none() && part.get("properties").is_none();
            return parts.iter().find(is_null).or_else(|| parts.iter().find(ends)).or_else(|| parts.first());
        }
        let full: Vec<&Value> = parts.iter().filter(|part| !is_null(part)).collect();
        self.dice.pick(&full).copied().or_else(|| parts.first())
    }

    fn typed(&mut self, schema: &Map<String, Value>, path: &str, depth: usize) -> Result<Value, String> {
        match kind(schema) {
            "object" => self.object(schema, path, depth),
            "array" => self.array(schema, path, depth),
            "string" => self.string(schema, path).map(Value::String),
            "integer" => self.integer(schema, path).map(|whole| Value::Number(Number::from(whole))),
            "number" => self.number(schema, path),
            "boolean" => Ok(Value::Bool(self.dice.chance(0.5))),
            "null" => Ok(Value::Null),
            other => Err(format!("{path}/type is {other}, which is no JSON type")),
        }
    }

    fn object(&mut self, schema: &Map<String, Value>, path: &str, depth: usize) -> Result<Value, String> {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Map::new();
        for (name, part) in properties {
            let wanted = required.contains(&name.as_str()) || (depth < SHALLOW && self.dice.chance(0.5));
            if wanted {
                object.insert(name.clone(), self.value(part, &format!("{path}/properties/{name}"), depth + 1)?);
            }
        }
        // What is required without being described may be anything that `additionalProperties` allows.
        let other = schema.get("additionalProperties").unwrap_or(&Value::Bool(true));
        for name in required.into_iter().filter(|name| !properties.contains_key(*name)) {
            object.insert(name.to_owned(), self.value(other, &format!("{path}/additionalProperties"), depth + 1)?);
        }
        let least = limit(schema, "minProperties").unwrap_or(0);
        let most = limit(schema, "maxProperties").unwrap_or(usize::MAX);
        if !(least..=most).contains(&object.len()) {
            return Err(format!("{path} counts properties in a way that the simulated provider cannot fill"));
        }
        Ok(Value::Object(object))
    }

    fn array(&mut self, schema: &Map<String, Value>, path: &str, depth: usize) -> Result<Value, String> {
        let first = schema.get("prefixItems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let least = limit(schema, "minItems").unwrap_or(0);
        let most = limit(schema, "maxItems").unwrap_or(usize::MAX);
        if least > most.min(1000) {
            return Err(format!("{path}/minItems is {least}, more than can be filled"));
        }
        let usual = if depth > SHALLOW { 0 } else { 1 + self.dice.below(3) };
        let closed = schema.get("items") == Some(&Value::Bool(false));
        let count = if closed { first.len().min(most) } else { usual.max(first.len()).clamp(least, most.max(least)) };
        let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
        let any = Value::Bool(true);
        let items = schema.get("items").unwrap_or(&any);
        let mut array = Vec::new();
        for index in 0..count {
            let (part, path) = match first.get(index) {
                Some(part) => (part, format!("{path}/prefixItems/{index}")),
                None => (items, format!("{path}/items")),
            };
            match self.item(part, &path, depth, if unique { &array } else { &[] })? {
                Some(value) => array.push(value),
                None => break,
            }
        }
        if array.len() < least {
            return Err(format!("{path}/uniqueItems leaves too few values for minItems {least}"));
        }
        Ok(Value::Array(array))
    }

    /// An item that is none of `taken`; `None` where chance does not find one.
    fn item(&mut self, schema: &Value, path: &str, depth: usize, taken: &[Value]) -> Result<Option<Value>, String> {
        for _ in 0..64 {
            let value = self.value(schema, path, depth + 1)?;
            if !taken.contains(&value) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

/// The type to make: the first that is not null, else what the other keywords tell.
fn kind(schema: &Map<String, Value>) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            let names = || kinds.iter().filter_map(Value::as_str);
            names().find(|name| *name != "null").or_else(|| names().next()).unwrap_or("an empty list")
        }
        Some(_) => "not a name",
        None if ["properties", "required"].iter().any(|key| schema.contains_key(*key)) => "object",
        None if ["items", "prefixItems", "minItems"].iter().any(|key| schema.contains_key(*key)) => "array",
        None if ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]
            .iter()
            .any(|key| schema.contains_key(*key)) =>
        {
            "number"
        }
        None => "string",
    }
}

/// Lays a part over what stands beside it: `properties` and `required` are united, bounds and other
/// keywords of the part win.
fn overlay(mut base: Map<String, Value>, part: &Value, path: &str) -> Result<Map<String, Value>, String> {
    let part = match part {
        Value::Object(part) => part,
        Value::Bool(true) => return Ok(base),
        _ => return Err(format!("{path} combines with what is not a schema")),
    };
    for (keyword, value) in part {
        match (base.get_mut(keyword), value) {
            (Some(Value::Object(had)), Value::Object(more)) if keyword == "properties" => {
                had.extend(more.iter().map(|(name, schema)| (name.clone(), schema.clone())));
            }
            (Some(Value::Array(had)), Value::Array(more)) if keyword == "required" => had.extend(more.iter().cloned()),
            _ => {
                base.insert(keyword.clone(), value.clone());
            }
        }
    }
    Ok(base)
}

/// A count among a schema's keywords.
fn limit(schema: &Map<String, Value>, keyword: &str) -> Option<usize> {
    schema.get(keyword).and_then(Value::as_u64).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests;
