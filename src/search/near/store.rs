//! A store into memory and out of Postgres, what changed since, and how well it is found.

use sqlx::{
    Decode, Postgres, Type,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValueRef},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::index::Builder;
use crate::{db::TenantTx, ids::VectorStoreId, search::ranking::Place};

/// pgvector's sparse vector, as it is sent: how many dimensions, how many numbers, nothing, the
/// dimensions counted from 0, the numbers.
#[derive(Debug)]
struct Sparse(Vec<(i32, f32)>);

impl Type<Postgres> for Sparse {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("sparsevec")
    }
}

impl<'r> Decode<'r, Postgres> for Sparse {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let mut numbers =
            value.as_bytes()?.chunks_exact(4).map(|four| four.try_into().unwrap_or_default());
        let count = usize::try_from(numbers.nth(1).map_or(0, i32::from_be_bytes))?;
        let rest: Vec<[u8; 4]> = numbers.skip(1).collect();
        let (dimensions, weights) =
            rest.split_at_checked(count).ok_or("a sparse vector is too short")?;
        let terms = dimensions.iter().zip(weights);
        Ok(Self(
            terms
                .map(|(at, weight)| (i32::from_be_bytes(*at) + 1, f32::from_be_bytes(*weight)))
                .collect(),
        ))
    }
}

/// From which transaction on changes may be missing in what is read after this.
pub(super) async fn horizon(tx: &mut TenantTx) -> sqlx::Result<String> {
    sqlx::query_scalar!(r#"select pg_snapshot_xmin(pg_current_snapshot())::text as "xmin!""#)
        .fetch_one(tx.conn())
        .await
}

/// The documents of a store.
pub(super) async fn documents(tx: &mut TenantTx, store: VectorStoreId) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!("select id from documents where vector_store_id = $1", store.uuid())
        .fetch_all(tx.conn())
        .await
}

/// Read the chunks of these documents, with what this model made of them.
pub(super) async fn load(
    tx: &mut TenantTx,
    (documents, model): (&[Uuid], i16),
    into: &mut Builder,
) -> sqlx::Result<()> {
    let rows = sqlx::query!(
        r#"
        select document_id, ordinal, terms as "terms: Sparse",
               case when embedded_by = $2 then binary_quantize(embedding)::text
                    when next_by = $2 then binary_quantize(next_embedding)::text end as signs
          from chunk_index
         where document_id = any($1)
        "#,
        documents,
        model,
    )
    .fetch_all(tx.conn())
    .await?;
    for row in rows {
        let place = Place { document: row.document_id.into(), chunk: row.ordinal.unsigned_abs() };
        into.add(place, row.terms.0.into_iter(), row.signs.as_deref());
    }
    Ok(())
}

/// How many chunks are as they were before this transaction, and how many are not.
pub(super) async fn changes(
    tx: &mut TenantTx,
    store: VectorStoreId,
    since: &str,
) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"
        select count(*) filter (where changed_in < $2::text::xid8) as "old!",
               count(*) filter (where changed_in >= $2::text::xid8) as "new!"
          from chunk_index
         where vector_store_id = $1
        "#,
        store.uuid(),
        since,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok((row.old, row.new))
}

/// A chunk to ask about.
#[derive(Debug)]
pub(in crate::search) struct Sample {
    pub(in crate::search) body: String,
    pub(in crate::search) vector: Option<Vec<f32>>,
}

/// Some chunks of a store, none more likely than another, with what this model made of them.
pub(in crate::search) async fn samples(
    tx: &mut TenantTx,
    (store, model): (VectorStoreId, i16),
    count: i64,
) -> sqlx::Result<Vec<Sample>> {
    sqlx::query_as!(
        Sample,
        r#"
        select chunk.body,
               case when index.embedded_by = $3 then index.embedding::real[]
                    when index.next_by = $3 then index.next_embedding::real[] end as vector
          from (select document_id, ordinal
                  from chunk_index
                 where vector_store_id = $1
                 order by random()
                 limit $2) as picked
          join chunk_index index using (document_id, ordinal)
          join chunks chunk using (document_id, ordinal)
        "#,
        store.uuid(),
        count,
        model,
    )
    .fetch_all(tx.conn())
    .await
}

/// How well a store was found, last time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recall {
    /// Of the ten best, the share that the index in memory finds too.
    pub recall: f32,
    /// How many questions that goes by.
    pub questions: i32,
    /// How many chunks the store had.
    pub chunks: i32,
    /// When.
    pub measured_at: OffsetDateTime,
}

/// Keep what was measured; nothing where the store is gone.
pub(super) async fn record(
    tx: &mut TenantTx,
    store: VectorStoreId,
    measured: &Recall,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into search_recall (tenant_id, vector_store_id, recall, questions, chunks,
                                   measured_at)
        select tenant_id, id, $2, $3, $4, $5 from vector_stores where id = $1
        on conflict (tenant_id, vector_store_id)
        do update set recall = excluded.recall, questions = excluded.questions,
                      chunks = excluded.chunks, measured_at = excluded.measured_at
        ",
        store.uuid(),
        measured.recall,
        measured.questions,
        measured.chunks,
        measured.measured_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What was measured last; `None` for stores that are looked at chunk by chunk.
pub(in crate::search) async fn recall(
    tx: &mut TenantTx,
    store: VectorStoreId,
) -> sqlx::Result<Option<Recall>> {
    sqlx::query_as!(
        Recall,
        "select recall, questions, chunks, measured_at from search_recall where vector_store_id = $1",
        store.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
}
