//! The authorization server, from outside.
#![expect(clippy::disallowed_methods, reason = "tests look behind the application's back")]

mod access_token;
mod alive;
mod approvals;
mod authorize;
mod client_auth;
mod client_credentials;
mod client_document;
mod clients;
mod consent;
mod contract;
mod dpop;
mod identity;
mod introspect;
mod journey;
mod manage;
mod metadata;
mod model_code;
mod model_refresh;
mod par;
mod policy;
mod redirect_uri;
mod refresh;
mod refused;
mod register;
mod revoke;
mod rotation;
mod rust_clients;
mod tenant_policy;
mod token;
mod unresolved;

/// The connections that wait for a lock, once there is one.
async fn waiters(pool: &sqlx::PgPool) -> Vec<i32> {
    loop {
        let waiting = sqlx::query_scalar!(
            r#"
            select pid as "pid!" from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock'
            "#
        )
        .fetch_all(pool)
        .await
        .unwrap();
        if !waiting.is_empty() {
            return waiting;
        }
        tokio::task::yield_now().await;
    }
}
