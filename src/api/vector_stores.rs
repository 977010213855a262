//! `GET /t/{tenant}/api/v1/vector-stores`: the stores that the caller may use.

use axum::{extract::State, http::StatusCode};
use serde::Serialize;

use super::{caller::Anybody, extract::Json, problem::Problem};
use crate::{db::Db, ids::VectorStoreId, vector_stores};

/// All of them: there are few.
#[derive(Serialize)]
pub(super) struct Stores {
    vector_stores: Vec<Store>,
}

#[derive(Serialize)]
struct Store {
    id: VectorStoreId,
    name: String,
    backend: &'static str,
}

/// `GET /t/{tenant}/api/v1/vector-stores`
pub(super) async fn list(
    Anybody(caller): Anybody,
    State(db): State<Db>,
) -> Result<Json<Stores>, Problem> {
    let mut tx = db.tenant(caller.scope).await?;
    let stores = vector_stores::store::list(&mut tx).await?;
    let vector_stores = stores
        .into_iter()
        .filter(|store| caller.may_use(store.id))
        .map(|store| Store { id: store.id, backend: store.backend.name(), name: store.name })
        .collect();
    Ok(Json(StatusCode::OK, Stores { vector_stores }))
}
