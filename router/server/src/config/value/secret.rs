//! Where a secret comes from.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// Where a secret comes from. It is read again on each load.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SecretSource {
    /// Written in the file; `${NAME}` in it has been replaced.
    Literal(String),
    /// An environment variable's name.
    Env(String),
    /// A file's path.
    File(PathBuf),
}

impl fmt::Debug for SecretSource {
    /// The source, never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("literal"),
            Self::Env(name) => write!(f, "env {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

const ALLOWED: &str = "text, `${NAME}`, `{ env: NAME }` or `{ file: PATH }`";

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = SecretSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALLOWED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SecretSource, E> {
        Ok(SecretSource::Literal(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretSource, A::Error> {
        let mut source = None;
        while let Some(name) = map.next_key::<Field>()? {
            if source.is_some() {
                return Err(A::Error::custom(format!("more than one source of a secret\n{ALLOWED}")));
            }
            source = Some(match name {
                Field::Env => SecretSource::Env(map.next_value()?),
                Field::File => SecretSource::File(map.next_value()?),
            });
        }
        source.ok_or_else(|| A::Error::custom(format!("no source of a secret\n{ALLOWED}")))
    }
}

/// A field's name, refused as an unknown field and not as an unknown word.
enum Field {
    Env,
    File,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "env" => Ok(Self::Env),
            "file" => Ok(Self::File),
            other => Err(D::Error::unknown_field(other, &["env", "file"])),
        }
    }
}

/// Numbers and flags are text to a secret: the tree gives every scalar as text to the one who asks for text. But only
/// a map may be a map, so the kind must be asked for openly.
impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `deserialize_str` hands over scalars as text and anything else as what it is.
        deserializer.deserialize_str(SourceVisitor)
    }
}

impl JsonSchema for SecretSource {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "format": "secret",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "env": { "type": "string" } },
                    "required": ["env"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "properties": { "file": { "type": "string" } },
                    "required": ["file"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}
