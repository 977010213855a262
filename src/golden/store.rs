//! Golden questions in Postgres.

use std::collections::HashMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Expected, MOST, Question};
use crate::{
    db::TenantTx,
    ids::{DocumentId, GoldenQuestionId, VectorStoreId},
};

/// What came of adding a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is new.
    New,
    /// It was there: the documents were added to its answers.
    More,
    /// None of the documents is in the store.
    NoDocument,
    /// There are as many as there may be.
    Full,
}

/// Every question of the tenant, in the order in which they were added.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut TenantTx) -> sqlx::Result<Vec<Question>> {
    let rows = sqlx::query!(
        r#"
        select question.id as "id: GoldenQuestionId", question.question,
               store.id as "store: VectorStoreId", store.name
          from golden_questions question
          join vector_stores store on store.id = question.vector_store_id
         order by question.id
        "#
    )
    .fetch_all(tx.conn())
    .await?;
    let mut expected = expected(tx).await?;
    let question = rows.into_iter().map(|row| Question {
        expected: expected.remove(&row.id).unwrap_or_default(),
        id: row.id,
        store: row.store,
        store_name: row.name,
        text: row.question,
    });
    Ok(question.collect())
}

async fn expected(tx: &mut TenantTx) -> sqlx::Result<HashMap<GoldenQuestionId, Vec<Expected>>> {
    let rows = sqlx::query!(
        r#"
        select wanted.question_id as "question: GoldenQuestionId",
               document.id as "id?: DocumentId", document.title as "title?"
          from golden_documents wanted
          left join documents document on document.id = wanted.document_id
         order by wanted.question_id, wanted.number
        "#
    )
    .fetch_all(tx.conn())
    .await?;
    let mut expected: HashMap<_, Vec<Expected>> = HashMap::new();
    for row in rows {
        expected.entry(row.question).or_default().push(match (row.id, row.title) {
            (Some(id), Some(title)) => Expected::There { id, title },
            _ => Expected::Deleted,
        });
    }
    Ok(expected)
}

/// Add a question with what answers it, or more that answers one that is there.
///
/// # Errors
/// When the database fails.
pub async fn add(
    tx: &mut TenantTx,
    (store, text): (VectorStoreId, &str),
    documents: &[DocumentId],
    now: OffsetDateTime,
) -> sqlx::Result<Added> {
    let documents: Vec<Uuid> = documents.iter().map(|document| document.uuid()).collect();
    let there = sqlx::query_scalar!(
        r#"select count(*) as "there!" from documents
            where id = any($1) and vector_store_id = $2"#,
        &documents,
        store.uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    if there == 0 {
        return Ok(Added::NoDocument);
    }
    let row = sqlx::query!(
        r#"
        with added as (
          insert into golden_questions (tenant_id, id, vector_store_id, question, created_at)
          select current_tenant_id(), $1, $2, $3, $4
           where (select count(*) from golden_questions) < $5
              on conflict on constraint golden_questions_key do nothing
          returning id)
        select coalesce((select id from added),
                        (select id from golden_questions
                          where vector_store_id = $2 and question = $3)) as "id: GoldenQuestionId",
               exists(select from added) as "new!"
        "#,
        GoldenQuestionId::new().uuid(),
        store.uuid(),
        text,
        now,
        MOST,
    )
    .fetch_one(tx.conn())
    .await?;
    let Some(id) = row.id else { return Ok(Added::Full) };
    sqlx::query!(
        "
        insert into golden_documents (tenant_id, question_id, number, document_id)
        select current_tenant_id(), $1,
               row_number() over (order by id) + coalesce((select max(number) from golden_documents
                                                            where question_id = $1), 0), id
          from documents
         where id = any($2) and vector_store_id = $3
            on conflict do nothing
        ",
        id.uuid(),
        &documents,
        store.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(if row.new { Added::New } else { Added::More })
}

/// Forget a question. `false` when there is none of this name.
///
/// # Errors
/// When the database fails.
pub async fn delete(tx: &mut TenantTx, id: GoldenQuestionId) -> sqlx::Result<bool> {
    let done = sqlx::query!("delete from golden_questions where id = $1", id.uuid())
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The documents that a person means by this: an id, the name in a file of records, a path or the
/// end of one, or a title. In one store, or in all of them.
///
/// # Errors
/// When the database fails.
pub(super) async fn named(
    tx: &mut TenantTx,
    name: &str,
    store: Option<&str>,
) -> sqlx::Result<Vec<(DocumentId, VectorStoreId)>> {
    let rows = sqlx::query!(
        r#"
        select document.id as "id: DocumentId", store.id as "store: VectorStoreId"
          from documents document
          join vector_stores store on store.id = document.vector_store_id
         where ($2::text is null or store.name = $2)
           and (document.id::text = $1 or title = $1 or source_key = $1
                or right(source_key, length($1) + 1) in (':' || $1, '/' || $1))
         limit 2
        "#,
        name,
        store,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.store)).collect())
}
