//! Candidates and passages of the builtin store in Postgres.

use uuid::Uuid;

use super::{
    filter::Filter,
    ranking::{Candidate, Place},
};
use crate::{db::TenantTx, ids::VectorStoreId};

/// A passage with its document's title.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) place: Place,
    pub(super) title: String,
    pub(super) body: String,
}

/// A candidate as it is read.
pub(super) struct CandidateRow {
    pub(super) document_id: Uuid,
    pub(super) ordinal: i32,
    pub(super) cosine: Option<f64>,
    pub(super) bm25: f64,
    pub(super) embedding: Option<Vec<f32>>,
    pub(super) phrased: bool,
}

impl From<CandidateRow> for Candidate {
    fn from(row: CandidateRow) -> Self {
        Self {
            place: Place { document: row.document_id.into(), chunk: row.ordinal.unsigned_abs() },
            cosine: row.cosine,
            bm25: row.bm25,
            embedding: row.embedding,
            phrased: row.phrased,
        }
    }
}

/// A question, as far as Postgres is asked.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// Its terms with their weights, as pgvector reads them.
    pub(super) terms: &'a str,
    /// Of length one; `None` where there is no model.
    pub(super) vector: Option<&'a [f32]>,
    /// Which of the store's models made it: only that one's vectors are compared with it.
    pub(super) model: i16,
    /// In lower case: what passages must have word for word to be favoured.
    pub(super) phrases: &'a [String],
    /// Which documents may answer.
    pub(super) filter: Option<&'a Filter>,
}

/// The passages of a store that may answer a question: the best hundred by both halves added up, the
/// best twenty by words alone, and those with its phrases.
///
/// Every chunk of the store is scored, exactly, by the cosine of its embedding and the question's,
/// and by BM25: the inner product of its terms, weighed when they were stored, and the question's,
/// weighed by how rare they are in this store, as often as they are in the question. The question's
/// half is read once, by a subquery: as a parameter it would be at each chunk. A phrase is looked for
/// among the 2,000 chunks that have most of its words, or anywhere if all of them are stop words.
#[expect(clippy::too_many_lines, reason = "it is one statement")]
pub(super) async fn candidates(
    tx: &mut TenantTx,
    store: VectorStoreId,
    asked: &Asked<'_>,
) -> sqlx::Result<Vec<Candidate>> {
    let rows = sqlx::query_as!(
        CandidateRow,
        r#"
        with scored as materialized (
          select document_id, ordinal,
                 case when embedded_by = $5
                      then -(embedding <#> (select $3::real[]::halfvec))
                      when next_by = $5
                      then -(next_embedding <#> (select $3::real[]::halfvec)) end as cosine,
                 -(terms <#> (select $2::text::sparsevec)) as bm25
            from chunk_index
           where vector_store_id = $1
             and ($6::text is null or document_id in
                  (select id from documents
                    where vector_store_id = $1
                      and jsonb_path_match(
                            metadata || jsonb_build_object(
                              'title', title, 'media_type', media_type, 'language', language,
                              'created_at', floor(extract(epoch from created_at)),
                              'updated_at', floor(extract(epoch from updated_at))),
                            $6::jsonpath, $7, true)))
        ), phrased as materialized (
          select document_id, ordinal
            from (select document_id, ordinal
                    from scored
                   where cardinality($4::text[]) > 0
                     and (bm25 > 0 or (select max(bm25) from scored) <= 0)
                   order by bm25 desc, document_id, ordinal
                   limit 2000) worded
            join chunks using (document_id, ordinal)
           where (select bool_and(strpos(regexp_replace(lower(body), '\s+', ' ', 'g'), phrase) > 0)
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
               case when cosine is not null
                    then (case when embedded_by = $5 then embedding else next_embedding end)::real[]
               end as embedding,
               (document_id, ordinal) in (select document_id, ordinal from phrased) as "phrased!"
          from chosen
          join scored using (document_id, ordinal)
          join chunk_index using (document_id, ordinal)
        "#,
        store.uuid(),
        asked.terms,
        asked.vector as Option<&[f32]>,
        asked.phrases,
        asked.model,
        asked.filter.map(Filter::path),
        asked.filter.map(Filter::values),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Candidate::from).collect())
}

/// These passages, in their order; without those that were removed meanwhile.
pub(super) async fn passages(tx: &mut TenantTx, places: &[Place]) -> sqlx::Result<Vec<Passage>> {
    let documents: Vec<Uuid> = places.iter().map(|place| place.document.uuid()).collect();
    let ordinals: Vec<i32> =
        places.iter().map(|place| i32::try_from(place.chunk).unwrap_or(i32::MAX)).collect();
    let rows = sqlx::query!(
        r#"
        select place.document_id as "document_id!", place.ordinal as "ordinal!",
               document.title, chunk.body
          from unnest($1::uuid[], $2::int[]) with ordinality as place (document_id, ordinal, rank)
          join documents document on document.id = place.document_id
          join chunks chunk
            on chunk.document_id = place.document_id and chunk.ordinal = place.ordinal
         order by rank
        "#,
        &documents,
        &ordinals,
    )
    .fetch_all(tx.conn())
    .await?;
    let passages = rows.into_iter().map(|row| Passage {
        place: Place { document: row.document_id.into(), chunk: row.ordinal.unsigned_abs() },
        title: row.title,
        body: row.body,
    });
    Ok(passages.collect())
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, PgPool, Row};

    use super::*;
    use crate::{
        db::{Db, TenantScope},
        ids::TenantId,
        search::{question::Words, store_near, store_words},
    };

    /// Two tenants with 3,000 chunks each, one of whom is asked.
    async fn plant(pool: &PgPool, tenant: TenantId, store: VectorStoreId) {
        sqlx::query!(
            "with tenant as (
               insert into tenants (id, slug, name, created_at)
               values ($1::uuid, 't' || substr(md5($1::uuid::text), 1, 8), 'T', now()) returning id
             ), store as (
               insert into vector_stores (tenant_id, id, name, backend, created_at)
               select id, $2, 'Books', 'builtin', now() from tenant returning tenant_id, id
             ), document as (
               insert into documents (tenant_id, id, vector_store_id, source_key, title, media_type,
                                      content_hash, byte_size, char_count, created_at, updated_at)
               select tenant_id, id, id, 'k', 'T', 'text/plain', sha256('k'), 1, 1, now(), now()
                 from store returning tenant_id, id
             )
             insert into chunk_index (tenant_id, vector_store_id, document_id, ordinal, terms)
             select tenant_id, id, id, n, term_vector('cats and homes ' || n, 'english')
               from document, generate_series(1, 3000) n",
            tenant.uuid(),
            store.uuid(),
        )
        .execute(pool)
        .await
        .unwrap();
    }

    /// One partition, and of that the pages of one store, whatever the planner knows of the tables.
    #[sqlx::test(migrator = "crate::db::MIGRATOR")]
    async fn a_search_reads_its_own_store_and_no_more(pool: PgPool) {
        let (tenant, store) = (TenantId::new(), VectorStoreId::new());
        plant(&pool, tenant, store).await;
        plant(&pool, TenantId::new(), VectorStoreId::new()).await;
        for statistics in ["select 1", "analyze chunk_index"] {
            sqlx::raw_sql(statistics).execute(&pool).await.unwrap();
            #[expect(clippy::disallowed_methods, reason = "the test made the tenant")]
            let scope = TenantScope::proven(tenant);
            let mut tx = Db::over(&pool).tenant_to_scan(scope).await.unwrap();
            let forms = store_words::forms(&mut tx, store, "cats 17").await.unwrap();
            let terms = Words::of(&forms).literal();
            let asked = Asked { terms: &terms, vector: None, model: 1, phrases: &[], filter: None };
            let found = candidates(&mut tx, store, &asked).await.unwrap();
            assert!(found.len() >= 100);
            let best = found.iter().max_by(|a, b| a.bm25.total_cmp(&b.bm25)).unwrap();
            assert_eq!(best.place.chunk, 17);

            let places: Vec<Place> = found.iter().map(|one| one.place).take(20).collect();
            let near = store_near::candidates(&mut tx, store, &asked, (&places, "0"));
            assert_eq!(near.await.unwrap().len(), found.len(), "all have changed since then");

            let arguments = format!("'{store}', '{{}}/1000000000', null, '{{}}', 1, null, null");
            let exact = plan(&mut tx, "%jsonb_path_match%", &arguments).await;
            assert!(exact.contains("Subplans Removed: 31"), "{exact}");
            assert!(!exact.contains("Seq Scan"), "{exact}");
            assert!(exact.contains("vector_store_id = $1"), "{exact}");
            // And of terms and places, those only that are asked for.
            let arguments = format!("'{store}', 'cats', '{{german}}'");
            let words = plan(&mut tx, "%spoken as materialized%", &arguments).await;
            assert!(!words.contains("Seq Scan") && !words.contains("Bitmap"), "{words}");
            let arguments =
                format!("'{store}', '{{}}/1000000000', null, '{{}}', 1, '{{}}', '{{}}', '0'");
            let near = plan(&mut tx, "%looked_at as materialized%", &arguments).await;
            assert!(!near.contains("Seq Scan"), "{near}");
            assert!(near.contains("(document_id = place.document_id)"), "{near}");
            assert!(near.contains("(changed_in >= "), "{near}");
        }
    }

    /// The plan of a statement that this connection has run.
    async fn plan(tx: &mut TenantTx, like: &str, arguments: &str) -> String {
        let name = sqlx::query_scalar!(
            r#"select name as "name!" from pg_prepared_statements
                where statement like $1 and statement not like '%pg_prepared_statements%'"#,
            like,
        )
        .fetch_one(tx.conn())
        .await
        .unwrap();
        let explain = format!("explain (costs off) execute \"{name}\" ({arguments})");
        let plan = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(tx.conn()).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
        plan.join("\n")
    }
}
