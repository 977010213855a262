//! Authorization requests that wait for consent, in Postgres.

use std::borrow::Cow;

use time::OffsetDateTime;

use crate::{
    db::ControlTx,
    secret::{Plaintext, SecretHash},
};

/// An authorization request, as it was checked. The browser holds nothing of it but its name.
#[derive(Clone, Debug)]
pub(super) struct AuthorizationRequest {
    pub(super) client_id: String,
    /// What the client was when the request was checked.
    pub(super) client_version: i32,
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) code_challenge: String,
    pub(super) scope: Vec<String>,
    /// The canonical form: what will be the audience.
    pub(super) resource: String,
    /// Whether the client named the resource, or left it to us.
    pub(super) resource_was_sent: bool,
    /// The key that its tokens shall be bound to: RFC 9449 §10.
    pub(super) dpop_jkt: Option<String>,
}

/// One that cannot be granted. Its user is told before its client is.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    /// For the client, as on the wire.
    pub(super) error: Cow<'static, str>,
    pub(super) description: Cow<'static, str>,
}

/// What is kept of a request.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    /// It is for the user to answer.
    Asked(AuthorizationRequest),
    /// There is nothing to answer.
    Refused(Refused),
}

/// What came of looking one up.
pub(super) enum Found<T> {
    /// It waits for this browser.
    Waiting(T),
    /// It has been answered.
    Decided,
    /// Another browser began it.
    Foreign,
    /// There is none, or its time has passed.
    Unknown,
}

impl<T> Found<T> {
    /// What keeps this browser from a request that is there, if anything does.
    pub(super) fn shut(
        began: &[u8],
        browser: &Plaintext,
        is_decided: bool,
        is_over: bool,
    ) -> Option<Self> {
        if SecretHash::from_stored(began) != Some(browser.hash()) {
            Some(Self::Foreign)
        } else if is_decided {
            Some(Self::Decided)
        } else {
            is_over.then_some(Self::Unknown)
        }
    }
}

pub(super) async fn create(
    tx: &mut ControlTx,
    secret: &SecretHash,
    browser: &Plaintext,
    waiting: &Waiting,
    life: (OffsetDateTime, OffsetDateTime),
) -> sqlx::Result<()> {
    match waiting {
        Waiting::Asked(request) => create_asked(tx, secret, browser, request, life).await,
        Waiting::Refused(refused) => create_refused(tx, secret, browser, refused, life).await,
    }
}

async fn create_asked(
    tx: &mut ControlTx,
    secret: &SecretHash,
    browser: &Plaintext,
    request: &AuthorizationRequest,
    (now, expires_at): (OffsetDateTime, OffsetDateTime),
) -> sqlx::Result<()> {
    let browser = browser.hash();
    sqlx::query!(
        "
        insert into oauth_authorization_requests
               (secret_hash, browser_hash, client_id, redirect_uri, state, code_challenge, scope,
                resource, created_at, expires_at, client_version, resource_was_sent, dpop_jkt)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ",
        secret.as_bytes(),
        browser.as_bytes(),
        request.client_id,
        request.redirect_uri,
        request.state,
        request.code_challenge,
        &request.scope,
        request.resource,
        now,
        expires_at,
        request.client_version,
        request.resource_was_sent,
        request.dpop_jkt,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn create_refused(
    tx: &mut ControlTx,
    secret: &SecretHash,
    browser: &Plaintext,
    refused: &Refused,
    (now, expires_at): (OffsetDateTime, OffsetDateTime),
) -> sqlx::Result<()> {
    let browser = browser.hash();
    sqlx::query!(
        "
        insert into oauth_authorization_requests
               (secret_hash, browser_hash, client_id, redirect_uri, state, scope, resource,
                created_at, expires_at, error, error_description)
        values ($1, $2, $3, $4, $5, '{}', '', $6, $7, $8, $9)
        ",
        secret.as_bytes(),
        browser.as_bytes(),
        refused.client_id,
        refused.redirect_uri,
        refused.state,
        now,
        expires_at,
        &*refused.error,
        &*refused.description,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Look one up.
pub(super) async fn find(
    tx: &mut ControlTx,
    secret: &SecretHash,
    browser: &Plaintext,
    now: OffsetDateTime,
) -> sqlx::Result<Found<Waiting>> {
    let row = sqlx::query!(
        "
        select browser_hash, client_id, client_version, redirect_uri, state, code_challenge, scope,
               resource, resource_was_sent, dpop_jkt, error, error_description, expires_at,
               decided_at
          from oauth_authorization_requests
         where secret_hash = $1
        ",
        secret.as_bytes(),
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(Found::Unknown) };
    let (is_decided, is_over) = (row.decided_at.is_some(), row.expires_at <= now);
    if let Some(shut) = Found::shut(&row.browser_hash, browser, is_decided, is_over) {
        return Ok(shut);
    }
    let (Some(code_challenge), None) = (row.code_challenge, &row.error) else {
        return Ok(Found::Waiting(Waiting::Refused(Refused {
            client_id: row.client_id,
            redirect_uri: row.redirect_uri,
            state: row.state,
            error: row.error.unwrap_or_default().into(),
            description: row.error_description.unwrap_or_default().into(),
        })));
    };
    Ok(Found::Waiting(Waiting::Asked(AuthorizationRequest {
        client_id: row.client_id,
        client_version: row.client_version,
        redirect_uri: row.redirect_uri,
        state: row.state,
        code_challenge,
        scope: row.scope,
        resource: row.resource,
        resource_was_sent: row.resource_was_sent,
        dpop_jkt: row.dpop_jkt,
    })))
}

/// Close one that waits for this browser and can be granted. Of any number of racing callers, one gets `true`.
pub(super) async fn decide(
    tx: &mut ControlTx,
    secret: &SecretHash,
    browser: &Plaintext,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let browser = browser.hash();
    let decided = sqlx::query!(
        "
        update oauth_authorization_requests
           set decided_at = $3
         where secret_hash = $1 and browser_hash = $2 and decided_at is null and expires_at > $3
           and error is null
        ",
        secret.as_bytes(),
        browser.as_bytes(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(decided.rows_affected() == 1)
}
