//! What ranks a tenant's documents besides this installation, in Postgres.

use crate::db::TenantTx;

/// For each store that has questions and goes by a model elsewhere, which one that is and where.
pub(super) async fn elsewhere(tx: &mut TenantTx) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query!(
        r#"
        select store.name, model.model as "model?", model.dimensions as "dimensions?",
               model.base_url as "base_url?", reranker.model as "reranker?",
               reranker.base_url as "reranked_at?"
          from vector_stores store
          left join embedding_models model
            on model.vector_store_id = store.id and model.id = store.embedded_by
           and model.base_url is not null
          left join rerankers reranker on reranker.vector_store_id = store.id
         where coalesce(model.base_url, reranker.base_url) is not null
           and store.id in (select vector_store_id from golden_questions)
         order by store.id
        "#
    )
    .fetch_all(tx.conn())
    .await?;
    let rankers = rows.into_iter().map(|row| {
        let mut parts = Vec::new();
        if let (Some(model), Some(dimensions), Some(url)) =
            (row.model, row.dimensions, row.base_url)
        {
            parts.push(format!("{model} with {dimensions} dimensions at {url}"));
        }
        if let (Some(model), Some(url)) = (row.reranker, row.reranked_at) {
            parts.push(format!("reranked by {model} at {url}"));
        }
        format!("{}: {}", row.name, parts.join(", "))
    });
    Ok(rankers.collect())
}

/// Whether any store of the tenant goes by an embedding model elsewhere.
pub(super) async fn any_embeds(tx: &mut TenantTx) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        select exists (
          select from vector_stores store
            join embedding_models model
              on model.vector_store_id = store.id and model.base_url is not null
             and model.id in (store.embedded_by, store.next_embedded_by)) as "any!"
        "#
    )
    .fetch_one(tx.conn())
    .await
}
