//! Signed JSON of others: what they sign (RFC 7515), their public keys (RFC 7517), and where they
//! publish those.

pub(crate) mod jwk_set;
pub(crate) mod jws;
pub(crate) mod published;
