//! Prometheus metrics, on a loopback listener of their own.

use std::time::Duration;

use axum::{Router, http::header, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

use crate::{db::Db, fault::Fault};

/// Buckets for times, in seconds.
const SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets for how many events share a commit.
const EVENTS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// How often old samples are folded into their buckets when nobody reads.
const UPKEEP: Duration = Duration::from_secs(5);

/// The process's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Start counting. Once in a process.
    ///
    /// # Errors
    /// When a recorder is installed already.
    pub fn install() -> Result<Self, Fault> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), &EVENTS)?
            .install_recorder()?;
        describe();
        Ok(Self { handle })
    }

    /// Answer `GET /metrics` on `listener` for as long as the process runs.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener, db: Db) -> std::io::Result<()> {
        let handle = self.handle.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                handle.run_upkeep();
            }
        });
        let show = async move || {
            let (open, idle) = db.connections();
            metrics::gauge!("callslip_db_connections", "state" => "idle").set(idle);
            metrics::gauge!("callslip_db_connections", "state" => "busy").set(open - idle);
            let text = self.handle.render();
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
                .into_response()
        };
        axum::serve(listener, Router::new().route("/metrics", get(show))).await
    }
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};

    describe_counter!("callslip_http_requests_total", "Requests, by route, method and status.");
    describe_histogram!("callslip_http_request_seconds", "Time to answer, by route and status.");
    describe_gauge!("callslip_http_connections", "Open connections.");
    describe_counter!(
        "callslip_http_connections_refused_total",
        "Connections for which there was no room, in total or for their address."
    );
    describe_counter!("callslip_http_connections_cut_total", "Connections cut, by reason.");
    describe_counter!("callslip_http_slow_bodies_total", "Requests whose body came too slowly.");
    describe_counter!("callslip_http_accept_errors_total", "Failed attempts to take connections.");
    describe_counter!("callslip_tool_calls_total", "Tool calls, by tool and outcome.");
    describe_histogram!("callslip_tool_call_seconds", "Time of a tool's own work.");
    describe_gauge!("callslip_sse_streams", "Open HTTP+SSE streams.");
    describe_counter!(
        "callslip_sse_streams_ended_total",
        "HTTP+SSE streams that ended, by reason."
    );
    describe_counter!("callslip_sse_refused_total", "HTTP+SSE streams refused, by whose cap.");
    describe_counter!("callslip_rate_limited_total", "Requests turned away, by limit.");
    describe_gauge!("callslip_rate_limit_keys", "Keys that the limits remember.");
    describe_gauge!("callslip_db_connections", "Connections to Postgres, by state.");
    describe_gauge!("callslip_search_index_bytes", "Large stores in memory.");
    describe_gauge!("callslip_search_recall", "Of the ten best, the share found, by store.");
    describe_counter!(
        "callslip_search_reranked_total",
        "Answers of stores with a reranker, by what came of it."
    );
    describe_counter!(
        "callslip_embedding_refused_passages_total",
        "Passages that an embedding endpoint did not take."
    );
    describe_gauge!("callslip_ingest_jobs", "Files that were sent, by how far they are read.");
    describe_gauge!("callslip_ingest_oldest_seconds", "Age of the oldest that is not read yet.");
    describe_gauge!("callslip_orphan_rows", "Rows that belong to nothing, at the last sweep.");
    describe_histogram!("callslip_audit_batch_events", "Audit events that shared a commit.");
}
