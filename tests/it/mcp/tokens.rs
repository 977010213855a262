//! Tokens that carry our own signature, and still are none: each is refused for one thing alone.

use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::Value;
use sqlx::PgPool;

use super::stage::{Stage, ping};
use crate::support::{TestApp, document_host::DocumentHost};

/// Signs whatever it is given.
struct Signer {
    stage: Stage,
    kid: String,
    key: EncodingKey,
    public_key: Vec<u8>,
    /// Every host that a token names.
    host: DocumentHost,
}

impl Signer {
    async fn new(pool: &PgPool) -> Self {
        let host = DocumentHost::start(&["evil.example"]).await;
        let stage = Stage::on(TestApp::over(pool, &[], Some(host.outbound())).await).await;
        let row = sqlx::query!("select kid, sealed_key, public_key from signing_keys")
            .fetch_one(pool)
            .await
            .unwrap();
        let context = format!("signing_keys/{}", row.kid);
        let key = stage.app.parts.master_key.open(&row.sealed_key, &context).unwrap();
        let key = EncodingKey::from_ed_der(&key);
        Self { stage, kid: row.kid, key, public_key: row.public_key, host }
    }

    fn sign(&self, head: &str, body: &str) -> String {
        self.sign_by(Algorithm::EdDSA, &self.key, head, body)
    }

    fn sign_by(&self, algorithm: Algorithm, key: &EncodingKey, head: &str, body: &str) -> String {
        let head = head.replace("KID", &self.kid);
        let message = format!("{}.{}", B64.encode(head), B64.encode(body));
        let signature = crypto::sign(message.as_bytes(), key, algorithm).unwrap();
        format!("{message}.{signature}")
    }

    async fn status(&self, token: &str) -> StatusCode {
        self.stage.send(self.stage.request_with("/mcp", token), &ping()).await.status
    }

    async fn accepts(&self, token: &str) -> bool {
        match self.status(token).await {
            StatusCode::OK => true,
            StatusCode::UNAUTHORIZED => false,
            other => panic!("{other}"),
        }
    }
}

const HEAD: &str = r#"{"typ":"at+jwt","alg":"EdDSA","kid":"KID"}"#;

/// [J-01] [J-05] No header but ours, even where our signature is good: another `alg` in any
/// spelling, HMAC with the public key, a key or an address for one in the header. Nothing that it
/// names is fetched.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn only_our_header_is_accepted(pool: PgPool) {
    let signer = Signer::new(&pool).await;
    let body = signer.stage.claims().to_string();
    assert!(signer.accepts(&signer.sign(HEAD, &body)).await);
    for alg in ["none", "None", "NONE", "", "HS256", "RS256", "ES256", "eddsa", "EDDSA", "Ed25519"]
    {
        let head = HEAD.replace("EdDSA", alg);
        assert!(!signer.accepts(&signer.sign(&head, &body)).await, "{alg}");
    }
    let unsigned = format!("{}.{}.", B64.encode(HEAD.replace("EdDSA", "none")), B64.encode(&body));
    assert!(!signer.accepts(&unsigned).await);
    for secret in [signer.public_key.clone(), B64.encode(&signer.public_key).into_bytes()] {
        let hmac = EncodingKey::from_secret(&secret);
        for head in [HEAD.to_owned(), HEAD.replace("EdDSA", "HS256")] {
            let token = signer.sign_by(Algorithm::HS256, &hmac, &head, &body);
            assert!(!signer.accepts(&token).await, "{head}");
        }
    }
    let x = B64.encode(&signer.public_key);
    for member in [
        r#""jku":"https://evil.example/jwks.json""#.to_owned(),
        r#""x5u":"https://evil.example/key.pem""#.to_owned(),
        r#""x5c":["AAAA"]"#.to_owned(),
        format!(r#""jwk":{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#),
        r#""crit":["exp"]"#.to_owned(),
        r#""cty":"JWT""#.to_owned(),
        r#""b64":false"#.to_owned(),
        r#""zip":"DEF""#.to_owned(),
    ] {
        let head = HEAD.replace('}', &format!(",{member}}}"));
        assert!(!signer.accepts(&signer.sign(&head, &body)).await, "{head}");
    }
    for kid in ["", "../../../dev/null", "' or '1'='1", "KID ", "kid", "https://evil.example/"] {
        let head = HEAD.replace(r#""KID""#, &format!(r#""{kid}""#));
        assert!(!signer.accepts(&signer.sign(&head, &body)).await, "{head}");
    }
    assert_eq!(signer.host.connections(), 0);
}

/// [J-02] Another `typ`, or any of the claims missing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn nothing_may_be_missing(pool: PgPool) {
    let signer = Signer::new(&pool).await;
    let claims = signer.stage.claims();
    for typ in ["JWT", "at+JWT ", "AT+JWT", "application/at+jwt", "dpop+jwt", ""] {
        let head = HEAD.replace("at+jwt", typ);
        assert!(!signer.accepts(&signer.sign(&head, &claims.to_string())).await, "{typ}");
    }
    let without_typ = HEAD.replace(r#""typ":"at+jwt","#, "");
    assert!(!signer.accepts(&signer.sign(&without_typ, &claims.to_string())).await);
    let names: Vec<String> = claims.as_object().unwrap().keys().cloned().collect();
    for name in ["iss", "aud", "exp", "iat", "sub", "client_id", "jti", "tenant", "grant", "scope"]
    {
        assert!(names.iter().any(|known| known == name));
        let mut rest = claims.clone();
        rest.as_object_mut().unwrap().remove(name);
        assert!(!signer.accepts(&signer.sign(HEAD, &rest.to_string())).await, "{name}");
        rest[name] = Value::Null;
        assert!(!signer.accepts(&signer.sign(HEAD, &rest.to_string())).await, "{name}: null");
    }
}

/// [J-03] A time is a whole number, or the token is none.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_time_is_a_whole_number(pool: PgPool) {
    let signer = Signer::new(&pool).await;
    let claims = signer.stage.claims();
    let exp = claims["exp"].as_i64().unwrap();
    for name in ["exp", "iat", "nbf"] {
        for value in [
            format!("\"{exp}\""),
            format!("{exp}.5"),
            format!("{exp}.0"),
            "-1".to_owned(),
            "1e400".to_owned(),
            "9e99".to_owned(),
            "9223372036854775808".to_owned(),
            "null".to_owned(),
            "true".to_owned(),
            format!("[{exp}]"),
            "{}".to_owned(),
        ] {
            // When it was issued is not compared with anything, so any whole number will do.
            if name == "iat" && value == "-1" {
                continue;
            }
            let mut body = claims.clone();
            body.as_object_mut().unwrap().remove(name);
            let body = body.to_string().replacen('{', &format!(r#"{{"{name}":{value},"#), 1);
            assert!(!signer.accepts(&signer.sign(HEAD, &body)).await, "{name}: {value}");
        }
    }
}

/// [J-04] A member twice, a token in a token, more than 8 KiB, other alphabets of base64.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_token_is_read_in_one_way_only(pool: PgPool) {
    let signer = Signer::new(&pool).await;
    let claims = signer.stage.claims();
    let body = claims.to_string();
    for (name, value) in claims.as_object().unwrap() {
        let twice = body.replacen('{', &format!(r#"{{"{name}":{value},"#), 1);
        assert!(!signer.accepts(&signer.sign(HEAD, &twice)).await, "{name}");
    }
    for member in [r#""alg":"EdDSA""#, r#""typ":"at+jwt""#, r#""kid":"KID""#] {
        let head = HEAD.replace('}', &format!(",{member}}}"));
        assert!(!signer.accepts(&signer.sign(&head, &body)).await, "{member}");
    }
    let good = signer.sign(HEAD, &body);
    for nested in [format!("\"{good}\""), good.clone(), format!("[{body}]")] {
        assert!(!signer.accepts(&signer.sign(HEAD, &nested)).await);
    }
    let wide = format!("{body}{}", " ".repeat(3000));
    assert!(signer.accepts(&signer.sign(HEAD, &wide)).await, "white space is JSON");
    let wider = format!("{body}{}", " ".repeat(8 * 1024));
    assert!(!signer.accepts(&signer.sign(HEAD, &wider)).await);
    for spelled in [format!("{good}="), format!("{good}.{good}"), good.replace('.', ".\u{2e}")] {
        assert!(!signer.accepts(&spelled).await, "{spelled}");
    }
    assert!(signer.accepts(&good).await);
}
