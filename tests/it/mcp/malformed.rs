//! Tokens that carry our signature and are malformed all the same: what a careless issuer, or a
//! parser that reads things another way than we do, would let pass.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::stage::{Stage, ping};

/// The claims of a good token as text, with another text in the place of one value.
fn with(claims: &Value, name: &str, value: &str) -> String {
    let mut marked = claims.clone();
    marked[name] = json!("MARK");
    marked.to_string().replace("\"MARK\"", value)
}

/// Call with a token of these very texts.
async fn status(stage: &Stage, head: &str, claims: &str) -> StatusCode {
    let token = stage.sign_text(head, claims).await;
    let answer = stage.send(stage.request_with("/mcp", &token), &ping()).await;
    if answer.status != StatusCode::OK {
        let challenge = answer.header("www-authenticate");
        assert!(challenge.contains("error=\"invalid_token\""), "{claims} {challenge}");
    }
    answer.status
}

async fn head(stage: &Stage) -> String {
    json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": stage.kid().await }).to_string()
}

/// [J-03] A time is a whole number of seconds; whatever else stands there is no time, and does not
/// count as absent either.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_time_is_a_whole_number(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let head = head(&stage).await;
    let claims = stage.claims();
    assert_eq!(status(&stage, &head, &claims.to_string()).await, StatusCode::OK);
    for name in ["exp", "iat", "nbf"] {
        let good = claims[if name == "nbf" { "iat" } else { name }].as_i64().unwrap();
        for value in [
            format!("\"{good}\""),
            format!("{good}.0"),
            format!("{good}.5"),
            format!("{good}e0"),
            format!("-{good}"),
            "-1".to_owned(),
            "1e400".to_owned(),
            "-1e400".to_owned(),
            "99999999999999999999".to_owned(),
            "NaN".to_owned(),
            "null".to_owned(),
            "true".to_owned(),
            "[]".to_owned(),
            format!("[{good}]"),
            "{}".to_owned(),
            "\"\"".to_owned(),
        ] {
            let claims = with(&claims, name, &value);
            let status = status(&stage, &head, &claims).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}: {value}");
        }
    }
    for name in ["exp", "iat"] {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        let status = status(&stage, &head, &claims.to_string()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "without {name}");
    }
}

/// [J-04] A member twice, whichever of the two counts; a token in a token; one that is too long.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_token_is_read_in_one_way(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let (head, kid) = (head(&stage).await, stage.kid().await);
    let claims = stage.claims();
    let good = claims.to_string();
    let mut refused = Vec::new();
    // Every claim twice, with the same value and with another: first and last.
    for (name, value) in claims.as_object().unwrap() {
        for other in [value.to_string(), "\"x\"".to_owned(), "1".to_owned()] {
            refused.push((head.clone(), format!("{{\"{name}\":{other},{}", &good[1..])));
            let rest = good.strip_suffix('}').unwrap();
            refused.push((head.clone(), format!("{rest},\"{name}\":{other}}}")));
        }
    }
    // The same name in another spelling.
    refused.push((head.clone(), format!("{{\"\\u0065xp\":1,{}", &good[1..])));
    let bound = with(&claims, "cnf", "{\"jkt\":\"a\",\"jkt\":\"a\"}");
    refused.push((head.clone(), bound));
    for (name, value) in [("typ", "at+jwt"), ("alg", "EdDSA"), ("kid", kid.as_str())] {
        for other in [value, "x"] {
            refused.push((format!("{{\"{name}\":\"{other}\",{}", &head[1..]), good.clone()));
            let rest = head.strip_suffix('}').unwrap();
            refused.push((format!("{rest},\"{name}\":\"{other}\"}}"), good.clone()));
        }
    }
    // RFC 7519 §5.2, §A.2: nested.
    let nested = stage.sign_text(&head, &good).await;
    let rest = head.strip_suffix('}').unwrap();
    for head in [head.clone(), format!("{rest},\"cty\":\"JWT\"}}")] {
        refused.push((head.clone(), nested.clone()));
        refused.push((head, format!("\"{nested}\"")));
    }
    refused.push((head.clone(), format!("[{good}]")));
    refused.push((head.clone(), format!("{good}{good}")));
    for (head, claims) in refused {
        let status = status(&stage, &head, &claims).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{head} {claims}");
    }
    // Blanks are JSON; a token with ever so many is good until it is 8 KiB long.
    for (blanks, expected) in [(5000, StatusCode::OK), (6000, StatusCode::UNAUTHORIZED)] {
        let long = format!("{good}{}", " ".repeat(blanks));
        let length = stage.sign_text(&head, &long).await.len();
        assert_eq!(length > 8 * 1024, expected == StatusCode::UNAUTHORIZED, "{length}");
        assert_eq!(status(&stage, &head, &long).await, expected);
    }
    assert_eq!(status(&stage, &head, &good).await, StatusCode::OK);
}
