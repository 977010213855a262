//! A look at a watched place, in Postgres: whose turn it is, what was known, and what came of it.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    db::{ControlTx, TenantTx},
    ids::{TenantId, VectorStoreId},
};

/// A place whose turn it is.
pub(super) struct Due {
    pub(super) tenant: TenantId,
    pub(super) slug: String,
    pub(super) store: VectorStoreId,
    pub(super) fence: i64,
}

/// Take the place that has waited longest. Of any number of nodes one gets it.
pub(super) async fn claim(
    tx: &mut ControlTx,
    owner: Uuid,
    (now, until): (OffsetDateTime, OffsetDateTime),
) -> sqlx::Result<Option<Due>> {
    sqlx::query_as!(
        Due,
        r#"
        with due as (
          select tenant_id, vector_store_id
            from watched_places
           where next_look_at <= $2 and (leased_until is null or leased_until <= $2)
           order by next_look_at
           limit 1
             for update skip locked)
        update watched_places place
           set lease_owner = $1, leased_until = $3, fence = place.fence + 1
          from due, tenants
         where place.tenant_id = due.tenant_id and place.vector_store_id = due.vector_store_id
           and tenants.id = due.tenant_id
        returning place.tenant_id as "tenant: TenantId", tenants.slug as "slug!",
                  place.vector_store_id as "store: VectorStoreId", place.fence
        "#,
        owner,
        now,
        until,
    )
    .fetch_optional(tx.conn())
    .await
}

/// The place that was claimed, with its sealed secret, held until the transaction ends; `None` when
/// it is not ours any more.
pub(super) async fn hold(
    tx: &mut TenantTx,
    store: VectorStoreId,
    (owner, fence): (Uuid, i64),
) -> sqlx::Result<bool> {
    let held = sqlx::query_scalar!(
        r#"
        select true as "held!"
          from watched_places
         where vector_store_id = $1 and lease_owner = $2 and fence = $3
           for update
        "#,
        store.uuid(),
        owner,
        fence,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(held.is_some())
}

pub(super) async fn secret(
    tx: &mut TenantTx,
    store: VectorStoreId,
) -> sqlx::Result<Option<Vec<u8>>> {
    let sealed = sqlx::query_scalar!(
        "select secret_sealed from watched_places where vector_store_id = $1",
        store.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(sealed.flatten())
}

/// A file as it was last seen.
pub(super) struct Known {
    pub(super) path: String,
    pub(super) mark: String,
}

pub(super) async fn files(tx: &mut TenantTx, store: VectorStoreId) -> sqlx::Result<Vec<Known>> {
    sqlx::query_as!(
        Known,
        "select path, mark from watched_files where vector_store_id = $1 order by path",
        store.uuid(),
    )
    .fetch_all(tx.conn())
    .await
}

/// What came of a file.
pub(super) async fn note(
    tx: &mut TenantTx,
    store: VectorStoreId,
    (path, mark): (&str, &str),
    outcome: Result<&[u8; 32], &str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into watched_files (tenant_id, vector_store_id, path, mark, content_hash, failure)
        values (current_tenant_id(), $1, $2, $3, $4, $5)
        on conflict (tenant_id, vector_store_id, path)
        do update set mark = excluded.mark, content_hash = excluded.content_hash,
                      failure = excluded.failure
        ",
        store.uuid(),
        path,
        mark,
        outcome.ok().map(<[u8; 32]>::as_slice),
        outcome.err(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forget a file, and find one that holds the same, if there is one.
pub(super) async fn forget(
    tx: &mut TenantTx,
    store: VectorStoreId,
    path: &str,
) -> sqlx::Result<Option<String>> {
    let heir = sqlx::query_scalar!(
        r#"
        with gone as (
          delete from watched_files where vector_store_id = $1 and path = $2
          returning content_hash)
        select (select other.path from watched_files other
                 where other.vector_store_id = $1 and other.path <> $2
                   and other.content_hash = gone.content_hash
                 order by other.path limit 1) as heir
          from gone
        "#,
        store.uuid(),
        path,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(heir.flatten())
}

/// What came of a look.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) failure: Option<&'static str>,
    pub(super) files: usize,
    pub(super) waiting: usize,
    pub(super) removed: i64,
}

/// Give the place back, to be looked at again at `next` unless somebody wants that sooner.
pub(super) async fn finish(
    tx: &mut TenantTx,
    store: VectorStoreId,
    looked: &Looked,
    (since, now, next): (OffsetDateTime, OffsetDateTime, OffsetDateTime),
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update watched_places
           set lease_owner = null, leased_until = null, looked_at = $2, failure = $3,
               files = case when $3::text is null then $4 else files end,
               waiting = case when $3::text is null then $5 else waiting end,
               removed = removed + $6,
               next_look_at = case when next_look_at > $8 then next_look_at else $7 end
         where vector_store_id = $1
        ",
        store.uuid(),
        now,
        looked.failure,
        i32::try_from(looked.files).unwrap_or(i32::MAX),
        i32::try_from(looked.waiting).unwrap_or(i32::MAX),
        looked.removed,
        next,
        since,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
