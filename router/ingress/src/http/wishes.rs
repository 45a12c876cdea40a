//! What a caller wishes of the router itself, by headers that go no further: `x-atp-timeout-ms`,
//! `x-atp-qos`, `x-atp-session`.

use std::sync::Arc;
use std::time::Duration;

use atp_core::{Caller, Error, ErrorKind, Qos};
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The caller's own ceiling on every timer, in milliseconds.
const TIMEOUT: HeaderName = HeaderName::from_static("x-atp-timeout-ms");
/// A lower class than the key's own.
const QOS: HeaderName = HeaderName::from_static("x-atp-qos");
/// Whose turn it is within the tenant.
const SESSION: HeaderName = HeaderName::from_static("x-atp-session");

/// The longest name of a session, in bytes.
const SESSION_LONGEST: usize = 128;

/// What a caller wishes.
pub(super) struct Wishes {
    pub(super) patience: Option<Duration>,
    pub(super) qos: Qos,
    pub(super) session: Option<Arc<str>>,
}

impl Wishes {
    /// Reads the headers of a request of `caller`.
    pub(super) fn read(headers: &HeaderMap, caller: &Caller) -> Result<Self, Error> {
        Ok(Self {
            patience: headers.get(TIMEOUT).map(patience).transpose()?,
            qos: headers.get(QOS).map_or(Ok(caller.qos), |value| qos(value, caller))?,
            session: headers.get(SESSION).map(session).transpose()?,
        })
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

#[cfg(test)]
mod tests {
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
    fn who_wishes_nothing_has_the_class_of_his_key() {
        let wishes = Wishes::read(&HeaderMap::new(), &Caller { qos: Qos::Gold, ..Caller::anonymous() }).unwrap();
        assert!(wishes.patience.is_none() && wishes.session.is_none() && wishes.qos == Qos::Gold);
        assert!(read("x-atp-timeout-ms", "0", Qos::Silver).is_err());
        assert_eq!(read("x-atp-timeout-ms", "1500", Qos::Silver).unwrap().patience, Some(Duration::from_millis(1_500)));
    }
}
