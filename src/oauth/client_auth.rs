//! How clients prove who they are: OAuth 2.1 §2.4.

use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use time::OffsetDateTime;

use super::{
    client::{AuthMethod, Client},
    error::{Error, ErrorCode, Refusal, refuse},
    parameters::Parameters,
    store_clients,
};
use crate::{
    db::ControlTx,
    secret::{Kind, Plaintext, SecretHash},
};

/// A client that has proved who it is, or a public one that cannot and need not.
#[derive(Debug)]
pub(super) struct AuthenticatedClient(pub(super) Client);

impl AuthenticatedClient {
    /// A back end ends on the day that its admin chose, whatever it asks for.
    pub(super) fn require_unexpired(&self, now: OffsetDateTime) -> Result<(), Error> {
        match &self.0.service {
            Some(rights) if rights.expires_at <= now => Err(Error::Refused(EXPIRED)),
            _ => Ok(()),
        }
    }
}

/// What a request presents: by which method, in whose name.
struct Credentials {
    client_id: String,
    secret: Option<String>,
    method: AuthMethod,
}

/// Find out who is calling.
pub(super) async fn authenticate(
    tx: &mut ControlTx,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<AuthenticatedClient, Error> {
    let presented = credentials(headers, parameters)?;
    let client = store_clients::find(tx, &presented.client_id).await?;
    // An unknown client costs the same as a wrong secret.
    let stored = client.as_ref().and_then(|client| client.secret_hash);
    let proven = is_proven(presented.secret.as_deref(), stored);
    match client {
        Some(client) if proven && client.accepts(presented.method) => {
            Ok(AuthenticatedClient(client))
        }
        _ if presented.method == AuthMethod::ClientSecretBasic => Err(Error::BasicRefused(UNKNOWN)),
        _ => Err(Error::Refused(UNKNOWN)),
    }
}

const UNKNOWN: Refusal = Refusal {
    error: ErrorCode::InvalidClient,
    error_description: "the client is unknown, or did not authenticate in the way it registered",
};

const EXPIRED: Refusal = Refusal {
    error: ErrorCode::InvalidClient,
    error_description: "the client has expired: an admin of its tenant can make a new one",
};

/// In constant time; a stand-in is compared where nothing is stored.
fn is_proven(presented: Option<&str>, stored: Option<SecretHash>) -> bool {
    let presented = presented.map(|text| Plaintext::presented(Kind::ClientSecret, text));
    let nothing = SecretHash::from_stored(&[0; 32]).expect("32 bytes");
    match (presented, stored) {
        (None, stored) => stored.is_none(),
        (Some(None), _) => false,
        (Some(Some(secret)), stored) => {
            let equal = secret.hash() == stored.unwrap_or(nothing);
            equal && stored.is_some()
        }
    }
}

/// OAuth 2.1 §2.4: a client must not use more than one method in a request.
fn credentials(headers: &HeaderMap, parameters: &Parameters) -> Result<Credentials, Error> {
    if parameters.find("client_assertion").is_some() {
        return Err(refuse(ErrorCode::InvalidClient, "client assertions are not supported"));
    }
    let in_body = parameters.find("client_id");
    let secret_in_body = parameters.find("client_secret");
    let mut authorization = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = authorization.next() else {
        let client_id =
            in_body.ok_or(refuse(ErrorCode::InvalidClient, "client_id is missing"))?.to_owned();
        let method = match secret_in_body {
            Some(_) => AuthMethod::ClientSecretPost,
            None => AuthMethod::None,
        };
        return Ok(Credentials { client_id, secret: secret_in_body.map(str::to_owned), method });
    };
    if authorization.next().is_some() || secret_in_body.is_some() {
        return Err(refuse(
            ErrorCode::InvalidRequest,
            "more than one way of client authentication in one request",
        ));
    }
    let (client_id, secret) =
        value.to_str().ok().and_then(parse_basic).ok_or(Error::BasicRefused(UNKNOWN))?;
    if in_body.is_some_and(|in_body| in_body != client_id) {
        return Err(refuse(ErrorCode::InvalidRequest, "client_id differs from the header's"));
    }
    // Some public clients send their id by Basic, with nothing behind the colon.
    let method = if secret.is_some() { AuthMethod::ClientSecretBasic } else { AuthMethod::None };
    Ok(Credentials { client_id, secret, method })
}

/// RFC 6749 §2.3.1: both halves are url-encoded before they are joined.
fn parse_basic(value: &str) -> Option<(String, Option<String>)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let joined = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (client_id, secret) = joined.split_once(':')?;
    let secret = form_decode(secret)?;
    Some((form_decode(client_id)?, (!secret.is_empty()).then_some(secret)))
}

/// One url-encoded value.
fn form_decode(text: &str) -> Option<String> {
    if text.contains(['&', '=']) {
        // Not encoded as it should be; what we issue needs no encoding, so take it as it is.
        return Some(text.to_owned());
    }
    let mut pairs = url::form_urlencoded::parse(text.as_bytes());
    let decoded = pairs.next().map(|(name, _)| name.into_owned()).unwrap_or_default();
    pairs.next().is_none().then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn basic_credentials_are_url_decoded() {
        assert_eq!(
            parse_basic(&basic("a%3Ab:p%25+q")),
            Some(("a:b".to_owned(), Some("p% q".to_owned())))
        );
        assert_eq!(parse_basic(&basic("a:")), Some(("a".to_owned(), None)));
        let lower = basic("a:b").replace("Basic", "bAsIc");
        assert_eq!(parse_basic(&lower), Some(("a".to_owned(), Some("b".to_owned()))));
        for bad in ["Basic", "Basic !!!", "Bearer abc", &basic("no colon"), "Basic /w=="] {
            assert_eq!(parse_basic(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_the_stored_secret_proves_anything() {
        let secret = Plaintext::generate(Kind::ClientSecret);
        let other = Plaintext::generate(Kind::ClientSecret);
        assert!(is_proven(Some(secret.expose()), Some(secret.hash())));
        assert!(!is_proven(Some(other.expose()), Some(secret.hash())));
        assert!(!is_proven(Some("x"), Some(secret.hash())));
        assert!(!is_proven(Some(secret.expose()), None));
        assert!(!is_proven(None, Some(secret.hash())));
        assert!(is_proven(None, None));
    }
}
