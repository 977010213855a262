//! Our cookies: the signed-in session, the browser before sign-in, and a sign-in on its way through
//! a tenant's provider.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::secret::{Kind, Plaintext};

/// Which cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// Who is signed in.
    Session,
    /// A browser that has not signed in: forms and authorization requests are bound to it.
    Browser,
    /// A sign-in that this browser has begun at a tenant's provider.
    Sso,
}

impl Cookie {
    const fn name(self, https: bool) -> &'static str {
        match (self, https) {
            (Self::Session, true) => "__Host-sid",
            (Self::Session, false) => "sid",
            (Self::Browser, true) => "__Host-browser",
            (Self::Browser, false) => "browser",
            (Self::Sso, true) => "__Host-sso",
            (Self::Sso, false) => "sso",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Session => Kind::Session,
            Self::Browser => Kind::Browser,
            Self::Sso => Kind::SsoBrowser,
        }
    }

    /// The well-formed value that the browser sent. A name that was sent twice counts as absent:
    /// somebody may have planted the other one.
    #[must_use]
    pub fn read(self, headers: &HeaderMap, https: bool) -> Option<Plaintext> {
        let name = self.name(https);
        let mut found = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value);
        let value = found.next()?;
        if found.next().is_some() {
            return None;
        }
        Plaintext::presented(self.kind(), value)
    }

    /// A `Set-Cookie` value that keeps `secret` until the browser closes or `max_age` seconds have
    /// passed.
    #[must_use]
    pub fn set(self, secret: &Plaintext, https: bool, max_age: i64) -> HeaderValue {
        let secure = if https { "; Secure" } else { "" };
        let text = format!(
            "{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}",
            self.name(https),
            secret.expose()
        );
        let mut value = HeaderValue::from_str(&text).expect("base64url is a valid header value");
        value.set_sensitive(true);
        value
    }

    /// A `Set-Cookie` value that removes it.
    #[must_use]
    pub fn clear(self, https: bool) -> HeaderValue {
        let secure = if https { "; Secure" } else { "" };
        let text =
            format!("{}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{secure}", self.name(https));
        HeaderValue::from_str(&text).expect("fixed ASCII text")
    }
}
