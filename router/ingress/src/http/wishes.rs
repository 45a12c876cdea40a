//! What a caller wishes of the router itself, by headers that go no further: `x-atp-timeout-ms`,
//! `x-atp-qos`, `x-atp-session` (`x-session-id` of older clients), `x-atp-cache`, `x-atp-accept-restart`, the hints
//! about which model is to answer; and what `cache-control` says to it as to any cache on the way.

use std::sync::Arc;
use std::time::Duration;

use atp_core::{Caller, Error, ErrorKind, Hints, Qos, Restarts, Reuse};
use atp_dialects::native::request::is_hint;
use http::header::{HeaderMap, HeaderValue};

/// The longest name of a session, in bytes.
const SESSION_LONGEST: usize = 128;

/// What a caller wishes.
pub(crate) struct Wishes {
    pub(crate) patience: Option<Duration>,
    /// The class that it asks for; `None` leaves it that of the key.
    pub(crate) qos: Option<Qos>,
    pub(crate) session: Option<Arc<str>>,
    pub(crate) reuse: Reuse,
    pub(crate) restarts: Restarts,
    /// What the headers say about which model is to answer, over what the key says.
    pub(crate) hints: Option<Box<Hints>>,
}

impl Wishes {
    /// Reads the headers of a request of `caller`. Where a header of ours stands twice, the last
    /// counts; of `cache-control`, all.
    ///
    /// One walk over the few headers that came costs less than asking for each by its name.
    pub(crate) fn read(headers: &HeaderMap, caller: &Caller) -> Result<Self, Error> {
        let mut wishes = Self {
            patience: None,
            qos: None,
            session: None,
            reuse: Reuse::default(),
            restarts: Restarts::default(),
            hints: None,
        };
        for (name, value) in headers {
            match name.as_str() {
                "x-atp-timeout-ms" => wishes.patience = Some(patience(value)?),
                "x-atp-qos" => wishes.qos = Some(qos(value, caller)?),
                "x-atp-session" => wishes.session = Some(session("x-atp-session", value)?),
                // The router's own name for it goes before the older one.
                "x-session-id" if !headers.contains_key("x-atp-session") => {
                    wishes.session = Some(session("x-session-id", value)?);
                }
                "x-atp-cache" => wishes.reuse = wishes.reuse.max(reuse(value)?),
                "cache-control" => wishes.reuse = wishes.reuse.max(directives(value)),
                "x-atp-accept-restart" => wishes.restarts = restarts(value)?,
                other => {
                    if let Some(hint) = is_hint(other) {
                        hint.put(value.as_bytes(), wishes.hints.get_or_insert_default())?;
                    }
                }
            }
        }
        wishes.hints = match (wishes.hints, &caller.hints) {
            (Some(said), Some(key)) => Some(Box::new(said.or(key))),
            (said, key) => said.or_else(|| key.clone()),
        };
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
    entitled("x-atp-qos", asked, caller)
}

/// The class that is asked for, where the key has it.
pub(crate) fn entitled(field: &'static str, asked: Qos, caller: &Caller) -> Result<Qos, Error> {
    if asked > caller.qos {
        let text = format!(
            "{field} asks for {}, and the key `{}` has {}; ask for that or a lower class, or set the key's `qos`",
            asked.label(),
            caller.key,
            caller.qos.label()
        );
        return Err(Error::caller(ErrorKind::Permission, text).with_param(field));
    }
    Ok(asked)
}

fn session(header: &'static str, value: &HeaderValue) -> Result<Arc<str>, Error> {
    named_session(header, value.to_str().unwrap_or_default())
}

/// The name of a session, as a header or another field tells it.
pub(crate) fn named_session(field: &'static str, name: &str) -> Result<Arc<str>, Error> {
    let visible = |byte: u8| (0x20..0x7f).contains(&byte);
    match name.trim() {
        name if (1..=SESSION_LONGEST).contains(&name.len()) && name.bytes().all(visible) => Ok(Arc::from(name)),
        _ => {
            let text = format!("{field} takes 1 to {SESSION_LONGEST} visible ASCII characters");
            Err(Error::caller(ErrorKind::InvalidRequest, text).with_param(field))
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
    use atp_core::{MicroUsd, Quality};
    use http::HeaderName;

    use super::*;

    fn read(name: &'static str, value: &str, qos: Qos) -> Result<Wishes, Error> {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())]);
        Wishes::read(&headers, &Caller { qos, ..Caller::anonymous() })
    }

    #[test]
    fn a_request_may_lower_its_class_and_never_raise_it() {
        assert_eq!(read("x-atp-qos", "bronze", Qos::Silver).ok().map(|wishes| wishes.qos), Some(Some(Qos::Bronze)));
        assert_eq!(read("x-atp-qos", "gold", Qos::Gold).ok().map(|wishes| wishes.qos), Some(Some(Qos::Gold)));
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
    fn the_older_name_of_a_session_gives_way_to_the_routers_own() {
        assert_eq!(read("x-session-id", "old", Qos::Silver).unwrap().session.as_deref(), Some("old"));
        assert_eq!(read("x-session-id", "", Qos::Silver).err().unwrap().param(), Some("x-session-id"));
        for names in [["x-session-id", "x-atp-session"], ["x-atp-session", "x-session-id"]] {
            let pair = |name| (HeaderName::from_static(name), HeaderValue::from_static(name));
            let headers = HeaderMap::from_iter(names.map(pair));
            let wishes = Wishes::read(&headers, &Caller::anonymous()).unwrap();
            assert_eq!(wishes.session.as_deref(), Some("x-atp-session"));
        }
    }

    #[test]
    fn hints_of_a_request_go_before_those_of_its_key() {
        let key = Hints { quality: Some(Quality::Fast), max_cost: Some(MicroUsd(7)), ..Hints::default() };
        let caller = Caller { hints: Some(Box::new(key.clone())), ..Caller::anonymous() };
        let silent = Wishes::read(&HeaderMap::new(), &caller).unwrap();
        assert_eq!(silent.hints.as_deref(), Some(&key));
        let headers = HeaderMap::from_iter([
            (HeaderName::from_static("x-atp-quality"), HeaderValue::from_static("high")),
            (HeaderName::from_static("x-atp-task"), HeaderValue::from_static("code")),
        ]);
        let said = Wishes::read(&headers, &caller).unwrap().hints.unwrap();
        assert_eq!(
            (said.quality, said.max_cost, said.task.as_deref()),
            (Some(Quality::High), Some(MicroUsd(7)), Some("code"))
        );
        let wrong = read("x-atp-quality", "best", Qos::Silver).err().unwrap();
        assert_eq!((wrong.kind(), wrong.param()), (ErrorKind::Validation, Some("x-atp-quality")));
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
        assert!(wishes.patience.is_none() && wishes.session.is_none() && wishes.qos.is_none());
        assert!(wishes.hints.is_none());
        assert!(read("x-atp-timeout-ms", "0", Qos::Silver).is_err());
        assert_eq!(read("x-atp-timeout-ms", "1500", Qos::Silver).unwrap().patience, Some(Duration::from_millis(1_500)));
    }
}
