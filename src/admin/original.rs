//! `GET /d/{document}/original`: the file that a document was read from, for whoever may read it.
//!
//! It came from outside, so no browser shall show it under our origin: it is bytes, to be saved, and
//! in a sandbox if something opens it all the same (spec row W-09).

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::Deserialize;

use super::readable;
use crate::{
    db::{Db, TenantScope},
    documents::versions::{self, OriginalFile},
    fault::Fault,
    http::{
        PageError,
        extract::{Path, Query},
    },
    ids::OriginalId,
    sign_in::SignedIn,
};

const CSP: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

/// Which version's.
#[derive(Debug, Deserialize)]
pub(super) struct Of {
    version: Option<String>,
}

/// `GET /d/{document}/original`
pub(super) async fn download(
    user: SignedIn,
    State(db): State<Db>,
    Path(id): Path<String>,
    Query(of): Query<Of>,
) -> Result<Response, PageError> {
    let version = match of.version.map(|version| version.parse::<i32>()) {
        None => None,
        Some(Ok(version)) => Some(version),
        Some(Err(_)) => return Err(PageError::NotFound),
    };
    let (desk, document) = readable::document(&user, &db, &id).await?.ok_or(PageError::NotFound)?;
    let mut tx = db.tenant(desk.scope).await?;
    let file = versions::original(&mut tx, document.id, version).await?;
    drop(tx);
    let file = file.ok_or(PageError::NotFound)?;
    Ok(answer(db, desk.scope, &file))
}

fn answer(db: Db, scope: TenantScope, file: &OriginalFile) -> Response {
    let text = |text: &str| HeaderValue::from_str(text).expect("ASCII without control characters");
    let headers: [(HeaderName, HeaderValue); 7] = [
        (header::CONTENT_TYPE, text("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(file.byte_size)),
        (header::CONTENT_DISPOSITION, text(&disposition(&file.file_name))),
        (header::X_CONTENT_TYPE_OPTIONS, text("nosniff")),
        (header::CONTENT_SECURITY_POLICY, text(CSP)),
        (header::CACHE_CONTROL, text("no-store")),
        (HeaderName::from_static("cross-origin-resource-policy"), text("same-origin")),
    ];
    (headers, Body::from_stream(parts(db, scope, file.id))).into_response()
}

/// The file, a mebibyte at a time: no more of it is in memory, and no connection waits for whoever
/// reads slowly.
fn parts(
    db: Db,
    scope: TenantScope,
    file: OriginalId,
) -> impl futures_util::Stream<Item = Result<Bytes, sqlx::Error>> {
    stream::try_unfold(0, move |number| {
        let db = db.clone();
        async move {
            let mut tx = db.tenant(scope).await.inspect_err(log)?;
            let part = versions::part(&mut tx, file, number).await.inspect_err(log)?;
            Ok(part.map(|part| (Bytes::from(part), number + 1)))
        }
    })
}

/// The headers are out: all that is left is to break off.
fn log(error: &sqlx::Error) {
    Fault::new(format!("a download broke off: {error}")).log();
}

/// `Content-Disposition` after RFC 6266, the name in both forms: RFC 8187 for those who know it.
fn disposition(name: &str) -> String {
    let plain = |c: char| match c {
        ' '..='~' if !matches!(c, '"' | '\\' | '%' | '/') => c,
        _ => '_',
    };
    let fallback: String = name.chars().map(plain).collect();
    let extended: String = name
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{extended}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_a_name_and_nothing_else() {
        assert_eq!(
            disposition("Guide (2).pdf"),
            "attachment; filename=\"Guide (2).pdf\"; filename*=UTF-8''Guide%20%282%29.pdf"
        );
        assert_eq!(
            disposition("Überblick\".html"),
            "attachment; filename=\"_berblick_.html\"; filename*=UTF-8''%C3%9Cberblick%22.html"
        );
        let nasty = disposition("a\r\nset-cookie: x=\u{202e}/..\\b;%22");
        assert!(nasty.is_ascii() && !nasty.contains(char::is_control), "{nasty}");
        assert_eq!(nasty.matches('"').count(), 2);
    }
}
