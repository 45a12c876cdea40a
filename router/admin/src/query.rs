//! The few query parameters of this surface. A name or value that means nothing is an error, never
//! passed over: a report over the wrong days looks just like a right one.

use atp_core::port::GroupBy;
use atp_core::{Error, ErrorKind, Status, Weight};

use crate::control::ObservationQuery;

/// How many rows `/admin/usage` and `/admin/observations` show where nothing is asked for, and at most.
const LIMIT: usize = 100;
const LIMIT_MOST: usize = 1000;
/// How many observations may be passed over: they are read anew each time.
const OFFSET_MOST: usize = 1_000_000;

/// Reads the query of `/admin/usage`.
pub(crate) fn limit(query: &str) -> Result<usize, Error> {
    let mut limit = LIMIT;
    for (name, value) in pairs(query) {
        match name {
            "limit" => limit = whole(name, value, 1, LIMIT_MOST)?,
            _ => return Err(unknown(name, "limit")),
        }
    }
    Ok(limit)
}

fn whole(name: &str, value: &str, least: usize, most: usize) -> Result<usize, Error> {
    let parsed = value.parse().ok().filter(|number| (least..=most).contains(number));
    parsed.ok_or_else(|| bad(name, value, &format!("a whole number from {least} to {most}")))
}

/// Reads the query of `/admin/observations`.
pub(crate) fn observations(query: &str) -> Result<ObservationQuery, Error> {
    let mut wanted = ObservationQuery { limit: LIMIT, offset: 0, model: None, cluster: None, schema_version: None };
    for (name, value) in pairs(query) {
        match name {
            "limit" => wanted.limit = whole(name, value, 1, LIMIT_MOST)?,
            "offset" => wanted.offset = whole(name, value, 0, OFFSET_MOST)?,
            "model" => wanted.model = Some(text(name, value)?),
            "cluster" => wanted.cluster = Some(text(name, value)?),
            "schema_version" => wanted.schema_version = Some(whole(name, value, 1, LIMIT_MOST)? as u64),
            _ => return Err(unknown(name, "limit, offset, model, cluster, schema_version")),
        }
    }
    Ok(wanted)
}

/// A name, percent-encoded where it has to be.
fn text(name: &str, value: &str) -> Result<String, Error> {
    decode(value).filter(|text| !text.is_empty()).ok_or_else(|| bad(name, value, "a name, percent-encoded"))
}

/// Reads the query of `/admin/usage/totals`: the grouping, and the time from which rows count in
/// Unix milliseconds.
pub(crate) fn totals(query: &str, now_ms: u64) -> Result<(GroupBy, u64), Error> {
    let (mut by, mut since) = (GroupBy::Model, 0);
    for (name, value) in pairs(query) {
        match name {
            "by" => {
                let found = GroupBy::parse(value);
                by = found.ok_or_else(|| bad(name, value, "key, tenant, model or provider"))?;
            }
            "since" => {
                let wanted = "Unix milliseconds, or an age such as 90s, 15m, 24h or 7d";
                since = instant(value, now_ms).ok_or_else(|| bad(name, value, wanted))?;
            }
            _ => return Err(unknown(name, "by, since")),
        }
    }
    Ok((by, since))
}

/// Reads the query of `/admin/fair/weight`: which tenant's weight, and which. A session has
/// none: the sessions of a tenant share its part equally, and who asked for another thing is told so.
pub(crate) fn weight(query: &str) -> Result<(String, Weight), Error> {
    let (mut tenant, mut weight) = (None, None);
    for (name, value) in pairs(query) {
        match name {
            "session" => {
                let text = "weights are tenants', not sessions': the sessions of a tenant share its part equally; \
                            give a tenant, as in `?tenant=shop&weight=2.5`";
                return Err(Error::caller(ErrorKind::InvalidRequest, text).with_param("session"));
            }
            "tenant" if tenant.is_some() => {
                let text = "query parameter `tenant` stands twice; give it once";
                return Err(Error::caller(ErrorKind::InvalidRequest, text).with_param("tenant"));
            }
            "tenant" => {
                let name = decode(value).filter(|name| !name.is_empty());
                tenant = Some(name.ok_or_else(|| bad("tenant", value, "the name of a tenant, percent-encoded"))?);
            }
            "weight" => weight = Some(weight_of(value)?),
            _ => return Err(unknown(name, "tenant, weight")),
        }
    }
    tenant.zip(weight).ok_or_else(|| {
        let text = "a tenant and its weight are needed, as in `?tenant=shop&weight=2.5`";
        Error::caller(ErrorKind::InvalidRequest, text)
    })
}

/// Reads the query of `/admin/lifecycle/pin`: which model, and where it is kept.
pub(crate) fn pin(query: &str) -> Result<(String, Status), Error> {
    let (mut model, mut status) = (None, None);
    for (name, value) in pairs(query) {
        match name {
            "model" => model = Some(text(name, value)?),
            "status" => status = Some(status_of(value)?),
            _ => return Err(unknown(name, "model, status")),
        }
    }
    model.zip(status).ok_or_else(|| {
        let text = "a model and its status are needed, as in `?model=small&status=active`";
        Error::caller(ErrorKind::InvalidRequest, text)
    })
}

fn status_of(value: &str) -> Result<Status, Error> {
    Status::ALL.into_iter().find(|status| status.label() == value).ok_or_else(|| {
        let known = Status::ALL.map(Status::label).join(", ");
        let text = format!("query parameter `status` is `{value}`; it takes one of {known}");
        Error::caller(ErrorKind::Validation, text).with_param("status")
    })
}

/// Reads the query of `/admin/lifecycle/unpin`.
pub(crate) fn unpin(query: &str) -> Result<String, Error> {
    let mut model = None;
    for (name, value) in pairs(query) {
        match name {
            "model" => model = Some(text(name, value)?),
            _ => return Err(unknown(name, "model")),
        }
    }
    model.ok_or_else(|| Error::caller(ErrorKind::InvalidRequest, "a model is needed, as in `?model=small`"))
}

fn weight_of(value: &str) -> Result<Weight, Error> {
    let range = format!("a number from {} to {}", Weight::LEAST.as_f64(), Weight::MOST.as_f64());
    let Ok(number) = value.parse::<f64>() else { return Err(bad("weight", value, &range)) };
    Weight::new(number).ok_or_else(|| {
        let text = format!("query parameter `weight` is `{value}`; it takes {range}");
        Error::caller(ErrorKind::Validation, text).with_param("weight")
    })
}

/// Undoes percent-encoding; `None` where it is none, or what comes out is not UTF-8. A `+` is itself: names hold no
/// space that it could stand for.
fn decode(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// A time in Unix milliseconds: a plain number, or an age before `now_ms`.
fn instant(value: &str, now_ms: u64) -> Option<u64> {
    if let Ok(millis) = value.parse() {
        return Some(millis);
    }
    let unit_ms: u64 = match value.chars().last()? {
        's' => 1000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let count: u64 = value.get(..value.len() - 1)?.parse().ok()?;
    Some(now_ms.saturating_sub(count.saturating_mul(unit_ms)))
}

/// The parameters in order, as they are: only the names of tenants may need percent-encoding.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn bad(name: &str, value: &str, wanted: &str) -> Error {
    let text = format!("query parameter `{name}` is `{value}`; it takes {wanted}");
    Error::caller(ErrorKind::InvalidRequest, text)
}

fn unknown(name: &str, known: &str) -> Error {
    let text = format!("query parameter `{name}` does not exist here; known are: {known}");
    Error::caller(ErrorKind::InvalidRequest, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_has_a_default_and_bounds() {
        assert_eq!(limit("").unwrap(), 100);
        assert_eq!(limit("limit=1000").unwrap(), 1000);
        for bad in ["limit=0", "limit=1001", "limit=", "limit", "limit=-1", "limit=ten", "limits=10"] {
            assert_eq!(limit(bad).unwrap_err().kind(), ErrorKind::InvalidRequest, "{bad}");
        }
    }

    #[test]
    fn a_model_is_pinned_to_a_status_that_exists() {
        assert_eq!(pin("model=a%2Fb&status=shadow").unwrap(), ("a/b".to_owned(), Status::Shadow));
        assert_eq!(unpin("model=m").unwrap(), "m");
        assert_eq!(pin("model=m&status=actif").unwrap_err().kind(), ErrorKind::Validation);
        for bad in ["", "model=m", "status=active", "model=&status=active", "model=m&status=active&why=x"] {
            assert_eq!(pin(bad).unwrap_err().kind(), ErrorKind::InvalidRequest, "{bad}");
        }
        for bad in ["", "model=", "model=m&status=active"] {
            assert_eq!(unpin(bad).unwrap_err().kind(), ErrorKind::InvalidRequest, "{bad}");
        }
    }

    #[test]
    fn observations_are_paged_and_filtered() {
        let all = ObservationQuery { limit: 100, offset: 0, model: None, cluster: None, schema_version: None };
        assert_eq!(observations("").unwrap(), all);
        let read = observations("limit=5&offset=10&model=groq%2Fnew&cluster=code&schema_version=2").unwrap();
        assert_eq!((read.limit, read.offset, read.schema_version), (5, 10, Some(2)));
        assert_eq!((read.model.as_deref(), read.cluster.as_deref()), (Some("groq/new"), Some("code")));
        for bad in ["limit=0", "offset=-1", "offset=1000001", "model=", "cluster=%zz", "schema_version=two", "since=1h"]
        {
            assert_eq!(observations(bad).unwrap_err().kind(), ErrorKind::InvalidRequest, "{bad}");
        }
    }

    #[test]
    fn since_is_a_time_or_an_age() {
        let day = 86_400_000;
        assert_eq!(totals("", 5).unwrap(), (GroupBy::Model, 0));
        assert_eq!(totals("by=key&since=1700000000000", 5).unwrap(), (GroupBy::Key, 1_700_000_000_000));
        assert_eq!(totals("since=24h&by=provider", 3 * day).unwrap(), (GroupBy::Provider, 2 * day));
        assert_eq!(totals("since=90s", 100_000).unwrap().1, 10_000);
        assert_eq!(totals("since=99999999999999999999d", day).map(|totals| totals.1).ok(), None);
        assert_eq!(totals("since=9999999999999999999d", day).unwrap().1, 0, "an age beyond the epoch is all of it");
        for bad in ["since=yesterday", "since=h", "since=1.5h", "since=5€", "by=nobody", "from=1"] {
            assert_eq!(totals(bad, day).unwrap_err().kind(), ErrorKind::InvalidRequest, "{bad}");
        }
    }

    #[test]
    fn a_weight_has_a_tenant_and_a_range() {
        let read = |query: &str| weight(query).map(|(tenant, weight)| (tenant, weight.thousandths()));
        assert_eq!(read("tenant=shop&weight=2.5").unwrap(), ("shop".to_owned(), 2_500));
        assert_eq!(read("weight=100&tenant=a%3Ab%40c").unwrap(), ("a:b@c".to_owned(), 100_000));
        assert_eq!(read("tenant=b%C3%BCro&weight=0.1").unwrap(), ("büro".to_owned(), 100));
        let kind = |query: &str| weight(query).unwrap_err().kind();
        for outside in ["0", "0.05", "100.5", "-1", "NaN", "inf"] {
            assert_eq!(kind(&format!("tenant=shop&weight={outside}")), ErrorKind::Validation, "{outside}");
        }
        for bad in [
            "",
            "tenant=shop",
            "weight=1",
            "tenant=&weight=1",
            "tenant=shop&weight=",
            "tenant=shop&weight=heavy",
            "tenant=a&tenant=b&weight=1",
            "tenant=a&session=b&weight=1",
            "session=a&weight=1",
            "tenant=%f&weight=1",
            "tenant=%ff&weight=1",
            "tenant=shop&weight=1&reason=x",
        ] {
            assert_eq!(kind(bad), ErrorKind::InvalidRequest, "{bad}");
        }
        let refused = weight("session=a&weight=1").unwrap_err();
        assert!(refused.param() == Some("session") && refused.public().contains("tenant=shop"), "{refused}");
    }

    #[test]
    fn an_error_names_field_value_and_way_out() {
        let text = totals("by=modle", 0).unwrap_err().public().to_owned();
        assert_eq!(text, "query parameter `by` is `modle`; it takes key, tenant, model or provider");
    }
}
