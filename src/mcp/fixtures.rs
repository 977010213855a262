//! The tools that MCP's conformance suite asks for: they show that what surrounds our own tools
//! carries every kind of content, and errors of a tool.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::jsonrpc::{Request, RpcError};

/// The code of a request that needs what its client cannot do (MCP 2026-07-28).
const MISSING_CAPABILITY: i32 = -32021;

/// The smallest PNG: one red pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8\
     DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==";
/// A WAV of no length.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

/// Every one of them, besides the one whose schema is what matters.
const NAMES: [&str; 9] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
];

/// Append them to the result of `tools/list`.
pub(super) fn add_to(list: &mut Value) {
    let tools = list["tools"].as_array_mut().expect("a list has tools");
    tools.extend(NAMES.map(|name| {
        let schema = json!({ "type": "object", "additionalProperties": false });
        json!({ "name": name, "description": "A fixture.", "inputSchema": schema })
    }));
    tools.push(json_schema());
}

/// The result of a call; `None` where the tool is no fixture.
pub(super) fn call(name: &str, request: &Request) -> Option<Result<Value, RpcError>> {
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
        // Nothing but their answers ever reaches a client.
        "test_missing_capability" | "test_streaming_elicitation" | "test_logging_tool" => {
            json!([text("Done.")])
        }
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
    use crate::mcp::jsonrpc::{self, Message};

    #[test]
    fn every_fixture_that_is_listed_can_be_called() {
        let mut list = json!({ "tools": [] });
        add_to(&mut list);
        let message = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#;
        let Ok(Message::Request(request)) = jsonrpc::parse(message) else { unreachable!() };
        for tool in list["tools"].as_array().unwrap() {
            let name = tool["name"].as_str().unwrap();
            let answer = call(name, &request).expect(name);
            assert_eq!(answer.is_err(), name == "test_missing_capability", "{name}");
        }
        assert!(call("search", &request).is_none());
    }
}
