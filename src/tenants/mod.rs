//! Tenants and who belongs to them.
//!
//! A suspended tenant and a disabled user count as absent wherever access is decided.

pub mod connection;
pub mod deletion;
pub mod store;
mod store_connection;
mod store_deletion;
mod store_keys;
pub mod vault;

use std::{fmt, str::FromStr};

use sqlx::{
    Decode, Postgres, Type,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValueRef},
};
use time::OffsetDateTime;
use unicode_normalization::UnicodeNormalization;

use crate::ids::{TenantId, UserId};

/// An organisation: the unit of isolation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Names it in the database.
    pub id: TenantId,
    /// Names it in URLs.
    pub slug: String,
    /// Names it for people.
    pub name: String,
}

/// A tenant as the operator lists it, suspended ones included.
#[derive(Clone, Debug)]
pub struct TenantOverview {
    /// Names it in the database.
    pub id: TenantId,
    /// Names it in URLs.
    pub slug: String,
    /// Names it for people.
    pub name: String,
    /// How many users belong to it.
    pub members: i64,
    /// Since when.
    pub created_at: OffsetDateTime,
    /// Whether it answers nobody for now.
    pub is_suspended: bool,
}

/// A user in a tenant, as its admins list them.
#[derive(Clone, Debug)]
pub struct TenantMember {
    /// Who.
    pub user_id: UserId,
    /// Their e-mail address.
    pub email: String,
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Since when.
    pub created_at: OffsetDateTime,
    /// Whether their account is switched off.
    pub is_disabled: bool,
}

/// What a member may do; a later one may do all that an earlier one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Searches what the grant and the store's readers allow.
    Reader,
    /// Manages the tenant too.
    Admin,
    /// Manages its admins too, and may delete it.
    Owner,
}

impl Role {
    /// Every role, for menus.
    pub const ALL: &'static [Self] = &[Self::Reader, Self::Admin, Self::Owner];

    /// As stored and as people write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Whether it manages the tenant.
    #[must_use]
    pub const fn is_admin(self) -> bool {
        matches!(self, Self::Admin | Self::Owner)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No role has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is reader, admin or owner")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.iter().copied().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

impl Type<Postgres> for Role {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(ty)
    }
}

impl<'r> Decode<'r, Postgres> for Role {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(<&str as Decode<Postgres>>::decode(value)?.parse()?)
    }
}

/// A tenant's name in URLs: 1 to 40 of `a-z 0-9 -`, no hyphen at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slug(String);

impl Slug {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text does not name a tenant in URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a slug is 1 to 40 of a-z, 0-9 and hyphen, with no hyphen at either end")]
pub struct NotASlug;

impl FromStr for Slug {
    type Err = NotASlug;

    fn from_str(text: &str) -> Result<Self, NotASlug> {
        let fits = (1..=40).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits { Ok(Self(text.to_owned())) } else { Err(NotASlug) }
    }
}

/// What people call a person or a tenant: 1 to 80 characters on one line, normalised to NFC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name is 1 to 80 characters on one line")]
pub struct NotAName;

impl FromStr for DisplayName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let name: String = text.trim().nfc().collect();
        let fits = (1..=80).contains(&name.chars().count())
            && !name.chars().any(|c| c.is_control() || reorders(c));
        if fits { Ok(Self(name)) } else { Err(NotAName) }
    }
}

/// Characters that change the direction of the text around them: a name that carries one can make
/// a page read otherwise than it is.
const fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_what_the_database_takes() {
        for good in ["a", "acme", "a-b", "0", &"a".repeat(40)] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a/b", "ä", &"a".repeat(41)] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_one_honest_line() {
        assert_eq!(" Ada ".parse::<DisplayName>().unwrap().as_str(), "Ada");
        assert_eq!("e\u{301}".parse::<DisplayName>().unwrap().as_str(), "é");
        for bad in ["", "  ", "a\nb", "a\u{202e}b", "a\0", &"a".repeat(81)] {
            assert!(bad.parse::<DisplayName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn roles_are_ordered_by_what_they_may_do() {
        assert!(Role::Owner > Role::Admin && Role::Admin > Role::Reader);
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(*role));
        }
    }
}
