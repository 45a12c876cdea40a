//! `Embed`.

use atp_core::{Answer, Error, ErrorKind, Operation, Reply, Rope};
use atp_proto::router::v1 as pb;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Response};

use super::call::Call;
use super::chat::{LONGEST, garbled, too_long, usage};
use super::fault::Fault;
use super::json::{Members, Writer, extra};
use super::{routing, wire};
use crate::http::Inner;
use crate::http::native::ask::gathered;
use crate::respond::OutBody;

/// Where vectors are asked for, below a provider's base URL.
const PATH: &str = "/embeddings";

/// Members that have a field of their own, or that the call itself decides.
const KNOWN: [&str; 5] = ["model", "input", "dimensions", "user", "encoding_format"];

/// The call.
pub(super) async fn embed(inner: &Inner, call: Call<'_>) -> Result<Response<OutBody>, Error> {
    let asked = call.asked;
    let mut asking = routing::asking(inner, &call.head.headers)?;
    let headers = routing::onward(&call.head.headers);
    let request: pb::EmbedRequest = call.message(&asking.limits).await?;
    if let Some(routing) = &request.routing {
        routing::wish(&mut asking.wishes, routing, &asking.caller)?;
    }
    let body = Rope::from(Bytes::from(body(&request)?));
    let exchange = asking.exchange(Operation::Embeddings, PATH, body, headers, asked)?;
    let Reply { notes, result } = inner.gateway.call(exchange).await;
    let done = match result {
        Ok(answer) => read(answer).await,
        Err(error) => Err(error),
    };
    Ok(match done {
        Ok((mut message, headers, cost)) => {
            let mut info = routing::info(asked.id, &notes, asked.received);
            info.cost_usd_micros = cost.or(info.cost_usd_micros);
            message.routing = Some(info);
            wire::unary(&message, wire::told(headers, &notes, asked), asked)
        }
        Err(error) => wire::refusal(&error, Some(&notes), asked),
    })
}

fn body(request: &pb::EmbedRequest) -> Result<Vec<u8>, Error> {
    if request.model.is_empty() {
        let text = "`model` is missing; it takes one of ListModels";
        return Err(Error::caller(ErrorKind::InvalidRequest, text).with_param("model"));
    }
    let mut writer = Writer::default();
    writer.open(b'{');
    writer.member("model", &request.model);
    match (request.input.as_slice(), request.tokens.as_slice()) {
        ([], []) => return Err(Fault::missing("input", "at least one text; or `tokens`").into()),
        ([_, ..], [_, ..]) => {
            return Err(Fault::new("input", "and `tokens` both say what is asked; send one of them").into());
        }
        ([only], []) => writer.member("input", only),
        (texts, []) => writer.member("input", texts),
        ([], tokens) => {
            let lists: Vec<&[u32]> = tokens.iter().map(|each| each.ids.as_slice()).collect();
            writer.member("input", &lists);
        }
    }
    writer.optional("dimensions", request.dimensions.as_ref());
    writer.optional("user", request.user.as_ref());
    extra(&mut writer, &request.extra_json, &KNOWN)?;
    writer.close(b'}');
    Ok(writer.into_bytes())
}

/// An answer, what is told beside it, and what it cost.
type Read = (pb::EmbedResponse, HeaderMap, Option<u64>);

async fn read(answer: Answer) -> Result<Read, Error> {
    let Answer { headers, mut body, .. } = answer;
    let bytes = gathered(&mut body, LONGEST, too_long).await?;
    let report = body.report();
    if let Some(failure) = &report.failure {
        return Err(failure.clone());
    }
    let mut message = vectors(&bytes)?;
    message.usage = usage(report.usage, message.usage);
    Ok((message, headers, body.cost().map(|cost| cost.0)))
}

fn vectors(bytes: &[u8]) -> Result<pb::EmbedResponse, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| garbled("is not UTF-8"))?;
    let mut answer = Members::read(text).ok_or_else(|| garbled("is not a JSON object"))?;
    let data = answer.take("data").ok_or_else(|| garbled("has no `data`"))?;
    let data: Vec<Members<'_>> = serde_json::from_str(data).map_err(|_| garbled("has `data` that is no list"))?;
    answer.take("object");
    let account = answer.take("usage").map(str::to_owned);
    Ok(pb::EmbedResponse {
        model: answer.take_text("model").unwrap_or_default(),
        embeddings: data.into_iter().enumerate().map(|(place, each)| vector(place, each)).collect::<Result<_, _>>()?,
        usage: account.map(|provider_json| pb::Usage { provider_json, ..pb::Usage::default() }),
        routing: None,
        extra_json: answer.rest(),
    })
}

fn vector(place: usize, mut from: Members<'_>) -> Result<pb::Embedding, Error> {
    from.take("object");
    let index = from.take_as("index").unwrap_or(place as u32);
    let values = match from.take_as::<Vec<f32>>("embedding") {
        Some(values) => values,
        None => packed(&from.take_text("embedding").unwrap_or_default())?,
    };
    Ok(pb::Embedding { index, values, extra_json: from.rest() })
}

/// Numbers as base64 of their bytes, little end first.
fn packed(text: &str) -> Result<Vec<f32>, Error> {
    let bytes = STANDARD.decode(text).map_err(|_| garbled("has a vector that is neither numbers nor base64"))?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if numbers.is_empty() || !rest.is_empty() {
        return Err(garbled("has a vector that is no whole number of numbers"));
    }
    Ok(numbers.iter().map(|each| f32::from_le_bytes(*each)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_as_numbers_and_as_base64() {
        let base64 = STANDARD.encode([0.5f32, -2.0].map(f32::to_le_bytes).concat());
        let text = format!(
            r#"{{"object":"list","model":"m","data":[{{"index":1,"embedding":[0.5,-2]}},{{"object":"embedding","embedding":"{base64}","z":1}}],"usage":{{"prompt_tokens":2}},"x":2}}"#
        );
        let answer = vectors(text.as_bytes()).unwrap();
        assert_eq!(answer.embeddings[0].values, answer.embeddings[1].values);
        assert_eq!(answer.embeddings.iter().map(|each| each.index).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(
            (answer.extra_json.as_str(), answer.embeddings[1].extra_json.as_str()),
            (r#"{"x":2}"#, r#"{"z":1}"#)
        );
        for wrong in
            ["[]", "{}", r#"{"data":[{}]}"#, r#"{"data":[{"embedding":"AAA="}]}"#, r#"{"data":[{"embedding":"?"}]}"#]
        {
            assert!(vectors(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn texts_or_tokens_are_asked_for_and_not_both() {
        let text = |request: &pb::EmbedRequest| String::from_utf8(body(request).unwrap()).unwrap();
        let mut request =
            pb::EmbedRequest { model: "m".into(), input: vec!["a".into()], ..pb::EmbedRequest::default() };
        assert_eq!(text(&request), r#"{"model":"m","input":"a"}"#);
        request.input.push("b".into());
        assert_eq!(text(&request), r#"{"model":"m","input":["a","b"]}"#);
        request.tokens.push(pb::Tokens { ids: vec![1, 2] });
        assert_eq!(body(&request).unwrap_err().param(), Some("input"));
        request.input.clear();
        assert_eq!(text(&request), r#"{"model":"m","input":[[1,2]]}"#);
    }
}
