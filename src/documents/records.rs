//! JSON lines: one document a line, each on its own.
//!
//! `_id` or `id`, `title`, `text`, and if the source has them `url` and `metadata`.

use std::collections::{HashMap, hash_map::Entry};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    draft::Facts,
    extract::{MediaType, Parsed},
    importer::{Importer, Source, source_key},
    outline::Style,
    report::{Outcome, Report},
    store,
};
use crate::{fault::Fault, neutral::line as one_line};

/// The longest line.
const MAX_LINE: usize = 20 * 1024 * 1024;

/// Where each id was seen in one run. Ids are the store's, so a second record of the same id would
/// replace the first, and the next run the other way round.
#[derive(Debug, Default)]
pub(super) struct Sightings(HashMap<String, String>);

impl Sightings {
    /// Where this one was seen before.
    pub(super) fn note(&mut self, key: &str, place: &str) -> Option<&str> {
        match self.0.entry(key.to_owned()) {
            Entry::Occupied(first) => Some(first.into_mut()),
            Entry::Vacant(free) => {
                free.insert(place.to_owned());
                None
            }
        }
    }
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "_id", alias = "id")]
    id: Value,
    #[serde(default)]
    title: Option<String>,
    text: String,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    metadata: Option<Value>,
}

/// Bring in one line of `file`; a broken one is reported with its number.
pub(super) async fn line(
    importer: &Importer,
    file: &Source<'_>,
    (number, line): (usize, &[u8]),
    seen: &mut Sightings,
    report: &mut Report,
) -> Result<(), Fault> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(());
    }
    let place = format!("{}:{number}", file.name);
    let record = match read(line) {
        Ok(record) => record,
        Err(reason) => {
            report.fail(&place, reason);
            return Ok(());
        }
    };
    let id = match &record.id {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    };
    let key = source_key("id", &id);
    if let Some(first) = seen.note(&key, &place) {
        report.fail(&place, format!("its _id is that of {first} too: only one of them is kept"));
        return Ok(());
    }
    let source =
        Source { key, name: &id, bytes: line, media: MediaType::JsonLines, ..file.beside() };
    if let Some(id) = importer.unchanged(&source).await? {
        report.count(&place, Ok(Outcome::Unchanged(id)));
        return Ok(());
    }
    let facts = Facts {
        url: record.url.as_deref().and_then(web_address),
        metadata: record.metadata.map(flatten).unwrap_or_default(),
    };
    let markdown =
        record.text.lines().any(|line| line.starts_with("# ") || line.starts_with("## "));
    let style = if markdown { Style::Markdown } else { Style::Plain };
    // A title alone is a document too: then it is its text.
    let text = match &record.title {
        Some(title) if record.text.trim().is_empty() => title.clone(),
        _ => record.text,
    };
    let parsed = Parsed { style, title: record.title, sections: vec![text], ..Parsed::default() };
    let outcome = importer.parsed(&source, parsed, facts).await?;
    report.count(&place, outcome);
    Ok(())
}

fn read(line: &[u8]) -> Result<Record, String> {
    if line.len() > MAX_LINE {
        return Err("the line is longer than 20 MiB".to_owned());
    }
    let record: Record = serde_json::from_slice(line).map_err(|error| {
        // serde_json names a member or a column, and shows no content.
        let error = error.to_string();
        let what = match error.rsplit_once(" at line 1 column ") {
            Some((what, column)) => format!("{what}, in column {column}"),
            None => error,
        };
        format!("not a JSON object with _id and text: {what}")
    })?;
    match &record.id {
        Value::String(id) if !id.trim().is_empty() => Ok(record),
        Value::Number(_) => Ok(record),
        _ => Err("its _id is neither text nor a number".to_owned()),
    }
}

/// The address as the parser writes it, which is what it has checked: escaped, and in ASCII.
fn web_address(url: &str) -> Option<String> {
    const MOST: usize = 2_048;
    let url: url::Url = (url.len() <= MOST).then(|| url.parse().ok()).flatten()?;
    let web = matches!(url.scheme(), "https" | "http");
    (web && url.as_str().len() <= MOST).then(|| url.into())
}

/// Up to 32 plain members as text; the rest is dropped.
fn flatten(metadata: Value) -> Map<String, Value> {
    let Value::Object(members) = metadata else { return Map::new() };
    members
        .into_iter()
        .filter_map(|(name, value)| {
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            let (name, text) = (one_line(&name, 64), one_line(&text, 512));
            let is_ours = name == store::HIDDEN;
            (!name.is_empty() && !text.is_empty() && !is_ours)
                .then_some((name, Value::String(text)))
        })
        .take(32)
        .collect()
}
