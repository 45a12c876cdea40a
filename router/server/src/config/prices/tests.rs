//! What the shipped price table knows, and what it must not guess.

use super::*;

fn input(vendor: Option<&str>, name: &str) -> Option<u64> {
    shipped().lookup(vendor, name).map(|price| price.input)
}

#[test]
fn the_shipped_table_is_dated_and_wide() {
    let date = shipped().date();
    assert!(date.parse::<jiff::civil::Date>().is_ok(), "{date}");
    assert!(shipped().len() >= 80, "{}", shipped().len());
    assert!(!shipped().is_empty() && !shipped().source().is_empty());
    assert!(shipped().vendors().any(|vendor| vendor == "groq"));
}

#[test]
fn a_dated_name_costs_what_the_plain_one_costs() {
    for (dated, plain) in [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("GPT-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("openai/gpt-4.1-2025-04-14", "gpt-4.1"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("openrouter/google/gemini-2.5-pro", "gemini-2.5-pro"),
        ("omni-moderation-latest", "omni-moderation"),
    ] {
        assert!(input(None, plain).is_some(), "{plain}");
        assert_eq!(shipped().lookup(None, dated), shipped().lookup(None, plain), "{dated}");
    }
    assert_eq!(input(Some("cohere"), "command-r-plus-08-2024"), input(Some("cohere"), "command-r-plus"));
}

#[test]
fn a_dated_name_with_its_own_price_keeps_it() {
    assert_eq!(input(None, "gpt-4o-2024-05-13"), Some(5_000_000));
    assert_eq!(input(None, "gpt-4o-2024-11-20"), Some(2_500_000));
    assert_eq!(input(Some("mistral"), "mistral-small-2409"), Some(200_000));
    assert_eq!(input(Some("mistral"), "mistral-small-2503"), Some(100_000));
}

#[test]
fn a_longer_name_is_another_model() {
    for unknown in
        ["gpt-4o-audio-preview", "gpt-4o-minimal", "gpt-4-vision", "gpt", "", "/", "-", "gpt-4o-", "gpt-4o-24"]
    {
        assert_eq!(input(None, unknown), None, "{unknown}");
    }
}

#[test]
fn an_open_model_has_the_price_of_its_seller_alone() {
    assert_eq!(input(Some("groq"), "openai/gpt-oss-120b"), Some(150_000));
    assert_eq!(input(Some("together"), "openai/gpt-oss-120b"), None);
    assert_eq!(input(None, "gpt-oss-120b"), None);
    assert_eq!(input(Some("azure-openai"), "gpt-4o"), Some(2_500_000));
}

#[test]
fn cached_input_costs_as_much_as_input_where_nothing_else_is_known() {
    let price = shipped().lookup(None, "gpt-4-turbo").unwrap();
    assert_eq!(price.cached_input, price.input);
}

#[test]
fn a_name_priced_twice_is_refused() {
    let row = "[[model]]\nname = \"a\"\ninput = 1\noutput = 1\n";
    let text = format!("date = \"2025-01-01\"\nsource = \"here\"\n{row}{row}");
    assert_eq!(PriceTable::parse(&text), Err("the model a is priced twice".to_owned()));
}
