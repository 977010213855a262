//! Embeddings in Postgres: what waits for one, and how it is kept.

use uuid::Uuid;

use crate::{
    db::{ControlTx, TenantTx},
    embeddings::{MODEL, Vector},
    ids::{TenantId, VectorStoreId},
};

/// A store with chunks that wait.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) tenant: TenantId,
    pub(super) store: VectorStoreId,
    noted: i64,
}

/// A chunk that waits.
#[derive(Debug)]
pub(super) struct Chunk {
    document_id: Uuid,
    ordinal: i32,
    pub(super) title: String,
    pub(super) heading: String,
    pub(super) body: String,
}

/// As pgvector reads it.
pub(in crate::documents) fn literal(vector: &Vector) -> String {
    let numbers: Vec<String> = vector.iter().map(f32::to_string).collect();
    format!("[{}]", numbers.join(","))
}

/// Remember that a store has chunks that wait.
pub(in crate::documents) async fn note(
    tx: &mut TenantTx,
    store: VectorStoreId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into embedding_backlog as known (tenant_id, vector_store_id)
        values (current_tenant_id(), $1)
        on conflict (tenant_id, vector_store_id) do update set noted = known.noted + 1
        ",
        store.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The stores that have chunks that wait.
pub(super) async fn waiting(tx: &mut ControlTx) -> sqlx::Result<Vec<Waiting>> {
    let rows = sqlx::query!(
        "select tenant_id, vector_store_id, noted from embedding_backlog
          order by tenant_id, vector_store_id",
    )
    .fetch_all(tx.conn())
    .await?;
    let waiting = rows.into_iter().map(|row| Waiting {
        tenant: row.tenant_id.into(),
        store: row.vector_store_id.into(),
        noted: row.noted,
    });
    Ok(waiting.collect())
}

/// Some of a store's chunks that wait and that nobody else has taken.
pub(super) async fn take(
    tx: &mut TenantTx,
    store: VectorStoreId,
    most: i64,
) -> sqlx::Result<Vec<Chunk>> {
    sqlx::query_as!(
        Chunk,
        "
        select index.document_id, index.ordinal, document.title, chunk.heading, chunk.body
          from chunk_index index
          join chunks chunk using (document_id, ordinal)
          join documents document on document.id = index.document_id
         where index.vector_store_id = $1 and index.embedding is null
         limit $2
           for update of index skip locked
        ",
        store.uuid(),
        most,
    )
    .fetch_all(tx.conn())
    .await
}

/// Keep their vectors.
pub(super) async fn put(
    tx: &mut TenantTx,
    chunks: &[Chunk],
    vectors: &[Vector],
) -> sqlx::Result<()> {
    let documents: Vec<Uuid> = chunks.iter().map(|chunk| chunk.document_id).collect();
    let ordinals: Vec<i32> = chunks.iter().map(|chunk| chunk.ordinal).collect();
    let vectors: Vec<String> = vectors.iter().map(literal).collect();
    sqlx::query!(
        "
        update chunk_index index
           set embedding = made.vector::halfvec, embedded_by = $4,
               changed_in = pg_current_xact_id()
          from unnest($1::uuid[], $2::int[], $3::text[]) as made (document_id, ordinal, vector)
         where index.document_id = made.document_id and index.ordinal = made.ordinal
        ",
        &documents,
        &ordinals,
        &vectors,
        MODEL,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Nothing of this store waits, unless something was added since, or somebody else is at it.
pub(super) async fn forget(tx: &mut TenantTx, waiting: &Waiting) -> sqlx::Result<()> {
    sqlx::query!(
        "
        delete from embedding_backlog
         where vector_store_id = $1 and noted = $2
           and not exists (select from chunk_index
                            where vector_store_id = $1 and embedding is null)
        ",
        waiting.store.uuid(),
        waiting.noted,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Whether any of the tenant's stores waits.
pub(super) async fn is_behind(tx: &mut TenantTx) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from embedding_backlog) as "behind!""#)
        .fetch_one(tx.conn())
        .await
}
