//! How a tenant presents its connection, in Postgres.

use time::OffsetDateTime;

use super::connection::Connection;
use crate::{db::TenantTx, ids::TenantId};

/// Hold off other changes of it until the transaction ends: there may be no row yet to hold.
pub(super) async fn hold(tx: &mut TenantTx, tenant: TenantId) -> sqlx::Result<()> {
    sqlx::query!(
        r#"select pg_advisory_xact_lock(hashtextextended($1::text, 2)) as "held: ()""#,
        format!("tenant_connections/{tenant}"),
    )
    .fetch_one(tx.conn())
    .await
    .map(drop)
}

/// The tenant's own.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut TenantTx) -> sqlx::Result<Connection> {
    let found = sqlx::query_as!(
        Connection,
        r#"
        select name, description, delimits_text, holds_documents,
               updated_at as "updated_at?"
          from tenant_connections
        "#
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(found.unwrap_or_default())
}

/// Whether what documents say goes out between marks.
///
/// # Errors
/// When the database fails.
pub async fn delimits_text(tx: &mut TenantTx) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!("select delimits_text from tenant_connections")
        .fetch_optional(tx.conn())
        .await?;
    Ok(found.unwrap_or_default())
}

/// Whether new documents wait until an admin has looked at them.
///
/// # Errors
/// When the database fails.
pub async fn holds_documents(tx: &mut TenantTx) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!("select holds_documents from tenant_connections")
        .fetch_optional(tx.conn())
        .await?;
    Ok(found.unwrap_or_default())
}

/// Put this in place of what there is.
pub(super) async fn save(
    tx: &mut TenantTx,
    wanted: &Connection,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into tenant_connections (tenant_id, name, description, delimits_text,
                                        holds_documents, updated_at)
        values (current_tenant_id(), $1, $2, $3, $4, $5)
            on conflict (tenant_id) do update
           set name = excluded.name, description = excluded.description,
               delimits_text = excluded.delimits_text,
               holds_documents = excluded.holds_documents, updated_at = excluded.updated_at
        ",
        wanted.name,
        wanted.description,
        wanted.delimits_text,
        wanted.holds_documents,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
