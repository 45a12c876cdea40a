//! Reading scalar values: strings with escapes, whole numbers, literals.

use std::borrow::Cow;

/// Why a string's contents cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadText {
    /// A backslash that starts no legal escape, or a raw control character.
    Escape,
    /// Half of a surrogate pair: legal JSON, but no text.
    Surrogate,
    /// Bytes that are not UTF-8.
    Utf8,
}

/// The text between the quotes of `raw`, a JSON string with its quotes.
pub(crate) fn unquote(raw: &[u8]) -> Result<Cow<'_, str>, BadText> {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    let text = std::str::from_utf8(inner).map_err(|_| BadText::Utf8)?;
    // All bytes, without a way out: so the compiler looks at many at once.
    if inner.iter().fold(false, |found, byte| found | (*byte < 0x20)) {
        return Err(BadText::Escape);
    }
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let (decoded, behind) = unescape(escape)?;
        out.push(decoded);
        rest = behind;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// Decodes what stands behind a backslash; the character, and the text behind it.
fn unescape(text: &str) -> Result<(char, &str), BadText> {
    let mut chars = text.chars();
    let decoded = match chars.next().ok_or(BadText::Escape)? {
        plain @ ('"' | '\\' | '/') => plain,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return unicode(chars.as_str()),
        _ => return Err(BadText::Escape),
    };
    Ok((decoded, chars.as_str()))
}

/// Decodes what stands behind `\u`: four digits, or a surrogate pair.
fn unicode(text: &str) -> Result<(char, &str), BadText> {
    let (first, rest) = four_digits(text)?;
    if let Some(decoded) = char::from_u32(first) {
        return Ok((decoded, rest));
    }
    let second = rest.strip_prefix("\\u").ok_or(BadText::Surrogate)?;
    let (second, rest) = four_digits(second)?;
    // Only a high half followed by a low half is a character (RFC 8259, section 7).
    if !(0xd800..0xdc00).contains(&first) || !(0xdc00..0xe000).contains(&second) {
        return Err(BadText::Surrogate);
    }
    let joined = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    char::from_u32(joined).map(|decoded| (decoded, rest)).ok_or(BadText::Surrogate)
}

fn four_digits(text: &str) -> Result<(u32, &str), BadText> {
    let (digits, rest) = text.split_at_checked(4).ok_or(BadText::Escape)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(BadText::Escape);
    }
    u32::from_str_radix(digits, 16).map(|value| (value, rest)).map_err(|_| BadText::Escape)
}

/// Whether the text between the quotes of `raw` is `name`, which holds no quote and no backslash.
pub(crate) fn is_text(raw: &[u8], name: &str) -> bool {
    match raw.get(1..raw.len().saturating_sub(1)) {
        Some(inner) if memchr::memchr(b'\\', inner).is_none() => inner == name.as_bytes(),
        _ => unquote(raw).is_ok_and(|text| text == name),
    }
}

/// What a number is, for a field that wants a whole one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// A whole number from 0 to `u64::MAX`.
    Whole(u64),
    /// A negative number or one with a fraction.
    Other,
    /// Too large for any integer or float.
    OutOfRange,
}

/// Reads a legal JSON number.
pub(crate) fn number(raw: &[u8]) -> Number {
    let Ok(text) = std::str::from_utf8(raw) else { return Number::Other };
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_or(Number::OutOfRange, Number::Whole);
    }
    match text.parse::<f64>() {
        Ok(value) if !value.is_finite() => Number::OutOfRange,
        // Beyond 2^53 a float is not exact any more, and no token count.
        Ok(value) if value > 9_007_199_254_740_992.0 => Number::OutOfRange,
        // Whole, not negative and at most 2^53: the conversion is exact.
        Ok(value) if value >= 0.0 && value.fract() == 0.0 => Number::Whole(value as u64),
        _ => Number::Other,
    }
}

/// Whether `raw` is a number by the JSON grammar (RFC 8259, section 6), or a literal name.
pub(crate) fn is_scalar(raw: &[u8]) -> bool {
    matches!(raw, b"null" | b"true" | b"false") || is_number(raw)
}

fn is_number(raw: &[u8]) -> bool {
    let raw = raw.strip_prefix(b"-").unwrap_or(raw);
    let (whole, rest) = digits(raw);
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with(b"0")) {
        return false;
    }
    let rest = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let (fraction, rest) = digits(fraction);
            if fraction.is_empty() {
                return false;
            }
            rest
        }
        None => rest,
    };
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            let (exponent, rest) = digits(exponent);
            !exponent.is_empty() && rest.is_empty()
        }
        _ => false,
    }
}

fn digits(raw: &[u8]) -> (&[u8], &[u8]) {
    let end = raw.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(raw.len());
    raw.split_at(end)
}
