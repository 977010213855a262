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

const FILES: &[(&str, &str)] = &[("chatgpt.json", include_str!("pinned/chatgpt.json"))];

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// As in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The day on which the document said this.
    seen: String,
    /// Who saw it, and where.
    #[expect(dead_code, reason = "for people who read the file")]
    source: String,
    document: Value,
}

struct Pinned {
    location: Location,
    client: Client,
    seen: OffsetDateTime,
}

static PINNED: LazyLock<Vec<Pinned>> =
    LazyLock::new(|| FILES.iter().filter_map(|(_, file)| parse(file)).collect());

fn parse(file: &str) -> Option<Pinned> {
    let file: File = serde_json::from_str(file).ok()?;
    let location = Location::parse(file.document.get("client_id")?.as_str()?)?;
    let client = document::understand(&location, file.document.to_string().as_bytes()).ok()?;
    let seen = Date::parse(&file.seen, DAY).ok()?.midnight().assume_utc();
    Some(Pinned { location, client, seen })
}

/// The pinned copy of this document, and when it was seen.
pub(super) fn find(location: &Location) -> Option<(Client, OffsetDateTime)> {
    let found = PINNED.iter().find(|pinned| pinned.location == *location)?;
    Some((found.client.clone(), found.seen))
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
}
