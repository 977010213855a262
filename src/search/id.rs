//! Document ids as clients see them: opaque, canonical, and no leave to read anything.
//!
//! base64url, without padding, of: a byte for the kind, the store (16 bytes), the document, and
//! four bytes of checksum. One document and passage has one id, and a slip is not another one.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::{DocumentId, VectorStoreId};

const BUILTIN: u8 = 1;
const OUTSIDE: u8 = 2;

/// What an id says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The store that the document is in. Check it against what the caller may read.
    pub store: VectorStoreId,
    /// The document in that store.
    pub document: Target,
}

/// A document in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A document of the builtin store, and which chunk of it was found.
    Builtin {
        /// The document.
        document: DocumentId,
        /// The chunk's ordinal.
        chunk: u32,
    },
    /// A file of an outside store.
    Outside {
        /// The backend's own id of it.
        file_id: String,
    },
}

impl Target {
    /// The same document, and no passage of it.
    #[must_use]
    pub fn whole(&self) -> Self {
        match self {
            Self::Builtin { document, .. } => {
                Self::Builtin { document: *document, chunk: u32::MAX }
            }
            Self::Outside { .. } => self.clone(),
        }
    }
}

impl Reference {
    /// Read an id that somebody presented; `None` unless it is exactly as we would write it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = (text.len() <= 512).then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten()?;
        let (body, sum) = bytes.split_last_chunk::<4>()?;
        if checksum(body) != *sum {
            return None;
        }
        let (kind, rest) = body.split_first()?;
        let (store, rest) = rest.split_first_chunk::<16>()?;
        let document = match *kind {
            BUILTIN => {
                let (document, chunk) = rest.split_first_chunk::<16>()?;
                Target::Builtin {
                    document: Uuid::from_bytes(*document).into(),
                    chunk: u32::from_be_bytes(chunk.try_into().ok()?),
                }
            }
            OUTSIDE => Target::Outside { file_id: String::from_utf8(rest.to_vec()).ok()? },
            _ => return None,
        };
        let reference = Self { store: Uuid::from_bytes(*store).into(), document };
        // One thing has one name.
        (reference.to_string() == text).then_some(reference)
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = Vec::with_capacity(64);
        let store = self.store.uuid();
        match &self.document {
            Target::Builtin { document, chunk } => {
                bytes.push(BUILTIN);
                bytes.extend_from_slice(store.as_bytes());
                bytes.extend_from_slice(document.uuid().as_bytes());
                bytes.extend_from_slice(&chunk.to_be_bytes());
            }
            Target::Outside { file_id } => {
                bytes.push(OUTSIDE);
                bytes.extend_from_slice(store.as_bytes());
                bytes.extend_from_slice(file_id.as_bytes());
            }
        }
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

fn checksum(body: &[u8]) -> [u8; 4] {
    let digest: [u8; 32] = Sha256::digest(body).into();
    [digest[0], digest[1], digest[2], digest[3]]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference() -> impl Strategy<Value = Reference> {
        let builtin = (any::<u128>(), any::<u128>(), any::<u32>()).prop_map(|(s, d, chunk)| {
            let document = Target::Builtin { document: Uuid::from_u128(d).into(), chunk };
            Reference { store: Uuid::from_u128(s).into(), document }
        });
        let outside = (any::<u128>(), "[a-zA-Z0-9_-]{1,64}").prop_map(|(s, file_id)| Reference {
            store: Uuid::from_u128(s).into(),
            document: Target::Outside { file_id },
        });
        prop_oneof![builtin, outside]
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(reference in reference()) {
            prop_assert_eq!(Reference::parse(&reference.to_string()), Some(reference));
        }

        /// [I-01] Other spellings of an id name nothing.
        #[test]
        fn another_spelling_names_nothing(reference in reference(), cut in 1usize..20) {
            let id = reference.to_string();
            for other in [
                id.to_uppercase(),
                id.to_lowercase(),
                format!("{id}="),
                format!("{id}A"),
                format!(" {id}"),
                id[..id.len() - cut].to_owned(),
                id[cut..].to_owned(),
                format!("file:{id}"),
            ] {
                prop_assert!(other == id || Reference::parse(&other).is_none());
            }
        }

        #[test]
        fn noise_is_no_id(noise in ".{0,100}") {
            prop_assert_eq!(Reference::parse(&noise), None);
        }
    }
}
