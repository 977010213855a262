//! How much a tenant keeps, in Postgres: counted by triggers on the documents.

use crate::db::TenantTx;

/// How many documents there are and how many bytes they came in. Until this transaction is over,
/// nobody else adds or removes one, or asks.
pub(super) async fn lock(tx: &mut TenantTx) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        "
        insert into document_totals (tenant_id) values (current_tenant_id())
        on conflict (tenant_id) do update set tenant_id = excluded.tenant_id
        returning documents, bytes
        "
    )
    .fetch_one(tx.conn())
    .await?;
    Ok((row.documents, row.bytes))
}

/// The files that are on their way, or whose bytes are kept although they failed.
pub(super) async fn waiting(tx: &mut TenantTx) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"
        select count(*) as "files!", coalesce(sum(byte_size), 0)::bigint as "bytes!"
          from ingest_jobs
         where stage in ('received', 'extracted', 'chunked', 'embedded', 'failed')
           and original_id is not null
        "#
    )
    .fetch_one(tx.conn())
    .await?;
    Ok((row.files, row.bytes))
}
