//! The openai backend: a tenant's own vector store behind the OpenAI API.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Found, MAX_FETCH, Text,
    id::{Reference, Target},
    snippet::snippet,
};
use crate::{
    documents::clean,
    ids::VectorStoreId,
    vector_stores::openai::{Client, Error},
};

/// The most characters of a passage that a snippet is taken from; the API's own end at 4,096 tokens.
const MAX_PASSAGE: usize = 10_000;

/// The best passage of each file that the API found.
pub(super) async fn search(
    client: &Client<'_>,
    store: VectorStoreId,
    query: &str,
    limit: usize,
) -> Result<Vec<Found>, Error> {
    // Words as they stand: the API does not say what it matched.
    let words: Vec<String> = query
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 3)
        .map(|word| word.to_lowercase().trim_end_matches('s').to_owned())
        .collect();
    let mut found = client.search(query, limit).await?;
    // The API answers passages; we answer documents, with the best passage. It may also answer more
    // than was asked for, and whole books: what is not shown is not looked at.
    let mut seen = BTreeSet::new();
    found.retain(|found| seen.insert(found.file_id.clone()));
    found.truncate(limit);
    let hits = found.into_iter().map(|found| {
        let text: String = found.text().chars().take(MAX_PASSAGE).collect();
        Found {
            title: title(found.attributes.as_ref(), found.filename.as_deref(), &found.file_id),
            snippet: snippet(&clean::clean(&text).text, &words),
            reference: Reference { store, document: Target::Outside { file_id: found.file_id } },
        }
    });
    Ok(hits.collect())
}

/// A file's whole text, if it is in this store.
pub(super) async fn fetch(client: &Client<'_>, file_id: &str) -> Result<Option<Text>, Error> {
    let Some(file) = client.file(file_id, MAX_FETCH).await? else { return Ok(None) };
    let title = title(Some(&file.attributes), file.filename.as_deref(), file_id);
    let metadata: BTreeMap<String, String> = file
        .attributes
        .into_iter()
        .filter_map(|(name, value)| {
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            Some((clean::line(&name, 64), clean::line(&text, 512)))
        })
        .collect();
    Ok(Some(Text { title, text: file.text, passage: None, metadata }))
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
        .map(|title| clean::line(title, 200))
        .find(|title| !title.is_empty())
        .unwrap_or_else(|| file_id.to_owned())
}
