//! Multipart forms (audio, image edits): passed on as they arrive, once the model's name is known.
//!
//! Client libraries put the short fields before the file, so the name nearly always stands in the
//! first piece. Only so much is held as is needed to find it; the rest goes from socket to socket.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use atp_core::{Error, ErrorKind, Field, FieldSpan, Fields, Payload, Rope};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::{Body, Frame, SizeHint};

use super::Intake;

/// How much is held while the model's name has not come. Beyond it the whole form is held, up to
/// the body limit: a form whose file comes first.
const WINDOW: usize = 256 * 1024;

/// Whether a request is a multipart form, and its boundary.
pub(crate) fn boundary(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (kind, parameters) = value.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// Reads a form up to its model's name.
pub(crate) async fn read(mut intake: Intake, boundary: &str) -> Result<(Payload, Fields), Error> {
    let mut head = Rope::new();
    let mut looked = 0;
    while !intake.ended() {
        let Some(piece) = intake.next().await? else { break };
        head.push(piece);
        // Looking again costs a copy of what is held; past the window only the end is looked at.
        if head.len() <= WINDOW || intake.ended() || head.len() >= looked * 2 {
            looked = head.len();
            if let Some(found) = model(&head.to_bytes(), boundary) {
                return Ok((payload(head, intake), fields(found)));
            }
        }
    }
    match model(&head.to_bytes(), boundary) {
        Some(found) => Ok((Payload::Rope(head), fields(found))),
        None => {
            Err(Error::caller(ErrorKind::InvalidRequest, "the form has no field 'model'; add one").with_param("model"))
        }
    }
}

/// A body that is not looked into, held or passed on as it arrives, whichever `hold` allows.
pub(crate) async fn opaque(mut intake: Intake, hold: usize) -> Result<Payload, Error> {
    let mut head = Rope::new();
    while !intake.ended() {
        if head.len() > hold {
            return Ok(payload(head, intake));
        }
        let Some(piece) = intake.next().await? else { break };
        head.push(piece);
    }
    Ok(Payload::Rope(head))
}

fn payload(head: Rope, intake: Intake) -> Payload {
    if intake.ended() {
        Payload::Rope(head)
    } else {
        Payload::Once { head, rest: Box::pin(Rest { intake, done: false }) }
    }
}

fn fields((name, value): (String, Range<usize>)) -> Fields {
    let mut fields = Fields { model: Some(name), ..Fields::default() };
    fields.spans.push(FieldSpan { field: Field::Model, value });
    fields
}

/// Finds the form's `model` field: its value and where that stands. `None` where it has not come to
/// its end yet.
fn model(form: &[u8], boundary: &str) -> Option<(String, Range<usize>)> {
    let delimiter = format!("--{boundary}");
    let mut at = find(form, delimiter.as_bytes(), 0)?;
    loop {
        let head = at + delimiter.len();
        let blank = find(form, b"\r\n\r\n", head)?;
        let start = blank + 4;
        let end = find(form, format!("\r\n{delimiter}").as_bytes(), start)?;
        let name_is_model = form.get(head..blank).is_some_and(|head| {
            let head = String::from_utf8_lossy(head).to_ascii_lowercase();
            head.contains("name=\"model\"") || head.contains("name=model")
        });
        if name_is_model {
            let value = form.get(start..end)?;
            return Some((String::from_utf8_lossy(value).trim().to_owned(), start..end));
        }
        at = end + 2;
    }
}

fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = haystack.get(from..)?;
    rest.windows(needle.len()).position(|window| window == needle).map(|at| at + from)
}

/// What has not been read yet, as a body.
struct Rest {
    intake: Intake,
    done: bool,
}

impl Body for Rest {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let piece = std::task::ready!(self.intake.poll_next(cx));
        self.done = !matches!(piece, Ok(Some(_))) || self.intake.ended();
        Poll::Ready(piece.transpose().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }

    fn size_hint(&self) -> SizeHint {
        self.intake.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"--XX\r\nContent-Disposition: form-data; name=\"language\"\r\n\r\nen\r\n--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--XX--\r\n";

    #[test]
    fn the_model_is_found_and_its_place_told() {
        let (name, place) = model(FORM, "XX").unwrap();
        assert_eq!(name, "whisper-1");
        assert_eq!(&FORM[place], b"whisper-1");
    }

    #[test]
    fn a_form_cut_anywhere_before_the_name_has_ended_tells_nothing() {
        let (_, place) = model(FORM, "XX").unwrap();
        for cut in 0..place.end + 6 {
            assert_eq!(model(&FORM[..cut], "XX"), None, "cut at {cut}");
        }
        assert!(model(&FORM[..place.end + 6], "XX").is_some());
    }

    #[test]
    fn a_field_that_only_mentions_the_model_is_not_it() {
        let form = b"--B\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nname=\"model\"\r\n--B--\r\n";
        assert_eq!(model(form, "B"), None);
    }

    #[test]
    fn boundaries_come_with_and_without_quotes() {
        for value in ["multipart/form-data; boundary=XX", "Multipart/Form-Data; charset=utf-8; boundary=\"XX\""] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(boundary(&headers).as_deref(), Some("XX"));
        }
    }
}
