//! A document that has been read and cut, and is not saved yet.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    chunk::{Chunk, MOST_CHUNKS, chunks},
    embed,
    extract::{Parsed, Unreadable},
    language::language,
    outline::compose,
    store_save::Findings,
};
use crate::{embeddings::Sizer, fault::Fault, neutral};

/// What a source says of itself besides its text.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) url: Option<String>,
    pub(super) metadata: Map<String, Value>,
}

/// A document as it will be saved. Its chunks are handed on by themselves.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Draft {
    pub(super) title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    pub(super) metadata: Map<String, Value>,
    pub(super) text: String,
    /// The text-search configuration of its words.
    pub(super) language: String,
    pub(super) findings: Findings,
    #[serde(skip)]
    pub(super) chunks: Vec<Chunk>,
}

impl Draft {
    /// Cut what was read. A large text takes a while: not on a thread that answers others.
    pub(super) async fn of(
        name: &str,
        parsed: Parsed,
        facts: Facts,
        sizer: Sizer,
    ) -> Result<Result<Self, Unreadable>, Fault> {
        let name = name.to_owned();
        let draft = tokio::task::spawn_blocking(move || cut(&parsed, &name, facts, &sizer)).await?;
        if draft.text.is_empty() {
            return Ok(Err(Unreadable("it has no text that a reader sees".to_owned())));
        }
        if draft.chunks.len() > MOST_CHUNKS {
            return Ok(Err(Unreadable("it is too long: split it into several files".to_owned())));
        }
        Ok(Ok(draft))
    }

    /// What is embedded of it, chunk by chunk.
    pub(super) fn passages(&self) -> Vec<String> {
        self.chunks.iter().map(|chunk| self.passage(chunk)).collect()
    }

    /// What is embedded of one chunk.
    pub(super) fn passage(&self, chunk: &Chunk) -> String {
        embed::text(&self.title, &chunk.heading, &chunk.body)
    }
}

fn cut(parsed: &Parsed, name: &str, mut facts: Facts, sizer: &Sizer) -> Draft {
    for (name, value) in &parsed.metadata {
        facts.metadata.insert(name.clone(), Value::String(neutral::line(value, 512)));
    }
    let composed = compose(parsed, name);
    let flags = neutral::flags(&composed.text);
    Draft {
        chunks: chunks(&composed.text, &composed.outline, sizer),
        language: language(&composed.text).to_owned(),
        findings: Findings {
            hidden: composed.removed,
            active: neutral::neutralise(&composed.text).active,
            flags: flags.into_iter().map(|flag| flag.as_str().to_owned()).collect(),
        },
        title: composed.title,
        text: composed.text,
        url: facts.url,
        metadata: facts.metadata,
    }
}
