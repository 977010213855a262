//! Identifiers: one Rust type for each kind of thing, a UUID version 7 inside.
//!
//! An identifier names a row; it is never leave to read it (see `db::TenantScope`).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[doc = $doc:literal] $name:ident;)*) => {$(
        #[doc = $doc]
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh identifier.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "an identifier has no default")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The bare UUID, for binding to a statement.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            /// Accepts the hyphenated lower-case form only, so that one thing has one name.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let uuid = Uuid::try_parse(text)?;
                if uuid.to_string() == text {
                    Ok(Self(uuid))
                } else {
                    // Any parse error will do: "" is never a UUID.
                    Uuid::try_parse("").map(Self)
                }
            }
        }
    )*};
}

id! {
    /// An organisation: the unit of isolation.
    TenantId;
    /// A person who signs in, in any number of tenants.
    UserId;
    /// One user's consent for one client at one resource.
    GrantId;
    /// A tenant's mapping to a place that answers searches.
    VectorStoreId;
    /// A document in the builtin store.
    DocumentId;
    /// A file as it was sent.
    OriginalId;
    /// A file on its way to being a document.
    IngestId;
    /// An audit event.
    EventId;
    /// A question of which a tenant knows what answers it.
    GoldenQuestionId;
    /// All of a tenant's golden questions, asked once.
    GoldenRunId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_an_id() {
        let id = DocumentId::new();
        let text = id.to_string();
        assert_eq!(text.parse::<DocumentId>().unwrap(), id);
        for other in [
            text.to_uppercase(),
            text.replace('-', ""),
            format!("{{{text}}}"),
            format!(" {text}"),
            format!("urn:uuid:{text}"),
        ] {
            assert!(other.parse::<DocumentId>().is_err(), "{other}");
        }
    }
}
