//! A question's words in Postgres: what they are in the languages of a store, and how rare.

use super::question::{Form, Near};
use crate::{db::TenantTx, documents::language, ids::VectorStoreId};

/// The words of a question, in each of the store's languages.
///
/// Each term's frequency is looked up by itself (`lateral`, `limit`): the planner would rather read
/// all of a store's 50,000 to find ten of them.
pub(super) async fn forms(
    tx: &mut TenantTx,
    store: VectorStoreId,
    question: &str,
) -> sqlx::Result<Vec<Form>> {
    sqlx::query_as!(
        Form,
        r#"
        with size as materialized (
          select chunks from term_frequencies where vector_store_id = $1 and term = 0
        ), other as materialized (
          select language, known.chunks
            from unnest($3::text[]) language
           cross join lateral (
             select chunks from term_frequencies
              where vector_store_id = $1 and term = term_of('@' || language)
              limit 1
           ) known
        ), spoken as materialized (
          select language, chunks from other
          union all
          select 'english', size.chunks - (select coalesce(sum(chunks), 0) from other)
            from size
           where size.chunks > (select coalesce(sum(chunks), 0) from other)
        ), spaced as materialized (
          select regexp_replace($2, unspaced(), ' ', 'g') as text
        ), place as (
          select distinct position
            from spaced, unnest(to_tsvector('simple', text)), unnest(positions) position
        ), stem as (
          select language, position, lexeme
            from spoken, spaced, unnest(to_tsvector(language::regconfig, text)),
                 unnest(positions) position
        ), form as (
          select position::bigint as place, 1::bigint as times, spoken.chunks::integer as speakers,
                 lexeme as word, term_of(lexeme) as term
            from place
           cross join spoken
            left join stem using (language, position)
          union all
          select -row_number() over (), times, null, word, term
            from words_of($2, 'simple')
           where word is not null and (whole or word ~ unspaced())
        )
        select place as "place!", times as "times!", speakers as "speakers?", form.word as "word?",
               form.term as "term?", known.chunks as "chunks?", size.chunks as "size!"
          from size
         cross join form
          left join lateral (
            select chunks from term_frequencies
             where vector_store_id = $1 and term = form.term
             limit 1
          ) known on true
         order by place, speakers desc, form.word
        "#,
        store.uuid(),
        question,
        &language::configurations(),
    )
    .fetch_all(tx.conn())
    .await
}

/// Words of the store that look like these, of which it has none. They are read one by one, since no
/// index of trigrams can be used under row-level security; so those only that begin alike.
pub(super) async fn near(
    tx: &mut TenantTx,
    store: VectorStoreId,
    unknown: &[String],
) -> sqlx::Result<Vec<Near>> {
    sqlx::query_as!(
        Near,
        r#"
        select number as "number!", known.word as "word!", known.term as "term!",
               known.chunks as "chunks!", size.chunks as "size!"
          from unnest($2::text[]) with ordinality as asked (word, number)
          join term_frequencies size on size.vector_store_id = $1 and size.term = 0
         cross join lateral (
           select word, term, chunks
             from term_frequencies
            where vector_store_id = $1 and starts_with(word, left(asked.word, 1))
              and length(asked.word) - length(word) between -2 and 5
              and similarity(word, asked.word) >= 0.2
            order by similarity(word, asked.word) desc, term
            limit 30
         ) known
        "#,
        store.uuid(),
        unknown,
    )
    .fetch_all(tx.conn())
    .await
}
