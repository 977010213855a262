//! Extractors for pages. Their rejections are pages too.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::PageError;

/// The most that a form of ours needs.
const FORM_BYTES: usize = 64 * 1024;

/// Path parameters. One that does not parse names nothing: 404.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        #[expect(clippy::disallowed_types, reason = "this is the wrapper")]
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|_| PageError::NotFound)
    }
}

/// Query parameters; unknown ones are ignored, malformed ones are a 400 page.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        from_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// The parameters of a query.
///
/// # Errors
/// When one is missing or malformed.
pub fn from_query<T: DeserializeOwned>(query: &str) -> Result<T, PageError> {
    let fields = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>();
    // Postgres has no such character in a text. (A password may have it.)
    if fields.iter().any(|(_, value)| value.contains('\0')) {
        return Err(PageError::BadRequest("a parameter is not text"));
    }
    from_fields(&fields)
}

/// The fields of a url-encoded body, in order.
pub(super) async fn form_fields<S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<Vec<(String, String)>, PageError> {
    let is_form = request
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        return Err(PageError::BadRequest("a form was expected"));
    }
    let body = Bytes::from_request(request, state)
        .await
        .map_err(|_| PageError::BadRequest("the form is too long or broke off"))?;
    if body.len() > FORM_BYTES {
        return Err(PageError::BadRequest("the form is too long"));
    }
    Ok(url::form_urlencoded::parse(&body).into_owned().collect())
}

/// Fields into a struct; a repeated field is a list when the struct says so.
pub(super) fn from_fields<T: DeserializeOwned>(
    fields: &[(String, String)],
) -> Result<T, PageError> {
    let mut object = serde_json::Map::new();
    for (name, value) in fields {
        let value = serde_json::Value::from(value.as_str());
        match object.get_mut(name) {
            None => {
                object.insert(name.clone(), value);
            }
            Some(serde_json::Value::Array(values)) => values.push(value),
            Some(first) => {
                let first = first.take();
                object.insert(name.clone(), vec![first, value].into());
            }
        }
    }
    serde_json::from_value(object.into()).map_err(|_| {
        PageError::BadRequest(
            "a field is missing or malformed: go back, reload the page and try again",
        )
    })
}

/// A field that may be sent not at all, once or several times: tick boxes.
///
/// # Errors
/// When a value is of another kind.
pub fn ticks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Ticks {
        One(String),
        Many(Vec<String>),
    }
    Ok(match serde::Deserialize::deserialize(deserializer)? {
        Ticks::One(value) => vec![value],
        Ticks::Many(values) => values,
    })
}
