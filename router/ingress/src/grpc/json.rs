//! JSON that is written and read member by member, so that what nobody here has a field for keeps its bytes: numbers
//! keep their digits, and schemas the order of their members.

use std::borrow::Cow;
use std::fmt;

use prost_types::Struct;
use prost_types::value::Kind;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fault::Fault;

/// A JSON text that grows.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// Begins an object or a list: `{` or `[`.
    pub(super) fn open(&mut self, bracket: u8) {
        self.comma();
        self.0.push(bracket);
    }

    /// Ends it.
    pub(super) fn close(&mut self, bracket: u8) {
        self.0.push(bracket);
    }

    /// Begins a member.
    pub(super) fn key(&mut self, name: &str) {
        self.value(name);
        self.0.push(b':');
    }

    /// Writes a value: the next of a list, or that of the member that was begun.
    pub(super) fn value(&mut self, value: &(impl Serialize + ?Sized)) {
        self.comma();
        // Texts, numbers and lists of such, into memory: nothing in it can fail.
        let _ = serde_json::to_writer(&mut self.0, value);
    }

    /// Writes a member.
    pub(super) fn member(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.key(name);
        self.value(value);
    }

    /// Writes a member where there is a value.
    pub(super) fn optional(&mut self, name: &str, value: Option<&(impl Serialize + ?Sized)>) {
        if let Some(value) = value {
            self.member(name, value);
        }
    }

    /// Writes a member whose value is JSON already.
    pub(super) fn raw(&mut self, name: &str, json: &str) {
        self.key(name);
        self.raw_value(json);
    }

    /// Writes a value that is JSON already.
    pub(super) fn raw_value(&mut self, json: &str) {
        self.comma();
        self.0.extend_from_slice(json.as_bytes());
    }

    /// The text. It is UTF-8, because it was made of such.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn comma(&mut self) {
        // A value never ends in one of these outside of a text, which ends in a quotation mark.
        if !matches!(self.0.last(), None | Some(b'{' | b'[' | b':')) {
            self.0.push(b',');
        }
    }
}

/// An object's members in their order, each value as it stands.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads a text that has to be an object.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Takes a member out; null counts as none. Where a name stands twice the last one counts.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a str> {
        let mut found = None;
        self.0.retain(|(key, value)| {
            let ours = key == name;
            if ours {
                found = Some(value.get());
            }
            !ours
        });
        found.filter(|value| *value != "null")
    }

    /// Takes a member that is a text; one that is none stays.
    pub(super) fn take_text(&mut self, name: &str) -> Option<String> {
        self.take_as(name)
    }

    /// Takes a member of a type; one of another type stays, to be told among what is left.
    pub(super) fn take_as<T: Deserialize<'a>>(&mut self, name: &str) -> Option<T> {
        let (_, value) = self.0.iter().rev().find(|(key, _)| key == name)?;
        match serde_json::from_str::<Option<T>>(value.get()) {
            Ok(read) => {
                self.take(name);
                read
            }
            Err(_other_type) => None,
        }
    }

    /// What has not been taken and says anything, as an object; empty where that is nothing.
    pub(super) fn rest(self) -> String {
        let mut writer = Writer::default();
        writer.open(b'{');
        let said = self.0.into_iter().filter(|(_, value)| value.get() != "null");
        let count = said.map(|(name, value)| writer.raw(&name, value.get())).count();
        writer.close(b'}');
        if count == 0 { String::new() } else { String::from_utf8(writer.into_bytes()).unwrap_or_default() }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Object)
    }
}

/// A member's name, borrowed unless there are escapes in it.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Text)
    }
}

/// Writes the members of a caller's own JSON object into the one that is open. `known` are those that have a field.
pub(super) fn extra(writer: &mut Writer, text: &str, known: &[&str]) -> Result<(), Fault> {
    if text.is_empty() {
        return Ok(());
    }
    let Some(members) = Members::read(text) else { return Err(not_an_object("extra_json")) };
    for (name, value) in &members.0 {
        if known.contains(&name.as_ref()) {
            return Err(Fault::new(
                "extra_json",
                format!("holds {name:?}, which the call says elsewhere; leave it out here"),
            ));
        }
        writer.raw(name, value.get());
    }
    Ok(())
}

/// Checks a caller's own JSON object.
pub(super) fn object<'a>(field: &str, text: &'a str) -> Result<&'a str, Fault> {
    Members::read(text).map(|_| text).ok_or_else(|| not_an_object(field))
}

/// Checks a caller's own object of a type that has no field here.
pub(super) fn typed<'a>(field: &str, text: &'a str) -> Result<&'a str, Fault> {
    let mut members = Members::read(text).ok_or_else(|| not_an_object(field))?;
    match members.take_text("type") {
        Some(_) => Ok(text),
        None => Err(Fault::new(field, "has no `type`; it takes a JSON object with one")),
    }
}

fn not_an_object(field: &str) -> Fault {
    Fault::new(field, "is not a JSON object; it takes one, as text")
}

/// A struct of protobuf's own as JSON. Its numbers are all of one kind; whole ones are written as such, because
/// schemas count in them.
pub(super) fn of_struct(from: &Struct) -> serde_json::Value {
    let members = from.fields.iter().map(|(name, value)| (name.clone(), of_value(value)));
    serde_json::Value::Object(members.collect())
}

fn of_value(from: &prost_types::Value) -> serde_json::Value {
    use serde_json::Value;
    /// The whole numbers that a double can tell apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match &from.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(*flag),
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::NumberValue(number)) if number.fract() == 0.0 && number.abs() <= EXACT => {
            Value::from(*number as i64)
        }
        // What is no number at all is nothing in JSON either.
        Some(Kind::NumberValue(number)) => Value::from(*number),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(of_value).collect()),
        Some(Kind::StructValue(object)) => of_struct(object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_keeps_its_bytes_and_its_order() {
        let text = r#"{"z":1.0, "a\"b":[ 1,2 ],"id":"x","n":null,"big":123456789012345678901234567890}"#;
        let mut members = Members::read(text).unwrap();
        assert_eq!(members.take_text("id").as_deref(), Some("x"));
        assert_eq!(members.take_as::<u64>("z"), None);
        assert_eq!(members.rest(), r#"{"z":1.0,"a\"b":[ 1,2 ],"big":123456789012345678901234567890}"#);
        assert_eq!(Members::default().rest(), "");
        assert!(Members::read("[1]").is_none() && Members::read("{} x").is_none());
    }

    #[test]
    fn a_member_that_has_a_field_is_refused() {
        let mut writer = Writer::default();
        writer.open(b'{');
        extra(&mut writer, r#" {"top_k": 40, "x": {}} "#, &["model"]).unwrap();
        writer.close(b'}');
        assert_eq!(writer.into_bytes(), br#"{"top_k":40,"x":{}}"#);
        let refused = atp_core::Error::from(extra(&mut Writer::default(), r#"{"model":"m"}"#, &["model"]).unwrap_err());
        assert_eq!(refused.public(), "`extra_json` holds \"model\", which the call says elsewhere; leave it out here");
        assert!(extra(&mut Writer::default(), "[]", &[]).is_err());
    }

    #[test]
    fn whole_numbers_of_a_struct_stay_whole() {
        let number = |number| prost_types::Value { kind: Some(Kind::NumberValue(number)) };
        let from = Struct { fields: [("a".to_owned(), number(3.0)), ("b".to_owned(), number(0.5))].into() };
        assert_eq!(of_struct(&from).to_string(), r#"{"a":3,"b":0.5}"#);
    }
}
