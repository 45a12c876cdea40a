//! One turn of a conversation as JSON.

use atp_proto::router::v1 as pb;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pb::part::Kind;

use super::tools;
use crate::grpc::fault::{Fault, shown};
use crate::grpc::json::{Writer, extra, typed};

/// Members of a message that have a field of their own.
const KNOWN: [&str; 8] =
    ["role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content", "reasoning", "refusal"];

/// Members of a part that its kind writes.
const PART: [&str; 5] = ["type", "text", "image_url", "input_audio", "file"];

/// Writes a message.
pub(super) fn message(writer: &mut Writer, message: &pb::Message) -> Result<(), Fault> {
    writer.open(b'{');
    let role = role(message.role)?;
    writer.member("role", role);
    content(writer, message)?;
    writer.optional("name", message.name.as_ref());
    if role == "tool" && message.tool_call_id.is_none() {
        return Err(Fault::missing("tool_call_id", "the `id` of the call that this message answers"));
    }
    writer.optional("tool_call_id", message.tool_call_id.as_ref());
    tools::called(writer, &message.tool_calls)?;
    writer.optional("reasoning_content", message.reasoning.as_ref());
    writer.optional("refusal", message.refusal.as_ref());
    extra(writer, &message.extra_json, &KNOWN)?;
    writer.close(b'}');
    Ok(())
}

fn role(value: i32) -> Result<&'static str, Fault> {
    let takes = "ROLE_SYSTEM, ROLE_DEVELOPER, ROLE_USER, ROLE_ASSISTANT or ROLE_TOOL";
    match pb::Role::try_from(value) {
        Ok(pb::Role::System) => Ok("system"),
        Ok(pb::Role::Developer) => Ok("developer"),
        Ok(pb::Role::User) => Ok("user"),
        Ok(pb::Role::Assistant) => Ok("assistant"),
        Ok(pb::Role::Tool) => Ok("tool"),
        Ok(pb::Role::Unspecified) => Err(Fault::missing("role", takes)),
        Err(_) => Err(Fault::unknown("role", value, takes)),
    }
}

fn content(writer: &mut Writer, message: &pb::Message) -> Result<(), Fault> {
    if message.parts.is_empty() {
        let silent = !message.tool_calls.is_empty() || message.refusal.is_some();
        match &message.text {
            Some(text) => writer.member("content", text),
            // Who calls tools need not say anything beside; a bare member tells some providers so, and all bear it.
            None if silent => writer.raw("content", "null"),
            None if !message.extra_json.is_empty() => {}
            None => return Err(Fault::missing("text", "what is said; or `parts`")),
        }
        return Ok(());
    }
    if message.text.is_some() {
        return Err(Fault::new("text", "and `parts` both say what is said; put the text into a part"));
    }
    writer.key("content");
    writer.open(b'[');
    for (place, each) in message.parts.iter().enumerate() {
        part(writer, each).map_err(|fault| fault.at("parts", place))?;
    }
    writer.close(b']');
    Ok(())
}

fn part(writer: &mut Writer, part: &pb::Part) -> Result<(), Fault> {
    let kinds = "text, image, audio, file or other_json";
    let kind = part.kind.as_ref().ok_or_else(|| Fault::missing("kind", kinds))?;
    if let Kind::OtherJson(json) = kind {
        if !part.extra_json.is_empty() {
            return Err(Fault::new("extra_json", "stands beside `other_json`; put its members into that"));
        }
        writer.raw_value(typed("other_json", json)?);
        return Ok(());
    }
    writer.open(b'{');
    match kind {
        Kind::Text(text) => {
            writer.member("type", "text");
            writer.member("text", text);
        }
        Kind::Image(each) => image(writer, each).map_err(|fault| fault.within("image"))?,
        Kind::Audio(each) => audio(writer, each).map_err(|fault| fault.within("audio"))?,
        Kind::File(each) => file(writer, each).map_err(|fault| fault.within("file"))?,
        Kind::OtherJson(_) => {}
    }
    extra(writer, &part.extra_json, &PART)?;
    writer.close(b'}');
    Ok(())
}

fn image(writer: &mut Writer, image: &pb::Image) -> Result<(), Fault> {
    use pb::image::Source;
    writer.member("type", "image_url");
    writer.key("image_url");
    writer.open(b'{');
    match image.source.as_ref().ok_or_else(|| Fault::missing("source", "url or data"))? {
        Source::Url(url) if url.is_empty() => return Err(Fault::wrong("url", "empty", "an address, or a data: URL")),
        Source::Url(url) => writer.member("url", url),
        Source::Data(data) => writer.member("url", &data_url(&image.media_type, data)?),
    }
    match pb::ImageDetail::try_from(image.detail) {
        Ok(pb::ImageDetail::Unspecified) => {}
        Ok(pb::ImageDetail::Auto) => writer.member("detail", "auto"),
        Ok(pb::ImageDetail::Low) => writer.member("detail", "low"),
        Ok(pb::ImageDetail::High) => writer.member("detail", "high"),
        Err(_) => return Err(Fault::unknown("detail", image.detail, "IMAGE_DETAIL_AUTO, _LOW or _HIGH")),
    }
    writer.close(b'}');
    Ok(())
}

fn audio(writer: &mut Writer, audio: &pb::Audio) -> Result<(), Fault> {
    if audio.data.is_empty() {
        return Err(Fault::missing("data", "the sound's bytes"));
    }
    if audio.format.is_empty() {
        return Err(Fault::missing("format", "wav, mp3 or another that the model reads"));
    }
    writer.member("type", "input_audio");
    writer.key("input_audio");
    writer.open(b'{');
    writer.member("data", &STANDARD.encode(&audio.data));
    writer.member("format", &audio.format);
    writer.close(b'}');
    Ok(())
}

fn file(writer: &mut Writer, file: &pb::File) -> Result<(), Fault> {
    use pb::file::Source;
    writer.member("type", "file");
    writer.key("file");
    writer.open(b'{');
    match file.source.as_ref().ok_or_else(|| Fault::missing("source", "file_id or data"))? {
        Source::FileId(id) => writer.member("file_id", id),
        Source::Data(data) => writer.member("file_data", &data_url(&file.media_type, data)?),
    }
    if !file.filename.is_empty() {
        writer.member("filename", &file.filename);
    }
    writer.close(b'}');
    Ok(())
}

/// Bytes as a URL (RFC 2397).
fn data_url(media_type: &str, data: &[u8]) -> Result<String, Fault> {
    if data.is_empty() {
        return Err(Fault::missing("data", "its bytes"));
    }
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b',';
    match media_type {
        "" => Err(Fault::missing("media_type", "what the bytes are: image/png, application/pdf, ...")),
        named if named.contains('/') && named.bytes().all(plain) => {
            Ok(format!("data:{named};base64,{}", STANDARD.encode(data)))
        }
        other => Err(Fault::wrong("media_type", shown(other), "a type and a subtype: image/png, application/pdf, ...")),
    }
}
