//! The two tools, and what a call of one comes to. A file for each, with the same three functions:
//! `definition`, `call`, and what it answers.

mod delimiter;
mod fetch;
mod onward;
mod search;

use serde_json::{Value, json};

pub(super) use onward::Handles;

use super::{caller::Caller, challenge::NEEDED, jsonrpc::Request, mirrored::Mirrored};
use crate::{audit::Kind, fault::Fault, search::Search};

/// How long a client may keep the list (spec row H-08).
const LIST_TTL_MS: u32 = 60_000;

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Search,
    Fetch,
}

impl Tool {
    const ALL: [Self; 2] = [Self::Search, Self::Fetch];

    /// Names are case-sensitive.
    pub(super) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Fetch => "fetch",
        }
    }

    /// What the audit calls it.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Search => Kind::Search,
            Self::Fetch => Kind::Fetch,
        }
    }

    fn definition(self) -> Value {
        let mut definition = match self {
            Self::Search => search::definition(),
            Self::Fetch => fetch::definition(),
        };
        // Top level for ChatGPT; `_meta` for the SDKs that drop what they do not know.
        let schemes = json!([{ "type": "oauth2", "scopes": NEEDED.names() }]);
        definition["_meta"] = json!({ "securitySchemes": schemes });
        definition["securitySchemes"] = schemes;
        definition["annotations"] = json!({
            "title": definition["title"],
            "readOnlyHint": true,
            "destructiveHint": false,
            "idempotentHint": true,
            "openWorldHint": false,
        });
        definition
    }

    /// What a call asks in words.
    pub(super) fn question(self, request: &Request) -> Option<&str> {
        match self {
            Self::Search => search::question(request.params.get("arguments")),
            Self::Fetch => None,
        }
    }

    /// Run it.
    pub(super) async fn call(
        self,
        (search, handles): (&Search, &Handles),
        caller: &Caller,
        arguments: Option<&Value>,
    ) -> Result<Outcome, Fault> {
        match self {
            Self::Search => search::call(search, caller, arguments).await,
            Self::Fetch => fetch::call((search, handles), caller, arguments).await,
        }
    }
}

/// The arguments of a tool that its caller mirrors in headers: none of ours, since whatever stands
/// between would read what is asked, and clients of the published contract send nothing but bodies.
pub(super) fn mirrored(name: &str) -> &'static [Mirrored] {
    #[cfg(any(test, feature = "fixtures"))]
    if let Some(mirrored) = super::fixtures::mirrored(name) {
        return mirrored;
    }
    let _ = name;
    &[]
}

/// The result of `tools/list`; the same for every caller.
pub(super) fn list() -> Value {
    let tools: Vec<Value> = Tool::ALL.into_iter().map(Tool::definition).collect();
    json!({ "tools": tools })
}

/// What `tools/list` says besides in the modern era.
pub(super) fn add_cache_hints(list: &mut Value) {
    list["ttlMs"] = LIST_TTL_MS.into();
    list["cacheScope"] = "private".into();
}

/// What came of a call.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The `tools/call` result, as both eras have it.
    pub(super) result: Value,
    /// For metrics and audit.
    pub(super) status: Status,
    /// The ids of the documents that go out.
    pub(super) documents: Vec<String>,
    /// How many stores did not answer.
    pub(super) failed_stores: usize,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// With an answer.
    Answered,
    /// Its arguments did not fit.
    BadArguments,
    /// There is no such document for this caller.
    NotFound,
    /// A store failed.
    Failed,
}

impl Status {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::BadArguments => "bad_arguments",
            Self::NotFound => "not_found",
            Self::Failed => "failed",
        }
    }
}

impl Outcome {
    /// The object as `structuredContent`, and the very same JSON as one text item.
    fn answered(structured: Value, documents: Vec<String>) -> Self {
        let mut result = json!({ "content": [{ "type": "text", "text": structured.to_string() }] });
        result["structuredContent"] = structured;
        Self { result, status: Status::Answered, documents, failed_stores: 0 }
    }

    /// A sentence that the model can act on; no structured content then.
    pub(super) fn refused(status: Status, sentence: &str) -> Self {
        let result = json!({ "content": [{ "type": "text", "text": sentence }], "isError": true });
        Self { result, status, documents: Vec::new(), failed_stores: 0 }
    }
}

/// The one string argument `name`, and nothing else beside it; or a sentence that says what is
/// wrong.
fn only_argument<'a>(
    arguments: Option<&'a Value>,
    name: &str,
    most: usize,
) -> Result<&'a str, String> {
    let missing = || format!("The argument \"{name}\" is missing.");
    let arguments = match arguments {
        Some(Value::Object(arguments)) => arguments,
        None => return Err(missing()),
        Some(_) => return Err(format!("The arguments must be an object with \"{name}\".")),
    };
    if let Some(key) = arguments.keys().find(|key| *key != name) {
        let key: String = key.chars().filter(|c| !c.is_control()).take(60).collect();
        return Err(format!("Unknown argument \"{key}\": the only argument is \"{name}\"."));
    }
    let text = match arguments.get(name) {
        Some(Value::String(text)) => text.trim(),
        Some(_) => return Err(format!("The argument \"{name}\" must be a string.")),
        None => return Err(missing()),
    };
    if text.is_empty() {
        return Err(format!("The argument \"{name}\" is empty."));
    }
    if text.chars().nth(most).is_some() {
        return Err(format!("The argument \"{name}\" is longer than {most} characters."));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [H-06] One string of bounded length, and nothing beside it.
    #[test]
    fn arguments_are_one_string() {
        let check = |arguments: Value| {
            only_argument(Some(&arguments), "query", 10).map(str::to_owned).map_err(|error| {
                assert!(error.contains("query"), "{error}");
            })
        };
        assert_eq!(check(json!({ "query": " ünïcödé w " })), Ok("ünïcödé w".to_owned()));
        for wrong in [
            json!({}),
            json!([]),
            json!("query"),
            json!(null),
            json!({ "query": 1 }),
            json!({ "query": null }),
            json!({ "query": "  " }),
            json!({ "query": "12345678901" }),
            json!({ "query": "a", "limit": 5 }),
        ] {
            assert_eq!(check(wrong.clone()), Err(()), "{wrong}");
        }
        assert!(only_argument(None, "query", 10).is_err());
    }

    /// [H-07] The list that clients see changes only on purpose: this hash with it.
    #[test]
    fn the_list_of_tools_is_pinned() {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(list().to_string());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, PINNED);
        let readme = include_str!("../../../README.md");
        assert!(readme.contains(&hex), "what is published is what is served");
    }

    const PINNED: &str = "6689397bd621671a092af2ae44324614642e7f7ed83cb2b5807baa386a591019";
}
