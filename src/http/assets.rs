//! Style, script and pictures: part of the binary, named by their content.

use std::sync::LazyLock;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::{Access, Mounted, PageError, Routes, extract::Path};

/// Name, media type, content.
const ASSETS: &[(&str, &str, &[u8])] = &[
    ("callslip.css", "text/css; charset=utf-8", include_bytes!("../../assets/callslip.css")),
    ("callslip.js", "text/javascript; charset=utf-8", include_bytes!("../../assets/callslip.js")),
    ("favicon.svg", "image/svg+xml", include_bytes!("../../assets/favicon.svg")),
];

/// What every asset's URL ends in, so that a new binary's pages never meet an old style sheet.
#[must_use]
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let mut digest = Sha256::new();
        for (_, _, content) in ASSETS {
            digest.update(content);
        }
        URL_SAFE_NO_PAD.encode(&digest.finalize()[..9])
    });
    &VERSION
}

/// `/assets/{name}`; pages ask for `name?v=version`, so that browsers may keep them for a day.
#[must_use]
pub fn routes() -> Mounted {
    Routes::new().get("/assets/{name}", Access::Public, show).mount(())
}

async fn show(Path(name): Path<String>) -> Result<Response, PageError> {
    let (_, media_type, content) =
        ASSETS.iter().find(|(known, ..)| *known == name).ok_or(PageError::NotFound)?;
    let headers =
        [(header::CONTENT_TYPE, *media_type), (header::CACHE_CONTROL, "public, max-age=86400")];
    Ok((StatusCode::OK, headers, *content).into_response())
}
