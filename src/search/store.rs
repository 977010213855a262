//! Ranked passages of the builtin store in Postgres.

use uuid::Uuid;

use crate::{
    db::TenantTx,
    ids::{DocumentId, VectorStoreId},
};

/// The best passage of a document.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) document: DocumentId,
    pub(super) title: String,
    pub(super) chunk: u32,
    pub(super) body: String,
}

struct PassageRow {
    document_id: Uuid,
    title: String,
    ordinal: i32,
    body: String,
}

impl From<PassageRow> for Passage {
    fn from(row: PassageRow) -> Self {
        Self {
            document: row.document_id.into(),
            title: row.title,
            chunk: row.ordinal.unsigned_abs(),
            body: row.body,
        }
    }
}

/// The stems of a question's words, without stop words.
pub(super) async fn stems(tx: &mut TenantTx, query: &str) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select lexeme as "lexeme!" from unnest(to_tsvector('english', $1)) order by positions"#,
        query,
    )
    .fetch_all(tx.conn())
    .await
}

/// The documents of a store that have any of a question's words, best first, with the passage that
/// answers best.
///
/// A passage scores the sum over the question's words of how rare the word is in this store times
/// how much of the passage it makes up, saturating (`ts_rank` of one word is the partial sum of
/// 1/n², the headings' words weighing more). Words are OR-ed: questions rarely have all their
/// words in one passage. A document scores its best passage, and a little of the rest.
///
/// What is counted once is materialized: the planner takes every step for a row or two, and would
/// count the store again for each passage.
pub(super) async fn ranked(
    tx: &mut TenantTx,
    store: VectorStoreId,
    query: &str,
    limit: i64,
) -> sqlx::Result<Vec<Passage>> {
    let rows = sqlx::query_as!(
        PassageRow,
        r#"
        with word as materialized (
          select lexeme, cardinality(positions) as times,
                 ('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''')::tsquery as query
            from unnest(to_tsvector('english', $2))
           order by cardinality(positions) desc, lexeme
           limit 64
        ), posting as materialized (
          select word.lexeme, word.times, chunk.document_id, chunk.ordinal,
                 ts_rank('{0.6, 0.6, 0.8, 1.0}', chunk.lexemes, word.query) as weight
            from chunks chunk
            join word on chunk.lexemes @@ word.query
           where chunk.vector_store_id = $1
        ), rarity as materialized (
          select lexeme, ln(1 + (size.n - found.n + 0.5) / (found.n + 0.5)) as factor
            from (select lexeme, count(*)::float8 as n from posting group by lexeme) found
           cross join (select count(*)::float8 as n from chunks where vector_store_id = $1) size
        ), passage as materialized (
          select document_id, ordinal, sum(times * factor * weight) as score
            from posting join rarity using (lexeme)
           group by document_id, ordinal
        ), placed as (
          select document_id, ordinal, score,
                 row_number() over (partition by document_id order by score desc, ordinal) as place
            from passage
        ), best as (
          select document_id,
                 min(ordinal) filter (where place = 1) as ordinal,
                 sum(score * case place when 1 then 1.0 when 2 then 0.1 else 0.05 end) as score
            from placed
           where place <= 3
           group by document_id
           order by 3 desc, 1
           limit $3
        )
        select best.document_id as "document_id!", document.title, best.ordinal as "ordinal!",
               chunk.body
          from best
          join documents document on document.id = best.document_id
          join chunks chunk on chunk.document_id = best.document_id and chunk.ordinal = best.ordinal
         order by best.score desc, best.document_id
        "#,
        store.uuid(),
        query,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Passage::from).collect())
}
