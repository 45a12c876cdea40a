//! One adapter process, as the router sees it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Uri;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT};

use crate::http_client::{ClientSettings, Http2, HttpClient, Origin, OriginError, now};

/// The call that carries a try.
const COMPLETE: &str = "/atp.adapter.v1.AdapterService/Complete";

/// How long an adapter that could not be reached is passed over: the first time, and at the most. It doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Where an adapter listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `http://host:port` or `https://host:port`.
    Url(String),
    /// A Unix socket.
    Socket(PathBuf),
}

/// Why a place cannot be used.
#[derive(Debug, Clone)]
pub struct EndpointError(pub String);

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EndpointError {}

impl From<OriginError> for EndpointError {
    fn from(error: OriginError) -> Self {
        Self(error.0.replace("base_url", "endpoint"))
    }
}

impl Place {
    /// Reads `http://host:port`, `https://host:port`, `host:port` or `unix:/path`.
    ///
    /// # Errors
    /// Any other text.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let wrong = |why: &str| {
            EndpointError(format!("endpoint {text:?} {why}; write it as http(s)://host:port or unix:/path"))
        };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') {
                Ok(Self::Socket(PathBuf::from(path)))
            } else {
                Err(wrong("names no absolute path"))
            };
        }
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let origin = Origin::parse(&url)?;
        if !origin.base().is_empty() {
            return Err(wrong("has a path"));
        }
        Ok(Self::Url(url.trim_end_matches('/').to_owned()))
    }

    pub(in super::super) fn origin(&self) -> Result<Origin, OriginError> {
        match self {
            Self::Url(url) => Origin::parse(url),
            Self::Socket(path) => Ok(Origin::of_socket(path)),
        }
    }

    /// The socket's path, where it is one.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        match self {
            Self::Url(_) => None,
            Self::Socket(path) => Some(path),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One adapter.
pub struct Endpoint {
    place: Place,
    client: HttpClient,
    fields: HeaderMap,
    complete: Uri,
    born: Instant,
    /// The models that it serves; empty where it passes any name on.
    models: Vec<String>,
    /// Whether it is asked only where nobody else is left.
    last: AtomicBool,
    under_way: AtomicUsize,
    /// Failures in a row to reach it.
    misses: AtomicU32,
    /// Until when it is passed over, in milliseconds since it was made.
    away_until: AtomicU64,
}

/// The smallest is asked first.
type Rank = (bool, bool, u64, usize);

/// An adapter's place among its replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Like the others.
    Usual,
    /// Behind all others: it has not been heard of, or says that it is not well.
    Last,
}

/// Whether an adapter could be reached.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Reached,
    Unreached,
}

impl Endpoint {
    /// Makes an adapter's near end for `workers` cores. Opens nothing.
    ///
    /// # Errors
    /// A place or TLS settings that cannot be used.
    pub fn new(place: Place, settings: ClientSettings, workers: usize) -> Result<Self, EndpointError> {
        let settings = ClientSettings { http2: Http2::On, ..settings };
        let client = HttpClient::new(place.origin()?, settings, workers)?;
        let mut fields = HeaderMap::with_capacity(5);
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        fields.insert(TE, HeaderValue::from_static("trailers"));
        fields.insert(USER_AGENT, HeaderValue::from_static(concat!("atp-router/", env!("CARGO_PKG_VERSION"))));
        Ok(Self {
            place,
            client,
            fields,
            complete: Uri::from_static(COMPLETE),
            born: now(),
            models: Vec::new(),
            last: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            misses: AtomicU32::new(0),
            away_until: AtomicU64::new(0),
        })
    }

    /// The same, known to serve these models; none means any.
    #[must_use]
    pub fn serving(mut self, models: Vec<String>) -> Self {
        self.models = models;
        self
    }

    /// Puts it among its neighbours, or behind them.
    pub fn stand(&self, standing: Standing) {
        self.last.store(standing == Standing::Last, Ordering::Relaxed);
    }

    /// Where it listens.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Calls under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Whether it could be reached when it was last asked, or the pause after that is over.
    #[must_use]
    pub fn reachable(&self) -> bool {
        self.away_until.load(Ordering::Relaxed) <= self.age()
    }

    pub(super) fn client(&self) -> &HttpClient {
        &self.client
    }

    pub(super) fn fields(&self) -> &HeaderMap {
        &self.fields
    }

    pub(super) fn complete(&self) -> &Uri {
        &self.complete
    }

    /// What to sort by: who serves the model, who is not to be asked last, who can be reached, then who has less to
    /// do; of those that cannot be reached, who is due sooner.
    pub(super) fn rank(&self, model: &str) -> Rank {
        let foreign = !self.models.is_empty() && !self.models.iter().any(|known| known == model);
        let away = self.away_until.load(Ordering::Relaxed).saturating_sub(self.age());
        (foreign, self.last.load(Ordering::Relaxed), away, self.under_way())
    }

    pub(super) fn note(&self, outcome: Outcome) {
        match outcome {
            Outcome::Reached => {
                // Read before it is written: most calls find nothing to change.
                if self.misses.load(Ordering::Relaxed) > 0 {
                    self.misses.store(0, Ordering::Relaxed);
                    self.away_until.store(0, Ordering::Relaxed);
                }
            }
            Outcome::Unreached => {
                let before = self.misses.fetch_add(1, Ordering::Relaxed).min(16);
                let pause = FIRST_PAUSE.saturating_mul(1 << before).min(LONGEST_PAUSE);
                self.away_until.store(self.age().saturating_add(millis(pause)), Ordering::Relaxed);
            }
        }
    }

    fn age(&self) -> u64 {
        millis(now().saturating_duration_since(self.born))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// One call under way at an adapter, until its answer's body has ended or is dropped.
pub(super) struct UnderWay(Arc<Endpoint>);

impl UnderWay {
    pub(super) fn of(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.under_way.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(endpoint))
    }

    pub(super) fn place(&self) -> &Place {
        &self.0.place
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_and_port_or_a_socket() {
        assert_eq!(Place::parse("unix:/run/a.sock").unwrap(), Place::Socket(PathBuf::from("/run/a.sock")));
        assert_eq!(Place::parse("unix:///run/a.sock").unwrap(), Place::Socket(PathBuf::from("/run/a.sock")));
        assert_eq!(Place::parse("localhost:7070").unwrap(), Place::Url("http://localhost:7070".to_owned()));
        assert_eq!(Place::parse("https://a:1/").unwrap(), Place::Url("https://a:1".to_owned()));
        for wrong in ["unix:a.sock", "ftp://a", "http://a:1/v1", ""] {
            let error = Place::parse(wrong).unwrap_err().0;
            assert!(error.contains("endpoint") && error.contains("http(s)://"), "{error}");
        }
    }

    #[test]
    fn who_serves_the_model_comes_first_and_who_is_not_well_last() {
        let endpoint = |models: &[&str]| {
            let made = Endpoint::new(Place::parse("a:1").unwrap(), ClientSettings::default(), 1).unwrap();
            made.serving(models.iter().map(ToString::to_string).collect())
        };
        let (any, fits, foreign) = (endpoint(&[]), endpoint(&["m"]), endpoint(&["n"]));
        assert_eq!(any.rank("m"), fits.rank("m"));
        assert!(fits.rank("m") < foreign.rank("m"));
        fits.stand(Standing::Last);
        assert!(any.rank("m") < fits.rank("m") && fits.rank("m") < foreign.rank("m"));
        fits.stand(Standing::Usual);
        assert_eq!(any.rank("m"), fits.rank("m"));
    }

    #[test]
    fn one_that_cannot_be_reached_is_passed_over_for_longer_each_time() {
        let endpoint = Endpoint::new(Place::parse("a:1").unwrap(), ClientSettings::default(), 1).unwrap();
        assert!(endpoint.reachable());
        let mut before = 0;
        for _ in 0..10 {
            endpoint.note(Outcome::Unreached);
            let (_, _, away, _) = endpoint.rank("m");
            assert!(away >= before && away <= millis(LONGEST_PAUSE) && !endpoint.reachable());
            before = away.saturating_sub(50);
        }
        endpoint.note(Outcome::Reached);
        assert!(endpoint.reachable());
    }
}
