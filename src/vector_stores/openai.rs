//! The OpenAI vector store API, as far as we use it: search, file, file content.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::outbound::{
    self,
    api::{Api, Failure},
};

/// OpenAI itself.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

const MAX_PAGES: usize = 200;

/// One store behind the API.
#[derive(Debug)]
pub struct Client<'a> {
    /// Where it is.
    pub api: Api<'a>,
    /// `vs_…`
    pub external_id: &'a str,
}

/// A passage that the API found.
#[derive(Debug, Deserialize)]
pub struct Found {
    /// `file-…`
    pub file_id: String,
    /// As it was uploaded.
    #[serde(default)]
    pub filename: Option<String>,
    /// What the uploader attached.
    #[serde(default)]
    pub attributes: Option<BTreeMap<String, Value>>,
    /// The passage, in parts.
    #[serde(default)]
    content: Vec<Part>,
}

impl Found {
    /// The passage.
    #[must_use]
    pub fn text(&self) -> String {
        self.content.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join("\n")
    }
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    next_page: Option<String>,
}

#[derive(Deserialize)]
struct Attached {
    #[serde(default)]
    attributes: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    filename: Option<String>,
}

/// A file of the store with its text.
#[derive(Debug)]
pub struct File {
    /// As it was uploaded, if the API says.
    pub filename: Option<String>,
    /// What the uploader attached.
    pub attributes: BTreeMap<String, Value>,
    /// The text, up to what was asked for and a page more.
    pub text: String,
    /// Whether that is all of it.
    pub is_whole: bool,
}

/// Why the API gave no answer, in words for the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 401, 403.
    #[error("the API key was refused: it is wrong, was revoked, or may not read this store")]
    KeyRefused,
    /// 404.
    #[error("there is no such vector store, or this key belongs to another project")]
    NotFound,
    /// 429 for longer than we can wait.
    #[error("too many requests to the vector store: try again in a moment")]
    RateLimited,
    /// 429 that waiting does not cure.
    #[error("the account behind the API key is out of credit")]
    OutOfCredit,
    /// 5xx, thrice.
    #[error("the vector store has a problem of its own: try again in a moment")]
    Unavailable,
    /// Not JSON of the shape that is documented, or an unexpected status.
    #[error("the vector store answered with something that is not the OpenAI API")]
    Unreadable,
    /// Nothing came, or it was not let out.
    #[error("the vector store {0}")]
    Outbound(#[from] outbound::Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::KeyRefused => Self::KeyRefused,
            Failure::NotFound => Self::NotFound,
            Failure::RateLimited(_) => Self::RateLimited,
            Failure::OutOfCredit => Self::OutOfCredit,
            Failure::Unavailable(_) => Self::Unavailable,
            Failure::Refused(_) | Failure::Unreadable => Self::Unreadable,
            Failure::Outbound(error) => Self::Outbound(error),
        }
    }
}

/// Whether this can be an id of a store or a file: it becomes part of a path.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

impl Client<'_> {
    /// The best passages for a question, best first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn search(
        &self,
        query: &str,
        limit: usize,
        filter: Option<&Value>,
    ) -> Result<Vec<Found>, Error> {
        let url = self.api.url(&["vector_stores", self.external_id, "search"])?;
        // The API takes 1 to 50.
        let mut body = json!({ "query": query, "max_num_results": limit.clamp(1, 50) });
        if let Some(filter) = filter {
            body["filters"] = filter.clone();
        }
        let page: Page<Found> = self.api.post(&url, &body).await?;
        Ok(page.data.into_iter().filter(|found| is_id(&found.file_id)).collect())
    }

    /// A file of this store with its text, read page by page until it has `enough` characters.
    /// `None` when the store has no such file.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn file(&self, file_id: &str, enough: usize) -> Result<Option<File>, Error> {
        if !is_id(file_id) {
            return Ok(None);
        }
        // First of all: is it a file of this store? The key may see files of others.
        let path = ["vector_stores", self.external_id, "files", file_id];
        let attached: Attached = match self.api.get(&self.api.url(&path)?).await {
            Err(Failure::NotFound) => return Ok(None),
            other => other?,
        };
        let name = self.api.url(&["files", file_id])?;
        let (named, text) =
            tokio::join!(self.api.get::<Named>(&name), self.content(file_id, enough));
        let (text, is_whole) = text?;
        Ok(Some(File {
            // A key that may read the store and not the file list still reads the text.
            filename: named.ok().and_then(|named| named.filename),
            attributes: attached.attributes.unwrap_or_default(),
            text,
            is_whole,
        }))
    }

    async fn content(&self, file_id: &str, enough: usize) -> Result<(String, bool), Error> {
        let mut url =
            self.api.url(&["vector_stores", self.external_id, "files", file_id, "content"])?;
        let mut text = String::new();
        let mut seen = Vec::new();
        for _ in 0..MAX_PAGES {
            let page: Page<Part> = self.api.get(&url).await?;
            for part in &page.data {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&part.text);
            }
            let Some(next) = page.next_page.filter(|next| page.has_more && !next.is_empty()) else {
                return Ok((text, true));
            };
            // A token that comes twice would go round for ever.
            if seen.contains(&next) || text.chars().count() > enough {
                break;
            }
            url.query_pairs_mut().clear().append_pair("page", &next);
            seen.push(next);
        }
        Ok((text, false))
    }
}
