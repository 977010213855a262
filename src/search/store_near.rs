//! The candidates of a store whose index is in memory.

use uuid::Uuid;

use super::{
    ranking::{Candidate, Place},
    store::{Asked, CandidateRow},
};
use crate::{db::TenantTx, ids::VectorStoreId};

/// As [`super::store::candidates`], of the chunks at these places and of those that changed since.
/// Each is looked up by its key (`lateral`, `limit`): the planner would rather read the store.
#[expect(clippy::too_many_lines, reason = "it is one statement")]
pub(super) async fn candidates(
    tx: &mut TenantTx,
    store: VectorStoreId,
    asked: &Asked<'_>,
    (places, since): (&[Place], &str),
) -> sqlx::Result<Vec<Candidate>> {
    let documents: Vec<Uuid> = places.iter().map(|place| place.document.uuid()).collect();
    let ordinals: Vec<i32> =
        places.iter().map(|place| i32::try_from(place.chunk).unwrap_or(i32::MAX)).collect();
    let rows = sqlx::query_as!(
        CandidateRow,
        r#"
        with looked_at as materialized (
          select place.document_id, place.ordinal, embedding, terms
            from unnest($6::uuid[], $7::int[]) as place (document_id, ordinal)
           cross join lateral (
             select vector_store_id, changed_in, terms,
                    case when embedded_by = $5 then embedding
                         when next_by = $5 then next_embedding end as embedding
               from chunk_index
              where document_id = place.document_id and ordinal = place.ordinal
              limit 1
           ) chunk
           where vector_store_id = $1 and changed_in < $8::text::xid8
          union all
          select document_id, ordinal,
                 case when embedded_by = $5 then embedding
                      when next_by = $5 then next_embedding end, terms
            from chunk_index
           where vector_store_id = $1 and changed_in >= $8::text::xid8
        ), scored as materialized (
          select document_id, ordinal, embedding,
                 -(embedding <#> (select $3::real[]::halfvec)) as cosine,
                 -(terms <#> (select $2::text::sparsevec)) as bm25
            from looked_at
        ), phrased as materialized (
          select document_id, ordinal
            from scored
            join chunks using (document_id, ordinal)
           where cardinality($4::text[]) > 0
             and (select bool_and(strpos(regexp_replace(lower(body), '\s+', ' ', 'g'), phrase) > 0)
                    from unnest($4::text[]) phrase)
           limit 100
        ), chosen as (
          (select document_id, ordinal
             from scored
            where cosine > 0.1 or bm25 > 0
            order by coalesce(cosine, 0)
                     + 0.4 * bm25 / greatest((select max(bm25) from scored), 0.001) desc,
                     document_id, ordinal
            limit 100)
          union
          (select document_id, ordinal from scored where bm25 > 0
            order by bm25 desc, document_id, ordinal limit 20)
          union
          select document_id, ordinal from phrased
        )
        select document_id as "document_id!", ordinal as "ordinal!", cosine, bm25 as "bm25!",
               case when cosine is not null then embedding::real[] end as embedding,
               (document_id, ordinal) in (select document_id, ordinal from phrased) as "phrased!"
          from chosen
          join scored using (document_id, ordinal)
        "#,
        store.uuid(),
        asked.terms,
        asked.vector as Option<&[f32]>,
        asked.phrases,
        asked.model,
        &documents,
        &ordinals,
        since,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Candidate::from).collect())
}
