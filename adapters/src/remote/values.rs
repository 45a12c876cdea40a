//! The house's values as the protocol writes them, and back.
//!
//! What comes in may be anything: a value that nobody knows becomes the nearest one that is safe, never a fault.

mod error;

use std::time::Duration;

use atp_core::{Finish, Operation, Qos, RateFact, RateFacts, Report, Resume, Timeouts, Usage};
use atp_proto::adapter::v1 as wire;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) use error::{error_of, error_value};

pub(super) const fn operation(operation: Operation) -> wire::Operation {
    match operation {
        Operation::Chat => wire::Operation::Chat,
        Operation::Completions => wire::Operation::Completions,
        Operation::Embeddings => wire::Operation::Embeddings,
        Operation::Moderations => wire::Operation::Moderations,
        Operation::Images => wire::Operation::Images,
        Operation::Audio => wire::Operation::Audio,
        Operation::Raw => wire::Operation::Raw,
    }
}

/// `None` for an operation that is not known here.
pub(super) fn operation_of(number: i32) -> Option<Operation> {
    Operation::ALL.into_iter().find(|each| operation(*each) as i32 == number)
}

const fn finish(finish: Finish) -> wire::Finish {
    match finish {
        Finish::Stop => wire::Finish::Stop,
        Finish::Length => wire::Finish::Length,
        Finish::ToolCalls => wire::Finish::ToolCalls,
        Finish::ContentFilter => wire::Finish::ContentFilter,
        Finish::Other => wire::Finish::Other,
    }
}

fn finish_of(number: i32) -> Option<Finish> {
    if number == wire::Finish::Unspecified as i32 {
        return None;
    }
    Some(Finish::ALL.into_iter().find(|each| finish(*each) as i32 == number).unwrap_or(Finish::Other))
}

pub(super) const fn usage(usage: Usage) -> wire::Usage {
    let Usage { input, output, cached_input, reasoning } = usage;
    wire::Usage { input, output, cached_input, reasoning }
}

const fn usage_of(usage: wire::Usage) -> Usage {
    let wire::Usage { input, output, cached_input, reasoning } = usage;
    Usage { input, output, cached_input, reasoning }
}

pub(super) fn report(report: &Report) -> wire::Report {
    wire::Report {
        usage: report.usage.map(usage),
        finish: report.finish.map_or(wire::Finish::Unspecified, finish) as i32,
        content: report.content,
        complete: report.complete,
        failure: report.failure.as_ref().map(error_value),
    }
}

pub(super) fn report_of(report: wire::Report) -> Report {
    Report {
        usage: report.usage.map(usage_of),
        finish: finish_of(report.finish),
        content: report.content,
        complete: report.complete,
        failure: report.failure.map(error_of),
    }
}

pub(super) fn headers(map: &HeaderMap) -> Vec<wire::Header> {
    map.iter()
        .map(|(name, value)| wire::Header {
            name: name.as_str().to_owned(),
            value: Bytes::copy_from_slice(value.as_bytes()),
        })
        .collect()
}

/// A field that no header can be is left out: HTTP could not have carried it either.
pub(super) fn headers_of(headers: Vec<wire::Header>) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::try_from(header.name.as_str());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(header.value)) {
            map.append(name, value);
        }
    }
    map
}

pub(super) fn limits(facts: &RateFacts) -> Option<wire::RateFacts> {
    let fact = |fact: RateFact| wire::RateFact {
        limit: fact.limit,
        remaining: fact.remaining,
        reset_ms: fact.reset.map(millis),
    };
    (!facts.is_empty())
        .then(|| wire::RateFacts { requests: Some(fact(facts.requests)), tokens: Some(fact(facts.tokens)) })
}

pub(super) fn limits_of(facts: Option<wire::RateFacts>) -> RateFacts {
    let fact = |fact: Option<wire::RateFact>| {
        fact.map_or_else(RateFact::default, |fact| RateFact {
            limit: fact.limit,
            remaining: fact.remaining,
            reset: fact.reset_ms.map(Duration::from_millis),
        })
    };
    facts.map_or_else(RateFacts::default, |facts| RateFacts {
        requests: fact(facts.requests),
        tokens: fact(facts.tokens),
    })
}

pub(super) fn timeouts(timeouts: &Timeouts) -> wire::Timeouts {
    wire::Timeouts {
        connect_ms: millis(timeouts.connect),
        first_byte_ms: millis(timeouts.first_byte),
        idle_ms: millis(timeouts.idle),
        total_ms: millis(timeouts.total),
    }
}

pub(super) fn timeouts_of(timeouts: Option<wire::Timeouts>) -> Timeouts {
    let outer = Timeouts::default();
    let pick = |told: u64, outer: Duration| if told == 0 { outer } else { Duration::from_millis(told) };
    timeouts.map_or(outer, |told| Timeouts {
        connect: pick(told.connect_ms, outer.connect),
        first_byte: pick(told.first_byte_ms, outer.first_byte),
        idle: pick(told.idle_ms, outer.idle),
        total: pick(told.total_ms, outer.total),
    })
}

pub(super) fn resume(resume: &Resume) -> wire::Resume {
    wire::Resume { text: resume.text.clone(), tokens: resume.tokens, envelope: resume.envelope.clone() }
}

pub(super) fn resume_of(resume: wire::Resume) -> Resume {
    Resume { text: resume.text, tokens: resume.tokens, envelope: resume.envelope }
}

/// The class of a name; the usual one for any other text.
pub(super) fn qos_of(name: &str) -> Qos {
    Qos::parse(name).unwrap_or_default()
}

/// Whole milliseconds, at least one: 0 would say that nothing is set.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_over_comes_back() {
        let fact = |limit| RateFact { limit: Some(limit), remaining: None, reset: Some(Duration::from_millis(1500)) };
        let facts = RateFacts { requests: fact(3), tokens: RateFact::default() };
        assert_eq!(limits_of(limits(&facts)), facts);
        assert_eq!(limits(&RateFacts::default()), None);
        for finish in Finish::ALL {
            let told = Report {
                usage: Some(Usage { input: 9, output: 2, cached_input: 3, reasoning: 1 }),
                finish: Some(finish),
                content: true,
                complete: true,
                failure: None,
            };
            let back = report_of(report(&told));
            assert_eq!((back.usage, back.finish, back.content, back.complete), (told.usage, Some(finish), true, true));
        }
        for each in Operation::ALL {
            assert_eq!(operation_of(operation(each) as i32), Some(each));
        }
        let spans = Timeouts { idle: Duration::from_millis(250), ..Timeouts::default() };
        assert_eq!(timeouts_of(Some(timeouts(&spans))), spans);
        assert_eq!(timeouts_of(None), Timeouts::default());
        let mut map = HeaderMap::new();
        map.append("x-a", HeaderValue::from_static("1"));
        map.append("x-a", HeaderValue::from_static("2"));
        assert_eq!(headers_of(headers(&map)), map);
    }

    #[test]
    fn what_is_not_known_is_nothing_worse_than_that() {
        assert_eq!(operation_of(99), None);
        assert_eq!(finish_of(99), Some(Finish::Other));
        assert_eq!(finish_of(0), None);
        let odd = wire::Header { name: "no header".to_owned(), value: Bytes::from_static(b"x") };
        assert!(headers_of(vec![odd]).is_empty());
        assert_eq!(qos_of("platinum"), Qos::default());
    }
}
