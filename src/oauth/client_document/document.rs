//! What a document says, and whether that makes a client (spec row K-04).

use serde_json::{Map, Value};

use super::location::Location;
use crate::oauth::{
    client::{AuthMethod, Client, GrantType, Source},
    client_name,
    key_metadata::{self, is_https},
    policy::Unwelcome,
    redirect_uri,
};

/// The most redirect URIs in one document.
const MOST_REDIRECT_URIS: usize = 20;
/// The longest word that is kept.
const LONGEST_WORD: usize = 512;
/// Ways of authenticating with a secret that both sides know: a public document has none.
const SYMMETRIC: &[&str] = &["client_secret_basic", "client_secret_post", "client_secret_jwt"];
/// Links that are kept as text. Nothing is ever loaded from them (spec row D-04).
const LINKS: &[&str] = &["client_uri", "logo_uri", "tos_uri", "policy_uri"];

/// Why a document makes no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::oauth) enum Unusable {
    /// The `client_id` is no address of a document.
    Address,
    /// Its host is on no public network, and the operator does not allow it.
    NotPublic,
    /// No answer, a broken one, or one that says that the host will not or cannot just now.
    Silent,
    /// Too many documents have been asked for.
    Busy,
    /// The host says that there is no such document.
    Gone,
    /// Wants us to go elsewhere.
    Redirect,
    /// More than is read.
    TooLarge,
    /// Not JSON, or not called JSON.
    NotJson,
    /// Its own `client_id` is another.
    OtherClientId,
    /// Holds a secret, or wants to authenticate with one.
    Secret,
    /// No name, or none that can be shown.
    Name,
    /// No redirect URI, too many, or one that is not accepted.
    RedirectUris,
    /// Cannot use the code grant.
    Grants,
    /// No way of authenticating that is known here.
    Methods,
    /// Keys that are no key set, or that are in two places.
    Keys,
    /// Never read before, by a caller who may not have it read.
    Unknown,
    /// Disabled here.
    Disabled,
    /// Not taken by this installation: not even read.
    Unwelcome(Unwelcome),
}

impl Unusable {
    /// For the page, and for the developer in front of it.
    pub(in crate::oauth) const fn sentence(self) -> &'static str {
        match self {
            Self::Address => {
                "The app's client_id is not the https address of a client metadata document."
            }
            Self::NotPublic => "The app's metadata document is not on the public internet.",
            Self::Silent => "The app's metadata document could not be read. Try again in a minute.",
            Self::Busy => "Too many apps are being connected just now. Try again in a minute.",
            Self::Gone => "There is no metadata document at the app's client_id.",
            Self::Redirect => {
                "The address of the app's metadata document redirects, which is not followed."
            }
            Self::TooLarge => "The app's metadata document is larger than 5 KiB.",
            Self::NotJson => "The app's metadata document is not served as a JSON object.",
            Self::OtherClientId => {
                "The client_id in the app's metadata document is not the address it was read from."
            }
            Self::Secret => {
                "The app's metadata document holds a client secret, or asks to authenticate with one."
            }
            Self::Name => {
                "The app's metadata document needs a client_name of at most 60 characters."
            }
            Self::RedirectUris => {
                "The app's metadata document needs 1 to 20 redirect_uris, each https, http on a \
                 loopback host, or with an app's own scheme."
            }
            Self::Grants => {
                "The app's metadata document must allow the authorization_code grant and the code \
                 response type."
            }
            Self::Methods => {
                "The app's metadata document must allow none or private_key_jwt at the token \
                 endpoint, the latter with jwks or jwks_uri."
            }
            Self::Keys => {
                "The app's metadata document needs its keys either in jwks or at an https jwks_uri."
            }
            Self::Unknown => "The app is not known here.",
            Self::Disabled => "The app has been disabled here.",
            Self::Unwelcome(unwelcome) => unwelcome.sentence(),
        }
    }

    /// For callers who have not signed in: what is behind an address of their choice, on our network
    /// or on any other, is not for them to find out.
    pub(in crate::oauth) const fn sentence_for_strangers(self) -> &'static str {
        match self {
            Self::NotPublic
            | Self::Silent
            | Self::Gone
            | Self::Redirect
            | Self::TooLarge
            | Self::NotJson => "The app's metadata document could not be read.",
            told => told.sentence(),
        }
    }

    /// Whether nothing was learnt of the document, so that an older copy still stands.
    pub(super) const fn is_silence(self) -> bool {
        matches!(self, Self::Silent | Self::Busy | Self::NotPublic | Self::NotJson | Self::Redirect)
    }
}

/// The client that the document describes. What we do not know in it is ignored: documents are
/// written for every server at once.
pub(in crate::oauth) fn understand(location: &Location, body: &[u8]) -> Result<Client, Unusable> {
    let Ok(Value::Object(document)) = serde_json::from_slice(body) else {
        return Err(Unusable::NotJson);
    };
    if document.get("client_id").and_then(Value::as_str) != Some(location.as_str()) {
        return Err(Unusable::OtherClientId);
    }
    if document.keys().any(|name| name.starts_with("client_secret")) {
        return Err(Unusable::Secret);
    }
    let name = document.get("client_name").and_then(Value::as_str).unwrap_or_default();
    let client_name = client_name::clean(name).filter(|name| !name.is_empty());
    let (jwks, jwks_uri) = key_metadata::keys(&document).map_err(|_| Unusable::Keys)?;
    Ok(Client {
        client_id: location.as_str().to_owned(),
        // The host of its document vouches for a well-known name, or takes its place.
        client_name: client_name::shown(
            client_name.ok_or(Unusable::Name)?,
            &[location.as_str().to_owned()],
        ),
        source: Source::Document,
        redirect_uris: redirect_uris(&document)?,
        grant_types: grant_types(&document)?,
        token_endpoint_auth_methods: methods(&document, jwks.is_some() || jwks_uri.is_some())?,
        secret_hash: None,
        jwks,
        jwks_uri,
        dpop_bound: document.get("dpop_bound_access_tokens") == Some(&Value::Bool(true)),
        version: 1,
        last_used_at: None,
        service: None,
        metadata: other_metadata(&document),
    })
}

fn redirect_uris(document: &Map<String, Value>) -> Result<Vec<String>, Unusable> {
    let uris = texts(document, "redirect_uris").unwrap_or_default();
    let acceptable = !uris.is_empty()
        && uris.len() <= MOST_REDIRECT_URIS
        && uris.iter().all(|uri| redirect_uri::check_registrable(uri).is_ok());
    acceptable.then(|| uris.into_iter().map(str::to_owned).collect()).ok_or(Unusable::RedirectUris)
}

/// Absent: both, since a client that says nothing expects to stay connected.
fn grant_types(document: &Map<String, Value>) -> Result<Vec<GrantType>, Unusable> {
    if texts(document, "response_types").is_some_and(|types| !types.contains(&"code")) {
        return Err(Unusable::Grants);
    }
    let Some(names) = texts(document, "grant_types") else {
        return Ok(GrantType::REGISTRABLE.to_vec());
    };
    let known: Vec<_> = GrantType::REGISTRABLE
        .iter()
        .copied()
        .filter(|one| names.contains(&one.as_str()))
        .collect();
    known.contains(&GrantType::AuthorizationCode).then_some(known).ok_or(Unusable::Grants)
}

/// Those of the document that are known here, what it prefers first. The plural member says what
/// it can do; the singular one, where the plural is there, only what it prefers.
fn methods(document: &Map<String, Value>, has_keys: bool) -> Result<Vec<AuthMethod>, Unusable> {
    let preferred = document.get("token_endpoint_auth_method").and_then(Value::as_str);
    let able = texts(document, "token_endpoint_auth_methods_supported")
        .filter(|able| !able.is_empty())
        .unwrap_or_else(|| vec![preferred.unwrap_or("none")]);
    if able.iter().copied().chain(preferred).any(|method| SYMMETRIC.contains(&method)) {
        return Err(Unusable::Secret);
    }
    let mut names: Vec<&str> = preferred.into_iter().filter(|one| able.contains(one)).collect();
    names.extend(able.iter().filter(|one| Some(**one) != preferred));
    let known: Vec<AuthMethod> = names
        .into_iter()
        .filter(|name| has_keys || *name != "private_key_jwt")
        .filter_map(AuthMethod::from_name)
        .collect();
    if known.is_empty() { Err(Unusable::Methods) } else { Ok(known) }
}

/// Kept for people to read and for the check of assertions. Not `scope`: a document cannot know
/// what each server calls its scopes.
fn other_metadata(document: &Map<String, Value>) -> Map<String, Value> {
    let links = LINKS
        .iter()
        .copied()
        .filter(|name| document.get(*name).and_then(Value::as_str).is_some_and(is_https));
    let words = ["software_id", "software_version", "token_endpoint_auth_signing_alg"];
    let words = words
        .into_iter()
        .filter(|name| document.get(*name).and_then(Value::as_str).is_some_and(is_plain));
    links.chain(words).map(|name| (name.to_owned(), document[name].clone())).collect()
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_WORD && !text.contains(char::is_control)
}

/// A list of strings; anything else counts as absent.
fn texts<'a>(document: &'a Map<String, Value>, name: &str) -> Option<Vec<&'a str>> {
    document.get(name)?.as_array()?.iter().map(Value::as_str).collect()
}
