//! `Feedback` and `Observe`: what is told of an answer afterwards. Both are read as the router's own dialect reads
//! them, so that the same holds of a value and the same is said of a wrong one.

use atp_core::Error;
use atp_dialects::native::request::{self, Told};
use atp_proto::router::v1 as pb;
use http::{HeaderMap, Response};

use super::call::Call;
use super::fault::Fault;
use super::json::Writer;
use super::wire;
use crate::http::Inner;
use crate::http::handle::admit;
use crate::http::native::take;
use crate::respond::OutBody;

/// `Feedback`.
pub(super) async fn feedback(inner: &Inner, call: Call<'_>) -> Result<Response<OutBody>, Error> {
    let asked = call.asked;
    let (caller, limits) = admit(inner, &call.head.headers)?;
    let told = scored(&call.message(&limits).await?)?;
    take(inner, &caller, &told)?;
    Ok(wire::unary(&pb::FeedbackResponse { notes: told.notes }, HeaderMap::new(), asked))
}

/// `Observe`.
pub(super) async fn observe(inner: &Inner, call: Call<'_>) -> Result<Response<OutBody>, Error> {
    let asked = call.asked;
    let (caller, limits) = admit(inner, &call.head.headers)?;
    let told = observed(&call.message(&limits).await?)?;
    take(inner, &caller, &told)?;
    Ok(wire::unary(&pb::ObserveResponse { notes: told.notes }, HeaderMap::new(), asked))
}

fn scored(from: &pb::FeedbackRequest) -> Result<Told, Error> {
    let thumbs = match pb::Thumbs::try_from(from.thumbs) {
        Ok(pb::Thumbs::Unspecified) => None,
        Ok(pb::Thumbs::Up) => Some("up"),
        Ok(pb::Thumbs::Down) => Some("down"),
        Err(_) => return Err(Fault::unknown("thumbs", from.thumbs, "THUMBS_UP or THUMBS_DOWN").into()),
    };
    let mut body = Writer::default();
    body.open(b'{');
    text(&mut body, "request_id", &from.request_id);
    number(&mut body, "score", from.score)?;
    body.optional("thumbs", thumbs);
    text(&mut body, "better_than", &from.better_than);
    body.close(b'}');
    request::feedback(&body.into_bytes())
}

fn observed(from: &pb::ObserveRequest) -> Result<Told, Error> {
    let mut body = Writer::default();
    body.open(b'{');
    text(&mut body, "request_id", &from.request_id);
    text(&mut body, "model", &from.model);
    number(&mut body, "latency_ms", Some(from.latency_ms))?;
    number(&mut body, "quality_score", from.quality_score)?;
    number(&mut body, "cost_usd", from.cost_usd_micros.map(|micros| micros as f64 / 1e6))?;
    body.close(b'}');
    request::observation(&body.into_bytes())
}

/// An empty text is none.
fn text(body: &mut Writer, name: &str, value: &str) {
    body.optional(name, Some(value).filter(|value| !value.is_empty()));
}

/// JSON has no word for what is no number.
fn number(body: &mut Writer, name: &str, value: Option<f64>) -> Result<(), Fault> {
    match value {
        Some(value) if !value.is_finite() => Err(Fault::wrong(name, value, "a finite number")),
        value => {
            body.optional(name, value.as_ref());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ID: &str = "req_0123456789ab7fffbfffffffffffffff";

    #[test]
    fn a_score_is_read_as_the_native_endpoint_reads_it() {
        let id = ID.to_owned();
        let told = scored(&pb::FeedbackRequest { request_id: id.clone(), thumbs: 1, ..Default::default() }).unwrap();
        assert_eq!(told.observation.score, Some(1.0));
        let zero = scored(&pb::FeedbackRequest { request_id: id.clone(), score: Some(0.0), ..Default::default() });
        assert_eq!(zero.unwrap().observation.score, Some(0.0));
        let wrong = [
            pb::FeedbackRequest { request_id: id.clone(), score: Some(2.0), ..Default::default() },
            pb::FeedbackRequest { request_id: id.clone(), score: Some(f64::NAN), ..Default::default() },
            pb::FeedbackRequest { request_id: id.clone(), thumbs: 9, ..Default::default() },
            pb::FeedbackRequest { request_id: id, ..Default::default() },
            pb::FeedbackRequest::default(),
        ];
        let fields: Vec<_> = wrong.iter().map(|each| scored(each).unwrap_err().param().unwrap().to_owned()).collect();
        assert_eq!(fields, ["score", "score", "thumbs", "score", "request_id"]);
    }

    #[test]
    fn an_observation_keeps_its_micro_dollars() {
        let told = observed(&pb::ObserveRequest {
            request_id: ID.to_owned(),
            model: "m".to_owned(),
            latency_ms: 12.5,
            quality_score: None,
            cost_usd_micros: Some(1_234_567),
        });
        let observation = told.unwrap().observation;
        assert_eq!(observation.cost.map(|cost| cost.0), Some(1_234_567));
        assert_eq!(observation.latency, Some(Duration::from_micros(12_500)));
    }
}
