//! Vendors that speak OpenAI's dialect, as rows of `vendors.toml`.

use std::collections::HashMap;
use std::sync::LazyLock;

use atp_core::Field;
use atp_dialects::openai::chat::{Echo, Prefill};
use http::header::HeaderName;
use serde::Deserialize;

use crate::openai_compatible::{AuthStyle, Quirks, Rename};

/// The table that is compiled in.
const SHIPPED: &str = include_str!("../vendors.toml");

/// A table of vendors, by name and in the file's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vendors {
    rows: Vec<Vendor>,
}

/// One vendor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vendor {
    /// What the configuration calls it.
    pub name: String,
    /// How people call it.
    pub title: String,
    /// The URL below which its API lives. It may hold `{placeholders}`, see [`Vendor::usable_base_url`].
    pub base_url: String,
    /// The variable that its key is read from where the configuration gives none.
    #[serde(default)]
    pub key_env: Option<String>,
    /// Whether it refuses requests without a key.
    #[serde(default = "yes")]
    pub key_required: bool,
    /// The header that holds the bare key; `authorization: Bearer` where absent.
    #[serde(default)]
    key_header: Option<Header>,
    #[serde(default)]
    query: Option<String>,
    #[serde(default = "yes")]
    stream_options: bool,
    #[serde(default)]
    drop: Vec<Known>,
    #[serde(default)]
    rename: HashMap<Known, String>,
    #[serde(default)]
    prefill: Way,
    #[serde(default)]
    echoes_prefill: bool,
    /// Where this is documented.
    pub docs: String,
    /// What a user should know.
    #[serde(default)]
    pub note: Option<String>,
}

/// A header name, checked when it is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Header(HeaderName);

impl TryFrom<String> for Header {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("`{text}` is no header name"))
    }
}

/// A field that can be changed, checked when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
struct Known(Field);

impl TryFrom<String> for Known {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = Field::ALL.into_iter().find(|field| field.name() == text).map(Self);
        let names = || Field::ALL.map(Field::name).join(", ");
        known.ok_or_else(|| format!("`{text}` is no field that can be changed; they are {}", names()))
    }
}

/// A way to go on with an answer, checked when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
struct Way(Prefill);

impl TryFrom<String> for Way {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = Prefill::NAMES.into_iter().find(|(name, _)| *name == text);
        let names = || Prefill::NAMES.map(|(name, _)| name).join(", ");
        let way = known.map(|(_, way)| Self(way));
        way.ok_or_else(|| format!("`{text}` is no way to go on with an answer; they are {}", names()))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    vendor: Vec<Vendor>,
}

fn yes() -> bool {
    true
}

impl Vendor {
    /// The base URL, where it can be used as it is: without a `{placeholder}`.
    #[must_use]
    pub fn usable_base_url(&self) -> Option<&str> {
        Some(self.base_url.as_str()).filter(|url| !url.contains('{'))
    }

    /// How it takes a key.
    #[must_use]
    pub fn auth_style(&self) -> AuthStyle {
        match &self.key_header {
            Some(header) => AuthStyle::Header(header.0.clone()),
            None => AuthStyle::Bearer,
        }
    }

    /// The query that every request needs, without a question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// How its requests differ from OpenAI's.
    #[must_use]
    pub fn quirks(&self) -> Quirks {
        Quirks {
            stream_options: self.stream_options,
            drop: self.drop.iter().map(|known| known.0).collect(),
            rename: self.rename.iter().map(|(known, name)| Rename::new(known.0, name)).collect(),
            prefill: self.prefill.0,
            echo: if self.echoes_prefill { Echo::Usual } else { Echo::Unlikely },
        }
    }
}

impl Vendors {
    /// The table that is shipped with the router.
    #[must_use]
    pub fn shipped() -> &'static Self {
        static TABLE: LazyLock<Vendors> = LazyLock::new(|| {
            #[expect(clippy::expect_used, reason = "the text is compiled in, and a test reads it")]
            Vendors::parse(SHIPPED).expect("the shipped vendors.toml is valid")
        });
        &TABLE
    }

    /// Reads a table.
    ///
    /// # Errors
    /// What is wrong in the text, and where: TOML's own message, or a name that stands twice.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        for (at, row) in file.vendor.iter().enumerate() {
            if file.vendor.iter().take(at).any(|before| before.name == row.name) {
                return Err(format!("the vendor `{}` stands twice", row.name));
            }
        }
        Ok(Self { rows: file.vendor })
    }

    /// A vendor by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Vendor> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The vendor whose name is most like a wrong one, where any is alike at all.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&Vendor> {
        let wanted = name.to_lowercase();
        let likeness = |row: &&Vendor| strsim::jaro_winkler(&row.name, &wanted);
        let best = self.rows.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
        // Below this, two names have nothing to do with each other: "mistral" and "minimax" are at 0.75.
        (likeness(&best) >= 0.8).then_some(best)
    }

    /// All vendors, in the file's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Vendor> {
        self.rows.iter()
    }
}

#[cfg(test)]
mod tests {
    use crate::http_client::Origin;

    use super::*;

    #[test]
    fn every_shipped_row_can_be_used() {
        let vendors = Vendors::shipped();
        assert!(vendors.iter().len() >= 50, "{}", vendors.iter().len());
        for row in vendors.iter() {
            let name = &row.name;
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
            assert!(!row.title.is_empty(), "{name}");
            let local = row.base_url.starts_with("http://127.0.0.1:");
            assert!(local || row.base_url.starts_with("https://"), "{name}: {}", row.base_url);
            assert!(!row.base_url.ends_with('/'), "{name}");
            assert!(local != row.key_required, "{name}: hosted vendors need a key, local servers do not");
            assert!(!row.key_required || row.key_env.is_some(), "{name}");
            let upper = |text: &str| text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            assert!(row.key_env.as_deref().is_none_or(upper), "{name}");
            assert!(row.docs.starts_with("https://"), "{name}");
            assert!(row.query().is_none_or(|query| query.contains('=') && !query.starts_with('?')), "{name}");
            match row.usable_base_url() {
                Some(url) => assert_eq!(Origin::parse(url).unwrap().https(), !local, "{name}"),
                None => assert!(row.base_url.contains('}') && !local, "{name}"),
            }
        }
    }

    #[test]
    fn azure_takes_its_key_in_its_own_header_and_needs_a_resource() {
        let azure = Vendors::shipped().get("azure").unwrap();
        assert_eq!(azure.auth_style(), AuthStyle::Header(HeaderName::from_static("api-key")));
        assert_eq!(azure.usable_base_url(), None);
        assert_eq!(Vendors::shipped().get("azure-deployment").unwrap().query(), Some("api-version=2024-10-21"));
        assert_eq!(Vendors::shipped().get("groq").unwrap().auth_style(), AuthStyle::Bearer);
    }

    #[test]
    fn those_that_refuse_stream_options_are_not_sent_any() {
        let mute: Vec<_> = Vendors::shipped().iter().filter(|row| !row.stream_options).map(|row| &row.name).collect();
        assert_eq!(mute, ["mistral", "perplexity", "cohere", "ai21"]);
    }

    #[test]
    fn each_is_asked_to_go_on_in_its_own_way() {
        let way = |name: &str| {
            let quirks = Vendors::shipped().get(name).unwrap().quirks();
            (quirks.prefill, quirks.echo)
        };
        assert_eq!(way("mistral"), (Prefill::Prefix, Echo::Usual));
        assert_eq!(way("moonshot"), (Prefill::Partial, Echo::Unlikely));
        assert_eq!(way("vllm"), (Prefill::FinalMessage, Echo::Unlikely));
        assert_eq!(way("llamacpp"), (Prefill::Plain, Echo::Unlikely));
    }

    #[test]
    fn a_wrong_name_finds_the_one_that_was_meant() {
        let nearest = |name: &str| Vendors::shipped().nearest(name).map(|row| row.name.as_str());
        assert_eq!(nearest("Groq"), Some("groq"));
        assert_eq!(nearest("open-router"), Some("openrouter"));
        assert_eq!(nearest("mistrall"), Some("mistral"));
        assert_eq!(nearest("zzz"), None);
        assert_eq!(Vendors::default().nearest("groq"), None);
    }

    #[test]
    fn a_bad_table_is_told() {
        let row = |more: &str| {
            format!("[[vendor]]\nname = \"a\"\ntitle = \"A\"\nbase_url = \"https://a\"\ndocs = \"https://a\"\n{more}\n")
        };
        assert!(Vendors::parse(&row("")).is_ok());
        assert!(Vendors::parse(&[row(""), row("")].concat()).unwrap_err().contains("`a` stands twice"));
        assert!(Vendors::parse(&row("key_headr = \"x\"")).unwrap_err().contains("unknown field `key_headr`"));
        assert!(Vendors::parse(&row("key_header = \"a b\"")).unwrap_err().contains("`a b` is no header name"));
        assert!(
            Vendors::parse(&row("drop = [\"usr\"]")).unwrap_err().contains("`usr` is no field that can be changed")
        );
        assert!(Vendors::parse(&row("rename = { sed = \"x\" }")).unwrap_err().contains("`sed` is no field"));
    }
}
