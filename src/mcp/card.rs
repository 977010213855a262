//! Who we are, for those who have not connected: the server card (SEP-2127), and the entry for
//! MCP's registry. Neither holds a tenant's text, and both say what discovery says.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::{Host, Url};

use super::{era::SUPPORTED, jsonrpc, server_info::server_info, sse, tools};
use crate::{
    config::PublicUrl,
    http::{Access, Mounted, Routes},
    oauth::resource::{Resource, Resources},
};

/// What follows the URL of an endpoint.
const SUFFIX: &str = "/server-card";
const PATHS: [&str; 2] = ["/mcp/server-card", "/t/{tenant}/mcp/server-card"];

const CARD_SCHEMA: &str =
    "https://static.modelcontextprotocol.io/schemas/v2/server-card.schema.json";
const REGISTRY_SCHEMA: &str =
    "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";
/// At most 100 characters.
const DESCRIPTION: &str = "Search and read the documents that you have connected.";

/// What the cards are made of.
#[derive(Clone, Debug)]
pub struct Cards {
    public_url: PublicUrl,
    resources: Resources,
}

impl Cards {
    /// The cards of an installation.
    #[must_use]
    pub fn new(public_url: &PublicUrl) -> Self {
        Self { public_url: public_url.clone(), resources: Resources::new(public_url) }
    }

    /// The entry for MCP's registry, to be published under `name` or one made of our host's.
    #[must_use]
    pub fn registry_entry(&self, resource: &Resource, name: Option<&str>) -> Value {
        // The transport before it is deprecated: nobody new is sent there.
        let remote = json!({ "type": "streamable-http", "url": self.resources.audience(resource) });
        let mut entry = self.about(REGISTRY_SCHEMA, resource, &[remote]);
        if let Some(name) = name {
            entry["name"] = name.into();
        }
        entry
    }

    fn card(&self, resource: &Resource) -> Value {
        let url = self.resources.audience(resource);
        let streams = url.strip_suffix("/mcp").unwrap_or(&url);
        let remotes = [
            json!({ "type": "streamable-http", "url": url, "supportedProtocolVersions": SUPPORTED }),
            // For who can do no better.
            json!({
                "type": "sse",
                "url": format!("{streams}/sse/"),
                "supportedProtocolVersions": [sse::REVISION],
            }),
        ];
        let mut card = self.about(CARD_SCHEMA, resource, &remotes);
        card["_meta"] = json!({ "callslip/tools": { "sha256": tools_digest() } });
        card
    }

    /// What both documents say.
    fn about(&self, schema: &str, resource: &Resource, remotes: &[Value]) -> Value {
        let server = server_info();
        let suffix = match resource {
            Resource::Mcp => String::new(),
            Resource::TenantMcp(slug) | Resource::TenantApi(slug) => format!(".{slug}"),
        };
        let name = server["name"].as_str().unwrap_or_default();
        json!({
            "$schema": schema,
            "name": format!("{}/{name}{suffix}", self.namespace()),
            "title": server["title"],
            "version": server["version"],
            "description": DESCRIPTION,
            "websiteUrl": format!("{}/", self.public_url.as_str()),
            "remotes": remotes,
        })
    }

    /// Our host, the other way round: `com.example.docs`.
    fn namespace(&self) -> String {
        let url = Url::parse(self.public_url.as_str()).ok();
        let Some(Host::Domain(domain)) = url.as_ref().and_then(Url::host) else {
            return "localhost".to_owned();
        };
        domain.rsplit('.').collect::<Vec<_>>().join(".").replace('_', "-")
    }
}

/// What pins the tools: the SHA-256 of the result of `tools/list` in a legacy revision, as compact
/// JSON with sorted members.
fn tools_digest() -> String {
    Sha256::digest(tools::list().to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The routes: a card beside each endpoint.
pub(super) fn routes(cards: Cards) -> Mounted {
    let mut routes = Routes::new();
    for path in PATHS {
        routes = routes.get(path, Access::Public, get).options(path, Access::Public, preflight);
    }
    routes.mount(cards)
}

/// `GET`. Whether there is such a tenant is not said.
async fn get(State(cards): State<Cards>, uri: Uri) -> Response {
    const HEADERS: [(HeaderName, &str); 2] = [
        (header::CONTENT_TYPE, "application/mcp-server-card+json"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    let resource = uri.path().strip_suffix(SUFFIX).and_then(Resources::at_path);
    let Some(resource) = resource else {
        return jsonrpc::json_response(StatusCode::NOT_FOUND, &json!({ "error": "not_found" }));
    };
    (HEADERS, any_origin(), cards.card(&resource).to_string()).into_response()
}

/// `OPTIONS`: a browser asks whether its script may send more than a plain `GET`.
async fn preflight() -> Response {
    (StatusCode::NO_CONTENT, any_origin()).into_response()
}

/// Any page may read a card, without credentials.
fn any_origin() -> HeaderMap {
    [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type, accept"),
    ]
    .into_iter()
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards(url: &str) -> Cards {
        Cards::new(&url.parse().unwrap())
    }

    #[test]
    fn the_name_is_the_host_the_other_way_round() {
        let name = |url: &str, resource| cards(url).card(&resource)["name"].clone();
        let tenant = || Resource::TenantMcp("acme".to_owned());
        assert_eq!(name("https://docs.example.com", Resource::Mcp), "com.example.docs/callslip");
        assert_eq!(name("https://docs.example.com", tenant()), "com.example.docs/callslip.acme");
        for local in ["http://localhost:8700", "http://127.0.0.1:8700", "http://[::1]:8700"] {
            assert_eq!(name(local, Resource::Mcp), "localhost/callslip", "{local}");
        }
    }

    /// The rules of server.json that reading its schema does not show: no version ranges, no more
    /// than 100 characters.
    #[test]
    fn the_registry_s_entry_keeps_its_rules() {
        let entry = cards("https://docs.example.com").registry_entry(&Resource::Mcp, None);
        let keys: Vec<_> = entry.as_object().unwrap().keys().collect();
        let known = ["$schema", "description", "name", "remotes", "title", "version", "websiteUrl"];
        assert_eq!(keys, known);
        let url = "https://docs.example.com/mcp";
        assert_eq!(entry["remotes"], json!([{ "type": "streamable-http", "url": url }]));
        assert!(entry["description"].as_str().unwrap().len() <= 100);
        let named = Some("io.github.ada/callslip");
        let entry = cards("https://docs.example.com").registry_entry(&Resource::Mcp, named);
        assert_eq!(entry["name"], "io.github.ada/callslip");
    }
}
