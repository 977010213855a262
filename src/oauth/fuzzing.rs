//! What fuzzers feed: everything that clients, browsers and other people's hosts send.

mod signed;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{
    client::{AuthMethod, Client},
    client_auth::credentials::{self, Claim},
    client_document::{document, location::Location},
    client_metadata, par,
    parameters::Parameters,
    pkce::{CodeChallenge, CodeVerifier},
    redirect_uri::{self, ReturnPath},
    resource::Resources,
    scope::Scope,
};
use crate::{
    outbound::freshness,
    secret::{Kind, Plaintext},
};
pub(crate) use signed::{access_token, client_keys, dpop_proof, jws};

const ORIGIN: &str = "https://docs.example.com";
/// When it is.
const NOW: i64 = 1_800_000_000;

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW).expect("a time")
}

/// The first line, and the rest.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

/// A query or a form: none that came twice is found, and what is written out is read back.
pub(crate) fn parameters(bytes: &[u8]) {
    let parameters = Parameters::parse(bytes);
    let names: Vec<String> =
        url::form_urlencoded::parse(bytes).map(|(name, _)| name.into_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names {
        let times = names.iter().filter(|other| *other == name).count();
        assert_eq!(parameters.is_repeated(name), times > 1);
        assert!(times == 1 || parameters.find(name).is_none());
    }
    let once: Vec<&str> =
        names.iter().copied().filter(|name| parameters.find(name).is_some()).collect();
    let again = Parameters::parse(parameters.encode(&once).as_bytes());
    assert!(!again.any_repeated());
    for name in once {
        assert_eq!(again.find(name), parameters.find(name));
    }
    if let Some(name) = par::named(&parameters) {
        let secret = Plaintext::presented(Kind::PushedRequest, name);
        assert!(secret.is_none_or(|secret| secret.expose() == name));
    }
}

/// The first line is the `Authorization` header, or with a `~` what Basic wraps; the rest a form.
pub(crate) fn credentials(bytes: &[u8]) {
    let (head, form) = line(bytes);
    let wrapped =
        head.strip_prefix(b"~").map(|joined| format!("Basic {}", STANDARD.encode(joined)));
    let value = wrapped.as_ref().map_or(head, String::as_bytes);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(value)
        && !head.is_empty()
    {
        headers.insert(header::AUTHORIZATION, value);
    }
    let parameters = Parameters::parse(form);
    let Ok(read) = credentials::read(&headers, &parameters, now()) else { return };
    let by_header = headers.contains_key(header::AUTHORIZATION);
    let sent_secret = matches!(&read.claim, Claim::Secret(Some(secret)) if !secret.is_empty());
    match read.method {
        AuthMethod::ClientSecretBasic => assert!(by_header && sent_secret),
        AuthMethod::ClientSecretPost => assert!(!by_header && sent_secret),
        AuthMethod::None => assert!(matches!(read.claim, Claim::Secret(None))),
        AuthMethod::PrivateKeyJwt => assert!(matches!(read.claim, Claim::Assertion(_))),
    }
    assert!(parameters.find("client_id").is_none_or(|id| id == read.client_id));
}

/// The first line is registered, the second presented: they match when they are the same bytes, or
/// by the rule of the loopback port, and never otherwise.
pub(crate) fn redirect_uri(bytes: &[u8]) {
    let (registered, presented) = line(bytes);
    let (registered, presented) =
        (String::from_utf8_lossy(registered), String::from_utf8_lossy(presented));
    if redirect_uri::check_registrable(&registered).is_err() {
        return;
    }
    let matched = ReturnPath::matching(&[registered.to_string()], Some(&presented));
    let is_other_port = without_port(&registered)
        .is_some_and(|bare| without_port(&presented).as_deref() == Some(bare.as_str()));
    assert_eq!(matched.is_some(), registered == presented || is_other_port);
    let Some(path) = matched else { return };
    assert_eq!(path.as_str(), presented);
    // The answer goes where the registered URI goes, as a browser reads it.
    let answer = path.answer(&[("code", "a&b")]);
    let location = answer.headers()[header::LOCATION].to_str().expect("ASCII");
    let [sent, asked] = [location, &*registered].map(|uri| url::Url::parse(uri).expect("a URL"));
    assert_eq!(
        (sent.scheme(), sent.host(), sent.path()),
        (asked.scheme(), asked.host(), asked.path())
    );
    assert!(sent.query_pairs().any(|pair| pair == ("code".into(), "a&b".into())));
}

/// Of an `http` URI on a loopback host, everything but the port.
fn without_port(uri: &str) -> Option<String> {
    let rest = uri.strip_prefix("http://")?;
    let host =
        ["127.0.0.1", "[::1]", "localhost"].into_iter().find(|host| rest.starts_with(host))?;
    let rest = &rest[host.len()..];
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (port, rest) = rest.split_at(end);
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|number| number.to_string() == port);
    let fine =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port != "0" && is_port(port));
    (fine && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'))
        .then(|| format!("http://{host}{rest}"))
}

/// What registers can be used, and what is told of it can be registered again.
pub(crate) fn registration(bytes: &[u8]) {
    let Ok(Value::Object(asked)) = serde_json::from_slice(bytes) else { return };
    let Ok(client) = client_metadata::read("id".to_owned(), &asked) else { return };
    require_usable(&client);
    let told = client_metadata::information(&client);
    let again = client_metadata::read("id".to_owned(), &told);
    let again = again.unwrap_or_else(|_| unreachable!("refused what it told: {told:?}"));
    assert_eq!(client_metadata::information(&again), told);
}

fn require_usable(client: &Client) {
    assert!(!client.client_name.is_empty() && client.client_name.chars().count() <= 60);
    assert!(!client.client_name.contains(char::is_control));
    assert!((1..=10).contains(&client.redirect_uris.len()));
    for uri in &client.redirect_uris {
        assert_eq!(redirect_uri::check_registrable(uri), Ok(()));
        assert!(ReturnPath::matching(&client.redirect_uris, Some(uri)).is_some());
    }
    assert!(!client.token_endpoint_auth_methods.is_empty());
    let has_keys = client.jwks.is_some() || client.jwks_uri.is_some();
    assert!(has_keys || !client.accepts(AuthMethod::PrivateKeyJwt));
}

/// The first line is an address, the rest the document behind it.
pub(crate) fn client_document(bytes: &[u8]) {
    let (address, body) = line(bytes);
    let address = String::from_utf8_lossy(address);
    let Some(location) = Location::parse(&address) else { return };
    assert_eq!(location.as_str(), address);
    let Ok(client) = document::understand(&location, body) else { return };
    assert_eq!(client.client_id, address);
    assert!(client.secret_hash.is_none());
    require_usable(&client);
}

/// Whatever its host says, a document is read again within the bounds. Lines `name: value`.
pub(crate) fn client_document_life(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let life = freshness::life(&headers);
    assert!((5 * 60..=24 * 60 * 60).contains(&life.whole_seconds()));
}

/// A verifier is what the RFC says, and meets the challenge that is made of it alone.
pub(crate) fn pkce(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(challenge) = CodeChallenge::parse(&text) {
        assert_eq!((challenge.as_str(), text.len()), (&*text, 43));
    }
    let is_unreserved = |one: char| one.is_ascii_alphanumeric() || "-._~".contains(one);
    let is_verifier = (43..=128).contains(&text.len()) && text.chars().all(is_unreserved);
    let verifier = CodeVerifier::parse(&text);
    assert_eq!(verifier.is_some(), is_verifier);
    let Some(verifier) = verifier else { return };
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()));
    assert!(CodeChallenge::parse(&digest).is_some_and(|one| one.is_met_by(&verifier)));
    let plain = CodeChallenge::parse(&text);
    assert!(plain.is_none_or(|plain| !plain.is_met_by(&verifier)));
}

/// A resource has one audience, which names it again.
pub(crate) fn resource(bytes: &[u8]) {
    let resources = Resources::new(&ORIGIN.parse().expect("a URL"));
    let text = String::from_utf8_lossy(bytes);
    let Some(resource) = resources.parse(&text) else { return };
    let audience = resources.audience(&resource);
    assert!(audience.starts_with(ORIGIN) && audience.ends_with("/mcp") && audience.is_ascii());
    assert_eq!(resources.parse(&audience), Some(resource));
    assert!(url::Url::parse(&audience).is_ok_and(|url| url.as_str() == audience));
}

/// A scope is written as it is read.
pub(crate) fn scope(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some(scope) = Scope::parse(&text) else { return };
    assert_eq!(Scope::parse(&scope.to_string()), Some(scope));
    let names = scope.names();
    assert!(text.split(' ').all(|name| name.is_empty() || names.contains(&name)));
}

/// A secret of ours is read as it was written, as its kind and no other, and no slip of it.
pub(crate) fn secrets(bytes: &[u8]) {
    const KINDS: [Kind; 9] = [
        Kind::AuthorizationCode,
        Kind::RefreshToken,
        Kind::ClientSecret,
        Kind::AuthorizationRequest,
        Kind::PushedRequest,
        Kind::RegistrationAccessToken,
        Kind::Session,
        Kind::Browser,
        Kind::OneTimeLink,
    ];
    let text = String::from_utf8_lossy(bytes);
    let read = |text: &str| KINDS.map(|kind| Plaintext::presented(kind, text));
    let found: Vec<Plaintext> = read(&text).into_iter().flatten().collect();
    assert!(found.len() <= 1 && found.iter().all(|one| one.expose() == text));

    let mut bits = [0; 32];
    for (bit, byte) in bits.iter_mut().zip(bytes) {
        *bit = *byte;
    }
    let issued = Plaintext::of(KINDS[bytes.len() % KINDS.len()], &bits);
    let found: Vec<Plaintext> = read(issued.expose()).into_iter().flatten().collect();
    assert!(found.len() == 1 && found[0].hash() == issued.hash());
    let mut slip = issued.expose().as_bytes().to_vec();
    let at = bytes.first().map_or(0, |first| usize::from(*first) % slip.len());
    slip[at] ^= 1;
    let slip = String::from_utf8(slip).expect("ASCII");
    assert!(read(&slip).iter().all(Option::is_none));
}
