//! The problems that there can be, in words.

/// Something that can be wrong with the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Requests arrive under another host than the public URL's.
    Host,
    /// Clients ask for a `resource` under another origin.
    Resource,
    /// Tokens with our signature name another issuer.
    Issuer,
    /// This machine's clock and the database's differ.
    Clock,
    /// Nothing outside can be reached.
    Outbound,
    /// A peer that is not trusted sends `X-Forwarded-For`.
    Proxy,
    /// The embedding model is not there.
    Embedding,
    /// A file's job names what is not its tenant's.
    Ingest,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Host,
        Self::Resource,
        Self::Issuer,
        Self::Clock,
        Self::Outbound,
        Self::Proxy,
        Self::Embedding,
        Self::Ingest,
    ];

    /// As stored, and in URLs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "other-host",
            Self::Resource => "other-resource",
            Self::Issuer => "other-issuer",
            Self::Clock => "clock",
            Self::Outbound => "outbound",
            Self::Proxy => "proxy",
            Self::Embedding => "embedding",
            Self::Ingest => "ingest",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// What is wrong, in a sentence.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Host => {
                "Requests arrive under another host than the one in CALLSLIP_PUBLIC_URL, and are \
                 refused."
            }
            Self::Resource => {
                "Assistants ask for an address that is not under CALLSLIP_PUBLIC_URL, and are \
                 refused."
            }
            Self::Issuer => {
                "Assistants come back with tokens that were issued under another \
                 CALLSLIP_PUBLIC_URL, and are refused."
            }
            Self::Clock => "The clock of a machine that Callslip runs on is wrong.",
            Self::Outbound => {
                "Callslip cannot reach other servers, so it cannot read the documents and keys by \
                 which some assistants say who they are."
            }
            Self::Proxy => {
                "Requests come through a proxy that CALLSLIP_TRUSTED_PROXIES does not name, so \
                 everybody behind it shares one limit and one address in the log."
            }
            Self::Embedding => {
                "The embedding model is not there, so searches go by words alone and miss what is \
                 said in others."
            }
            Self::Ingest => {
                "A file that waits to be read names a vector store or an original that is not its \
                 tenant's. It was refused."
            }
        }
    }

    /// What to do about it, in a sentence or two.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Host => {
                "If this is the inner name of your proxy, let the proxy pass the Host header on \
                 (nginx: proxy_set_header Host $host;). If people use this name, give them the \
                 right one."
            }
            Self::Resource => {
                "Remove the connection in the assistant, copy the URL from the tenant's overview \
                 page, and add it again."
            }
            Self::Issuer => {
                "If the public URL was changed by mistake, change it back. If it was meant, \
                 everybody connects their assistant again."
            }
            Self::Clock => {
                "Switch time synchronisation on (NTP) on the server and on the database. Beyond \
                 60 seconds the server reports that it is not ready."
            }
            Self::Outbound => {
                "Let the server reach port 443 of public addresses, and check its DNS. Assistants \
                 that register themselves still connect."
            }
            Self::Proxy => {
                "If this is your proxy, add its address to CALLSLIP_TRUSTED_PROXIES. If you have \
                 none, somebody sent the X-Forwarded-For header by hand: nothing came of it."
            }
            Self::Embedding => {
                "Set CALLSLIP_MODEL_DIR to the folder with the model, which scripts/demo unpacks \
                 from models in the sources. What is there already is then embedded by itself."
            }
            Self::Ingest => {
                "Callslip itself never writes such a row: find out who else writes to the database, \
                 or whether a part of it was restored from a backup."
            }
        }
    }
}
