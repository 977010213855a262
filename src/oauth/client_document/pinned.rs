//! Documents of the well-known assistants as they were seen, for when their hosts refuse us.
//!
//! One file each: where it was seen and when, and the document. Add one to the folder and to
//! [`FILES`], which a test holds together.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;
use time::{
    Date, OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description,
};

use super::{document, location::Location};
use crate::oauth::client::Client;

const FILES: &[(&str, &str)] = &[
    ("chatgpt.json", include_str!("pinned/chatgpt.json")),
    ("claude-code.json", include_str!("pinned/claude-code.json")),
    ("claude.json", include_str!("pinned/claude.json")),
    ("codex.json", include_str!("pinned/codex.json")),
    ("opencode.json", include_str!("pinned/opencode.json")),
    ("vscode.json", include_str!("pinned/vscode.json")),
    ("zed.json", include_str!("pinned/zed.json")),
];

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// What a client may name as the audience of its assertions: RFC 7523 §3, and the newer advice to
/// take the issuer alone.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(in crate::oauth) enum AssertionAudience {
    /// Ours.
    Issuer,
    /// The URL of our token endpoint.
    TokenEndpoint,
}

pub(super) const ISSUER: &[AssertionAudience] = &[AssertionAudience::Issuer];

/// As in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The day on which the document said this.
    seen: String,
    /// Who saw it, and where.
    #[expect(dead_code, reason = "for people who read the file")]
    source: String,
    /// Where the client is known to name something else than the issuer.
    #[serde(default = "issuer")]
    assertion_audiences: Vec<AssertionAudience>,
    document: Value,
}

fn issuer() -> Vec<AssertionAudience> {
    ISSUER.to_vec()
}

struct Pinned {
    location: Location,
    client: Client,
    seen: OffsetDateTime,
    assertion_audiences: Vec<AssertionAudience>,
}

static PINNED: LazyLock<Vec<Pinned>> =
    LazyLock::new(|| FILES.iter().filter_map(|(_, file)| parse(file)).collect());

fn parse(file: &str) -> Option<Pinned> {
    let file: File = serde_json::from_str(file).ok()?;
    let location = Location::parse(file.document.get("client_id")?.as_str()?)?;
    let client = document::understand(&location, file.document.to_string().as_bytes()).ok()?;
    let seen = Date::parse(&file.seen, DAY).ok()?.midnight().assume_utc();
    Some(Pinned { location, client, seen, assertion_audiences: file.assertion_audiences })
}

/// The pinned copy of this document, and when it was seen.
pub(super) fn find(location: &Location) -> Option<(Client, OffsetDateTime)> {
    let found = PINNED.iter().find(|pinned| pinned.location == *location)?;
    Some((found.client.clone(), found.seen))
}

/// The audiences that the assertions of this client may name.
pub(super) fn assertion_audiences(location: &Location) -> &'static [AssertionAudience] {
    let found = PINNED.iter().find(|pinned| pinned.location == *location);
    found.map_or(ISSUER, |pinned| &pinned.assertion_audiences)
}

/// Whether a pinned document lives in the same place.
pub(super) fn is_well_known(location: &Location) -> bool {
    PINNED.iter().any(|pinned| pinned.location.place() == location.place())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_file_is_listed_and_makes_a_client() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/oauth/client_document/pinned");
        let there: BTreeSet<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let listed: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(listed, there);
        for (name, file) in FILES {
            assert!(parse(file).is_some(), "{name}");
        }
    }

    #[test]
    fn only_the_assistants_own_places_are_well_known() {
        for (url, expected) in [
            ("https://chatgpt.com/oauth/client.json", true),
            ("https://chatgpt.com/oauth/connector-1/client.json", true),
            ("https://claude.ai/oauth/mcp-oauth-client-metadata", true),
            ("https://chatgpt.com/share/client.json", false),
            ("https://chatgpt.com/oauth", false),
            ("https://chatgpt.com:8443/oauth/client.json", false),
            ("https://chatgpt.com.evil.example/oauth/client.json", false),
            ("https://evil.example/oauth/client.json", false),
        ] {
            assert_eq!(is_well_known(&Location::parse(url).unwrap()), expected, "{url}");
        }
    }
}
