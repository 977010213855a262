//! Embeddings in Postgres: what waits for one, how it is kept, and how one takes another's place.

use uuid::Uuid;

use crate::{
    db::{ControlTx, TenantTx},
    embeddings::Vector,
    ids::{TenantId, VectorStoreId},
    vector_stores::Models,
};

/// A store with chunks that wait.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) tenant: TenantId,
    pub(super) store: VectorStoreId,
    noted: i64,
}

/// A chunk that waits.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) document_id: Uuid,
    pub(super) ordinal: i32,
    /// Another one once the chunk was replaced.
    pub(super) version: String,
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

/// Some of a store's chunks that wait for the active model and that nobody else has taken; none that
/// it does not take.
pub(super) async fn take(
    tx: &mut TenantTx,
    store: VectorStoreId,
    active: i16,
    most: i64,
) -> sqlx::Result<Vec<Chunk>> {
    sqlx::query_as!(
        Chunk,
        r#"
        select index.document_id, index.ordinal, chunk.xmin::text as "version!", document.title,
               chunk.heading, chunk.body
          from chunk_index index
          join chunks chunk using (document_id, ordinal)
          join documents document on document.id = index.document_id
         where index.vector_store_id = $1 and index.embedding is null
           and index.next_by is distinct from $2
           and not exists (select from refused_passages refused
                            where refused.document_id = index.document_id
                              and refused.ordinal = index.ordinal and refused.model = $2)
         limit $3
           for update of index skip locked
        "#,
        store.uuid(),
        active,
        most,
    )
    .fetch_all(tx.conn())
    .await
}

/// Some of a store's chunks that wait for the model in the making. Those whose vector by the active
/// one has not moved to its place yet wait for that first.
pub(super) async fn take_for_next(
    tx: &mut TenantTx,
    store: VectorStoreId,
    (active, next): (i16, i16),
    most: i64,
) -> sqlx::Result<Vec<Chunk>> {
    sqlx::query_as!(
        Chunk,
        r#"
        select index.document_id, index.ordinal, chunk.xmin::text as "version!", document.title,
               chunk.heading, chunk.body
          from chunk_index index
          join chunks chunk using (document_id, ordinal)
          join documents document on document.id = index.document_id
         where index.vector_store_id = $1
           and index.next_by is distinct from $2 and index.next_by is distinct from $3
           and not exists (select from refused_passages refused
                            where refused.document_id = index.document_id
                              and refused.ordinal = index.ordinal and refused.model = $3)
         limit $4
           for update of index skip locked
        "#,
        store.uuid(),
        active,
        next,
        most,
    )
    .fetch_all(tx.conn())
    .await
}

/// Keep the vectors that a model made: of chunks that still say what they said, and if the store
/// still goes by it, or will.
pub(super) async fn put(
    tx: &mut TenantTx,
    (store, by): (VectorStoreId, i16),
    chunks: &[Chunk],
    vectors: &[Vector],
) -> sqlx::Result<()> {
    let documents: Vec<Uuid> = chunks.iter().map(|chunk| chunk.document_id).collect();
    let ordinals: Vec<i32> = chunks.iter().map(|chunk| chunk.ordinal).collect();
    let versions: Vec<String> = chunks.iter().map(|chunk| chunk.version.clone()).collect();
    let vectors: Vec<String> = vectors.iter().map(literal).collect();
    sqlx::query!(
        "
        with made as materialized (
          select made.document_id, made.ordinal, made.vector::halfvec as vector,
                 store.embedded_by = $5 as is_active, store.embedded_by as active
            from unnest($1::uuid[], $2::int[], $3::text[], $4::text[])
                 as made (document_id, ordinal, version, vector)
            join vector_stores store
              on store.id = $6 and $5 in (store.embedded_by, store.next_embedded_by)
            join chunks chunk
              on chunk.document_id = made.document_id and chunk.ordinal = made.ordinal
             and chunk.xmin::text = made.version
        )
        update chunk_index index
           set embedding = case when is_active then vector else embedding end,
               embedded_by = case when is_active then $5 else embedded_by end,
               changed_in = case when is_active then pg_current_xact_id() else changed_in end,
               next_embedding = case when is_active then next_embedding else vector end,
               next_by = case when is_active then next_by else $5 end
          from made
         where index.document_id = made.document_id and index.ordinal = made.ordinal
           and case when is_active then index.embedding is null
                    else index.next_by is distinct from active end
        ",
        &documents,
        &ordinals,
        &versions,
        &vectors,
        by,
        store.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Whether a chunk of this store has no vector by the model in the making, which takes it.
pub(super) async fn lacks(
    tx: &mut TenantTx,
    store: VectorStoreId,
    next: i16,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        select exists (
          select from chunk_index index
           where vector_store_id = $1 and next_by is distinct from $2
             and not exists (select from refused_passages refused
                              where refused.document_id = index.document_id
                                and refused.ordinal = index.ordinal
                                and refused.model = $2)) as "lacks!"
        "#,
        store.uuid(),
        next,
    )
    .fetch_one(tx.conn())
    .await
}

/// Move some of the active model's vectors from the second place to the first, and forget some of
/// models that never became active or are not any more. How many.
pub(super) async fn settle(
    tx: &mut TenantTx,
    store: VectorStoreId,
    models: Models,
    most: i64,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "
        with settled as materialized (
          select document_id, ordinal
            from chunk_index
           where vector_store_id = $1
             and case when next_by is null then embedded_by <> $2
                      else next_by is distinct from $3 end
           limit $4
             for update skip locked
        )
        update chunk_index index
           set embedding = case when next_by = $2 then next_embedding
                                when embedded_by = $2 then embedding end,
               embedded_by = case when $2 in (next_by, embedded_by) then $2::smallint end,
               next_embedding = null, next_by = null, changed_in = pg_current_xact_id()
          from settled
         where index.document_id = settled.document_id and index.ordinal = settled.ordinal
        ",
        store.uuid(),
        models.active,
        models.next,
        most,
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

/// Nothing of this store waits, unless something was added since, or somebody else is at it.
pub(super) async fn forget(tx: &mut TenantTx, waiting: &Waiting, active: i16) -> sqlx::Result<()> {
    sqlx::query!(
        "
        delete from embedding_backlog
         where vector_store_id = $1 and noted = $2
           and not exists (select from chunk_index index
                            where vector_store_id = $1
                              and (next_by is not null
                                   or embedding is null and not exists (
                                        select from refused_passages refused
                                         where refused.document_id = index.document_id
                                           and refused.ordinal = index.ordinal
                                           and refused.model = $3)))
           and exists (select from vector_stores
                        where id = $1 and embedded_by = $3 and next_embedded_by is null)
        ",
        waiting.store.uuid(),
        waiting.noted,
        active,
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

/// How many chunks a store has, how many of them the active model has embedded, how many the one in
/// the making, and about how many tokens they are.
pub(super) async fn progress(
    tx: &mut TenantTx,
    store: VectorStoreId,
    models: Models,
) -> sqlx::Result<Progress> {
    sqlx::query_as!(
        Progress,
        r#"
        select count(*) as "chunks!",
               count(*) filter (where $2 in (embedded_by, next_by)) as "embedded!",
               count(*) filter (where next_by = $3) as "prepared!",
               (select coalesce(sum(end_char - start_char), 0) / 4
                  from chunks where vector_store_id = $1) as "tokens!"
          from chunk_index
         where vector_store_id = $1
        "#,
        store.uuid(),
        models.active,
        models.next,
    )
    .fetch_one(tx.conn())
    .await
}

/// See [`progress`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) chunks: i64,
    pub(super) embedded: i64,
    pub(super) prepared: i64,
    pub(super) tokens: i64,
}
