//! The tools that MCP's conformance suite asks for: they show that what surrounds our own tools
//! carries every kind of content, errors of a tool, what it says before its answer, and arguments
//! that are mirrored in headers.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    dispatch::Asker,
    era,
    jsonrpc::{Request, RpcError},
    mirrored::Mirrored,
    notes::Notes,
};
use crate::progress::{self, Report};

/// The code of a request that needs what its client cannot do (MCP 2026-07-28).
const MISSING_CAPABILITY: i32 = -32021;

/// The smallest PNG: one red pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8\
     DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==";
/// A WAV of no length.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

/// Between two things that a tool says, as the suite wants it.
const PAUSE: Duration = Duration::from_millis(50);

const MIRRORING: &str = "test_x_mcp_header";
const LOGGING: &str = "test_tool_with_logging";

/// Every one of them, besides those whose schema is what matters.
const NAMES: [&str; 11] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
    "test_tool_with_progress",
    LOGGING,
];

/// Append them to the result of `tools/list`.
pub(super) fn add_to(list: &mut Value) {
    let tools = list["tools"].as_array_mut().expect("a list has tools");
    tools.extend(NAMES.map(|name| {
        let schema = json!({ "type": "object", "additionalProperties": false });
        json!({ "name": name, "description": "A fixture.", "inputSchema": schema })
    }));
    tools.push(json_schema());
    let region = json!({ "type": "string", "x-mcp-header": "Region" });
    let schema = json!({ "type": "object", "properties": { "region": region } });
    tools.push(json!({ "name": MIRRORING, "description": "A fixture.", "inputSchema": schema }));
}

/// What a fixture mirrors.
pub(super) fn mirrored(name: &str) -> Option<&'static [Mirrored]> {
    const REGION: [Mirrored; 1] = [Mirrored { path: &["region"], header: "Mcp-Param-Region" }];
    (name == MIRRORING).then_some(&REGION)
}

/// Whether a call has to do with logs, and its client wants them: in 2026-07-28 it says so with each
/// call.
pub(super) fn takes_logs(request: &Request) -> bool {
    let logs = request.params.get("name").is_some_and(|name| name == LOGGING);
    logs && (!era::body_is_modern(request)
        || request.meta("io.modelcontextprotocol/logLevel").is_some())
}

/// The result of a call; `None` where the tool is no fixture.
pub(super) async fn call(
    name: &str,
    asker: &Asker,
    request: &Request,
) -> Option<Result<Value, RpcError>> {
    match name {
        "test_tool_with_progress" => {
            Notes::during(asker.notes.as_ref(), say_progress()).await;
        }
        LOGGING if takes_logs(request) => log(asker).await,
        _ => {}
    }
    answer(name, request)
}

async fn say_progress() {
    for done in [0, 50, 100] {
        let message = format!("{done} of 100");
        progress::say(|| Report { done, total: 100, message });
        sleep(PAUSE).await;
    }
}

async fn log(asker: &Asker) {
    for text in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
        if let Some(notes) = &asker.notes {
            notes.send("notifications/message", &json!({ "level": "info", "data": text }));
        }
        sleep(PAUSE).await;
    }
}

fn answer(name: &str, request: &Request) -> Option<Result<Value, RpcError>> {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png" });
    let resource = |uri: &str, kind: &str, text: &str| {
        let resource = json!({ "uri": uri, "mimeType": kind, "text": text });
        json!({ "type": "resource", "resource": resource })
    };
    let content = match name {
        "test_simple_text" => json!([text("This is a simple text response for testing.")]),
        "test_image_content" => json!([image]),
        "test_audio_content" => {
            json!([{ "type": "audio", "data": WAV, "mimeType": "audio/wav" }])
        }
        "test_embedded_resource" => json!([resource(
            "test://embedded-resource",
            "text/plain",
            "This is an embedded resource content."
        )]),
        "test_multiple_content_types" => json!([
            text("Multiple content types test:"),
            image,
            resource(
                "test://mixed-content-resource",
                "application/json",
                r#"{"test":"data","value":123}"#
            ),
        ]),
        "test_error_handling" => {
            let content = json!([text("This tool intentionally returns an error for testing")]);
            return Some(Ok(json!({ "content": content, "isError": true })));
        }
        "test_missing_capability" if !declares_sampling(request) => {
            let needed = json!({ "requiredCapabilities": { "sampling": {} } });
            let message = "this tool needs the capability sampling";
            let error = RpcError::new(StatusCode::BAD_REQUEST, MISSING_CAPABILITY, message);
            return Some(Err(error.with_data(needed)));
        }
        "test_missing_capability"
        | "test_streaming_elicitation"
        | "test_logging_tool"
        | "test_tool_with_progress"
        | LOGGING
        | MIRRORING => json!([text("Done.")]),
        "json_schema_2020_12_tool" => json!([text("The arguments are not looked at.")]),
        _ => return None,
    };
    Some(Ok(json!({ "content": content })))
}

fn declares_sampling(request: &Request) -> bool {
    let declared = request.meta("io.modelcontextprotocol/clientCapabilities");
    declared.is_some_and(|capabilities| capabilities.get("sampling").is_some())
}

fn json_schema() -> Value {
    json!({
        "name": "json_schema_2020_12_tool",
        "description": "Tool with JSON Schema 2020-12 features",
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": { "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
            } },
            "properties": {
                "name": { "type": "string" },
                "address": { "$ref": "#/$defs/address" },
                "contactMethod": { "type": "string", "enum": ["phone", "email"] },
                "phone": { "type": "string" },
                "email": { "type": "string" },
            },
            "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
            "if": {
                "properties": { "contactMethod": { "const": "phone" } },
                "required": ["contactMethod"],
            },
            "then": { "required": ["phone"] },
            "else": { "required": ["email"] },
            "additionalProperties": false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::{
        jsonrpc::{self, Message},
        mirrored::annotations,
    };

    #[test]
    fn every_fixture_that_is_listed_can_be_called() {
        let mut list = json!({ "tools": [] });
        add_to(&mut list);
        let message = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#;
        let Ok(Message::Request(request)) = jsonrpc::parse(message) else { unreachable!() };
        for tool in list["tools"].as_array().unwrap() {
            let name = tool["name"].as_str().unwrap();
            let answer = answer(name, &request).expect(name);
            assert_eq!(answer.is_err(), name == "test_missing_capability", "{name}");
        }
        assert!(answer("search", &request).is_none());
    }

    #[test]
    fn what_is_listed_as_mirrored_is_checked() {
        let mut list = json!({ "tools": [] });
        add_to(&mut list);
        for tool in list["tools"].as_array().unwrap() {
            let name = tool["name"].as_str().unwrap();
            let checked: Vec<_> = mirrored(name).unwrap_or_default().iter().collect();
            let checked = checked.into_iter().map(|one| {
                (one.path.iter().map(|name| (*name).to_owned()).collect(), one.header.to_owned())
            });
            assert_eq!(annotations(tool), checked.collect::<Vec<_>>(), "{name}");
        }
    }
}
