//! Every value that is made is valid, by a small validator of the same subset.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn make(schema: &Value) -> Result<Value, String> {
    instance(schema, &Words::of("Book 3 tables at \"the old bridge\" in Paris for 42 guests"), Dice::new(&[5]))
}

/// Whether a value is valid; panics on a keyword that the validator does not know.
fn valid(schema: &Value, value: &Value) -> bool {
    let Some(schema) = schema.as_object() else { return schema != &Value::Bool(false) };
    schema.iter().all(|(keyword, rule)| match keyword.as_str() {
        "type" => match rule {
            Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
            kind => is(kind, value),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "const" => rule == value,
        "anyOf" => rule.as_array().unwrap().iter().any(|part| valid(part, value)),
        "allOf" => rule.as_array().unwrap().iter().all(|part| valid(part, value)),
        "properties" => value.as_object().is_none_or(|object| {
            object.iter().all(|(name, part)| rule.get(name).is_none_or(|schema| valid(schema, part)))
        }),
        "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
        "additionalProperties" => true,
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| valid(rule, item))),
        "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
        "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap()),
        "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap()),
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
        "exclusiveMinimum" => value.as_f64().is_none_or(|number| number > rule.as_f64().unwrap()),
        "exclusiveMaximum" => value.as_f64().is_none_or(|number| number < rule.as_f64().unwrap()),
        "multipleOf" => value.as_i64().is_none_or(|number| number % rule.as_i64().unwrap() == 0),
        other => panic!("the validator does not know {other}"),
    })
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other} is no type"),
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    let whole = (-1000i64..1000, 0i64..50, 1i64..5).prop_map(|(low, width, step)| {
        json!({ "type": "integer", "minimum": low, "maximum": low + width + step, "multipleOf": step })
    });
    let open = (-9i64..9).prop_map(|low| json!({ "type": "integer", "exclusiveMinimum": low, "maximum": low + 1 }));
    let number = (-10.0f64..10.0, 0.001f64..5.0)
        .prop_map(|(low, width)| json!({ "type": "number", "exclusiveMinimum": low, "maximum": low + width }));
    let text = (0u64..30, 0u64..10)
        .prop_map(|(least, more)| json!({ "type": "string", "minLength": least, "maxLength": least + more }));
    prop_oneof![
        whole,
        open,
        number,
        text,
        Just(json!({ "type": "boolean" })),
        Just(json!({ "type": "null" })),
        Just(json!({ "type": ["null", "string"] })),
        Just(json!({ "enum": ["a", 2, null] })),
        Just(json!({ "const": { "x": [1] } })),
        Just(json!({})),
    ]
}

fn any_schema() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 32, 4, |inner| {
        let list = (inner.clone(), 0u64..3, 0u64..3).prop_map(
            |(items, least, more)| json!({ "type": "array", "items": items, "minItems": least, "maxItems": least + more }),
        );
        let object = prop::collection::btree_map("[a-d]", inner.clone(), 0..4).prop_map(|parts| {
            let required: Vec<_> = parts.keys().take(2).cloned().collect();
            json!({ "type": "object", "properties": parts, "required": required, "additionalProperties": false })
        });
        let any = prop::collection::vec(inner, 1..3).prop_map(|parts| json!({ "anyOf": parts }));
        prop_oneof![list, object, any]
    })
}

proptest! {
    #[test]
    fn what_is_made_is_valid(schema in any_schema(), seed in any::<u64>()) {
        let words = Words::of("Book 3 tables in Paris for 42 guests at 7.5");
        let value = instance(&schema, &words, Dice::new(&[seed])).unwrap();
        prop_assert!(valid(&schema, &value), "{value} for {schema}");
    }
}

#[test]
fn names_and_numbers_of_the_prompt_are_used_first() {
    let schema = json!({ "type": "object", "required": ["city", "guests", "place"], "properties": {
        "city": { "type": "string" }, "guests": { "type": "integer", "minimum": 10 }, "place": { "type": "string" } } });
    assert_eq!(make(&schema).unwrap(), json!({ "city": "the old bridge", "guests": 42, "place": "Paris" }));
}

#[test]
fn references_and_combinations_are_followed() {
    let schema = json!({ "$defs": { "base": { "type": "object", "properties": { "id": { "const": 7 } }, "required": ["id"] } },
        "allOf": [ { "$ref": "#/$defs/base" }, { "properties": { "on": { "type": "boolean" } }, "required": ["on"] } ] });
    let made = make(&schema).unwrap();
    assert_eq!(made["id"], 7);
    assert!(made["on"].is_boolean());
}

#[test]
fn a_recursive_schema_ends() {
    let tree = json!({ "$defs": { "node": { "type": "object", "required": ["left", "items"], "properties": {
            "left": { "anyOf": [ { "$ref": "#/$defs/node" }, { "type": "null" } ] },
            "items": { "type": "array", "items": { "$ref": "#/$defs/node" } } } } }, "$ref": "#/$defs/node" });
    for seed in 0..50 {
        let made = instance(&tree, &Words::default(), Dice::new(&[seed])).unwrap();
        assert!(made.to_string().len() < 100_000);
    }
    let endless = json!({ "$defs": { "a": { "type": "object", "required": ["a"], "properties": { "a": { "$ref": "#/$defs/a" } } } },
        "$ref": "#/$defs/a" });
    assert!(make(&endless).unwrap_err().contains("recursion without an end"));
}

#[test]
fn what_cannot_be_filled_is_told_with_its_place() {
    let told = |schema: Value| make(&schema).unwrap_err();
    let deep =
        json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "string", "pattern": "^x" } } });
    assert_eq!(told(deep), "#/properties/a/pattern is beyond what the simulated provider can fill");
    assert!(told(json!({ "type": "integer", "minimum": 3, "maximum": 2 })).contains("no whole number between 3 and 2"));
    assert!(told(json!({ "type": "strong" })).contains("strong, which is no JSON type"));
    assert!(told(json!({ "$ref": "#/$defs/none" })).contains("finds nothing"));
    assert!(told(json!({ "$ref": "https://example.com" })).contains("leaves the document"));
    assert!(told(json!({ "enum": [] })).contains("enum is empty"));
    assert!(told(json!(false)).contains("not a schema"));
    let twins = json!({ "type": "array", "items": { "const": 1 }, "minItems": 2, "uniqueItems": true });
    assert!(told(twins).contains("uniqueItems leaves too few"));
}

#[test]
fn formats_look_like_what_they_name() {
    let text =
        |format: &str| make(&json!({ "type": "string", "format": format })).unwrap().as_str().unwrap().to_owned();
    let uuid = text("uuid");
    let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
    assert!(uuid.split('-').nth(3).unwrap().starts_with(['8', '9', 'a', 'b']), "{uuid}");
    assert_eq!(text("date").len(), 10);
    assert!(text("date-time").ends_with("00Z"));
    assert!(text("email").contains("@example.com"));
    assert_eq!(text("a remark"), "the old bridge");
}
