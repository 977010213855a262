//! The openai backend: a tenant's own vector store behind the OpenAI API.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Found,
    asking::Asked,
    fetched::Text,
    filter::Filter,
    id::{Reference, Target},
    snippet::snippet,
};
use crate::{
    ids::VectorStoreId,
    neutral,
    vector_stores::openai::{Client, Error},
};

/// The most characters of a passage that a snippet is taken from; the API's own end at 4,096 tokens.
const MAX_PASSAGE: usize = 10_000;

/// The best passage of each file that the API found.
pub(super) async fn search(
    client: &Client<'_>,
    store: VectorStoreId,
    asked: &Asked<'_>,
) -> Result<Vec<Found>, Error> {
    let (query, limit) = (asked.query, asked.limit);
    let filter = asked.filter.map(Filter::asked);
    // Words as they stand: the API does not say what it matched.
    let words: Vec<String> = query
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 3)
        .map(|word| word.to_lowercase().trim_end_matches('s').to_owned())
        .collect();
    let mut found = client.search(query, limit, filter).await?;
    // The API answers passages; we answer documents, with the best passage. It may also answer more
    // than was asked for, and whole books: what is not shown is not looked at.
    let mut seen = BTreeSet::new();
    found.retain(|found| seen.insert(found.file_id.clone()));
    found.truncate(limit);
    let hits = found.into_iter().map(|found| {
        let text: String = found.text().chars().take(MAX_PASSAGE).collect();
        Found {
            title: title(found.attributes.as_ref(), found.filename.as_deref(), &found.file_id),
            snippet: snippet(&neutral::clean(&text).text, &words),
            reference: Reference { store, document: Target::Outside { file_id: found.file_id } },
        }
    });
    Ok(hits.collect())
}

/// A file's text, of `enough` characters or all of it, if it is in this store.
pub(super) async fn fetch(
    client: &Client<'_>,
    file_id: &str,
    enough: usize,
) -> Result<Option<Text>, Error> {
    let Some(file) = client.file(file_id, enough).await? else { return Ok(None) };
    let title = title(Some(&file.attributes), file.filename.as_deref(), file_id);
    let declared = file
        .attributes
        .into_iter()
        .filter_map(|(name, value)| {
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            Some((name, text))
        })
        .collect();
    let mut provenance = vec![("document_id", file_id.to_owned())];
    if file.is_whole {
        let digest = Sha256::digest(&file.text);
        provenance.push(("sha256", digest.iter().map(|byte| format!("{byte:02x}")).collect()));
    }
    // What nobody has read before is looked at now.
    let cleaned = neutral::clean(&file.text);
    Ok(Some(Text {
        title,
        flags: neutral::flags(&cleaned.text),
        text: cleaned.text,
        is_whole: file.is_whole,
        passage: None,
        hidden: cleaned.removed,
        declared,
        provenance,
    }))
}

fn title(
    attributes: Option<&BTreeMap<String, Value>>,
    filename: Option<&str>,
    file_id: &str,
) -> String {
    let declared = attributes.and_then(|attributes| attributes.get("title")?.as_str());
    [declared, filename]
        .into_iter()
        .flatten()
        .map(|title| neutral::line(title, 200))
        .find(|title| !title.is_empty())
        .unwrap_or_else(|| file_id.to_owned())
}
