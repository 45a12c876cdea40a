//! What common models cost: the shipped table, with the date on which its prices were known.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use atp_core::Price;
use serde::Deserialize;

static SHIPPED: LazyLock<PriceTable> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the text is compiled in, and a test reads it")]
    PriceTable::parse(include_str!("../../prices.toml")).expect("the shipped price table is valid")
});

/// The table that is compiled in.
#[must_use]
pub fn shipped() -> &'static PriceTable {
    &SHIPPED
}

/// Prices by the provider's name of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceTable {
    date: String,
    source: String,
    /// By vendor, then by name. The vendor is empty for prices that are the same wherever the model is sold.
    prices: BTreeMap<String, BTreeMap<String, Price>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    date: String,
    source: String,
    model: Vec<RawRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRow {
    name: String,
    #[serde(default)]
    vendor: String,
    #[serde(default)]
    aliases: Vec<String>,
    input: u64,
    output: u64,
    cached_input: Option<u64>,
}

impl PriceTable {
    /// Reads a table.
    ///
    /// # Errors
    /// A text that is not a table, or one that prices a name twice.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: RawTable = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut prices: BTreeMap<String, BTreeMap<String, Price>> = BTreeMap::new();
        for row in raw.model {
            let names = prices.entry(row.vendor).or_default();
            let cached_input = row.cached_input.unwrap_or(row.input);
            let price = Price { input: row.input, output: row.output, cached_input };
            for name in row.aliases.into_iter().chain([row.name]) {
                let name = name.to_ascii_lowercase();
                if names.insert(name.clone(), price).is_some() {
                    return Err(format!("the model {name} is priced twice"));
                }
            }
        }
        Ok(Self { date: raw.date, source: raw.source, prices })
    }

    /// The day on which the prices were known: `YYYY-MM-DD`.
    #[must_use]
    pub fn date(&self) -> &str {
        &self.date
    }

    /// Where they come from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The vendors that have prices of their own.
    pub fn vendors(&self) -> impl Iterator<Item = &str> {
        self.prices.keys().map(String::as_str).filter(|vendor| !vendor.is_empty())
    }

    /// How many names have a price.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prices.values().map(BTreeMap::len).sum()
    }

    /// Whether no name has a price.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The price of a model at a vendor; `None` where it is not known.
    ///
    /// Besides the exact name, what counts is the name without a dated or versioned end (`gpt-4o-2024-08-06`,
    /// `claude-sonnet-4-20250514`, `gemini-2.0-flash-001`, `mistral-large-latest`), and without its maker's prefix
    /// (`openai/gpt-4o`). Nothing else does: `gpt-4o-mini` is no kind of `gpt-4o`, and a wrong price is worse than none.
    #[must_use]
    pub fn lookup(&self, vendor: Option<&str>, name: &str) -> Option<Price> {
        let own = vendor.and_then(|vendor| self.prices.get(vendor));
        // Makers write capitals in some names and not in others. Most have none, and cost no allocation here.
        let upper = name.bytes().any(|byte| byte.is_ascii_uppercase());
        let name = if upper { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) };
        own.into_iter().chain(self.prices.get("")).find_map(|prices| find(prices, &name))
    }
}

fn find(prices: &BTreeMap<String, Price>, name: &str) -> Option<Price> {
    let mut candidate = name;
    loop {
        if let Some(price) = prices.get(candidate).or_else(|| prices.get(undated(candidate))) {
            return Some(*price);
        }
        candidate = candidate.split_once('/')?.1;
    }
}

/// The name without one dated or versioned end.
fn undated(name: &str) -> &str {
    let mut ends = name.rsplit('-');
    let parts = [ends.next(), ends.next(), ends.next(), ends.next()];
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let cut = |length: usize| name.len().checked_sub(length).and_then(|end| name.get(..end)).unwrap_or(name);
    match parts {
        // -2024-08-06
        [Some(day), Some(month), Some(year), Some(_)] if digits(day, 2) && digits(month, 2) && digits(year, 4) => {
            cut(11)
        }
        // -08-2024
        [Some(year), Some(month), Some(_), _] if digits(month, 2) && digits(year, 4) && year.starts_with("20") => {
            cut(8)
        }
        // -20250514
        [Some(date), Some(_), ..] if digits(date, 8) => cut(9),
        // -0125, -2407
        [Some(date), Some(_), ..] if digits(date, 4) => cut(5),
        // -001
        [Some(version), Some(_), ..] if digits(version, 3) => cut(4),
        [Some("latest"), Some(_), ..] => cut(7),
        _ => name,
    }
}

#[cfg(test)]
mod tests;
