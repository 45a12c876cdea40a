//! Where a router is: its URL, taken apart.

use std::fmt;

use crate::failure::Failure;

/// The base address of a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// `host:port` as it stands in the URL; what the `host` header says.
    pub(super) authority: String,
    /// What is connected to: the authority with a port.
    pub(super) socket: String,
    /// What stands before `/v1`, without a slash at its end; empty in most cases.
    pub(super) prefix: String,
}

impl Address {
    /// Takes a URL apart. It may end in `/v1`, as the URLs that SDKs take do.
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        // A user in a URL comes with a password, and this text may end in a log.
        let shown = if url.contains('@') { "..." } else { url };
        let wrong = |why: &str| {
            Failure::usage(format!("url `{shown}`: {why}"))
                .hint("write it as in http://127.0.0.1:7443 (--url or ATP_URL)")
        };
        let Some((scheme, rest)) = url.split_once("://") else { return Err(wrong("no scheme")) };
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => {
                return Err(Failure::usage(format!("url `{shown}`: this command speaks plain http only"))
                    .hint("use the router's http address, or curl or an OpenAI SDK for https"));
            }
            _ => return Err(wrong("the scheme must be http")),
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '@');
        if rest.contains(forbidden) {
            return Err(wrong("a base address has no spaces, no user, no query and no fragment"));
        }
        let socket = with_port(authority).ok_or_else(|| wrong("`host` or `host:port` must follow the scheme"))?;
        let path = path.trim_end_matches('/');
        let prefix = path.strip_suffix("/v1").unwrap_or(path).trim_end_matches('/');
        Ok(Self { authority: authority.to_owned(), socket, prefix: prefix.to_owned() })
    }

    /// The base URL that SDKs and the load generator take, with the version.
    pub(crate) fn versioned(&self) -> String {
        format!("{self}/v1")
    }
}

impl fmt::Display for Address {
    /// The URL without a slash at its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.prefix)
    }
}

/// The authority with the port of http where it names none; nothing where it names no host, or a
/// port that is none.
fn with_port(authority: &str) -> Option<String> {
    // The colons of an IPv6 address stand within brackets.
    let after_host = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority.get(after_host..)?.rfind(':') {
        Some(at) => (authority.get(..after_host + at)?, authority.get(after_host + at + 1..)?),
        None => (authority, "80"),
    };
    let known = !host.is_empty() && (host.starts_with('[') == host.ends_with(']'));
    (known && port.parse::<u16>().is_ok_and(|port| port > 0)).then(|| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_and_without_version_are_the_same() {
        for url in
            ["http://127.0.0.1:7443", "http://127.0.0.1:7443/", "http://127.0.0.1:7443/v1", "HTTP://127.0.0.1:7443/v1/"]
        {
            let address = Address::parse(url).expect(url);
            assert_eq!(address.to_string(), "http://127.0.0.1:7443");
            assert_eq!(address.versioned(), "http://127.0.0.1:7443/v1");
            assert_eq!(address.socket, "127.0.0.1:7443");
        }
    }

    #[test]
    fn a_prefix_and_a_missing_port_are_kept_and_filled() {
        let address = Address::parse("http://gateway.local/llm/v1").expect("a legal url");
        assert_eq!((address.socket.as_str(), address.prefix.as_str()), ("gateway.local:80", "/llm"));
        let address = Address::parse("http://[::1]:9").expect("a legal url");
        assert_eq!((address.authority.as_str(), address.socket.as_str()), ("[::1]:9", "[::1]:9"));
        assert_eq!(Address::parse("http://[::1]").expect("a legal url").socket, "[::1]:80");
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_the_way_out() {
        let cases = [
            ("127.0.0.1:7443", "no scheme"),
            ("ftp://x", "must be http"),
            ("https://x", "plain http only"),
            ("http://", "must follow"),
            ("http://:80", "must follow"),
            ("http://x:0", "must follow"),
            ("http://x:99999", "must follow"),
            ("http://user:secret@x", "`...`: a base address has no spaces, no user"),
            ("http://x?y=1", "no query"),
            ("http://x/a b", "no spaces"),
            ("http://x\r\nhost: y", "no spaces"),
        ];
        for (url, part) in cases {
            let failure = Address::parse(url).expect_err(url);
            assert!(failure.message.contains(part) && failure.hint.is_some(), "{url}: {failure:?}");
            assert_eq!(failure.exit, 2);
        }
    }
}
