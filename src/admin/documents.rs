//! `/t/{tenant}/documents`: what a builtin store holds, a page at a time.

use askama::Template;
use axum::{extract::State, response::Redirect};
use serde::Deserialize;

use super::{
    Admin, Desk, Notice, back, builtin, document,
    forms::Nothing,
    ingest::Coming,
    upload,
    view::{self, Moment, Pager},
};
use crate::{
    audit::{self, Event, Kind, Origin},
    db::Db,
    documents::{self, Document, Wanted},
    http::{
        Frame, Page, PageError,
        csrf::CsrfForm,
        extract::{Path, Query},
    },
    ids::{DocumentId, VectorStoreId},
    neutral::Flag,
    sign_in::{Member, TenantAdmin},
};

#[derive(Template)]
#[template(path = "admin/documents.html")]
pub(super) struct Documents {
    frame: Frame,
    base: String,
    may_manage: bool,
    query: String,
    flagged: bool,
    accept: &'static str,
    upload_limit: usize,
    vector_stores_url: String,
    stores: Vec<Choice>,
    documents: Vec<Row>,
    pager: Pager,
    refused: Vec<upload::Refused>,
    /// What is on its way here; nothing for who may not send.
    coming: Option<Coming>,
}

struct Choice {
    id: VectorStoreId,
    name: String,
    chosen: bool,
}

struct Row {
    id: DocumentId,
    title: String,
    url: String,
    source: String,
    kind: String,
    size: String,
    when: Moment,
    findings: Vec<String>,
    /// Where it is let go, if it waits.
    release_url: Option<String>,
    delete_url: String,
}

/// What the list shows: the fields of its form, and the page.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filter {
    /// Part of a title or file name.
    #[serde(default)]
    pub(super) q: String,
    /// A store's id; the first one when it names none.
    #[serde(default)]
    pub(super) store: String,
    /// Whether to show flagged documents only.
    #[serde(default)]
    pub(super) flagged: String,
    /// Counted from 1.
    #[serde(default)]
    pub(super) page: String,
    /// What the act before was.
    pub(super) notice: Option<String>,
}

/// `GET /t/{tenant}/documents`
pub(super) async fn index(
    member: Member,
    State(db): State<Db>,
    Query(filter): Query<Filter>,
) -> Result<Page<Documents>, PageError> {
    list(&member.into(), &db, filter, Vec::new()).await.map(Page)
}

/// The page, also after an upload of which something was refused.
pub(super) async fn list(
    desk: &Desk,
    db: &Db,
    filter: Filter,
    refused: Vec<upload::Refused>,
) -> Result<Documents, PageError> {
    let base = format!("{}/documents", desk.base());
    let page = filter.page.parse().unwrap_or(1).clamp(1, 100_000);
    let flagged = !filter.flagged.is_empty();
    let mut tx = db.tenant(desk.scope).await?;
    let stores = builtin::list(&mut tx).await?;
    let chosen = stores.iter().find(|store| store.id.to_string() == filter.store);
    let chosen = chosen.or(stores.first()).map(|store| store.id);
    let listing = match chosen {
        Some(store) => {
            let offset = (page - 1) * view::PAGE;
            let flagged = desk.may_manage && flagged;
            let wanted = Wanted { name: &filter.q, flagged, released: !desk.may_manage };
            documents::store::list(&mut tx, store, wanted, offset, view::PAGE).await?
        }
        None => documents::Listing { documents: Vec::new(), total: 0 },
    };
    let coming = match desk.may_manage {
        true => Some(Coming::unfinished(&mut tx, &base).await?),
        false => None,
    };
    drop(tx);
    let pager = Pager::numbered(page, listing.documents.len(), listing.total, |page| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", &filter.q).append_pair("store", &filter.store);
        if flagged {
            query.append_pair("flagged", "on");
        }
        format!("{base}?{}", query.append_pair("page", &page.to_string()).finish())
    });
    Ok(Documents {
        frame: desk.frame("documents", filter.notice.as_deref()),
        may_manage: desk.may_manage,
        accept: upload::ACCEPT,
        upload_limit: upload::FILE_BYTES,
        vector_stores_url: format!("{}/vector-stores", desk.base()),
        stores: stores
            .into_iter()
            .map(|store| Choice {
                chosen: Some(store.id) == chosen,
                id: store.id,
                name: store.name,
            })
            .collect(),
        documents: listing.documents.into_iter().map(|one| row(one, &base, desk)).collect(),
        pager,
        refused,
        coming: coming.filter(|coming| !coming.files.is_empty()),
        query: filter.q,
        flagged,
        base,
    })
}

fn row(document: Document, base: &str, desk: &Desk) -> Row {
    Row {
        findings: if desk.may_manage { findings(&document) } else { Vec::new() },
        url: document::link(&document),
        delete_url: format!("{base}/{}/delete", document.id),
        release_url: document.is_held.then(|| format!("{base}/{}/release", document.id)),
        id: document.id,
        kind: view::media_type(&document.media_type).to_owned(),
        size: view::size(document.byte_size),
        when: document.updated_at.into(),
        source: source(&document.source_key).to_owned(),
        title: document.title,
    }
}

/// What an admin should know of a document, in words.
fn findings(document: &Document) -> Vec<String> {
    let count = |count: i32, one: &str, many: &str| {
        (count > 0).then(|| view::count(count.into(), one, many))
    };
    let removed = [
        count(document.hidden_characters, "hidden character removed", "hidden characters removed"),
        count(document.active_content, "image or script left out", "images or scripts left out"),
    ];
    let flags = document.content_flags.iter().filter_map(|name| Flag::from_name(name));
    let words = flags.map(|flag| match flag {
        Flag::Instructions => "reads like instructions to assistants".to_owned(),
        Flag::EncodedBlob => "holds encoded data".to_owned(),
        Flag::SuspiciousUrl => "holds a suspicious address".to_owned(),
    });
    removed.into_iter().flatten().chain(words).collect()
}

/// Where a document came from, without the word for the kind of source.
pub(super) fn source(key: &str) -> &str {
    key.split_once(':').map_or(key, |(_, name)| name)
}

/// What an admin did with a document.
fn about(
    event: Event,
    admin: &TenantAdmin,
    origin: &Origin,
    (document, title): (DocumentId, &str),
) -> Event {
    event
        .tenant(admin.tenant.id)
        .user(admin.user.id)
        .from(origin)
        .with("document", document.to_string())
        .with("title", title)
}

/// `POST /t/{tenant}/documents/{document}/release`
pub(super) async fn release(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((slug, document)): Path<(String, DocumentId)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let mut tx = state.db.tenant(admin.scope()).await?;
    let Some(title) = documents::store::release(&mut tx, document).await? else {
        return Err(PageError::NotFound);
    };
    let what = Event::new(Kind::DocumentReleased, state.clock.now());
    let event = about(what, &admin, &origin, (document, &title));
    audit::store::append(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(back(&format!("/t/{slug}/documents"), Notice::DocumentReleased))
}

/// `POST /t/{tenant}/documents/{document}/delete`
pub(super) async fn delete(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((slug, document)): Path<(String, DocumentId)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let mut tx = state.db.tenant(admin.scope()).await?;
    let Some(gone) = documents::store::delete(&mut tx, document).await? else {
        return Err(PageError::NotFound);
    };
    let what = Event::new(Kind::DocumentDeleted, state.clock.now());
    let event = about(what, &admin, &origin, (gone.id, &gone.title));
    audit::store::append(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(back(&format!("/t/{slug}/documents"), Notice::DocumentDeleted))
}
