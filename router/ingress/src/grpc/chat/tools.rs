//! Tools that a model may call, and its calls, as JSON.

use atp_proto::router::v1 as pb;
use pb::{tool, tool_call, tool_choice};

use crate::grpc::fault::Fault;
use crate::grpc::json::{Writer, extra, object, of_struct, typed};

/// Writes the tools of a request, and how they are chosen among.
pub(super) fn offered(writer: &mut Writer, request: &pb::ChatRequest) -> Result<(), Fault> {
    if !request.tools.is_empty() {
        writer.key("tools");
        writer.open(b'[');
        for (place, each) in request.tools.iter().enumerate() {
            tool(writer, each).map_err(|fault| fault.at("tools", place))?;
        }
        writer.close(b']');
    }
    if let Some(choice) = &request.tool_choice {
        chosen(writer, choice).map_err(|fault| fault.within("tool_choice"))?;
    }
    writer.optional("parallel_tool_calls", request.parallel_tool_calls.as_ref());
    Ok(())
}

fn tool(writer: &mut Writer, tool: &pb::Tool) -> Result<(), Fault> {
    match tool.kind.as_ref().ok_or_else(|| Fault::missing("kind", "function or other_json"))? {
        tool::Kind::OtherJson(json) => writer.raw_value(typed("other_json", json)?),
        tool::Kind::Function(each) => {
            writer.open(b'{');
            writer.member("type", "function");
            function(writer, each).map_err(|fault| fault.within("function"))?;
            writer.close(b'}');
        }
    }
    Ok(())
}

fn function(writer: &mut Writer, function: &pb::Function) -> Result<(), Fault> {
    use pb::function::Parameters;
    if function.name.is_empty() {
        return Err(Fault::missing("name", "a name of letters, digits, _ and -"));
    }
    writer.key("function");
    writer.open(b'{');
    writer.member("name", &function.name);
    if !function.description.is_empty() {
        writer.member("description", &function.description);
    }
    match &function.parameters {
        None => {}
        Some(Parameters::SchemaJson(json)) => writer.raw("parameters", object("schema_json", json)?),
        Some(Parameters::Schema(schema)) => writer.member("parameters", &of_struct(schema)),
    }
    writer.optional("strict", function.strict.as_ref());
    writer.close(b'}');
    Ok(())
}

fn chosen(writer: &mut Writer, choice: &pb::ToolChoice) -> Result<(), Fault> {
    let takes = "TOOL_MODE_AUTO, TOOL_MODE_NONE or TOOL_MODE_REQUIRED";
    let missing = || Fault::missing("choice", "mode, function or other_json");
    match choice.choice.as_ref().ok_or_else(missing)? {
        tool_choice::Choice::Mode(value) => {
            let mode = match pb::ToolMode::try_from(*value) {
                Ok(pb::ToolMode::Auto) => "auto",
                Ok(pb::ToolMode::None) => "none",
                Ok(pb::ToolMode::Required) => "required",
                Ok(pb::ToolMode::Unspecified) => return Err(Fault::missing("mode", takes)),
                Err(_) => return Err(Fault::unknown("mode", *value, takes)),
            };
            writer.member("tool_choice", mode);
        }
        tool_choice::Choice::Function(name) if name.is_empty() => {
            return Err(Fault::wrong("function", "empty", "the name of one of `tools`"));
        }
        tool_choice::Choice::Function(name) => {
            writer.key("tool_choice");
            writer.open(b'{');
            writer.member("type", "function");
            writer.key("function");
            writer.open(b'{');
            writer.member("name", name);
            writer.close(b'}');
            writer.close(b'}');
        }
        tool_choice::Choice::OtherJson(json) => writer.raw("tool_choice", object("other_json", json)?),
    }
    Ok(())
}

/// Writes the calls of an assistant's message.
pub(super) fn called(writer: &mut Writer, calls: &[pb::ToolCall]) -> Result<(), Fault> {
    if calls.is_empty() {
        return Ok(());
    }
    writer.key("tool_calls");
    writer.open(b'[');
    for (place, each) in calls.iter().enumerate() {
        call(writer, each).map_err(|fault| fault.at("tool_calls", place))?;
    }
    writer.close(b']');
    Ok(())
}

fn call(writer: &mut Writer, call: &pb::ToolCall) -> Result<(), Fault> {
    match call.kind.as_ref().ok_or_else(|| Fault::missing("kind", "function or other_json"))? {
        tool_call::Kind::OtherJson(json) => writer.raw_value(typed("other_json", json)?),
        tool_call::Kind::Function(each) => {
            if each.name.is_empty() {
                return Err(Fault::missing("function.name", "the name of the function that was called"));
            }
            writer.open(b'{');
            writer.member("id", &call.id);
            writer.member("type", "function");
            writer.key("function");
            writer.open(b'{');
            writer.member("name", &each.name);
            writer.member("arguments", &each.arguments);
            extra(writer, &each.extra_json, &["name", "arguments"]).map_err(|fault| fault.within("function"))?;
            writer.close(b'}');
            extra(writer, &call.extra_json, &["id", "type", "function"])?;
            writer.close(b'}');
        }
    }
    Ok(())
}
