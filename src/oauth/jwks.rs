//! `GET /oauth/jwks.json`: the public halves of the signing keys, RFC 7517 and RFC 8037.

use axum::{extract::State, response::Response};
use serde::Serialize;

use super::{Server, json};

/// How long the document may be cached, in seconds.
pub(super) const MAX_AGE: u32 = 300;

#[derive(Serialize)]
struct JwkSet<'a> {
    keys: Vec<Jwk<'a>>,
}

/// There is no field that a private half could be in.
#[derive(Serialize)]
struct Jwk<'a> {
    kty: &'static str,
    crv: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    kid: &'a str,
    x: &'a str,
}

pub(super) async fn jwks(State(server): State<Server>) -> Response {
    let set = server.keys.set();
    let keys = set.iter().map(|key| Jwk {
        kty: "OKP",
        crv: "Ed25519",
        usage: "sig",
        alg: "EdDSA",
        kid: &key.kid,
        x: &key.x,
    });
    json::document(MAX_AGE, &JwkSet { keys: keys.collect() })
}
