//! `GET /d/{document}`: where a citation leads. The passage is marked; `#passage` scrolls to it.

use std::ops::Range;

use askama::Template;
use axum::extract::State;
use serde::Deserialize;

use super::{
    Desk, documents as documents_page,
    history::{self, History},
    readable::{self, desk},
    view::{self, Moment},
};
use crate::{
    db::{Db, TenantScope},
    documents::{self, Document, versions},
    http::{
        Frame, Page, PageError,
        extract::{Path, Query},
    },
    ids::{DocumentId, VectorStoreId},
    search::{Fetch, Reference, Search, id::Target},
    sign_in::SignedIn,
};

/// The most of a document that a page shows, in characters, cut around the passage.
const SHOWN: usize = 400_000;

#[derive(Template)]
#[template(path = "admin/document.html")]
pub(super) struct DocumentPage {
    frame: Frame,
    back_url: String,
    store_name: String,
    document: Shown,
    golden: Option<Golden>,
}

/// Where an admin says what a document should answer.
struct Golden {
    url: String,
    store: VectorStoreId,
    document: DocumentId,
}

/// A document of either backend, ready to print.
struct Shown {
    title: String,
    source_url: Option<String>,
    changed: Option<Moment>,
    /// Where the cited passage is: `page 12`.
    page: Option<String>,
    fields: Vec<(String, String)>,
    text: Text,
    /// Of a builtin one.
    history: Option<History>,
}

/// What of a document is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// A former version; the document itself where there is none.
    version: Option<String>,
    notice: Option<String>,
}

/// A document's text in three parts; `passage` is empty when none is cited.
#[derive(Debug, Default, PartialEq, Eq)]
struct Text {
    before: String,
    passage: String,
    after: String,
    cut_before: bool,
    cut_after: bool,
}

/// `GET /d/{document}`
pub(super) async fn show(
    user: SignedIn,
    State(db): State<Db>,
    State(search): State<Search>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Page<DocumentPage>, PageError> {
    let reference = Reference::parse(&id).ok_or(PageError::NotFound)?;
    let (desk, store) = desk(&user, &db, &reference).await?.ok_or(PageError::NotFound)?;
    let version = match asked.version.map(|version| version.parse::<i32>()) {
        None => None,
        Some(Ok(version)) => Some(version),
        Some(Err(_)) => return Err(PageError::NotFound),
    };
    let document = match &reference.document {
        Target::Builtin { chunk, .. } => {
            builtin(&db, &desk, (&id, &reference), (*chunk, version)).await?
        }
        Target::Outside { .. } => outside(&search, desk.scope, &reference).await?,
    };
    let golden = match reference.document {
        Target::Builtin { document, .. } if desk.may_manage => {
            Some(Golden { url: format!("{}/quality", desk.base()), store: store.id, document })
        }
        _ => None,
    };
    Ok(Page(DocumentPage {
        golden,
        back_url: format!("{}/documents?store={}", desk.base(), store.id),
        frame: desk.frame("documents", asked.notice.as_deref()),
        store_name: store.name,
        document: document.ok_or(PageError::NotFound)?,
    }))
}

/// The link to a document as a whole, no passage of it marked.
pub(super) fn link(document: &Document) -> String {
    let reference = Reference {
        store: document.vector_store_id,
        document: Target::Builtin { document: document.id, chunk: u32::MAX },
    };
    link_to(&reference)
}

/// The page of what an id names.
pub(super) fn link_to(reference: &Reference) -> String {
    format!("/d/{reference}")
}

async fn builtin(
    db: &Db,
    desk: &Desk,
    (path, reference): (&str, &Reference),
    (chunk, version): (u32, Option<i32>),
) -> Result<Option<Shown>, PageError> {
    let Some(document) = readable::find(db, desk, reference).await? else { return Ok(None) };
    let history = history::of(db, desk, (path, &document), version).await?;
    let id = document.id;
    let mut tx = db.tenant(desk.scope).await?;
    let (former, text) = match version {
        None => (None, documents::store::text(&mut tx, id).await?),
        Some(version) => {
            let Some(former) = versions::find(&mut tx, id, version).await? else {
                return Ok(None);
            };
            (Some(former), versions::text(&mut tx, id, version).await?)
        }
    };
    let passage = match (version, i32::try_from(chunk)) {
        (None, Ok(ordinal)) => documents::store::passage(&mut tx, id, ordinal).await?,
        _ => None,
    };
    drop(tx);
    let (media_type, byte_size) = match &former {
        Some(former) => (former.media_type.as_str(), former.byte_size),
        None => (document.media_type.as_str(), document.byte_size),
    };
    let mut fields = vec![
        ("Source".to_owned(), documents_page::source(&document.source_key).to_owned()),
        ("Kind".to_owned(), view::media_type(media_type).to_owned()),
        ("Size".to_owned(), view::size(byte_size)),
    ];
    let page = passage.as_ref().and_then(|passage| passage.page).zip(document.pages());
    let page = page.map(|(number, pages)| format!("{pages} {number}"));
    fields.extend(page.clone().map(|page| ("Cited passage".to_owned(), page)));
    if former.is_none() {
        fields.extend(document.metadata.into_iter().map(told));
    }
    let range = passage.map(|passage| passage.start..passage.end);
    Ok(Some(Shown {
        source_url: document.url.filter(|url| is_web(url)),
        changed: Some(former.as_ref().map_or(document.updated_at, |one| one.created_at).into()),
        title: former.map_or(document.title, |former| former.title),
        page,
        fields,
        text: Text::of(&view::unwrap_lines(&text.unwrap_or_default()), range),
        history: Some(history),
    }))
}

/// What the file said of itself, or our reader of it.
fn told((name, value): (String, String)) -> (String, String) {
    let said = |label: &str, value: String| (label.to_owned(), value);
    match name.as_str() {
        "pages_read_from_images" => said(
            "Text recognition",
            format!("{} read from images, so words in it may be wrong", count_pages(&value)),
        ),
        "pages_without_text" => said("Without text", count_pages(&value)),
        "pages_damaged" => said("Damaged", count_pages(&value)),
        _ => (name, value),
    }
}

fn count_pages(value: &str) -> String {
    view::count(value.parse().unwrap_or_default(), "page", "pages")
}

async fn outside(
    search: &Search,
    scope: TenantScope,
    reference: &Reference,
) -> Result<Option<Shown>, PageError> {
    match search.fetch(scope, &[reference.store], &reference.to_string(), None).await? {
        Fetch::Found(found) => Ok(Some(Shown {
            title: found.title,
            source_url: None,
            changed: None,
            page: None,
            text: Text {
                cut_after: found.next.is_some(),
                ..Text::of(&view::unwrap_lines(&found.text), None)
            },
            fields: found.metadata.into_iter().collect(),
            history: None,
        })),
        Fetch::NotFound | Fetch::Changed => Ok(None),
        Fetch::Failed(_) => Err(PageError::Busy),
    }
}

/// Whether a link may be printed: the source is untrusted, and `javascript:` is a URL too.
fn is_web(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

impl Text {
    /// Split `text` at a range of characters, leaving out what is far from it.
    fn of(text: &str, passage: Option<Range<usize>>) -> Self {
        let marked = passage.is_some();
        let Range { start, end } = passage.unwrap_or(0..0);
        let first = start.saturating_sub(SHOWN / 2);
        let last = first.saturating_add(SHOWN).max(end);
        let byte = |position: usize| {
            text.char_indices().nth(position).map_or(text.len(), |(offset, _)| offset)
        };
        let (from, start, end, to) = (byte(first), byte(start), byte(end), byte(last));
        let cited = &text[start..end];
        // The marks begin and end at words, wherever the chunk was cut.
        let start = start + (cited.len() - cited.trim_start().len());
        let end = if marked { start + cited.trim().len() } else { start };
        Self {
            before: text[from..start].to_owned(),
            passage: text[start..end].to_owned(),
            after: text[end..to].to_owned(),
            cut_before: from > 0,
            cut_after: to < text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_passage_is_cut_at_characters_and_trimmed() {
        let text = Text::of("Élan. Äpfel and pears. End.", Some(5..22));
        assert_eq!(text.before, "Élan. ");
        assert_eq!(text.passage, "Äpfel and pears.");
        assert_eq!(text.after, " End.");
        assert!(!text.cut_before && !text.cut_after);
    }

    #[test]
    fn without_a_passage_everything_follows() {
        let text = Text::of("  all of it", None);
        assert_eq!((text.before.as_str(), text.after.as_str()), ("", "  all of it"));
        let beyond = Text::of("short", Some(90..100));
        assert_eq!((beyond.before.as_str(), beyond.passage.as_str()), ("short", ""));
    }

    #[test]
    fn a_long_document_is_cut_around_the_passage() {
        let long = "é".repeat(3 * SHOWN);
        let text = Text::of(&long, Some(SHOWN..SHOWN + 10));
        assert_eq!(text.passage.chars().count(), 10);
        assert_eq!(text.before.chars().count(), SHOWN / 2);
        assert!(text.cut_before && text.cut_after);
    }

    #[test]
    fn only_web_links_are_links() {
        assert!(is_web("https://example.org/a"));
        for bad in ["javascript:alert(1)", "data:text/html,x", "/path", "file:///etc/passwd"] {
            assert!(!is_web(bad), "{bad}");
        }
    }
}
