//! Client metadata: what clients say of themselves as they register, RFC 7591 §2.
//!
//! What we do not know is ignored, since the well-known clients send more than the RFC lists. What
//! we know and cannot keep is refused: a client must not believe that it was granted.

use serde_json::{Map, Value, json};

use super::{
    client::{AuthMethod, Client, GrantType, Source},
    client_name,
    error::{Error, ErrorCode, refuse},
    key_metadata::{self, is_https, member},
    redirect_uri,
    scope::Scope,
};

/// The most redirect URIs in one registration.
const MOST_REDIRECT_URIS: usize = 10;
/// The most contacts.
const MOST_CONTACTS: usize = 3;
/// The longest of them, in bytes.
const LONGEST_CONTACT: usize = 320;
/// Members that hold a link: https or nothing (spec row D-03).
const LINKS: &[&str] = &["client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri"];
/// What a client can register for by itself.
const GRANT_TYPES: [GrantType; 2] = [GrantType::AuthorizationCode, GrantType::RefreshToken];

/// The client that the metadata describes. Its id and secret are ours to choose: members such as
/// `client_id` or `trusted` are not read.
pub(super) fn read(client_id: String, asked: &Map<String, Value>) -> Result<Client, Error> {
    if member(asked, "software_statement").is_some() {
        return Err(refuse(
            ErrorCode::UnapprovedSoftwareStatement,
            "software statements are not supported: register without one",
        ));
    }
    let redirect_uris = redirect_uris(asked)?;
    let method = auth_method(asked)?;
    let keys = key_metadata::read(asked, &[method]).map_err(invalid)?;
    require_code(asked)?;
    let mut metadata = other_metadata(asked)?;
    if let Some(algorithm) = keys.signing_alg {
        metadata.insert("token_endpoint_auth_signing_alg".to_owned(), algorithm.as_str().into());
    }
    Ok(Client {
        client_id,
        client_name: client_name(asked, &redirect_uris)?,
        source: Source::Registration,
        redirect_uris,
        grant_types: grant_types(asked)?,
        token_endpoint_auth_methods: vec![method],
        secret_hash: None,
        jwks: keys.jwks,
        jwks_uri: keys.jwks_uri,
        dpop_bound: dpop_bound(asked)?,
        version: 1,
        last_used_at: None,
        service: None,
        metadata,
    })
}

/// RFC 7591 §3.2.1: what was registered, and nothing that was not. No member is null or empty.
pub(super) fn information(client: &Client) -> Map<String, Value> {
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
    if client.dpop_bound {
        members.insert("dpop_bound_access_tokens".to_owned(), true.into());
    }
    members.extend(client.jwks.clone().map(|jwks| ("jwks".to_owned(), jwks)));
    members.extend(client.jwks_uri.clone().map(|uri| ("jwks_uri".to_owned(), uri.into())));
    members
}

fn client_name(asked: &Map<String, Value>, redirect_uris: &[String]) -> Result<String, Error> {
    let name = match text(asked, "client_name")? {
        Some(name) => client_name::clean(name)
            .ok_or(invalid("client_name must not be longer than 60 characters"))?,
        None => String::new(),
    };
    if name.is_empty() {
        return Ok("An unnamed app".to_owned());
    }
    Ok(client_name::shown(name, redirect_uris))
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

fn auth_method(asked: &Map<String, Value>) -> Result<AuthMethod, Error> {
    match text(asked, "token_endpoint_auth_method")? {
        // RFC 7591 §2: the default.
        None => Ok(AuthMethod::ClientSecretBasic),
        Some(name) => AuthMethod::from_name(name).ok_or(invalid(
            "token_endpoint_auth_method is not among the token_endpoint_auth_methods_supported of \
             this server's metadata",
        )),
    }
}

/// RFC 9449 §5.2: whether it wants no token that is not bound to a key of its own.
fn dpop_bound(asked: &Map<String, Value>) -> Result<bool, Error> {
    match asked.get("dpop_bound_access_tokens") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(wanted)) => Ok(*wanted),
        Some(_) => Err(invalid("dpop_bound_access_tokens must be true or false")),
    }
}

fn require_code(asked: &Map<String, Value>) -> Result<(), Error> {
    match texts(asked, "response_types")? {
        Some(types) if types.is_empty() || types.iter().any(|one| *one != "code") => {
            Err(invalid("response_types must be code and nothing else"))
        }
        _ => Ok(()),
    }
}

/// Absent: both, since a client that says nothing expects to stay connected. Extension grants that
/// we lack are left out, since well-known clients list theirs in every registration (RFC 7591 §2
/// lets the server do so); a grant of OAuth's own that we lack is refused.
fn grant_types(asked: &Map<String, Value>) -> Result<Vec<GrantType>, Error> {
    let Some(names) = texts(asked, "grant_types")? else { return Ok(GRANT_TYPES.to_vec()) };
    let is_known = |name: &str| GRANT_TYPES.iter().any(|one| one.as_str() == name);
    if names.iter().any(|name| !is_known(name) && !name.contains(':')) {
        return Err(invalid(
            "grant_types may hold authorization_code, refresh_token, and extension grants",
        ));
    }
    let known: Vec<GrantType> =
        GRANT_TYPES.into_iter().filter(|one| names.contains(&one.as_str())).collect();
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
        if LINKS.contains(&base) && member(asked, name).is_some() {
            if !value.as_str().is_some_and(is_https) {
                return Err(invalid(NO_LINK));
            }
            if name != "jwks_uri" && LINKS.contains(&name.as_str()) {
                kept.insert(name.clone(), value.clone());
            }
        }
    }
    if let Some(contacts) = texts(asked, "contacts")?.filter(|contacts| !contacts.is_empty()) {
        if contacts.len() > MOST_CONTACTS {
            return Err(invalid("contacts must not hold more than 3"));
        }
        if contacts.iter().any(|contact| contact.len() > LONGEST_CONTACT) {
            return Err(invalid("a contact must not be longer than 320 characters"));
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
    let scope = Scope::from_names(&scope.split(' ').collect::<Vec<_>>());
    if let Some(scope) = scope.within(Scope::OF_USERS) {
        kept.insert("scope".to_owned(), scope.to_string().into());
    }
    Ok(kept)
}

const NO_LINK: &str = "client_uri, logo_uri, tos_uri, policy_uri and jwks_uri must be https";

/// A member that is a short text.
pub(super) fn text<'a>(
    asked: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a str>, Error> {
    match member(asked, name) {
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

pub(super) const fn invalid(description: &'static str) -> Error {
    refuse(ErrorCode::InvalidClientMetadata, description)
}
