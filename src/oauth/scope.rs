//! OAuth scope: a set of the few that we know (OAuth 2.1 §1.4.1).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of scopes. Anything that we do not know cannot be in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope(u8);

impl Scope {
    /// Search and read documents: both tools.
    pub const SEARCH_READ: Self = Self(1);
    /// Keep access while the user is away. Accepted and never demanded: refresh tokens depend on
    /// the client's registered grant types alone.
    pub const OFFLINE_ACCESS: Self = Self(2);
    /// List documents and read what is known of them, through the API.
    pub const DOCUMENTS_READ: Self = Self(4);
    /// Add and remove documents, through the API.
    pub const DOCUMENTS_WRITE: Self = Self(8);
    /// What a user may let an app do.
    pub const OF_USERS: Self = Self::SEARCH_READ.and(Self::OFFLINE_ACCESS);
    /// What an admin may let a back end do.
    pub const OF_BACK_ENDS: Self =
        Self::SEARCH_READ.and(Self::DOCUMENTS_READ).and(Self::DOCUMENTS_WRITE);
    /// Every scope with its name on the wire.
    const NAMED: [(Self, &'static str); 4] = [
        (Self::SEARCH_READ, "search:read"),
        (Self::OFFLINE_ACCESS, "offline_access"),
        (Self::DOCUMENTS_READ, "documents:read"),
        (Self::DOCUMENTS_WRITE, "documents:write"),
    ];

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// A space-separated list; `None` when it is empty or holds a scope that we do not know.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut set = Self(0);
        for name in text.split(' ').filter(|name| !name.is_empty()) {
            set.0 |= Self::NAMED.iter().find(|(_, known)| *known == name)?.0.0;
        }
        (set.0 != 0).then_some(set)
    }

    /// The names, as stored and as metadata lists them.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMED.iter().filter(|(one, _)| self.covers(*one)).map(|(_, name)| *name).collect()
    }

    /// From the names as stored. What is unknown is left out.
    #[must_use]
    pub fn from_names<S: AsRef<str>>(names: &[S]) -> Self {
        let known = |name: &S| Self::NAMED.iter().find(|(_, known)| *known == name.as_ref());
        Self(names.iter().filter_map(known).fold(0, |set, (one, _)| set | one.0))
    }

    /// Every scope that there is.
    #[must_use]
    pub fn all() -> Self {
        Self(Self::NAMED.iter().fold(0, |set, (one, _)| set | one.0))
    }

    /// Whether every scope of `other` is in it.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What of it is in `allowed` too; `None` when nothing is.
    #[must_use]
    pub fn within(self, allowed: Self) -> Option<Self> {
        let both = self.0 & allowed.0;
        (both != 0).then_some(Self(both))
    }

    /// In words, for the consent page and the list of connected apps.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        let mut words = Vec::new();
        if self.covers(Self::SEARCH_READ) {
            words.push("Search and read the documents you choose below");
        }
        if self.covers(Self::OFFLINE_ACCESS) {
            words.push("Stay connected while you are away");
        }
        words
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("unknown scope"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_a_set_of_known_names() {
        let both = Scope::parse("offline_access  search:read search:read").unwrap();
        assert_eq!(both, Scope::OF_USERS);
        assert_eq!(Scope::OF_USERS.and(Scope::OF_BACK_ENDS), Scope::all());
        assert_eq!(both.to_string(), "search:read offline_access");
        assert!(both.covers(Scope::SEARCH_READ) && !Scope::SEARCH_READ.covers(both));
        for unknown in ["", " ", "admin", "search:read admin", "SEARCH:READ", "search:read\t"] {
            assert_eq!(Scope::parse(unknown), None, "{unknown:?}");
        }
        assert_eq!(Scope::from_names(&both.names()), both);
    }
}
