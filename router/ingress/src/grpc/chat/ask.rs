//! A chat's message as the JSON body of OpenAI's dialect.

use atp_proto::router::v1 as pb;
use pb::response_format::Format;

use super::parts;
use super::tools;
use crate::grpc::fault::Fault;
use crate::grpc::json::{Writer, extra, object, of_struct, typed};

/// Members that have a field of their own in a chat's message, or that the call itself decides.
const KNOWN: [&str; 23] = [
    "model",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "seed",
    "n",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
    "user",
    "metadata",
    "stream",
    "stream_options",
];

/// How the answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::grpc) enum Delivery {
    Stream,
    Whole,
}

/// The body. A model that is not named is left out.
pub(in crate::grpc) fn body(request: &pb::ChatRequest, delivery: Delivery) -> Result<Vec<u8>, Fault> {
    let mut writer = Writer::default();
    writer.open(b'{');
    if !request.model.is_empty() {
        writer.member("model", &request.model);
    }
    messages(&mut writer, &request.messages)?;
    tools::offered(&mut writer, request)?;
    if let Some(format) = &request.response_format {
        response_format(&mut writer, format).map_err(|fault| fault.within("response_format"))?;
    }
    sampling(&mut writer, request)?;
    if delivery == Delivery::Stream {
        writer.member("stream", &true);
        // So that the provider's own account of its tokens comes too.
        writer.raw("stream_options", r#"{"include_usage":true}"#);
    }
    extra(&mut writer, &request.extra_json, &KNOWN)?;
    writer.close(b'}');
    Ok(writer.into_bytes())
}

fn messages(writer: &mut Writer, messages: &[pb::Message]) -> Result<(), Fault> {
    if messages.is_empty() {
        return Err(Fault::missing("messages", "at least one message"));
    }
    writer.key("messages");
    writer.open(b'[');
    for (place, message) in messages.iter().enumerate() {
        parts::message(writer, message).map_err(|fault| fault.at("messages", place))?;
    }
    writer.close(b']');
    Ok(())
}

fn response_format(writer: &mut Writer, format: &pb::ResponseFormat) -> Result<(), Fault> {
    let kinds = "text, json_object, json_schema or other_json";
    match format.format.as_ref().ok_or_else(|| Fault::missing("format", kinds))? {
        Format::Text(_) => writer.raw("response_format", r#"{"type":"text"}"#),
        Format::JsonObject(_) => writer.raw("response_format", r#"{"type":"json_object"}"#),
        Format::JsonSchema(schema) => json_schema(writer, schema).map_err(|fault| fault.within("json_schema"))?,
        Format::OtherJson(json) => writer.raw("response_format", typed("other_json", json)?),
    }
    Ok(())
}

fn json_schema(writer: &mut Writer, schema: &pb::JsonSchema) -> Result<(), Fault> {
    use pb::json_schema::SchemaAs;
    if schema.name.is_empty() {
        return Err(Fault::missing("name", "a name of letters, digits, _ and -"));
    }
    writer.key("response_format");
    writer.open(b'{');
    writer.member("type", "json_schema");
    writer.key("json_schema");
    writer.open(b'{');
    writer.member("name", &schema.name);
    if !schema.description.is_empty() {
        writer.member("description", &schema.description);
    }
    match &schema.schema_as {
        None => return Err(Fault::missing("schema_as", "schema_json or schema")),
        Some(SchemaAs::SchemaJson(json)) => writer.raw("schema", object("schema_json", json)?),
        Some(SchemaAs::Schema(schema)) => writer.member("schema", &of_struct(schema)),
    }
    writer.optional("strict", schema.strict.as_ref());
    writer.close(b'}');
    writer.close(b'}');
    Ok(())
}

fn sampling(writer: &mut Writer, request: &pb::ChatRequest) -> Result<(), Fault> {
    let numbers = [
        ("temperature", request.temperature),
        ("top_p", request.top_p),
        ("frequency_penalty", request.frequency_penalty),
        ("presence_penalty", request.presence_penalty),
    ];
    for (name, number) in numbers {
        writer.optional(name, finite(name, number)?.as_ref());
    }
    if !request.logit_bias.is_empty() {
        let mut biases: Vec<_> = request.logit_bias.iter().collect();
        biases.sort_by_key(|(token, _)| **token);
        writer.key("logit_bias");
        writer.open(b'{');
        for (token, bias) in biases {
            writer.optional(&token.to_string(), finite("logit_bias", Some(*bias))?.as_ref());
        }
        writer.close(b'}');
    }
    writer.optional("max_completion_tokens", request.max_output_tokens.as_ref());
    if !request.stop.is_empty() {
        writer.member("stop", &request.stop);
    }
    writer.optional("seed", request.seed.as_ref());
    writer.optional("n", request.n.as_ref());
    writer.optional("logprobs", request.logprobs.as_ref());
    writer.optional("top_logprobs", request.top_logprobs.as_ref());
    writer.optional("reasoning_effort", effort(request.reasoning_effort)?);
    writer.optional("user", request.user.as_ref());
    if !request.metadata.is_empty() {
        writer.member("metadata", &request.metadata);
    }
    Ok(())
}

/// JSON has no word for what is no number.
fn finite(field: &str, number: Option<f64>) -> Result<Option<f64>, Fault> {
    match number {
        Some(number) if !number.is_finite() => Err(Fault::wrong(field, number, "a finite number")),
        other => Ok(other),
    }
}

fn effort(value: i32) -> Result<Option<&'static str>, Fault> {
    use pb::ReasoningEffort as Effort;
    match Effort::try_from(value) {
        Ok(Effort::Unspecified) => Ok(None),
        Ok(Effort::None) => Ok(Some("none")),
        Ok(Effort::Minimal) => Ok(Some("minimal")),
        Ok(Effort::Low) => Ok(Some("low")),
        Ok(Effort::Medium) => Ok(Some("medium")),
        Ok(Effort::High) => Ok(Some("high")),
        Err(_) => Err(Fault::unknown("reasoning_effort", value, "REASONING_EFFORT_NONE to REASONING_EFFORT_HIGH")),
    }
}
