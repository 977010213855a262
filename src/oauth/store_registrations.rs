//! Clients that manage their own registration, in Postgres.

use time::OffsetDateTime;

use super::{
    client::{AuthMethod, Client, GrantType},
    grants::RevokedFor,
    store_clients,
};
use crate::{
    db::ControlTx,
    ids::{GrantId, TenantId, UserId},
    secret::SecretHash,
};

/// A client with what its owner proves ownership by.
pub(super) struct Registration {
    pub(super) client: Client,
    pub(super) token_hash: SecretHash,
    pub(super) issued_at: OffsetDateTime,
}

/// The client with this id, until the transaction ends nobody else's to change; if it registered
/// itself and is still there.
pub(super) async fn lock(
    tx: &mut ControlTx,
    client_id: &str,
) -> sqlx::Result<Option<Registration>> {
    let row = sqlx::query!(
        "
        select registration_token_hash, created_at
          from oauth_clients
         where client_id = $1 and source = 'registration' and disabled_at is null
           for no key update
        ",
        client_id,
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let token_hash = row.registration_token_hash.as_deref().and_then(SecretHash::from_stored);
    let client = store_clients::find(tx, client_id).await?;
    Ok(client.zip(token_hash).map(|(client, token_hash)| Registration {
        client,
        token_hash,
        issued_at: row.created_at,
    }))
}

/// Remember what a client manages its registration with.
pub(super) async fn keep_token(
    tx: &mut ControlTx,
    client_id: &str,
    token: &SecretHash,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update oauth_clients set registration_token_hash = $2 where client_id = $1",
        client_id,
        token.as_bytes(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Put everything that a client says of itself in the place of what it said before.
pub(super) async fn update(tx: &mut ControlTx, client: &Client) -> sqlx::Result<()> {
    let grant_types: Vec<String> =
        client.grant_types.iter().copied().map(GrantType::as_str).map(str::to_owned).collect();
    let methods = client.token_endpoint_auth_methods.iter().copied();
    let methods: Vec<String> = methods.map(AuthMethod::as_str).map(str::to_owned).collect();
    sqlx::query!(
        "
        update oauth_clients
           set client_name = $2, redirect_uris = $3, grant_types = $4,
               token_endpoint_auth_methods = $5, secret_hash = $6, jwks = $7, jwks_uri = $8,
               dpop_bound = $9, version = $10, metadata = $11
         where client_id = $1
        ",
        client.client_id,
        client.client_name,
        &client.redirect_uris,
        &grant_types,
        &methods,
        client.secret_hash.as_ref().map(|hash| hash.as_bytes().to_vec()),
        client.jwks,
        client.jwks_uri,
        client.dpop_bound,
        client.version,
        serde_json::Value::Object(client.metadata.clone()),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Nobody finds the client again; the sweep deletes it once its grants are forgotten.
pub(super) async fn disable(
    tx: &mut ControlTx,
    client_id: &str,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!("update oauth_clients set disabled_at = $2 where client_id = $1", client_id, now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A grant that has ended.
pub(super) struct Ended {
    pub(super) tenant: TenantId,
    pub(super) id: GrantId,
    pub(super) user: Option<UserId>,
}

/// Mark every grant to a client of an older version than this as over.
pub(super) async fn end_grants(
    tx: &mut ControlTx,
    (client_id, version): (&str, i32),
    reason: RevokedFor,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<Ended>> {
    sqlx::query_as!(
        Ended,
        r#"
        with old as (
          select tenant_id, id
            from oauth_grants
           where client_id = $1 and client_version < $2 and revoked_at is null
             and expires_at > $4::timestamptz
           order by tenant_id, id
             for update
        )
        update oauth_grants g
           set revoked_at = $4, revoked_for = $3
          from old
         where g.tenant_id = old.tenant_id and g.id = old.id
        returning g.tenant_id as "tenant: TenantId", g.id as "id: GrantId",
                  g.user_id as "user: UserId"
        "#,
        client_id,
        version,
        reason.as_str(),
        now,
    )
    .fetch_all(tx.conn())
    .await
}
