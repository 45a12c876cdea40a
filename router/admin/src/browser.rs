//! Web pages may not steer the router.
//!
//! The surface stands on loopback without a key, and every page that a browser on this machine has open can send
//! requests to it. A page cannot read an answer of another origin, so what only reads is safe from it; what changes
//! something would have happened all the same. Browsers say where such a request comes from, and a page can neither
//! leave that out nor change it: first by `sec-fetch-site`, else by `origin`, which all of them send with every method
//! but GET and HEAD. Who sends neither is no browser. (F. Valsorda, "Cross-Site Request Forgery", 2025, from which the
//! order of the checks is taken.)

use atp_core::{Error, ErrorKind};
use http::HeaderMap;
use http::header::{HOST, HeaderName, ORIGIN};
use http::uri::Uri;

/// Where a request comes from, in the browser's words (W3C Fetch Metadata, 2.3).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request that a page of another origin has made.
pub(crate) fn refuse(headers: &HeaderMap) -> Option<Error> {
    let own = match (headers.get(SEC_FETCH_SITE), headers.get(ORIGIN)) {
        // `none` is a person's own doing, such as an address typed in.
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => origin.to_str().is_ok_and(|origin| is_own(origin, headers)),
        (None, None) => true,
    };
    (!own).then(|| {
        let text =
            "a web page of another origin may not change anything here; ask by `curl`, or from the admin port itself";
        Error::caller(ErrorKind::Permission, text)
    })
}

/// Whether an origin names the very host and port that the request was sent to. `null` names none.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    let (Some(_), Some(authority)) = (origin.scheme(), origin.authority()) else { return false };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| authority.as_str().eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(fields: &[(&'static str, &str)]) -> bool {
        let field = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        let headers: HeaderMap = [("host", "127.0.0.1:7444")].iter().chain(fields).map(field).collect();
        refuse(&headers).is_some()
    }

    #[test]
    fn only_pages_of_this_very_origin_may_steer() {
        for own in [
            &[][..],
            &[("origin", "http://127.0.0.1:7444")],
            &[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:7444")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(!refused(own), "{own:?}");
        }
        for foreign in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "http://127.0.0.1:3000")],
            &[("origin", "http://127.0.0.1")],
            &[("origin", "http://127.0.0.1:7444.evil.example")],
            &[("origin", "127.0.0.1:7444")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:7444")],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:7444")],
        ] {
            assert!(refused(foreign), "{foreign:?}");
        }
    }
}
