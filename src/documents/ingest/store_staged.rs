//! What one stage hands to the next, in Postgres. Every function is called after the fence was
//! checked in the same transaction.

use crate::{
    db::TenantTx, documents::chunk::Chunk, embeddings::Vector, fault::Fault, ids::IngestId,
};

/// What a parser found, in JSON.
pub(super) async fn put_extracted(
    tx: &mut TenantTx,
    job: IngestId,
    extracted: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into ingest_texts (tenant_id, job_id, extracted)
        values (current_tenant_id(), $1, $2)
        on conflict (tenant_id, job_id) do update set extracted = excluded.extracted, draft = null
        ",
        job.uuid(),
        extracted,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The same, again.
pub(super) async fn extracted(tx: &mut TenantTx, job: IngestId) -> sqlx::Result<Option<String>> {
    let text =
        sqlx::query_scalar!("select extracted from ingest_texts where job_id = $1", job.uuid());
    Ok(text.fetch_optional(tx.conn()).await?.flatten())
}

/// The document as it will be saved, in JSON, and its chunks. What was read is not needed any more.
pub(super) async fn put_draft(
    tx: &mut TenantTx,
    job: IngestId,
    draft: &str,
    chunks: &[Chunk],
) -> Result<(), Fault> {
    const AT_ONCE: usize = 1_000;
    sqlx::query!(
        "update ingest_texts set extracted = null, draft = $2 where job_id = $1",
        job.uuid(),
        draft,
    )
    .execute(tx.conn())
    .await?;
    for (number, some) in (0..).zip(chunks.chunks(AT_ONCE)) {
        let bodies =
            some.iter().map(serde_json::to_string).collect::<serde_json::Result<Vec<String>>>()?;
        sqlx::query!(
            "
            insert into ingest_chunks (tenant_id, job_id, ordinal, body)
            select current_tenant_id(), $1, $2::int + place::int - 1, body
              from unnest($3::text[]) with ordinality as chunk (body, place)
            ",
            job.uuid(),
            number * i32::try_from(AT_ONCE)?,
            &bodies,
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// The document as it will be saved.
pub(super) async fn draft(tx: &mut TenantTx, job: IngestId) -> sqlx::Result<Option<String>> {
    let text = sqlx::query_scalar!("select draft from ingest_texts where job_id = $1", job.uuid());
    Ok(text.fetch_optional(tx.conn()).await?.flatten())
}

/// All its chunks in their order, and their vectors if every one has one.
pub(super) async fn chunks(
    tx: &mut TenantTx,
    job: IngestId,
) -> Result<(Vec<Chunk>, Option<Vec<Vector>>), Fault> {
    let rows = sqlx::query!(
        "select body, vector from ingest_chunks where job_id = $1 order by ordinal",
        job.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    let mut chunks = Vec::with_capacity(rows.len());
    let mut vectors = Some(Vec::with_capacity(rows.len()));
    for row in rows {
        chunks.push(serde_json::from_str(&row.body)?);
        match (&mut vectors, row.vector) {
            (Some(all), Some(vector)) => all.push(vector),
            (_, None) => vectors = None,
            (None, Some(_)) => {}
        }
    }
    Ok((chunks, vectors))
}

/// Some chunks that have no vector yet, with their places.
pub(super) async fn bare_chunks(
    tx: &mut TenantTx,
    job: IngestId,
    most: i64,
) -> Result<Vec<(i32, Chunk)>, Fault> {
    let rows = sqlx::query!(
        "
        select ordinal, body from ingest_chunks
         where job_id = $1 and vector is null
         order by ordinal
         limit $2
        ",
        job.uuid(),
        most,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| Ok((row.ordinal, serde_json::from_str(&row.body)?))).collect()
}

/// One chunk's vector.
pub(super) async fn put_vector(
    tx: &mut TenantTx,
    job: IngestId,
    ordinal: i32,
    vector: &Vector,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update ingest_chunks set vector = $3 where job_id = $1 and ordinal = $2",
        job.uuid(),
        ordinal,
        vector,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Nothing is left.
pub(super) async fn clear(tx: &mut TenantTx, job: IngestId) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        with text as (delete from ingest_texts where job_id = $1),
             chunk as (delete from ingest_chunks where job_id = $1)
        select 1 as "one!"
        "#,
        job.uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(())
}
