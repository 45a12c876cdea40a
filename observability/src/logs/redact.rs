//! The last guard before a secret reaches a log: fields whose names say that they hold one.
//!
//! Secrets are kept out of logs by their type (`atp_core::Secret` shows stars); this catches the text
//! that was taken out of it, or never put in.

/// What stands in the place of a masked value.
pub(super) const MASK: &str = "***";

/// Whether a field of this name holds a secret by its name. `api_key`, `x-api-key`, `authorization`,
/// `client_secret`, `refresh_token` do; `key_name`, `input_tokens`, `keys` do not.
pub(super) fn is_secret(field: &str) -> bool {
    const ANYWHERE: [&str; 5] = ["secret", "password", "authorization", "cookie", "credential"];
    const LAST: [&str; 4] = ["key", "token", "bearer", "apikey"];
    let has = |word: &str| {
        field.len() >= word.len()
            && field.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    let last = field.rsplit(['_', '-', '.']).next().unwrap_or(field);
    LAST.iter().any(|word| last.eq_ignore_ascii_case(word)) || ANYWHERE.into_iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn names_that_say_secret_are_masked() {
        for name in [
            "key",
            "api_key",
            "x-api-key",
            "API_KEY",
            "apikey",
            "http.api_key",
            "secret",
            "client_secret",
            "secret_ref",
            "token",
            "refresh_token",
            "Authorization",
            "proxy-authorization",
            "password",
            "set-cookie",
            "aws_credentials",
            "bearer",
        ] {
            assert!(is_secret(name), "{name}");
        }
    }

    #[test]
    fn names_that_only_resemble_one_are_shown() {
        for name in
            ["key_name", "keys", "tokens", "input_tokens", "token_count", "monkey", "model", "request_id", "", "k"]
        {
            assert!(!is_secret(name), "{name}");
        }
    }
}
