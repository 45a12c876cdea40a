//! Where a provider lives: scheme, host, port and the path that every call starts with, or a socket in the file system.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

/// A parsed base URL.
#[derive(Debug, Clone)]
pub struct Origin {
    https: bool,
    host: Arc<str>,
    port: u16,
    authority: Authority,
    host_header: HeaderValue,
    base: Arc<str>,
    socket: Option<Arc<Path>>,
}

/// Why a base URL or its TLS settings cannot be used.
#[derive(Debug, Clone)]
pub struct OriginError(pub String);

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OriginError {}

impl Origin {
    /// Parses `http://host[:port]/base` or its `https` form. A trailing slash does not matter.
    ///
    /// # Errors
    /// Another scheme, no host, a query, or text that is no URL.
    pub fn parse(url: &str) -> Result<Self, OriginError> {
        let wrong = |why: &str| OriginError(format!("base_url {url:?} {why}; write it as http(s)://host[:port]/path"));
        let uri: Uri = url.parse().map_err(|_| wrong("is not a URL"))?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("has no http or https scheme")),
        };
        let authority = uri.authority().cloned().ok_or_else(|| wrong("has no host"))?;
        if uri.query().is_some() {
            return Err(wrong("has a query"));
        }
        if authority.as_str().contains('@') {
            return Err(OriginError("base_url holds user information; put the key into api_key".to_owned()));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        let host_header =
            HeaderValue::from_str(authority.as_str()).map_err(|_| wrong("has a host that cannot be sent"))?;
        let base = uri.path().trim_end_matches('/');
        Ok(Self { https, host: Arc::from(host), port, host_header, base: Arc::from(base), authority, socket: None })
    }

    /// A Unix socket. What is said on it names the host `localhost`, as gRPC's own libraries do.
    #[must_use]
    pub fn of_socket(path: &Path) -> Self {
        Self {
            https: false,
            host: Arc::from("localhost"),
            port: 0,
            authority: Authority::from_static("localhost"),
            host_header: HeaderValue::from_static("localhost"),
            base: Arc::from(""),
            socket: Some(Arc::from(path)),
        }
    }

    /// The socket's path, where it is one.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// Whether calls go through TLS.
    #[must_use]
    pub fn https(&self) -> bool {
        self.https
    }

    /// The host's name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of `host`.
    #[must_use]
    pub fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// Host and port as text, for messages.
    #[must_use]
    pub fn authority_str(&self) -> &str {
        self.authority.as_str()
    }

    /// The path that every call starts with, without a trailing slash; empty for none.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request target: origin form, as HTTP/1.1 sends it.
    ///
    /// # Errors
    /// A path that cannot stand in a request line.
    pub fn target(&self, path: &str) -> Result<Uri, OriginError> {
        let joined = format!("{}{path}", self.base);
        let parsed =
            PathAndQuery::try_from(joined).map_err(|_| OriginError(format!("path {path:?} is not a URL path")))?;
        Ok(Uri::from(parsed))
    }

    /// The same target in absolute form, as HTTP/2 needs it.
    pub(super) fn absolute(&self, target: Uri) -> Uri {
        let mut parts = target.into_parts();
        parts.scheme = Some(if self.https { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.authority.clone());
        Uri::from_parts(parts).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_and_path_join_without_doubled_slash() {
        for url in ["http://127.0.0.1:9100/v1", "http://127.0.0.1:9100/v1/"] {
            let origin = Origin::parse(url).unwrap();
            assert_eq!(origin.target("/chat/completions").unwrap().to_string(), "/v1/chat/completions");
            assert_eq!((origin.host(), origin.port(), origin.https()), ("127.0.0.1", 9100, false));
        }
    }

    #[test]
    fn ports_default_by_scheme_and_brackets_go() {
        assert_eq!(Origin::parse("https://api.example.com/v1").unwrap().port(), 443);
        let six = Origin::parse("http://[::1]/v1").unwrap();
        assert_eq!((six.host(), six.port()), ("::1", 80));
    }

    #[test]
    fn what_is_no_base_url_is_refused_with_the_way_out() {
        for url in ["ftp://x/v1", "not a url", "/v1", "http://host/v1?x=1", "http://user:pass@host/v1"] {
            assert!(Origin::parse(url).unwrap_err().0.contains("base_url"), "{url}");
        }
    }
}
