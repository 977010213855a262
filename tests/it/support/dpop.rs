//! A client's own key, and the proofs that it signs: RFC 9449, by a second hand.

use axum::{body::Body, extract::Request, http::header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, EncodingKey,
    jwk::{Jwk, ThumbprintHash},
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Answer, Assistant, ORIGIN, TestApp};

/// A private key that never leaves its client.
pub struct ClientKey {
    signing: EncodingKey,
    algorithm: Algorithm,
    /// The public half.
    pub jwk: Value,
    /// Its thumbprint.
    pub jkt: String,
}

impl ClientKey {
    /// ES256: what most clients use.
    pub fn new() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self::of(EncodingKey::from_ec_der(&pair.serialize_der()), Algorithm::ES256)
    }

    pub fn ed25519() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        // The first form of PKCS#8: the seed without its public half.
        let der = &pair.serialize_der();
        let seed = &der[16..48];
        let prefix = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
        let pkcs8 = [&prefix, [0x04, 0x22, 0x04, 0x20].as_slice(), seed].concat();
        Self::of(EncodingKey::from_ed_der(&pkcs8), Algorithm::EdDSA)
    }

    /// RS256 or PS256.
    pub fn rsa(algorithm: Algorithm) -> Self {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let signing = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self::of(signing, algorithm)
    }

    fn of(signing: EncodingKey, algorithm: Algorithm) -> Self {
        let jwk = Jwk::from_encoding_key(&signing, algorithm).unwrap();
        let jkt = jwk.thumbprint(ThumbprintHash::SHA256).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk.as_object_mut().unwrap().remove("alg");
        Self { signing, algorithm, jwk, jkt }
    }

    pub fn header(&self) -> Value {
        json!({ "typ": "dpop+jwt", "alg": format!("{:?}", self.algorithm), "jwk": self.jwk })
    }

    /// Sign these very texts.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.signing, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    /// What a good proof for a POST says, next to an access token or not.
    pub async fn claims(&self, app: &TestApp, path: &str, access_token: Option<&str>) -> Value {
        let mut claims = json!({
            "jti": Uuid::new_v4(),
            "htm": "POST",
            "htu": format!("{ORIGIN}{path}"),
            "iat": app.clock.now().unix_timestamp(),
            "nonce": app.nonce().await,
        });
        if let Some(token) = access_token {
            claims["ath"] = URL_SAFE_NO_PAD.encode(Sha256::digest(token)).into();
        }
        claims
    }

    /// A good proof for a POST.
    pub async fn proof(&self, app: &TestApp, path: &str, access_token: Option<&str>) -> String {
        let claims = self.claims(app, path, access_token).await;
        self.sign(&self.header().to_string(), &claims.to_string())
    }
}

impl TestApp {
    /// The nonce that the server wants now: it is told to whoever shows a proof, even a bad one.
    pub async fn nonce(&self) -> String {
        let answer = self.post_proven("/oauth/token", &["x"], &[]).await;
        assert!(!answer.header("dpop-nonce").is_empty(), "{:?}", answer.headers);
        answer.header("dpop-nonce").to_owned()
    }

    /// `POST` a form with proofs.
    pub async fn post_proven(
        &self,
        path: &str,
        proofs: &[&str],
        fields: &[(&str, &str)],
    ) -> Answer {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for proof in proofs {
            request = request.header("dpop", *proof);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Ping an MCP endpoint, with a token under any scheme and with proofs.
    pub async fn ping(&self, path: &str, authorization: &str, proofs: &[&str]) -> Answer {
        let mut request = Request::post(path)
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/json");
        for proof in proofs {
            request = request.header("dpop", *proof);
        }
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }
}

impl Assistant {
    /// Redeem a code, as a public client with proofs.
    pub async fn exchange_proven(&self, code: &str, proofs: &[&str]) -> Answer {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", super::VERIFIER),
            ("client_id", &self.client_id),
        ];
        self.app.post_proven("/oauth/token", proofs, &fields).await
    }

    /// Refresh, as a public client with proofs.
    pub async fn refresh_proven(&self, refresh_token: &str, proofs: &[&str]) -> Answer {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", &self.client_id),
        ];
        self.app.post_proven("/oauth/token", proofs, &fields).await
    }
}
