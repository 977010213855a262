//! `grant_type=refresh_token`: OAuth 2.1 §4.3, with rotation and a window for lost answers.
//!
//! The tokens of a grant are one line of generations. Using the newest one starts the next. A
//! client whose answer got lost still holds the predecessor, and one that runs in two processes may
//! use it in both: until somebody uses the newest generation, for a minute (or as long as the tenant
//! says) and three times, the predecessor buys that newest token again. It is derived from the
//! predecessor under a key of the server's, so the same one can be handed out without being stored,
//! and there never are two of a generation. Anything older, or later, is a token in two hands: the
//! whole grant ends.

use time::{Duration, OffsetDateTime};

use super::{RevokedFor, revoke_for_reuse};
use crate::{
    audit::{self, Kind as Act},
    clock::LEEWAY,
    db::ControlTx,
    oauth::{
        client_auth::AuthenticatedClient,
        dpop::binding,
        error::{Error, ErrorCode, refuse},
        store_clients,
        store_grants::{self, By},
        store_tokens::{self, RefreshToken},
        tenant_policy,
        token::{Call, TokenResponse},
    },
    secret::{Kind, Plaintext},
};

/// How often a predecessor is accepted.
const MOST_RETRIES: i16 = 3;

/// What a presented refresh token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::oauth) enum Standing {
    /// The newest generation.
    Newest,
    /// The one before it, whose answer may have been lost.
    Retry,
    /// Too many retries inside the window, or the clock has run back to before it: refused, and
    /// nobody is punished for it.
    Exhausted,
    /// Spent: in two hands.
    Reused,
}

impl RefreshToken {
    /// What it is worth now, where a predecessor is accepted for `window`.
    pub(in crate::oauth) fn standing(&self, now: OffsetDateTime, window: Duration) -> Standing {
        if self.generation == self.newest {
            return Standing::Newest;
        }
        match self.rotated_at {
            Some(rotated_at)
                if self.generation == self.newest - 1
                    && window.is_positive()
                    && now - rotated_at <= window =>
            {
                // A clock that was set back must not open the window again (spec row R-06).
                if self.retries < MOST_RETRIES && now - rotated_at >= -LEEWAY {
                    Standing::Retry
                } else {
                    Standing::Exhausted
                }
            }
            _ => Standing::Reused,
        }
    }
}

/// Exchange a refresh token for new tokens.
pub(in crate::oauth) async fn refresh(
    mut tx: ControlTx,
    client: &AuthenticatedClient,
    call: &Call<'_>,
) -> Result<TokenResponse, Error> {
    let presented = call.require("refresh_token")?;
    let presented = Plaintext::presented(Kind::RefreshToken, presented).ok_or(UNKNOWN)?;
    let secret = presented.hash();
    let mut grant = store_grants::lock(&mut tx, By::RefreshToken(&secret)).await?.ok_or(UNKNOWN)?;
    let stored = store_tokens::find_refresh_token(&mut tx, &secret).await?.ok_or(UNKNOWN)?;
    let policy = tenant_policy::find(&mut tx, grant.tenant).await?;
    let standing = stored.standing(call.now, policy.refresh_retry);
    if grant.client_id != client.0.client_id || standing == Standing::Reused {
        // §4.3.1: it is in two hands, and we cannot tell whose. Commit before refusing.
        revoke_for_reuse(&mut tx, &grant, RevokedFor::RefreshReuse, (call.now, call.origin))
            .await?;
        tx.commit().await?;
        return Err(UNKNOWN);
    }
    // Whoever tries again has used it in time; the grant's own end is asked for below.
    let is_idle = standing == Standing::Newest && stored.expires_at <= call.now;
    if is_idle || standing == Standing::Exhausted {
        return Err(UNKNOWN);
    }
    // Before anything is rotated, so that a mistake costs nothing (spec row T-14).
    call.require_resource(&grant)?;
    let scope = call.narrowed_scope(&grant)?;
    binding::keep(&mut grant, call.proof, policy.require_dpop)?;
    call.require_alive(&mut tx, &grant).await?;

    let successor = call.successor(&presented);
    if standing == Standing::Newest {
        store_tokens::rotate(&mut tx, &secret, &successor.hash(), call.refresh_life(&grant))
            .await?;
    } else {
        store_tokens::count_retry(&mut tx, &secret).await?;
    }
    let response = call.issue(&grant, scope, Some(&successor))?;
    store_clients::touch(&mut tx, &client.0, call.now).await?;
    let mut event = grant.event(Act::TokenRefreshed, (call.now, call.origin));
    if standing == Standing::Retry {
        event = event.with("retry", true);
    }
    audit::store::append_control(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(response)
}

const UNKNOWN: Error =
    refuse(ErrorCode::InvalidGrant, "the refresh token is unknown, expired, used or revoked");
