//! `GET /t/{tenant}/api/v1/jobs/{job}`: how far a file is on its way to being a document.

use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use time::OffsetDateTime;

use super::{
    caller::Anybody,
    extract::{Json, Path},
    problem::Problem,
};
use crate::{
    db::Db,
    documents::ingest::{self, Job},
    ids::{DocumentId, IngestId, VectorStoreId},
};

/// A job, for programs.
#[derive(Serialize)]
pub(super) struct Shown {
    id: IngestId,
    vector_store_id: VectorStoreId,
    file_name: String,
    byte_size: i64,
    /// `received`, `extracted`, `chunked`, `embedded`, `published`, `failed` or `cancelled`.
    stage: &'static str,
    /// Whether nothing more happens by itself.
    is_over: bool,
    chunks_total: i32,
    chunks_done: i32,
    /// Why it failed, or why it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// How many documents came of it: an archive becomes several.
    added: u64,
    updated: u64,
    unchanged: u64,
    /// What of the file was not taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_id: Option<DocumentId>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

#[derive(Serialize)]
struct Refused {
    source: String,
    reason: String,
}

impl From<Job> for Shown {
    fn from(job: Job) -> Self {
        Self {
            document_id: job.document(),
            id: job.id,
            vector_store_id: job.store,
            file_name: job.file_name,
            byte_size: job.byte_size,
            stage: job.stage.as_str(),
            is_over: job.stage.is_end(),
            chunks_total: job.chunks_total,
            chunks_done: job.chunks_done,
            failure: job.failure,
            added: job.report.added,
            updated: job.report.updated,
            unchanged: job.report.unchanged,
            refused: job
                .report
                .failed
                .into_iter()
                .map(|failure| Refused { source: failure.source, reason: failure.reason })
                .collect(),
            created_at: job.created_at,
            updated_at: job.updated_at,
        }
    }
}

/// `GET /t/{tenant}/api/v1/jobs/{job}`
pub(super) async fn show(
    Anybody(caller): Anybody,
    State(db): State<Db>,
    Path((_, job)): Path<(String, IngestId)>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = db.tenant(caller.scope).await?;
    let job = ingest::find(&mut tx, job).await?.filter(|job| caller.may_use(job.store));
    Ok(Json(StatusCode::OK, job.ok_or_else(Problem::not_found)?.into()))
}
