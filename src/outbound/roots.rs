//! Certificates that are believed besides the system's: an organisation's own authority.

use std::{fmt, io, path::Path};

use reqwest::Certificate;

/// Root certificates.
#[derive(Clone, Default)]
pub struct Roots(Vec<Certificate>);

/// No use as root certificates.
#[derive(Debug, thiserror::Error)]
pub enum BadRoots {
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// No certificate in it, or a damaged one.
    #[error("holds no PEM certificate, or a damaged one")]
    NoCertificates,
}

impl Roots {
    /// From PEM: one certificate or many.
    ///
    /// # Errors
    /// When there is none, or a damaged one.
    pub fn from_pem(pem: &[u8]) -> Result<Self, BadRoots> {
        let certificates =
            Certificate::from_pem_bundle(pem).map_err(|_| BadRoots::NoCertificates)?;
        // What is not a certificate inside is found out when a client is made of it.
        let client = reqwest::Client::builder().tls_certs_only(certificates.clone()).build();
        match client {
            Ok(_) if !certificates.is_empty() => Ok(Self(certificates)),
            Ok(_) | Err(_) => Err(BadRoots::NoCertificates),
        }
    }

    /// From a PEM file.
    ///
    /// # Errors
    /// When it cannot be read, or see [`Roots::from_pem`].
    pub fn from_file(path: &Path) -> Result<Self, BadRoots> {
        Self::from_pem(&std::fs::read(path)?)
    }

    pub(super) fn certificates(&self) -> impl Iterator<Item = Certificate> {
        self.0.iter().cloned()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.0.len())
    }
}
