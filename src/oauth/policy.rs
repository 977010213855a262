//! Which clients the installation takes: metadata promises what it says, and the endpoints hold to
//! it (spec rows M-03, M-09, D-11).

use axum::http::{HeaderMap, header};

use super::{
    client::{Client, Source},
    error::{Error, ErrorCode, Refusal},
    redirect_uri,
};
use crate::config::{ClientHost, Clients, Registration};

/// The rules of the installation; a tenant may be stricter.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    clients: Clients,
}

/// Why a client is not taken although it is known, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwelcome {
    /// A place of its own is not among those that the operator allows.
    Host,
    /// The operator wants no clients that describe themselves at a URL.
    Document,
}

impl Unwelcome {
    /// For the person in the browser.
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::Host => {
                "This installation takes apps from certain hosts only, and the app that sent you \
                 here is not at one of them. Ask whoever runs the installation to allow its host."
            }
            Self::Document => {
                "The app that sent you here introduces itself in a way that this installation has \
                 switched off. Ask whoever runs the installation."
            }
        }
    }

    /// For the client's developer.
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Host => "the operator does not allow the host of this client's redirect URIs",
            Self::Document => "the operator has switched client ID metadata documents off",
        }
    }
}

impl Policy {
    pub(super) const fn new(clients: Clients) -> Self {
        Self { clients }
    }

    /// Whether a client can register at all, be it with a token.
    pub(super) const fn has_registration(&self) -> bool {
        !matches!(self.clients.registration, Registration::Off)
    }

    /// Whether a `client_id` may be the URL of a document.
    pub(super) const fn has_documents(&self) -> bool {
        self.clients.documents
    }

    /// How many registrations an hour: by one address, and by everybody.
    pub(super) const fn registrations_per_hour(&self) -> (u32, u32) {
        (self.clients.registrations_per_hour, self.clients.registrations_per_hour_total)
    }

    /// Whether whoever sent these headers may register: RFC 7591 §3.
    pub(super) fn check_registrant(&self, headers: &HeaderMap) -> Result<(), Error> {
        match &self.clients.registration {
            Registration::Open => Ok(()),
            Registration::Off => Err(Error::Forbidden(Refusal {
                error: ErrorCode::AccessDenied,
                error_description: "clients cannot register here: the operator has switched it off",
            })),
            Registration::Token(token) => match bearer(headers) {
                Some(presented) if token.is(presented) => Ok(()),
                _ => Err(Error::BearerRefused(Refusal {
                    error: ErrorCode::InvalidToken,
                    error_description: "registration needs the operator's initial access token, \
                                        as a Bearer token",
                })),
            },
        }
    }

    /// Whether a client may be used: asked wherever it begins something, since the rules may have
    /// changed since it became known.
    pub(super) fn check(&self, client: &Client) -> Result<(), Unwelcome> {
        match client.source {
            // An admin made it, by hand.
            Source::Tenant => Ok(()),
            Source::Registration => self.check_hosts(&client.redirect_uris),
            Source::Document => {
                self.check_document(&client.client_id)?;
                self.check_hosts(&client.redirect_uris)
            }
        }
    }

    /// Whether a client may be described by the document at this URL: asked before it is fetched.
    pub(super) fn check_document(&self, client_id: &str) -> Result<(), Unwelcome> {
        if self.has_documents() { self.check_place(client_id) } else { Err(Unwelcome::Document) }
    }

    /// Whether answers may go to all of these.
    pub(super) fn check_hosts(&self, uris: &[String]) -> Result<(), Unwelcome> {
        uris.iter().try_for_each(|uri| self.check_place(uri))
    }

    fn check_place(&self, uri: &str) -> Result<(), Unwelcome> {
        let Clients { hosts, .. } = &self.clients;
        if hosts.is_empty() || is_among(hosts.iter().map(ClientHost::as_str), uri) {
            Ok(())
        } else {
            Err(Unwelcome::Host)
        }
    }
}

/// Whether a URI is at one of these places: hosts, `localhost` for the device, or schemes with their
/// colon. For the installation's list and for tenants'.
pub(super) fn is_among<'a>(mut places: impl Iterator<Item = &'a str>, uri: &str) -> bool {
    let place = redirect_uri::place(uri);
    places.any(|allowed| allowed == place)
}

/// The token of an `Authorization: Bearer` header, where there is exactly one.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (only, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn policy(hosts: &str) -> Policy {
        Policy::new(Config::of(&[("CALLSLIP_CLIENT_HOSTS", hosts)]).clients)
    }

    #[test]
    fn hosts_are_compared_whole() {
        let policy = policy("chatgpt.com,localhost,cursor:");
        for allowed in [
            "https://chatgpt.com/connector/oauth/x",
            "https://CHATGPT.com/x",
            "https://chatgpt.com:8443/x",
            "http://127.0.0.1:3000/cb",
            "http://[::1]/cb",
            "http://localhost/cb",
            "https://localhost/cb",
            "cursor://anysphere.cursor-mcp/oauth/callback",
        ] {
            assert_eq!(policy.check_hosts(&[allowed.to_owned()]), Ok(()), "{allowed}");
        }
        for refused in [
            "https://chatgpt.com.evil.example/x",
            "https://evilchatgpt.com/x",
            "https://www.chatgpt.com/x",
            "https://evil.example/chatgpt.com",
            "https://cursor/",
            "cursor-evil://x",
            "vscode://x",
        ] {
            let both = ["https://chatgpt.com/x".to_owned(), refused.to_owned()];
            assert_eq!(policy.check_hosts(&both), Err(Unwelcome::Host), "{refused}");
        }
    }

    #[test]
    fn without_a_list_every_host_is_welcome() {
        let all = policy("");
        assert_eq!(all.check_hosts(&["https://a.example/cb".to_owned()]), Ok(()));
        assert_eq!(all.check_document("https://a.example/client.json"), Ok(()));
        let off = Config::of(&[("CALLSLIP_CLIENT_DOCUMENTS", "off")]).clients;
        assert_eq!(
            Policy::new(off).check_document("https://a.example/client.json"),
            Err(Unwelcome::Document)
        );
    }
}
