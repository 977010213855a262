//! `grant_type=authorization_code`: OAuth 2.1 §4.1.3.

use super::{RevokedFor, revoke_for_reuse};
use crate::{
    audit::{self, Kind as Act},
    db::ControlTx,
    oauth::{
        client::GrantType,
        client_auth::AuthenticatedClient,
        dpop::binding,
        error::{Error, ErrorCode, refuse},
        pkce::{CodeChallenge, CodeVerifier},
        store_clients,
        store_grants::{self, By},
        store_tokens::{self, Code},
        tenant_policy,
        token::{Call, TokenResponse},
    },
    secret::{Kind, Plaintext},
};

/// So many wrong verifiers kill a code.
const MOST_WRONG_ATTEMPTS: i16 = 5;

/// Steps 9 and 10: exchange a code for tokens.
pub(in crate::oauth) async fn exchange(
    mut tx: ControlTx,
    client: &AuthenticatedClient,
    call: &Call<'_>,
) -> Result<TokenResponse, Error> {
    let code = call.require("code")?;
    let verifier = CodeVerifier::parse(call.require("code_verifier")?).ok_or(refuse(
        ErrorCode::InvalidRequest,
        "code_verifier must be 43 to 128 unreserved characters",
    ))?;
    let secret = Plaintext::presented(Kind::AuthorizationCode, code).ok_or(UNKNOWN)?.hash();

    let mut grant = store_grants::lock(&mut tx, By::Code(&secret)).await?.ok_or(UNKNOWN)?;
    let stored = store_tokens::find_code(&mut tx, &secret).await?.ok_or(UNKNOWN)?;
    if stored.client_id != client.0.client_id {
        // Says nothing about the code to whoever it was not issued to, and changes nothing.
        return Err(UNKNOWN);
    }
    let challenge = CodeChallenge::stored(stored.code_challenge.clone());
    if !challenge.is_met_by(&verifier) {
        // Not spent, or anybody who glimpsed the code could take it away (§7.5.2).
        if stored.redeemed_at.is_none() {
            store_tokens::count_wrong_attempt(&mut tx, &secret).await?;
            tx.commit().await?;
        }
        return Err(refuse(ErrorCode::InvalidGrant, "code_verifier does not match"));
    }
    if stored.redeemed_at.is_some() {
        // §4.1.3: revoke what the code already bought. Commit before refusing.
        revoke_for_reuse(&mut tx, &grant, RevokedFor::CodeReplay, (call.now, call.origin)).await?;
        tx.commit().await?;
        return Err(refuse(ErrorCode::InvalidGrant, "the code was already used"));
    }
    require_redeemable(&stored, call)?;
    call.require_resource(&grant)?;
    call.require_alive(&mut tx, &grant).await?;
    let demanded = tenant_policy::find(&mut tx, grant.tenant).await?.require_dpop;
    let named = stored.dpop_jkt.as_deref();
    binding::bind(&mut tx, &mut grant, named, (call.proof, demanded)).await?;

    if !store_tokens::redeem_code(&mut tx, &secret, call.now).await? {
        return Err(UNKNOWN);
    }
    let refresh_token = if client.0.may_use(GrantType::RefreshToken) {
        Some(call.first_refresh_token(&mut tx, &grant).await?)
    } else {
        None
    };
    let response = call.issue(&grant, grant.scope, refresh_token.as_ref())?;
    store_clients::touch(&mut tx, &client.0, call.now).await?;
    let event = grant.event(Act::TokenIssued, (call.now, call.origin));
    audit::store::append_control(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(response)
}

const UNKNOWN: Error =
    refuse(ErrorCode::InvalidGrant, "the code is unknown, expired, or of another client");

fn require_redeemable(stored: &Code, call: &Call<'_>) -> Result<(), Error> {
    if stored.expires_at <= call.now || stored.wrong_attempts >= MOST_WRONG_ATTEMPTS {
        return Err(UNKNOWN);
    }
    if !stored.session_lasts {
        return Err(refuse(
            ErrorCode::InvalidGrant,
            "the user has signed out since; start the authorization again",
        ));
    }
    // OAuth 2.1 §10.2: with PKCE it need not be sent; when it is, it must be the same.
    if call.parameters.find("redirect_uri").is_some_and(|sent| sent != stored.redirect_uri) {
        return Err(refuse(
            ErrorCode::InvalidGrant,
            "redirect_uri is not the one of the authorization request",
        ));
    }
    Ok(())
}
