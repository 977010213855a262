//! `POST /oauth/register`: dynamic client registration, RFC 7591.
//!
//! Open to everybody: a registration gives no rights, and the name in it is shown as unverified.
//! What we do not know is ignored, since the well-known clients send more than the RFC lists.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Server,
    client::{AuthMethod, Client, GrantType, Source},
    client_name,
    error::{Error, ErrorCode, refuse},
    json, key_metadata, parameters, redirect_uri,
    scope::Scope,
    store_clients,
};
use crate::{
    audit::{self, Event, Kind as Act, Origin},
    secret::{Kind, Plaintext},
};

/// The most redirect URIs in one registration.
const MOST_REDIRECT_URIS: usize = 10;
/// The most contacts.
const MOST_CONTACTS: usize = 3;
/// Members that hold a link: https or nothing (spec row D-03).
const LINKS: &[&str] = &["client_uri", "logo_uri", "tos_uri", "policy_uri"];

pub(super) async fn register(
    State(server): State<Server>,
    origin: Origin,
    request: Request,
) -> Result<Response, Error> {
    server.policy.check_registrant(request.headers())?;
    let body = parameters::read_body(request).await?;
    let Ok(Value::Object(asked)) = serde_json::from_slice(&body) else {
        return Err(refuse(ErrorCode::InvalidClientMetadata, "the body must be a JSON object"));
    };
    let mut client = accept(&asked)?;
    if let Err(unwelcome) = server.policy.check(&client) {
        return Err(refuse(ErrorCode::InvalidRedirectUri, unwelcome.description()));
    }
    let needs_secret = client.token_endpoint_auth_methods.iter().any(|one| one.needs_secret());
    let secret = needs_secret.then(|| Plaintext::generate(Kind::ClientSecret));
    client.secret_hash = secret.as_ref().map(Plaintext::hash);
    let now = server.clock.now();

    let mut tx = server.db.control().await?;
    store_clients::create(&mut tx, &client, now).await?;
    let event = Event::new(Act::ClientRegistered, now)
        .client(&client.client_id)
        .from(&origin)
        .with("client_name", client.client_name.as_str());
    audit::store::append_control(&mut tx, &event).await?;
    tx.commit().await?;

    let mut answer = information(&client);
    answer.insert("client_id_issued_at".to_owned(), now.unix_timestamp().into());
    if let Some(secret) = secret {
        answer.insert("client_secret".to_owned(), secret.expose().into());
        answer.insert("client_secret_expires_at".to_owned(), 0.into());
    }
    Ok(json::answer(StatusCode::CREATED, HeaderMap::new(), &answer))
}

/// RFC 7591 §3.2.1: what was registered, and nothing that was not. No member is null or empty.
fn information(client: &Client) -> Map<String, Value> {
    let mut members = client.metadata.clone();
    let grant_types: Vec<&str> = client.grant_types.iter().map(|one| one.as_str()).collect();
    members.extend([
        ("client_id".to_owned(), json!(client.client_id)),
        ("client_name".to_owned(), json!(client.client_name)),
        ("redirect_uris".to_owned(), json!(client.redirect_uris)),
        ("grant_types".to_owned(), json!(grant_types)),
        ("response_types".to_owned(), json!(["code"])),
        (
            "token_endpoint_auth_method".to_owned(),
            json!(client.token_endpoint_auth_methods.first().map(|method| method.as_str())),
        ),
    ]);
    if let Some(jwks) = &client.jwks {
        members.insert("jwks".to_owned(), jwks.clone());
    }
    if let Some(jwks_uri) = &client.jwks_uri {
        members.insert("jwks_uri".to_owned(), json!(jwks_uri));
    }
    members
}

/// The client that the metadata describes. Ours to choose are the id and the secret alone: members
/// such as `client_id` or `trusted` are not read.
fn accept(asked: &Map<String, Value>) -> Result<Client, Error> {
    if asked.get("software_statement").is_some_and(|statement| !is_nothing(statement)) {
        return Err(refuse(
            ErrorCode::UnapprovedSoftwareStatement,
            "software statements are not supported: register without one",
        ));
    }
    let redirect_uris = redirect_uris(asked)?;
    let client_name = match text(asked, "client_name")? {
        Some(name) => client_name::clean(name)
            .ok_or(invalid("client_name must not be longer than 60 characters"))?,
        None => String::new(),
    };
    let client_name =
        if client_name.is_empty() { "An unnamed app".to_owned() } else { client_name };
    let method = match text(asked, "token_endpoint_auth_method")? {
        // RFC 7591 §2: the default.
        None => AuthMethod::ClientSecretBasic,
        Some(name) => AuthMethod::from_name(name).ok_or(invalid(
            "token_endpoint_auth_method must be none, client_secret_basic, client_secret_post or \
             private_key_jwt",
        ))?,
    };
    let response_types = texts(asked, "response_types")?;
    if response_types.is_some_and(|types| !types.contains(&"code")) {
        return Err(invalid("response_types must hold code"));
    }
    let keys = key_metadata::read(asked, &[method]).map_err(invalid)?;
    let mut metadata = other_metadata(asked)?;
    if let Some(algorithm) = keys.signing_alg {
        metadata.insert("token_endpoint_auth_signing_alg".to_owned(), algorithm.as_str().into());
    }
    Ok(Client {
        client_id: Uuid::new_v4().to_string(),
        client_name,
        source: Source::Registration,
        redirect_uris,
        grant_types: grant_types(asked)?,
        token_endpoint_auth_methods: vec![method],
        secret_hash: None,
        jwks: keys.jwks,
        jwks_uri: keys.jwks_uri,
        dpop_bound: false,
        version: 1,
        metadata,
    })
}

fn redirect_uris(asked: &Map<String, Value>) -> Result<Vec<String>, Error> {
    let wrong = |description| refuse(ErrorCode::InvalidRedirectUri, description);
    let uris = texts(asked, "redirect_uris")?.unwrap_or_default();
    if uris.is_empty() {
        return Err(wrong("redirect_uris must hold at least one URI"));
    }
    if uris.len() > MOST_REDIRECT_URIS {
        return Err(wrong("redirect_uris must not hold more than 10 URIs"));
    }
    for uri in &uris {
        redirect_uri::check_registrable(uri).map_err(wrong)?;
    }
    Ok(uris.into_iter().map(str::to_owned).collect())
}

/// Absent: both, since a client that says nothing expects to stay connected. Grants that we lack
/// are left out, as long as something is left.
fn grant_types(asked: &Map<String, Value>) -> Result<Vec<GrantType>, Error> {
    let Some(names) = texts(asked, "grant_types")? else { return Ok(GrantType::ALL.to_vec()) };
    let known: Vec<GrantType> =
        GrantType::ALL.iter().copied().filter(|one| names.contains(&one.as_str())).collect();
    if known.contains(&GrantType::AuthorizationCode) {
        Ok(known)
    } else {
        Err(invalid("grant_types must hold authorization_code"))
    }
}

/// What is kept for people to see: links, contacts, software, scope.
fn other_metadata(asked: &Map<String, Value>) -> Result<Map<String, Value>, Error> {
    let mut kept = Map::new();
    for (name, value) in asked {
        // `client_uri#de`: RFC 7591 §2.2.
        let base = name.split('#').next().unwrap_or_default();
        if LINKS.contains(&base) && !is_nothing(value) {
            if !value.as_str().is_some_and(is_https) {
                return Err(invalid("client_uri, logo_uri, tos_uri and policy_uri must be https"));
            }
            if LINKS.contains(&name.as_str()) {
                kept.insert(name.clone(), value.clone());
            }
        }
    }
    if let Some(contacts) = texts(asked, "contacts")?.filter(|contacts| !contacts.is_empty()) {
        if contacts.len() > MOST_CONTACTS {
            return Err(invalid("contacts must not hold more than 3"));
        }
        kept.insert("contacts".to_owned(), json!(contacts));
    }
    for name in ["software_id", "software_version", "application_type"] {
        if let Some(value) = text(asked, name)? {
            kept.insert(name.to_owned(), value.into());
        }
    }
    // What we know of it. A registration without scope may ask for any scope later.
    let scope = text(asked, "scope")?.unwrap_or_default();
    let scope = Scope::from_names(&scope.split(' ').collect::<Vec<_>>()).names().join(" ");
    if !scope.is_empty() {
        kept.insert("scope".to_owned(), scope.into());
    }
    Ok(kept)
}

fn is_https(link: &str) -> bool {
    link.len() <= 512
        && !link.contains(char::is_control)
        && url::Url::parse(link)
            .is_ok_and(|url| url.scheme() == "https" && url.username().is_empty())
}

/// Null and the empty string count as absent.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

fn text<'a>(asked: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Error> {
    match asked.get(name).filter(|value| !is_nothing(value)) {
        None => Ok(None),
        // Postgres cannot keep a zero byte.
        Some(Value::String(text)) if text.len() <= 1024 && !text.contains('\0') => Ok(Some(text)),
        Some(_) => Err(invalid("a member that should be a short string is not")),
    }
}

fn texts<'a>(asked: &'a Map<String, Value>, name: &str) -> Result<Option<Vec<&'a str>>, Error> {
    match asked.get(name).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => value
            .as_array()
            .and_then(|values| values.iter().map(Value::as_str).collect())
            .filter(|texts: &Vec<&str>| texts.iter().all(|text| !text.contains('\0')))
            .map(Some)
            .ok_or(invalid("a member that should be a list of strings is not")),
    }
}

const fn invalid(description: &'static str) -> Error {
    refuse(ErrorCode::InvalidClientMetadata, description)
}
