//! Style, script and pictures: part of the binary, named by their content.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{Access, Mounted, PageError, Routes, extract::Path};

/// Name, media type, content.
const ASSETS: &[(&str, &str, &[u8])] = &[
    ("callslip.css", "text/css; charset=utf-8", include_bytes!("../../assets/callslip.css")),
    ("callslip.js", "text/javascript; charset=utf-8", include_bytes!("../../assets/callslip.js")),
    ("favicon.svg", "image/svg+xml", include_bytes!("../../assets/favicon.svg")),
];

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
