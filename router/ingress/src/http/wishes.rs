//! What a caller wishes of the router itself, by headers that go no further: `x-atp-timeout-ms`,
//! `x-atp-qos`, `x-atp-session`, `x-atp-cache`, `x-atp-accept-restart`; and what `cache-control` says
//! to it as to any cache on the way.

use std::sync::Arc;
use std::time::Duration;

use atp_core::{Caller, Error, ErrorKind, Qos, Restarts, Reuse};
use http::header::{HeaderMap, HeaderValue};

/// The longest name of a session, in bytes.
const SESSION_LONGEST: usize = 128;

/// What a caller wishes.
pub(super) struct Wishes {
    pub(super) patience: Option<Duration>,
    pub(super) qos: Qos,
    pub(super) session: Option<Arc<str>>,
    pub(super) reuse: Reuse,
    pub(super) restarts: Restarts,
}

impl Wishes {
    /// Reads the headers of a request of `caller`. Where a header of ours stands twice, the last
    /// counts; of `cache-control`, all.
    ///
    /// One walk over the few headers that came costs less than asking for each by its name.
    pub(super) fn read(headers: &HeaderMap, caller: &Caller) -> Result<Self, Error> {
        let mut wishes = Self {
            patience: None,
            qos: caller.qos,
            session: None,
            reuse: Reuse::default(),
            restarts: Restarts::default(),
        };
        for (name, value) in headers {
            match name.as_str() {
                "x-atp-timeout-ms" => wishes.patience = Some(patience(value)?),
                "x-atp-qos" => wishes.qos = qos(value, caller)?,
                "x-atp-session" => wishes.session = Some(session(value)?),
                "x-atp-cache" => wishes.reuse = wishes.reuse.max(reuse(value)?),
                "cache-control" => wishes.reuse = wishes.reuse.max(directives(value)),
                "x-atp-accept-restart" => wishes.restarts = restarts(value)?,
                _ => {}
            }
        }
        Ok(wishes)
    }
}

fn patience(value: &HeaderValue) -> Result<Duration, Error> {
    match value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok()).filter(|millis| *millis > 0) {
        Some(millis) => Ok(Duration::from_millis(millis)),
        None => {
            let text = format!("x-atp-timeout-ms is {value:?}; it takes a whole number of milliseconds above zero");
            Err(Error::caller(ErrorKind::InvalidRequest, text).with_param("x-atp-timeout-ms"))
        }
    }
}

fn qos(value: &HeaderValue, caller: &Caller) -> Result<Qos, Error> {
    let Some(asked) = value.to_str().ok().and_then(|text| Qos::parse(text.trim())) else {
        let text = format!("x-atp-qos is {value:?}; it takes bronze, silver or gold");
        return Err(Error::caller(ErrorKind::InvalidRequest, text).with_param("x-atp-qos"));
    };
    if asked > caller.qos {
        let text = format!(
            "x-atp-qos asks for {}, and the key `{}` has {}; ask for that or a lower class, or set the key's `qos`",
            asked.label(),
            caller.key,
            caller.qos.label()
        );
        return Err(Error::caller(ErrorKind::Permission, text).with_param("x-atp-qos"));
    }
    Ok(asked)
}

fn session(value: &HeaderValue) -> Result<Arc<str>, Error> {
    match value.to_str().map(str::trim) {
        Ok(name) if (1..=SESSION_LONGEST).contains(&name.len()) => Ok(Arc::from(name)),
        _ => {
            let text = format!("x-atp-session takes 1 to {SESSION_LONGEST} visible ASCII characters");
            Err(Error::caller(ErrorKind::InvalidRequest, text).with_param("x-atp-session"))
        }
    }
}

/// Our own header is ours to judge, so that a misspelt wish is not overlooked.
fn reuse(value: &HeaderValue) -> Result<Reuse, Error> {
    match value.as_bytes().trim_ascii() {
        b"no-cache" => Ok(Reuse::Renew),
        b"no-store" => Ok(Reuse::Forbidden),
        _ => {
            let text = format!("x-atp-cache is {value:?}; it takes no-cache or no-store");
            Err(Error::caller(ErrorKind::InvalidRequest, text).with_param("x-atp-cache"))
        }
    }
}

/// What `cache-control` asks of a cache (RFC 9111, 5.2.1). What it does not concern is let pass.
fn directives(value: &HeaderValue) -> Reuse {
    let told = value.as_bytes().split(|byte| *byte == b',').map(|directive| match directive.trim_ascii() {
        named if named.eq_ignore_ascii_case(b"no-store") => Reuse::Forbidden,
        named if named.eq_ignore_ascii_case(b"no-cache") => Reuse::Renew,
        _ => Reuse::Allowed,
    });
    told.max().unwrap_or_default()
}

fn restarts(value: &HeaderValue) -> Result<Restarts, Error> {
    match value.as_bytes().trim_ascii() {
        b"1" => Ok(Restarts::Accepted),
        b"0" => Ok(Restarts::Refused),
        _ => {
            let text = format!("x-atp-accept-restart is {value:?}; it takes 1 or 0");
            Err(Error::caller(ErrorKind::InvalidRequest, text).with_param("x-atp-accept-restart"))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn read(name: &'static str, value: &str, qos: Qos) -> Result<Wishes, Error> {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())]);
        Wishes::read(&headers, &Caller { qos, ..Caller::anonymous() })
    }

    #[test]
    fn a_request_may_lower_its_class_and_never_raise_it() {
        assert_eq!(read("x-atp-qos", "bronze", Qos::Silver).ok().map(|wishes| wishes.qos), Some(Qos::Bronze));
        assert_eq!(read("x-atp-qos", "gold", Qos::Gold).ok().map(|wishes| wishes.qos), Some(Qos::Gold));
        let raised = read("x-atp-qos", "gold", Qos::Silver).err().expect("refused");
        assert_eq!((raised.kind(), raised.param()), (ErrorKind::Permission, Some("x-atp-qos")));
        let unknown = read("x-atp-qos", "platinum", Qos::Gold).err().expect("refused");
        assert_eq!(unknown.kind(), ErrorKind::InvalidRequest);
    }

    #[test]
    fn a_session_has_a_name_of_some_length() {
        assert_eq!(read("x-atp-session", " chat-7 ", Qos::Silver).unwrap().session.as_deref(), Some("chat-7"));
        assert!(read("x-atp-session", " ", Qos::Silver).is_err());
        assert!(read("x-atp-session", &"x".repeat(129), Qos::Silver).is_err());
    }

    #[test]
    fn a_fresh_answer_can_be_asked_for() {
        let told = |name, value| read(name, value, Qos::Silver).map(|wishes| wishes.reuse);
        assert_eq!(told("x-atp-cache", "no-cache").unwrap(), Reuse::Renew);
        assert_eq!(told("x-atp-cache", "no-store").unwrap(), Reuse::Forbidden);
        assert!(told("x-atp-cache", "never").is_err());
        assert_eq!(told("cache-control", "max-age=0, No-Cache").unwrap(), Reuse::Renew);
        assert_eq!(told("cache-control", "no-cache,no-store").unwrap(), Reuse::Forbidden);
        assert_eq!(told("cache-control", "max-age=60").unwrap(), Reuse::Allowed);
    }

    #[test]
    fn a_stream_begins_anew_for_those_alone_who_say_so() {
        let told = |value| read("x-atp-accept-restart", value, Qos::Silver).map(|wishes| wishes.restarts);
        assert_eq!((told("1").unwrap(), told("0").unwrap()), (Restarts::Accepted, Restarts::Refused));
        assert!(told("yes").is_err());
    }

    #[test]
    fn who_wishes_nothing_has_the_class_of_his_key() {
        let wishes = Wishes::read(&HeaderMap::new(), &Caller { qos: Qos::Gold, ..Caller::anonymous() }).unwrap();
        assert!(wishes.patience.is_none() && wishes.session.is_none() && wishes.qos == Qos::Gold);
        assert!(read("x-atp-timeout-ms", "0", Qos::Silver).is_err());
        assert_eq!(read("x-atp-timeout-ms", "1500", Qos::Silver).unwrap().patience, Some(Duration::from_millis(1_500)));
    }
}
