//! Protected resources: which URLs name one, and under which name a token carries it (RFC 8707).
//!
//! There are three kinds: `{origin}/mcp`, where the user picks the tenant at consent,
//! `{origin}/t/{tenant}/mcp`, which names one, and `{origin}/t/{tenant}/api`, the API of a tenant's
//! own back ends. That is a resource of its own, so that no token that an assistant holds, whatever
//! becomes of it, adds or removes a document, and no token of the API answers questions of MCP.
//!
//! People paste other spellings: the bare origin, the
//! old `/sse/`, a trailing slash. Each is an alias. Whatever spelling a client asks for, the token's
//! one audience is the canonical form, and the endpoint behind every spelling demands that form, so
//! a token works wherever its resource answers and nowhere else.

use std::sync::Arc;

use super::scope::Scope;
use crate::{
    config::PublicUrl,
    problems::{Kind, Problems},
};

/// Where the protected resource metadata of a path lives: RFC 9728 §3.1.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// A protected resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Any tenant: the user picks one at consent.
    Mcp,
    /// One tenant, by its slug. That the tenant exists is not said.
    TenantMcp(String),
    /// The API of one tenant's documents, for its back ends alone.
    TenantApi(String),
}

impl Resource {
    /// The scopes that mean something there. `offline_access` is between client and authorization
    /// server.
    #[must_use]
    pub const fn scopes(&self) -> Scope {
        match self {
            Self::Mcp | Self::TenantMcp(_) => Scope::SEARCH_READ,
            Self::TenantApi(_) => Scope::OF_BACK_ENDS,
        }
    }
}

/// The resources of this installation.
#[derive(Clone, Debug)]
pub struct Resources {
    origin: Arc<str>,
    problems: Option<Problems>,
}

impl Resources {
    /// Under the installation's origin.
    #[must_use]
    pub fn new(public_url: &PublicUrl) -> Self {
        Self { origin: public_url.as_str().into(), problems: None }
    }

    /// Tell somebody when a client names another origin: a wrong URL was pasted, or ours changed.
    #[must_use]
    pub fn reporting_to(self, problems: &Problems) -> Self {
        Self { problems: Some(problems.clone()), ..self }
    }

    /// The audience of a token for [`Resource::Mcp`].
    #[must_use]
    pub fn mcp(&self) -> String {
        format!("{}/mcp", self.origin)
    }

    /// The audience of a token for one tenant.
    #[must_use]
    pub fn tenant_mcp(&self, slug: &str) -> String {
        format!("{}/t/{slug}/mcp", self.origin)
    }

    /// The audience of a token for the API of one tenant.
    #[must_use]
    pub fn tenant_api(&self, slug: &str) -> String {
        format!("{}/t/{slug}/api", self.origin)
    }

    /// The audience of a token for `resource`.
    #[must_use]
    pub fn audience(&self, resource: &Resource) -> String {
        match resource {
            Resource::Mcp => self.mcp(),
            Resource::TenantMcp(slug) => self.tenant_mcp(slug),
            Resource::TenantApi(slug) => self.tenant_api(slug),
        }
    }

    /// The resource that a client named, in any of its spellings. Scheme and host may differ in
    /// case (RFC 3986 §6.2.2.1); query, fragment, dot segments and escapes name nothing.
    #[must_use]
    pub fn parse(&self, text: &str) -> Option<Resource> {
        let split = text.split_at_checked(self.origin.len());
        let ours = split.filter(|(origin, _)| origin.eq_ignore_ascii_case(&self.origin));
        let Some((_, path)) = ours else {
            self.report(text);
            return None;
        };
        if path.is_empty() || path == "/" { Some(Resource::Mcp) } else { Self::at_path(path) }
    }

    fn report(&self, resource: &str) {
        let Some(problems) = &self.problems else { return };
        // Never the path: it may be anything.
        let Ok(origin) = url::Url::parse(resource).map(|url| url.origin()) else { return };
        let origin = origin.ascii_serialization();
        if origin.starts_with("http") && origin != *self.origin {
            problems.record(Kind::Resource, &origin);
        }
    }

    /// The resource that answers at a path of ours, with or without a trailing slash.
    #[must_use]
    pub fn at_path(path: &str) -> Option<Resource> {
        let path = path.strip_suffix('/').unwrap_or(path);
        if let "/mcp" | "/sse" = path {
            return Some(Resource::Mcp);
        }
        let (slug, place) = path.strip_prefix("/t/")?.split_once('/')?;
        let slug = is_slug(slug).then(|| slug.to_owned())?;
        match place {
            "mcp" | "sse" => Some(Resource::TenantMcp(slug)),
            "api" => Some(Resource::TenantApi(slug)),
            _ => None,
        }
    }

    /// The resource as its metadata names it: the URL that the client has, letter for letter, since
    /// clients compare (RFC 9728 §3.3).
    #[must_use]
    pub fn url_at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Where the metadata of the resource at `path` lives: `/t/acme/mcp` gives
    /// `{origin}/.well-known/oauth-protected-resource/t/acme/mcp`. For the 401 challenge.
    #[must_use]
    pub fn metadata_url_for(&self, path: &str) -> String {
        format!("{}{WELL_KNOWN}{path}", self.origin)
    }
}

/// As the tenants table checks it.
fn is_slug(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=40).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources() -> Resources {
        Resources::new(&"https://docs.example.com".parse().unwrap())
    }

    #[test]
    fn every_spelling_of_a_resource_has_one_audience() {
        let resources = resources();
        for (text, audience) in [
            ("https://docs.example.com", "https://docs.example.com/mcp"),
            ("https://docs.example.com/", "https://docs.example.com/mcp"),
            ("HTTPS://Docs.Example.COM/mcp", "https://docs.example.com/mcp"),
            ("https://docs.example.com/mcp/", "https://docs.example.com/mcp"),
            ("https://docs.example.com/sse/", "https://docs.example.com/mcp"),
            ("https://docs.example.com/t/acme/mcp", "https://docs.example.com/t/acme/mcp"),
            ("https://docs.example.com/t/acme/sse/", "https://docs.example.com/t/acme/mcp"),
            ("https://docs.example.com/t/acme/api/", "https://docs.example.com/t/acme/api"),
        ] {
            let resource = resources.parse(text).unwrap();
            assert_eq!(resources.audience(&resource), audience, "{text}");
        }
    }

    /// What is not one of our resources, spelled out, names nothing.
    #[test]
    fn what_is_not_ours_names_nothing() {
        for text in [
            "",
            "/mcp",
            "mcp",
            "https://docs.example.com//",
            "https://docs.example.com/mcp?x=1",
            "https://docs.example.com/mcp#x",
            "https://docs.example.com/MCP",
            "https://docs.example.com/other",
            "https://docs.example.com/t/acme",
            "https://docs.example.com/t//mcp",
            "https://docs.example.com/t/../mcp",
            "https://docs.example.com/t/Acme/mcp",
            "https://docs.example.com/t/a%63me/mcp",
            "https://docs.example.com/t/acme/mcp/x",
            "https://docs.example.com/t/acme/api/v1",
            "https://docs.example.com/api",
            "https://docs.example.com:443/mcp",
            "https://docs.example.com.evil.example/mcp",
            "https://evil.example/mcp",
            "https://x@docs.example.com/mcp",
            "http://docs.example.com/mcp",
            "https://docs.example.cöm/mcp",
        ] {
            assert_eq!(resources().parse(text), None, "{text}");
        }
    }

    #[test]
    fn metadata_stands_between_host_and_path() {
        assert_eq!(
            resources().metadata_url_for("/t/acme/mcp"),
            "https://docs.example.com/.well-known/oauth-protected-resource/t/acme/mcp"
        );
    }
}
