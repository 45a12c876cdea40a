//! A serde deserializer over the tree.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::super::super::path::Segment;
use super::super::node::{Key, Node, Number, Value};
use super::problem::Problem;

/// The known name that is nearest to a wrong one, if any is near enough to be meant.
pub(crate) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let score = |name: &str| strsim::damerau_levenshtein(&wrong.to_lowercase(), &name.to_lowercase());
    let (best, distance) = known.map(|name| (name, score(name))).min_by_key(|(_, distance)| *distance)?;
    let tolerance = (wrong.chars().count().max(best.chars().count()) / 3).max(1);
    // A letter that is another letter is no slip of a finger.
    let shares_a_letter = distance < best.chars().count();
    (distance <= tolerance && shares_a_letter && wrong.len() < 200).then(|| best.to_owned())
}

/// Reads a type from a node.
#[derive(Clone, Copy)]
pub(super) struct NodeDe<'a>(pub(super) &'a Node);

impl NodeDe<'_> {
    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.0.value {
            Value::Text(text) | Value::Number { text, .. } => visitor.visit_str(text),
            Value::Bool(flag) => visitor.visit_str(if *flag { "true" } else { "false" }),
            _ => self.deserialize_any(visitor),
        }
    }
}

impl<'de> Deserializer<'de> for NodeDe<'_> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.0.value {
            Value::Null | Value::Removed => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number { number: Number::Unsigned(number), .. } => visitor.visit_u64(*number),
            Value::Number { number: Number::Signed(number), .. } => visitor.visit_i64(*number),
            Value::Number { number: Number::Float(number), .. } => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(Items { rest: items.iter().enumerate() }),
            Value::Map(entries) => visitor.visit_map(Entries { rest: entries.iter(), next: None }),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.text(visitor)
    }

    /// Only a removed item is none. A field without a value never comes here: its map has skipped it.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0.value {
            Value::Removed => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// Fields have names: serde would take a list for a struct, too.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match &self.0.value {
            Value::List(_) => Err(serde::de::Error::invalid_type(Unexpected::Seq, &"a map of fields")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    /// A word is a variant without content; a map with one entry is a variant and its content.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match &self.0.value {
            Value::Text(text) => visitor.visit_enum(IntoDeserializer::<Problem>::into_deserializer(text.as_str())),
            Value::Map(entries) => match entries.as_slice() {
                [(key, content)] => visitor.visit_enum(Choice { key, content }),
                _ => Err(serde::de::Error::invalid_length(entries.len(), &"a map with one entry")),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

/// A list's items.
struct Items<'a> {
    rest: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        let Some((index, item)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(NodeDe(item)).map(Some).map_err(|problem| problem.within(Segment::Index(index)))
    }
}

/// A map's entries. A name with nothing behind it is as good as not there.
struct Entries<'a> {
    rest: std::slice::Iter<'a, (Key, Node)>,
    next: Option<&'a (Key, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let Some(entry) = self.rest.find(|(_, content)| !matches!(content.value, Value::Null)) else { return Ok(None) };
        self.next = Some(entry);
        let name: StrDeserializer<'_, Problem> = entry.0.text.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|problem| problem.at_key(&entry.0.text))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let Some((key, content)) = self.next.take() else {
            return Err(serde::de::Error::custom("a value was asked for before its name"));
        };
        seed.deserialize(NodeDe(content)).map_err(|problem| problem.within(Segment::Key(key.text.clone())))
    }
}

/// A variant with content: `{ drain: 500 }`.
struct Choice<'a> {
    key: &'a Key,
    content: &'a Node,
}

impl<'de> EnumAccess<'de> for Choice<'_> {
    type Error = Problem;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Problem> {
        let name: StrDeserializer<'_, Problem> = self.key.text.as_str().into_deserializer();
        let variant = seed.deserialize(name).map_err(|problem| problem.at_key(&self.key.text))?;
        Ok((variant, self))
    }
}

impl Choice<'_> {
    fn inside(&self, problem: Problem) -> Problem {
        problem.within(Segment::Key(self.key.text.clone()))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        let problem = serde::de::Error::invalid_type(Unexpected::Map, &"the word alone, without a value");
        Err(self.inside(problem))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Problem> {
        seed.deserialize(NodeDe(self.content)).map_err(|problem| self.inside(problem))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        NodeDe(self.content).deserialize_any(visitor).map_err(|problem| self.inside(problem))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Problem> {
        NodeDe(self.content).deserialize_any(visitor).map_err(|problem| self.inside(problem))
    }
}
