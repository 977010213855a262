//! The part of the document page about its original and what it said before.

use std::collections::HashMap;

use axum::{extract::State, response::Redirect};
use serde::Deserialize;

use super::{
    Admin, Desk, Notice, back, readable,
    view::{self, Moment},
};
use crate::{
    audit::Origin,
    db::Db,
    documents::{
        Document,
        versions::{self, By},
    },
    http::{PageError, csrf::CsrfForm, extract::Path},
    ids::UserId,
    sign_in::SignedIn,
    users,
};

/// What it was.
pub(super) struct History {
    /// The version that is shown, if it is not the current one.
    pub(super) former: Option<i32>,
    pub(super) now_url: String,
    /// Of the version that is shown, if it is kept.
    pub(super) download_url: Option<String>,
    pub(super) restore_url: String,
    pub(super) may_restore: bool,
    /// Newest first.
    pub(super) rows: Vec<Row>,
}

/// A former version.
pub(super) struct Row {
    pub(super) number: i32,
    pub(super) when: Moment,
    pub(super) who: String,
    pub(super) size: String,
    /// The first digits of its SHA-256.
    pub(super) fingerprint: String,
    pub(super) url: String,
    pub(super) is_shown: bool,
    pub(super) has_original: bool,
}

/// Of a document, at this path, where this version is shown.
pub(super) async fn of(
    db: &Db,
    desk: &Desk,
    (id, document): (&str, &Document),
    shown: Option<i32>,
) -> sqlx::Result<History> {
    let mut tx = db.tenant(desk.scope).await?;
    let versions = versions::list(&mut tx, document.id).await?;
    let original = versions::original(&mut tx, document.id, shown).await?;
    drop(tx);
    let ids: Vec<UserId> = versions.iter().filter_map(|version| version.uploaded_by).collect();
    let mut tx = db.control().await?;
    let names: HashMap<UserId, String> = users::store::list_by_id(&mut tx, &ids)
        .await?
        .into_iter()
        .map(|user| (user.id, user.name))
        .collect();
    drop(tx);
    let now_url = format!("/d/{id}");
    let download = match shown {
        None => format!("{now_url}/original"),
        Some(version) => format!("{now_url}/original?version={version}"),
    };
    let who = |user: Option<UserId>| match user {
        Some(user) => names.get(&user).cloned().unwrap_or_else(|| "a deleted user".to_owned()),
        None => "an import or a program".to_owned(),
    };
    Ok(History {
        former: shown,
        download_url: original.map(|_| download),
        restore_url: format!("{now_url}/restore"),
        may_restore: desk.may_manage,
        rows: versions
            .into_iter()
            .map(|version| Row {
                number: version.version,
                when: version.replaced_at.into(),
                who: who(version.uploaded_by),
                size: view::size(version.byte_size),
                fingerprint: version.sha256.chars().take(12).collect(),
                url: format!("{now_url}?version={}", version.version),
                is_shown: shown == Some(version.version),
                has_original: version.has_original,
            })
            .collect(),
        now_url,
    })
}

/// Which version shall be current again.
#[derive(Debug, Deserialize)]
pub(super) struct Restore {
    version: String,
}

/// `POST /d/{document}/restore`
pub(super) async fn restore(
    user: SignedIn,
    State(state): State<Admin>,
    Path(id): Path<String>,
    origin: Origin,
    CsrfForm(asked): CsrfForm<Restore>,
) -> Result<Redirect, PageError> {
    const NOT_TAKEN: &str = "this version cannot be current again: the tenant is full";
    let (desk, document) =
        readable::document(&user, &state.db, &id).await?.ok_or(PageError::NotFound)?;
    if !desk.may_manage {
        return Err(PageError::Forbidden("only an admin may restore a version"));
    }
    let version = asked.version.parse().map_err(|_| PageError::NotFound)?;
    let by = By { user: desk.user.id, origin };
    let which = (&document, version);
    match versions::restore(&state.importer, desk.scope, which, by).await? {
        Some(Ok(_)) => Ok(back(&format!("/d/{id}"), Notice::VersionRestored)),
        Some(Err(_)) => Err(PageError::BadRequest(NOT_TAKEN)),
        None => Err(PageError::NotFound),
    }
}
