//! A document's chunks in Postgres: how they are saved, with what of them is searched.

use super::{
    chunk::Chunk,
    embed,
    store_save::{Ready, whole},
};
use crate::{db::TenantTx, embeddings::Vector, ids::DocumentId, vector_stores::store_models};

/// How many chunks one statement saves: a book takes several, and none of them too long.
const AT_ONCE: usize = 500;

/// Save a document's chunks, and what of them is searched. Documents of one store that are saved at
/// once count their terms one after the other, so there is patience for a long one.
///
/// The chunks of a document that is held are not in the index: no question finds it.
pub(super) async fn save(
    tx: &mut TenantTx,
    id: DocumentId,
    ready: &Ready<'_>,
    held: bool,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        with waits as (select set_config('lock_timeout', '9s', true)),
             index as (delete from chunk_index where document_id = $1),
             chunk as (delete from chunks where document_id = $1)
        select count(*) as "count!" from waits
        "#,
        id.uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    // The store may go by another model since, and will not before this is saved.
    let models = store_models::hold(tx, ready.store).await?;
    let fits = |by: i16| models.is_some_and(|models| models.active == by);
    let vectors = ready.vectors.filter(|(by, _)| fits(*by));
    for (number, chunks) in ready.chunks.chunks(AT_ONCE).enumerate() {
        let first = number * AT_ONCE;
        let vectors =
            vectors.and_then(|(by, all)| Some((by, all.get(first..first + chunks.len())?)));
        save_some(tx, id, ready, (first, chunks, vectors), held).await?;
    }
    let is_done = vectors.is_some() && models.is_some_and(|models| models.next.is_none());
    if !is_done && !held {
        embed::store::note(tx, ready.store).await?;
    }
    Ok(())
}

/// Vectors, and the number of the model that made them.
type Made<'a> = Option<(i16, &'a [Vector])>;

async fn save_some(
    tx: &mut TenantTx,
    id: DocumentId,
    ready: &Ready<'_>,
    (first, chunks, vectors): (usize, &[Chunk], Made<'_>),
    held: bool,
) -> sqlx::Result<()> {
    let starts: Vec<i32> = chunks.iter().map(|chunk| whole(chunk.start)).collect();
    let ends: Vec<i32> = chunks.iter().map(|chunk| whole(chunk.end)).collect();
    let headings: Vec<String> = chunks.iter().map(|chunk| chunk.heading.clone()).collect();
    let bodies: Vec<String> = chunks.iter().map(|chunk| chunk.body.clone()).collect();
    let pages: Vec<Option<i32>> =
        chunks.iter().map(|chunk| chunk.page.map(u32::cast_signed)).collect();
    let by = vectors.map(|(by, _)| by);
    let vectors: Vec<Option<String>> = match vectors {
        Some((_, vectors)) => {
            vectors.iter().map(|vector| Some(embed::store::literal(vector))).collect()
        }
        None => vec![None; chunks.len()],
    };
    sqlx::query!(
        "
        with chunk as materialized (
          select $8::int + ordinal - 1 as ordinal, starts, ends, heading, body, vector, page
            from unnest($4::int[], $5::int[], $6::text[], $7::text[], $9::text[], $12::int[])
                 with ordinality as chunk (starts, ends, heading, body, vector, page, ordinal)
        ), saved as (
          insert into chunks (tenant_id, vector_store_id, document_id, ordinal, start_char, end_char,
                              heading, body, page)
          select current_tenant_id(), $1, $2, ordinal, starts, ends, heading, body, page from chunk
        )
        insert into chunk_index (tenant_id, vector_store_id, document_id, ordinal, terms,
                                 embedding, embedded_by)
        select current_tenant_id(), $1, $2, ordinal,
               term_vector(concat_ws(' ', $3::text, heading, body), $13::text::regconfig),
               vector::halfvec, case when vector is not null then $10::smallint end
          from chunk
         where not $11::boolean
        ",
        ready.store.uuid(),
        id.uuid(),
        ready.title,
        &starts,
        &ends,
        &headings,
        &bodies,
        whole(first),
        &vectors as &[Option<String>],
        by,
        held,
        &pages as &[Option<i32>],
        ready.language,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
