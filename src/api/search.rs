//! `POST /t/{tenant}/api/v1/search`: the tool of the same name, for programs.

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Api,
    caller::{Caller, Searcher},
    extract::{Json, JsonBody},
    problem::Problem,
};
use crate::{
    audit::{Event, Kind, Origin},
    ids::VectorStoreId,
    search::{Answer, Filter, Hit},
};

/// The longest question, in characters.
const MAX_QUERY: usize = 2_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    query: String,
    #[serde(default = "usual")]
    limit: usize,
    /// Some of the caller's stores; all of them where there are none.
    #[serde(default)]
    vector_store_ids: Vec<VectorStoreId>,
    /// Which documents may answer: see [`Filter`].
    filters: Option<serde_json::Value>,
}

const fn usual() -> usize {
    10
}

#[derive(Serialize)]
pub(super) struct Results {
    results: Vec<Found>,
    /// Stores that did not answer, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<Failure>,
}

#[derive(Serialize)]
struct Found {
    id: String,
    title: String,
    url: String,
    text: String,
    vector_store_id: VectorStoreId,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    content_flags: Vec<&'static str>,
}

#[derive(Serialize)]
struct Failure {
    vector_store: String,
    reason: String,
}

impl From<Hit> for Found {
    fn from(hit: Hit) -> Self {
        Self {
            id: hit.id,
            title: hit.title,
            url: hit.url,
            text: hit.snippet,
            vector_store_id: hit.store,
            content_flags: hit.flags.iter().map(|flag| flag.as_str()).collect(),
        }
    }
}

/// `POST /t/{tenant}/api/v1/search`
pub(super) async fn search(
    Searcher(caller): Searcher,
    State(api): State<Api>,
    origin: Origin,
    JsonBody(question): JsonBody<Question>,
) -> Result<Json<Results>, Problem> {
    let characters = question.query.chars().count();
    if question.query.trim().is_empty() || characters > MAX_QUERY {
        return Err(Problem::bad_request("query must have 1 to 2000 characters"));
    }
    if !(1..=20).contains(&question.limit) {
        return Err(Problem::bad_request("limit must be a number from 1 to 20"));
    }
    let asked = &question.vector_store_ids;
    // A store that the caller may not use is as one that is not there.
    if asked.iter().any(|store| !caller.may_use(*store)) {
        return Err(Problem::not_found());
    }
    let filter = match &question.filters {
        Some(asked) => {
            let filter = Filter::parse(asked);
            Some(filter.map_err(|misunderstood| Problem::bad_request(misunderstood.0))?)
        }
        None => None,
    };
    let stores = if asked.is_empty() { &caller.stores } else { asked };
    let begun = Instant::now();
    let within = (question.limit, filter.as_ref());
    let answer = api.search.search_within(caller.scope, stores, &question.query, within).await?;
    let event = caller.event(Kind::Search, &api.clock, &origin);
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let event = about(event.with("latency_ms", took), &answer);
    let event = with_question(&api, &caller, event, &question.query).await;
    // No answer without its audit event.
    api.audit.append(event).await.map_err(|not_durable| {
        tracing::error!(error = %not_durable, "a search was not answered");
        Problem::unavailable()
    })?;
    let failures = answer.failures.into_iter();
    Ok(Json(
        StatusCode::OK,
        Results {
            results: answer.hits.into_iter().map(Found::from).collect(),
            failures: failures
                .map(|failure| Failure { vector_store: failure.store, reason: failure.reason })
                .collect(),
        },
    ))
}

/// As the tool's: see `mcp::record`.
fn about(event: Event, answer: &Answer) -> Event {
    let documents: Vec<String> = answer.hits.iter().map(|hit| hit.id.clone()).collect();
    let event = event
        .with("tool", "search")
        .with("outcome", "answered")
        .with("results", documents.len())
        .with("documents", documents);
    match answer.failures.len() {
        0 => event,
        failed => event.with("failed_stores", failed),
    }
}

async fn with_question(api: &Api, caller: &Caller, event: Event, question: &str) -> Event {
    if caller.keeps_questions
        && let Err(fault) = api.questions.keep(caller.scope, event.id, question).await
    {
        // It is there for people to read; the record does without.
        fault.log();
    }
    let tenant = caller.scope.tenant_id();
    event
        .with("query_characters", question.chars().count())
        .with("query_fingerprint", api.questions.fingerprint(tenant, question))
}
