//! Request parameters: each at most once, and an empty one counts as absent (OAuth 2.1 §3.1, §3.2).

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    extract::{FromRequest, Request},
    http::header,
};

use super::error::{Error, ErrorCode, refuse};

/// The longest body of the protocol's endpoints.
pub(super) const MAX_BODY: usize = 16 * 1024;

/// The parameters of one request.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    once: BTreeMap<String, String>,
    repeated: BTreeSet<String>,
}

impl Parameters {
    /// From a query or a body.
    pub(super) fn parse(encoded: &[u8]) -> Self {
        let mut parameters = Self::default();
        let mut seen = BTreeSet::new();
        for (name, value) in url::form_urlencoded::parse(encoded) {
            if !seen.insert(name.clone().into_owned()) {
                parameters.repeated.insert(name.into_owned());
            } else if !value.is_empty() {
                parameters.once.insert(name.into_owned(), value.into_owned());
            }
        }
        for name in &parameters.repeated {
            parameters.once.remove(name);
        }
        parameters
    }

    /// The value, unless it is absent, empty or repeated.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.once.get(name).map(String::as_str)
    }

    /// Say what the request said in another way.
    pub(super) fn put(&mut self, name: &str, value: &str) {
        self.once.insert(name.to_owned(), value.to_owned());
    }

    /// These of them, url-encoded: what [`Parameters::parse`] reads back.
    pub(super) fn encode(&self, names: &[&str]) -> String {
        let mut encoded = url::form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(names.iter().filter_map(|name| Some((*name, self.find(name)?))));
        encoded.finish()
    }

    pub(super) fn is_repeated(&self, name: &str) -> bool {
        self.repeated.contains(name)
    }

    pub(super) fn any_repeated(&self) -> bool {
        !self.repeated.is_empty()
    }
}

/// The body of a token or revocation request: url-encoded, with nothing sent twice.
impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| {
                kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        if !is_form {
            return Err(refuse(
                ErrorCode::InvalidRequest,
                "the body must be application/x-www-form-urlencoded",
            ));
        }
        let body = read_body(request).await?;
        let parameters = Self::parse(&body);
        if parameters.any_repeated() {
            return Err(refuse(ErrorCode::InvalidRequest, "a parameter was sent twice"));
        }
        Ok(parameters)
    }
}

/// The body, if it is not longer than the protocol needs.
pub(super) async fn read_body(request: Request) -> Result<axum::body::Bytes, Error> {
    axum::body::to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| Error::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_is_absent_and_what_is_repeated_is_neither() {
        let parameters = Parameters::parse(b"a=1&b=&c=1&c=2&d=&d=3&e=x%20y+z");
        assert_eq!(parameters.find("a"), Some("1"));
        assert_eq!(parameters.find("b"), None);
        assert_eq!(parameters.find("c"), None);
        assert_eq!(parameters.find("d"), None);
        assert_eq!(parameters.find("e"), Some("x y z"));
        assert!(parameters.is_repeated("c") && parameters.is_repeated("d"));
        assert!(!parameters.is_repeated("b"));
        assert_eq!(parameters.encode(&["e", "c", "none"]), "e=x+y+z");
    }
}
