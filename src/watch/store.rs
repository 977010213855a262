//! Watched places in Postgres, as admins set and see them.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{New, Place, Watched};
use crate::{db::TenantTx, ids::VectorStoreId};

/// What a store follows.
///
/// # Errors
/// When the database fails.
pub async fn find(
    tx: &mut TenantTx,
    store: VectorStoreId,
    now: OffsetDateTime,
) -> sqlx::Result<Option<Watched>> {
    let row = sqlx::query!(
        r#"
        select folder, endpoint, bucket, region, prefix, access_key_id, looked_at, failure, files,
               waiting, removed, coalesce(leased_until > $2, false) as "is_running!"
          from watched_places
         where vector_store_id = $1
        "#,
        store.uuid(),
        now,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Watched {
        place: match row.folder {
            Some(folder) => Place::Folder(folder),
            None => Place::Bucket {
                endpoint: row.endpoint.unwrap_or_default(),
                bucket: row.bucket.unwrap_or_default(),
                region: row.region.unwrap_or_default(),
                prefix: row.prefix.unwrap_or_default(),
                access_key_id: row.access_key_id.unwrap_or_default(),
            },
        },
        looked_at: row.looked_at,
        is_running: row.is_running,
        failure: row.failure,
        files: row.files,
        waiting: row.waiting,
        removed: row.removed,
    }))
}

/// Which of the tenant's stores follow a place.
///
/// # Errors
/// When the database fails.
pub async fn followers(tx: &mut TenantTx) -> sqlx::Result<Vec<VectorStoreId>> {
    sqlx::query_scalar!(r#"select vector_store_id as "id: VectorStoreId" from watched_places"#)
        .fetch_all(tx.conn())
        .await
}

/// The files of a store's place that were not taken, and why.
///
/// # Errors
/// When the database fails.
pub async fn failures(
    tx: &mut TenantTx,
    store: VectorStoreId,
) -> sqlx::Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        r#"
        select path, failure as "failure!"
          from watched_files
         where vector_store_id = $1 and failure is not null
         order by path
         limit 50
        "#,
        store.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.path, row.failure)).collect())
}

/// In place of any before, whose files it does not know.
pub(super) async fn save(
    tx: &mut TenantTx,
    store: VectorStoreId,
    new: &New,
    (sealed, now): (Option<&[u8]>, OffsetDateTime),
) -> sqlx::Result<bool> {
    remove(tx, store).await?;
    let (folder, bucket) = match &new.place {
        Place::Folder(folder) => (Some(folder.as_str()), None),
        Place::Bucket { endpoint, bucket, region, prefix, access_key_id } => {
            (None, Some([endpoint, bucket, region, prefix, access_key_id].map(String::as_str)))
        }
    };
    let part = |number: usize| bucket.map(|parts| parts[number]);
    let saved = sqlx::query!(
        "
        insert into watched_places (tenant_id, vector_store_id, revision, folder, endpoint, bucket,
                                    region, prefix, access_key_id, secret_sealed, created_by,
                                    created_at, next_look_at)
        select tenant_id, id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11
          from vector_stores
         where id = $1 and backend = 'builtin'
           for key share
        ",
        store.uuid(),
        Uuid::now_v7(),
        folder,
        part(0),
        part(1),
        part(2),
        part(3),
        part(4),
        sealed.filter(|_| bucket.is_some()),
        new.user.uuid(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(saved.rows_affected() == 1)
}

pub(super) async fn remove(tx: &mut TenantTx, store: VectorStoreId) -> sqlx::Result<bool> {
    let gone = sqlx::query!("delete from watched_places where vector_store_id = $1", store.uuid())
        .execute(tx.conn())
        .await?;
    Ok(gone.rows_affected() == 1)
}

/// Have it looked at now; `false` when nothing is followed.
///
/// # Errors
/// When the database fails.
pub async fn look_now(
    tx: &mut TenantTx,
    store: VectorStoreId,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let asked = sqlx::query!(
        "update watched_places set next_look_at = $2 where vector_store_id = $1",
        store.uuid(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(asked.rows_affected() == 1)
}
