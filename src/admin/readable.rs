//! Which documents a user may read, and at which desk.

use super::Desk;
use crate::{
    db::Db,
    documents::{self, Document},
    search::{Reference, id::Target},
    sign_in::SignedIn,
    vector_stores::{self, VectorStore},
};

/// Where in the user's own tenants the store is that an id names: it names no tenant.
pub(super) async fn desk(
    user: &SignedIn,
    db: &Db,
    reference: &Reference,
) -> sqlx::Result<Option<(Desk, VectorStore)>> {
    let slugs: Vec<String> =
        user.memberships.iter().map(|(tenant, _)| tenant.slug.clone()).collect();
    for desk in slugs.iter().filter_map(|slug| user.clone().into_member(slug)).map(Desk::from) {
        let mut tx = db.tenant(desk.scope).await?;
        if let Some(store) = vector_stores::store::find(&mut tx, reference.store).await? {
            return Ok(Some((desk, store)));
        }
    }
    Ok(None)
}

/// A builtin document that the user may read, and where.
pub(super) async fn document(
    user: &SignedIn,
    db: &Db,
    id: &str,
) -> sqlx::Result<Option<(Desk, Document)>> {
    let Some(reference) = Reference::parse(id) else { return Ok(None) };
    let Some((desk, _)) = desk(user, db, &reference).await? else { return Ok(None) };
    let document = find(db, &desk, &reference).await?;
    Ok(document.map(|document| (desk, document)))
}

/// The document, unless it waits for an admin and the visitor is none.
pub(super) async fn find(
    db: &Db,
    desk: &Desk,
    reference: &Reference,
) -> sqlx::Result<Option<Document>> {
    let Target::Builtin { document, .. } = reference.document else { return Ok(None) };
    let mut tx = db.tenant(desk.scope).await?;
    let found = documents::store::find(&mut tx, document).await?;
    Ok(found.filter(|document| {
        let is_hidden = document.is_held && !desk.may_manage;
        document.vector_store_id == reference.store && !is_hidden
    }))
}
