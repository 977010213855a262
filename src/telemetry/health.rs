//! `/livez`: the process runs. `/readyz`: send it traffic.

use std::time::Duration;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    db::Db,
    http::{Access, Draining, Mounted, Phase, Routes},
    problems::Problems,
};

/// How long the database may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(1);

/// Both routes.
#[must_use]
pub fn routes(db: Db, draining: Draining, problems: Problems) -> Mounted {
    Routes::new()
        .get("/livez", Access::Public, alive)
        .get("/readyz", Access::Public, ready)
        .mount((db, draining, problems))
}

async fn alive() -> Response {
    say(StatusCode::OK, "ok\n")
}

async fn ready(State((db, draining, problems)): State<(Db, Draining, Problems)>) -> Response {
    if draining.phase() > Phase::Serving {
        return say(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    // Expiry, one-time codes and signatures all go by the clock: spec row FX-22.
    if problems.clock_is_off() {
        return say(StatusCode::SERVICE_UNAVAILABLE, "wrong clock\n");
    }
    match tokio::time::timeout(PATIENCE, db.ping()).await {
        Ok(Ok(())) => say(StatusCode::OK, "ok\n"),
        Ok(Err(_)) | Err(_) => say(StatusCode::SERVICE_UNAVAILABLE, "no database\n"),
    }
}

fn say(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
