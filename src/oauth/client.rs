//! OAuth clients: what is known of them (RFC 7591 §2), however they came.

use serde_json::{Map, Value};

use time::OffsetDateTime;

use crate::{
    ids::{GrantId, TenantId},
    secret::SecretHash,
};

/// The grants that there are; metadata lists them and the token endpoint knows no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GrantType {
    AuthorizationCode,
    RefreshToken,
    /// A back end in its own name: OAuth 2.1 §4.2.
    ClientCredentials,
}

impl GrantType {
    pub(super) const ALL: &'static [Self] =
        &[Self::AuthorizationCode, Self::RefreshToken, Self::ClientCredentials];
    /// What clients may register by themselves: who acts in its own name was made by an admin.
    pub(super) const REGISTRABLE: &'static [Self] = &[Self::AuthorizationCode, Self::RefreshToken];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == name)
    }
}

/// How a client authenticates at the token and revocation endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthMethod {
    None,
    ClientSecretBasic,
    ClientSecretPost,
    /// RFC 7523 §2.2.
    PrivateKeyJwt,
}

impl AuthMethod {
    pub(super) const ALL: &'static [Self] =
        &[Self::None, Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == name)
    }

    /// Whether we give the client a secret for it.
    pub(super) const fn needs_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

/// How a client came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It registered itself: RFC 7591.
    Registration,
    /// The document at its `client_id` describes it.
    Document,
    /// A tenant's admin made it.
    Tenant,
}

impl Source {
    const ALL: &'static [Self] = &[Self::Registration, Self::Document, Self::Tenant];

    /// As stored.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Document => "document",
            Self::Tenant => "tenant",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == name)
    }
}

/// What a tenant's admin let a back end do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceRights {
    /// Whose back end it is; never of a tenant that is suspended.
    pub(super) tenant: TenantId,
    /// What it acts under; none for one that may only introspect.
    pub(super) grant: Option<GrantId>,
    /// Whether it may ask what a token of its tenant's is good for: RFC 7662.
    pub(super) may_introspect: bool,
    /// When it ends.
    pub(super) expires_at: OffsetDateTime,
}

/// A client.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) client_id: String,
    /// Cleaned for display; nobody has verified it.
    pub(super) client_name: String,
    pub(super) source: Source,
    pub(super) redirect_uris: Vec<String>,
    pub(super) grant_types: Vec<GrantType>,
    /// Each is accepted; the first is what it prefers. Never empty.
    pub(super) token_endpoint_auth_methods: Vec<AuthMethod>,
    /// There exactly when a method needs one.
    pub(super) secret_hash: Option<SecretHash>,
    /// Its public keys, where it told them itself: RFC 7517.
    pub(super) jwks: Option<Value>,
    /// Where its public keys are.
    pub(super) jwks_uri: Option<String>,
    /// Whether its tokens must be bound to a key of its own: RFC 9449 §5.2.
    pub(super) dpop_bound: bool,
    /// Moves with everything that users consented to: grants of an older version are over.
    pub(super) version: i32,
    /// When it last authenticated, give or take an hour.
    pub(super) last_used_at: Option<OffsetDateTime>,
    /// For a back end that a tenant's admin made, and for no other.
    pub(super) service: Option<ServiceRights>,
    /// What else it told.
    pub(super) metadata: Map<String, Value>,
}

impl Client {
    pub(super) fn may_use(&self, grant_type: GrantType) -> bool {
        self.grant_types.contains(&grant_type)
    }

    /// Whether it proves itself with a secret of ours.
    pub(super) fn needs_secret(&self) -> bool {
        self.token_endpoint_auth_methods.iter().any(|method| method.needs_secret())
    }

    /// Whether it cannot prove who it is.
    pub(super) fn is_public(&self) -> bool {
        self.accepts(AuthMethod::None)
    }

    pub(super) fn accepts(&self, method: AuthMethod) -> bool {
        self.token_endpoint_auth_methods.contains(&method)
    }
}
