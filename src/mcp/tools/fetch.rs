//! `fetch(id)`: one document's text, checked anew and from scratch.

use serde_json::{Value, json};

use super::{Outcome, Status, only_argument};
use crate::{
    fault::Fault,
    mcp::caller::Caller,
    search::{Fetch, Search},
};

/// The longest id, in characters.
const MAX_ID: usize = 512;

// One answer for what does not exist and for what the caller may not read.
const NOT_FOUND: &str = "Document not found: check the id returned by search.";

pub(super) fn definition() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "name": "fetch",
        "title": "Fetch document",
        "description": "Read the text of one document that `search` found.",
        "inputSchema": {
            "type": "object",
            "properties": { "id": text("An id from the results of `search`.") },
            "required": ["id"],
            "additionalProperties": false,
        },
        "outputSchema": {
            "type": "object",
            "properties": {
                "id": text("As it was asked for."),
                "title": text("The title of the document."),
                "text": text("The text of the document."),
                "url": text("Opens the document at the passage; cite it."),
                "metadata": {
                    "type": "object",
                    "description": "Where the document comes from.",
                    "additionalProperties": { "type": "string" },
                },
            },
            "required": ["id", "title", "text", "url"],
        },
    })
}

pub(super) async fn call(
    search: &Search,
    caller: &Caller,
    arguments: Option<&Value>,
) -> Result<Outcome, Fault> {
    let id = match only_argument(arguments, "id", MAX_ID) {
        Ok(id) => id,
        Err(sentence) => return Ok(Outcome::refused(Status::BadArguments, &sentence)),
    };
    Ok(match search.fetch(caller.scope(), caller.vector_stores(), id).await? {
        Fetch::Found(document) => {
            let structured = json!({
                "id": document.id,
                "title": document.title,
                "text": document.text,
                "url": document.url,
                "metadata": document.metadata,
            });
            Outcome::answered(structured, vec![document.id])
        }
        Fetch::NotFound => Outcome::refused(Status::NotFound, NOT_FOUND),
        Fetch::Failed(reason) => {
            let sentence = format!("The document could not be read; try again later. {reason}");
            Outcome { failed_stores: 1, ..Outcome::refused(Status::Failed, &sentence) }
        }
    })
}
