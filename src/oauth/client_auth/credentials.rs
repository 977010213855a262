//! What a request presents to prove who sends it: read, and believed by nobody yet.

use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use time::OffsetDateTime;

use super::UNKNOWN;
use crate::oauth::{
    client::AuthMethod,
    client_assertion::{self, Assertion},
    error::{Error, ErrorCode, Refusal, refuse},
    parameters::Parameters,
};

/// What a request presents, before anybody looked whether it is true.
pub(in crate::oauth) struct Credentials<'a> {
    pub(in crate::oauth) client_id: String,
    pub(in crate::oauth) method: AuthMethod,
    pub(in crate::oauth) claim: Claim<'a>,
}

pub(in crate::oauth) enum Claim<'a> {
    Secret(Option<String>),
    Assertion(Box<Assertion<'a>>),
}

/// OAuth 2.1 §2.4: a client must not use more than one method in a request.
pub(in crate::oauth) fn read<'a>(
    headers: &HeaderMap,
    parameters: &'a Parameters,
    now: OffsetDateTime,
) -> Result<Credentials<'a>, Error> {
    let in_body = parameters.find("client_id");
    let secret_in_body = parameters.find("client_secret");
    let asserted = is_assertion(parameters)?;
    let mut authorization = headers.get_all(header::AUTHORIZATION).iter();
    let in_header = authorization.next();
    let ways = [in_header, authorization.next()].iter().flatten().count()
        + usize::from(secret_in_body.is_some())
        + usize::from(asserted.is_some());
    if ways > 1 {
        return Err(refuse(
            ErrorCode::InvalidRequest,
            "more than one way of client authentication in one request",
        ));
    }
    if let Some(text) = asserted {
        return by_assertion(text, in_body, now);
    }
    let Some(value) = in_header else {
        let client_id =
            in_body.ok_or(refuse(ErrorCode::InvalidClient, "client_id is missing"))?.to_owned();
        let method = match secret_in_body {
            Some(_) => AuthMethod::ClientSecretPost,
            None => AuthMethod::None,
        };
        let claim = Claim::Secret(secret_in_body.map(str::to_owned));
        return Ok(Credentials { client_id, method, claim });
    };
    let (client_id, secret) =
        value.to_str().ok().and_then(parse_basic).ok_or(Error::BasicRefused(Refusal {
            error: ErrorCode::InvalidClient,
            error_description: UNKNOWN,
        }))?;
    if in_body.is_some_and(|in_body| in_body != client_id) {
        return Err(refuse(ErrorCode::InvalidRequest, "client_id differs between header and body"));
    }
    // Some public clients send their id by Basic, with nothing behind the colon.
    let method = if secret.is_some() { AuthMethod::ClientSecretBasic } else { AuthMethod::None };
    Ok(Credentials { client_id, method, claim: Claim::Secret(secret) })
}

/// RFC 7521 §4.2: the two parameters come together, and there is one type.
fn is_assertion(parameters: &Parameters) -> Result<Option<&str>, Error> {
    let wrong = |description| Err(refuse(ErrorCode::InvalidClient, description));
    match (parameters.find("client_assertion"), parameters.find("client_assertion_type")) {
        (None, None) => Ok(None),
        (None, Some(_)) => wrong("client_assertion is missing"),
        (Some(text), Some(client_assertion::TYPE)) => Ok(Some(text)),
        (Some(_), _) => wrong(
            "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
    }
}

/// RFC 7523 §3: the assertion names the client; `client_id` need not be sent.
fn by_assertion<'a>(
    text: &'a str,
    in_body: Option<&str>,
    now: OffsetDateTime,
) -> Result<Credentials<'a>, Error> {
    let assertion = client_assertion::read(text, now)
        .map_err(|description| refuse(ErrorCode::InvalidClient, description))?;
    let client_id = assertion.client_id().to_owned();
    if in_body.is_some_and(|in_body| in_body != client_id) {
        return Err(refuse(
            ErrorCode::InvalidClient,
            "client_id differs from sub of the client assertion",
        ));
    }
    let claim = Claim::Assertion(Box::new(assertion));
    Ok(Credentials { client_id, method: AuthMethod::PrivateKeyJwt, claim })
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
}
