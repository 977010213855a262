//! Clients that documents describe, in Postgres.

use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    db::ControlTx,
    oauth::{client::Client, store_clients},
};

/// A copy at hand.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) client: Client,
    pub(super) is_disabled: bool,
    /// When its host said so.
    pub(super) fetched_at: OffsetDateTime,
    fresh_until: OffsetDateTime,
}

impl Known {
    pub(super) fn is_fresh(&self, now: OffsetDateTime) -> bool {
        !self.is_disabled && self.fresh_until > now
    }
}

/// When a document was read, and for how long that serves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) now: OffsetDateTime,
    pub(super) fetched_at: OffsetDateTime,
    pub(super) fresh_until: OffsetDateTime,
}

/// The copy of this document, fresh or not.
pub(super) async fn find(tx: &mut ControlTx, client_id: &str) -> sqlx::Result<Option<Known>> {
    let row = sqlx::query!(
        r#"
        select disabled_at is not null as "is_disabled!", fetched_at as "fetched_at!",
               fresh_until as "fresh_until!"
          from oauth_clients
         where client_id = $1 and source = 'document'
        "#,
        client_id,
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let client = store_clients::find_even_disabled(tx, client_id).await?;
    Ok(client.map(|client| Known {
        client,
        is_disabled: row.is_disabled,
        fetched_at: row.fetched_at,
        fresh_until: row.fresh_until,
    }))
}

/// Keep what a document says, unless something newer is kept. Where anything changed that users
/// consented to, the version moves with it and their consents are over (spec row C-07). `true`
/// when the document was unknown.
pub(super) async fn keep(tx: &mut ControlTx, client: &Client, life: Life) -> sqlx::Result<bool> {
    let grant_types: Vec<String> =
        client.grant_types.iter().map(|one| one.as_str().to_owned()).collect();
    let methods: Vec<String> =
        client.token_endpoint_auth_methods.iter().map(|one| one.as_str().to_owned()).collect();
    let is_new = sqlx::query_scalar!(
        r#"
        insert into oauth_clients as kept
               (client_id, client_name, source, redirect_uris, grant_types,
                token_endpoint_auth_methods, jwks, jwks_uri, dpop_bound, metadata, created_at,
                fetched_at, fresh_until)
        values ($1, $2, 'document', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        on conflict (client_id) do update
           set version = kept.version
                       + case when kept.redirect_uris @> excluded.redirect_uris
                               and kept.redirect_uris <@ excluded.redirect_uris
                               and kept.token_endpoint_auth_methods @> excluded.token_endpoint_auth_methods
                               and kept.token_endpoint_auth_methods <@ excluded.token_endpoint_auth_methods
                               and kept.client_name = excluded.client_name
                               and kept.jwks is not distinct from excluded.jwks
                               and kept.jwks_uri is not distinct from excluded.jwks_uri
                              then 0 else 1 end,
               client_name = excluded.client_name,
               redirect_uris = excluded.redirect_uris,
               grant_types = excluded.grant_types,
               token_endpoint_auth_methods = excluded.token_endpoint_auth_methods,
               jwks = excluded.jwks,
               jwks_uri = excluded.jwks_uri,
               dpop_bound = excluded.dpop_bound,
               metadata = excluded.metadata,
               fetched_at = excluded.fetched_at,
               fresh_until = excluded.fresh_until
         where kept.source = 'document' and kept.fetched_at <= excluded.fetched_at
        returning (xmax = 0) as "is_new!"
        "#,
        client.client_id,
        client.client_name,
        &client.redirect_uris,
        &grant_types,
        &methods,
        client.jwks,
        client.jwks_uri,
        client.dpop_bound,
        Value::Object(client.metadata.clone()),
        life.now,
        life.fetched_at,
        life.fresh_until,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(is_new.unwrap_or(false))
}
