//! Arguments that a caller repeats in headers, for whoever routes by them without reading bodies:
//! `x-mcp-header` (MCP 2026-07-28 transports, "Custom Headers from Tool Parameters"). Header and
//! body say the same, or somebody in between was told something else than we are.

use axum::http::HeaderMap;
use serde_json::Value;

use super::{era, jsonrpc::RpcError};

/// An argument that is mirrored.
#[derive(Debug)]
pub(super) struct Mirrored {
    /// Its place in the arguments: names of members, from the outermost in.
    pub(super) path: &'static [&'static str],
    /// The header's whole name.
    pub(super) header: &'static str,
}

/// Whether every header that belongs to an argument says what that says. Others are none of ours.
pub(super) fn check(
    headers: &HeaderMap,
    mirrored: &[Mirrored],
    arguments: Option<&Value>,
) -> Result<(), RpcError> {
    for Mirrored { path, header } in mirrored {
        let value =
            path.iter().fold(arguments, |value, name| value.and_then(|value| value.get(name)));
        match value {
            None | Some(Value::Null) if headers.contains_key(*header) => {
                return Err(era::mismatch(header, "mirrors an argument that is not there"));
            }
            None | Some(Value::Null) => {}
            Some(value) => {
                let body = as_text(value);
                era::matches(headers, header, &body, |text| says(text, value, &body))?;
            }
        }
    }
    Ok(())
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Integers are compared as numbers: `42.0` is 42.
fn says(text: &str, value: &Value, body: &str) -> bool {
    let number = || text.parse::<f64>().ok().filter(|number| number.is_finite());
    text == body || (value.is_number() && number().is_some() && number() == value.as_f64())
}

/// The annotations of a tool's definition: path and header.
#[cfg(test)]
pub(super) fn annotations(definition: &Value) -> Vec<(Vec<String>, String)> {
    fn walk(schema: &Value, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            path.push(name.clone());
            if let Some(header) = property["x-mcp-header"].as_str() {
                found.push((path.clone(), format!("Mcp-Param-{header}")));
            }
            walk(property, path, found);
            path.pop();
        }
    }
    let mut found = Vec::new();
    walk(&definition["inputSchema"], &mut Vec::new(), &mut found);
    found
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    const MIRRORED: [Mirrored; 3] = [
        Mirrored { path: &["region"], header: "Mcp-Param-Region" },
        Mirrored { path: &["page", "size"], header: "Mcp-Param-Size" },
        Mirrored { path: &["all"], header: "Mcp-Param-All" },
    ];

    #[expect(clippy::needless_pass_by_value, reason = "callers write json!({…}) in place")]
    fn passes(headers: &[(&str, &str)], arguments: Value) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        check(&map, &MIRRORED, Some(&arguments)).is_ok()
    }

    /// [H-02] What is mirrored stands in both, or in neither, and says the same.
    #[test]
    fn header_and_argument_say_the_same() {
        let region = |value: &'static str| [("mcp-param-region", value)];
        assert!(passes(&region("us-west1"), json!({ "region": "us-west1" })));
        assert!(passes(&region("=?base64?w7xicmFs?="), json!({ "region": "übral" })));
        // Half of the marks is plain text.
        assert!(passes(&region("=?base64?w7xicmFs"), json!({ "region": "=?base64?w7xicmFs" })));
        assert!(passes(&[], json!({ "other": 1 })) && passes(&[], json!({ "region": null })));
        assert!(passes(&[("mcp-param-unknown", "x")], json!({})), "none of ours");

        assert!(!passes(&region("US-WEST1"), json!({ "region": "us-west1" })));
        assert!(!passes(&[], json!({ "region": "us-west1" })), "left out");
        assert!(!passes(&region("us-west1"), json!({})), "made up");
        assert!(!passes(&region("us-west1"), json!({ "region": null })));
        assert!(!passes(&region("=?base64?w7xicmF?="), json!({ "region": "übra" })), "padding");
        assert!(!passes(&region("=?base64?w7x!!!Fs?="), json!({ "region": "übral" })));
        assert!(!passes(&region("übral"), json!({ "region": "übral" })), "not ASCII");
        let twice = [("mcp-param-region", "a"), ("mcp-param-region", "a")];
        assert!(!passes(&twice, json!({ "region": "a" })));
    }

    #[test]
    fn numbers_are_compared_as_such_and_what_lies_deeper_is_found() {
        let size = |value: &'static str| [("mcp-param-size", value)];
        for same in ["42", "42.0", "4.2e1"] {
            assert!(passes(&size(same), json!({ "page": { "size": 42 } })), "{same}");
        }
        for other in ["43", "", "x", "NaN", "inf"] {
            assert!(!passes(&size(other), json!({ "page": { "size": 42 } })), "{other}");
        }
        assert!(!passes(&size("42.0"), json!({ "page": { "size": "42" } })), "a text is not");
        assert!(!passes(&[], json!({ "page": { "size": 42 } })));
        assert!(passes(&[], json!({ "page": 7 })));
        assert!(passes(&[("mcp-param-all", "true")], json!({ "all": true })));
        assert!(!passes(&[("mcp-param-all", "True")], json!({ "all": true })));
    }

    /// Clients of the published contract send no such headers.
    #[test]
    fn our_tools_mirror_nothing() {
        for tool in crate::mcp::tools::list()["tools"].as_array().unwrap() {
            assert!(annotations(tool).is_empty());
            assert!(crate::mcp::tools::mirrored(tool["name"].as_str().unwrap()).is_empty());
        }
    }
}
