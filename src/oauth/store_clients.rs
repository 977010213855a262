//! Clients in Postgres.

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::client::{AuthMethod, Client, GrantType, ServiceRights, Source};
use crate::{
    db::ControlTx,
    ids::{GrantId, TenantId},
    secret::SecretHash,
};

/// The client with this id, unless disabled. A back end comes with what its tenant's admin let it
/// do, and not at all while that tenant is suspended.
pub(super) async fn find(tx: &mut ControlTx, client_id: &str) -> sqlx::Result<Option<Client>> {
    read(tx, client_id, false).await
}

/// The client with this id, disabled or not: for those who say so in words of their own.
pub(super) async fn find_even_disabled(
    tx: &mut ControlTx,
    client_id: &str,
) -> sqlx::Result<Option<Client>> {
    read(tx, client_id, true).await
}

async fn read(
    tx: &mut ControlTx,
    client_id: &str,
    even_disabled: bool,
) -> sqlx::Result<Option<Client>> {
    // Postgres has no text with a zero byte in it, so no client has either.
    if client_id.contains('\0') {
        return Ok(None);
    }
    let row = sqlx::query!(
        r#"
        select c.client_id, client_name, source, redirect_uris, grant_types,
               token_endpoint_auth_methods, secret_hash, jwks, jwks_uri, dpop_bound, version,
               metadata, c.last_used_at, t.id as "tenant?: TenantId",
               s.grant_id as "grant?: GrantId", s.may_introspect as "may_introspect?",
               s.expires_at as "expires_at?"
          from oauth_clients c
          left join oauth_service_clients s on s.client_id = c.client_id
          left join tenants t on t.id = s.tenant_id and t.suspended_at is null
         where c.client_id = $1 and (disabled_at is null or $2)
           and (source = 'tenant') = (t.id is not null)
        "#,
        client_id,
        even_disabled,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.and_then(|row| {
        let Value::Object(metadata) = row.metadata else { return None };
        Some(Client {
            client_id: row.client_id,
            client_name: row.client_name,
            source: Source::from_name(&row.source)?,
            redirect_uris: row.redirect_uris,
            grant_types: row.grant_types.iter().filter_map(|n| GrantType::from_name(n)).collect(),
            token_endpoint_auth_methods: row
                .token_endpoint_auth_methods
                .iter()
                .filter_map(|name| AuthMethod::from_name(name))
                .collect(),
            secret_hash: match row.secret_hash {
                Some(bytes) => Some(SecretHash::from_stored(&bytes)?),
                None => None,
            },
            jwks: row.jwks,
            jwks_uri: row.jwks_uri,
            dpop_bound: row.dpop_bound,
            version: row.version,
            last_used_at: row.last_used_at,
            service: service_rights((row.tenant, row.grant), row.may_introspect, row.expires_at),
            metadata,
        })
    }))
}

fn service_rights(
    (tenant, grant): (Option<TenantId>, Option<GrantId>),
    may_introspect: Option<bool>,
    expires_at: Option<OffsetDateTime>,
) -> Option<ServiceRights> {
    Some(ServiceRights {
        tenant: tenant?,
        grant,
        may_introspect: may_introspect?,
        expires_at: expires_at?,
    })
}

pub(super) async fn create(
    tx: &mut ControlTx,
    client: &Client,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let grant_types: Vec<String> =
        client.grant_types.iter().map(|one| one.as_str().to_owned()).collect();
    let methods: Vec<String> =
        client.token_endpoint_auth_methods.iter().map(|one| one.as_str().to_owned()).collect();
    sqlx::query!(
        "
        insert into oauth_clients
               (client_id, client_name, source, redirect_uris, grant_types,
                token_endpoint_auth_methods, secret_hash, jwks, jwks_uri, dpop_bound, metadata,
                created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ",
        client.client_id,
        client.client_name,
        client.source.as_str(),
        &client.redirect_uris,
        &grant_types,
        &methods,
        client.secret_hash.as_ref().map(|hash| hash.as_bytes().to_vec()),
        client.jwks,
        client.jwks_uri,
        client.dpop_bound,
        Value::Object(client.metadata.clone()),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Remember that the client is in use. Not on every call, since one client may serve thousands of
/// users: a row that everybody updates is a queue.
pub(super) async fn touch(
    tx: &mut ControlTx,
    client: &Client,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    if client.last_used_at.is_some_and(|at| at > now - Duration::HOUR) {
        return Ok(());
    }
    sqlx::query!(
        "
        update oauth_clients
           set last_used_at = $2
         where client_id = $1
           and (last_used_at is null or last_used_at < $2::timestamptz - interval '1 hour')
        ",
        client.client_id,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
