//! What happened, for the tenant's admins and for the operator. Append-only.
//!
//! An act on our own tables writes its event in the same transaction ([`store::append`],
//! [`store::append_control`]). A tool call, which changes nothing, waits for [`Log::append`]: its
//! event is durable before its answer leaves (design decision 9), and concurrent calls share one
//! commit.

mod log;
mod origin;
pub mod store;
pub mod store_unanswered;

pub use log::Log;
pub use origin::{Actor, Origin};

use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ids::{EventId, GrantId, TenantId, UserId};

/// What happened: `noun.verb`. Every kind has its sentence on the activity page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A user signed in.
    SignIn,
    /// A sign-in was refused.
    SignInFailed,
    /// A user signed out.
    SignOut,
    /// A client registered itself.
    ClientRegistered,
    /// A client changed its registration.
    ClientUpdated,
    /// A client removed its registration.
    ClientDeleted,
    /// A user let a client in.
    ConsentGiven,
    /// A user turned a client away.
    ConsentDenied,
    /// A code was exchanged for tokens.
    TokenIssued,
    /// Tokens were refreshed.
    TokenRefreshed,
    /// A spent code or refresh token came back: the grant was revoked.
    TokenReused,
    /// A token or a whole grant was revoked.
    GrantRevoked,
    /// A tenant changed its rules for apps.
    AppRulesChanged,
    /// An admin decided whether questions are kept.
    QuestionsDecided,
    /// A member asked for an app that needs approval.
    AppRequested,
    /// An admin lets members connect an app.
    AppApproved,
    /// An admin does not.
    AppRefused,
    /// An admin took an approval back.
    AppWithdrawn,
    /// An admin changed how the tenant presents its connection.
    ConnectionChanged,
    /// A `search` was asked for.
    Search,
    /// A `fetch` was asked for.
    Fetch,
    /// A call of a tool that does not exist.
    UnknownTool,
    /// A user read far more documents in an hour than they usually do.
    UnusualReading,
    /// An admin made a back end's client.
    ServiceClientCreated,
    /// An admin gave a back end another secret.
    ServiceClientSecretRotated,
    /// An admin chose anew what a back end may search.
    ServiceClientChanged,
    /// An admin ended a back end.
    ServiceClientDeleted,
    /// A document was added or replaced.
    DocumentStored,
    /// An admin let assistants find a document that waited.
    DocumentReleased,
    /// A document was removed.
    DocumentDeleted,
    /// An admin ended that.
    WatchRemoved,
    /// An admin had a store follow a folder or a bucket.
    WatchSaved,
    /// A back end sent a file.
    DocumentReceived,
    /// A former version of a document was made current again.
    DocumentRestored,
    /// Somebody took back a file that was not a document yet.
    IngestCancelled,
    /// Somebody had a file that failed tried again.
    IngestRetried,
    /// A file's job does not fit the tenant that it is in: it was refused.
    IngestRefused,
    /// A vector store was mapped.
    VectorStoreCreated,
    /// A vector store was removed.
    VectorStoreDeleted,
    /// An admin chose what makes a store's vectors.
    EmbeddingModelChosen,
    /// Search goes by that from now on.
    EmbeddingModelSwitched,
    /// An admin gave that up before.
    EmbeddingModelGivenUp,
    /// An admin let somebody order a store's best passages anew.
    RerankerChosen,
    /// Nobody does any more.
    RerankerRemoved,
    /// A tenant was made.
    TenantCreated,
    /// A tenant was deleted, with all that it had.
    TenantDeleted,
    /// A user became a member, or changed role.
    MemberAdded,
    /// A member left.
    MemberRemoved,
    /// An operator account was made.
    OperatorCreated,
    /// An account without special rights was made.
    UserCreated,
    /// An account was switched off.
    UserDisabled,
    /// A signing key entered the key set.
    SigningKeyPublished,
    /// A signing key left it: what it signed is refused.
    SigningKeyRetired,
    /// An operator put a notice about the installation away.
    ProblemDismissed,
    /// An owner set or changed the tenant's sign-in provider, or switched it on or off.
    SsoProviderSaved,
    /// An owner removed it.
    SsoProviderRemoved,
    /// A member was linked to an account at the provider.
    SsoLinked,
    /// An owner ended that way in for a member.
    SsoUnlinked,
    /// An owner lets a member be linked anew.
    SsoLinkAllowed,
    /// An admin chose the tenant's limits, or an operator how far they may go.
    LimitsChanged,
}

impl Kind {
    /// Every kind, for filters.
    pub const ALL: &'static [Self] = &[
        Self::SignIn,
        Self::SignInFailed,
        Self::SignOut,
        Self::ClientRegistered,
        Self::ClientUpdated,
        Self::ClientDeleted,
        Self::ConsentGiven,
        Self::ConsentDenied,
        Self::TokenIssued,
        Self::TokenRefreshed,
        Self::TokenReused,
        Self::GrantRevoked,
        Self::AppRulesChanged,
        Self::QuestionsDecided,
        Self::AppRequested,
        Self::AppApproved,
        Self::AppRefused,
        Self::AppWithdrawn,
        Self::ConnectionChanged,
        Self::Search,
        Self::Fetch,
        Self::UnknownTool,
        Self::UnusualReading,
        Self::ServiceClientCreated,
        Self::ServiceClientSecretRotated,
        Self::ServiceClientChanged,
        Self::ServiceClientDeleted,
        Self::DocumentStored,
        Self::DocumentReleased,
        Self::DocumentDeleted,
        Self::WatchRemoved,
        Self::WatchSaved,
        Self::DocumentReceived,
        Self::DocumentRestored,
        Self::IngestCancelled,
        Self::IngestRetried,
        Self::IngestRefused,
        Self::VectorStoreCreated,
        Self::VectorStoreDeleted,
        Self::EmbeddingModelChosen,
        Self::EmbeddingModelSwitched,
        Self::EmbeddingModelGivenUp,
        Self::RerankerChosen,
        Self::RerankerRemoved,
        Self::TenantCreated,
        Self::TenantDeleted,
        Self::MemberAdded,
        Self::MemberRemoved,
        Self::OperatorCreated,
        Self::UserCreated,
        Self::UserDisabled,
        Self::SigningKeyPublished,
        Self::SigningKeyRetired,
        Self::ProblemDismissed,
        Self::SsoProviderSaved,
        Self::SsoProviderRemoved,
        Self::SsoLinked,
        Self::SsoUnlinked,
        Self::SsoLinkAllowed,
        Self::LimitsChanged,
    ];

    /// As stored.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "it is a line for each kind")]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "session.created",
            Self::SignInFailed => "session.refused",
            Self::SignOut => "session.ended",
            Self::ClientRegistered => "client.registered",
            Self::ClientUpdated => "client.updated",
            Self::ClientDeleted => "client.deleted",
            Self::ConsentGiven => "consent.given",
            Self::ConsentDenied => "consent.denied",
            Self::TokenIssued => "token.issued",
            Self::TokenRefreshed => "token.refreshed",
            Self::TokenReused => "token.reused",
            Self::GrantRevoked => "grant.revoked",
            Self::AppRulesChanged => "app_rules.changed",
            Self::QuestionsDecided => "questions.decided",
            Self::AppRequested => "app.requested",
            Self::AppApproved => "app.approved",
            Self::AppRefused => "app.refused",
            Self::AppWithdrawn => "app.withdrawn",
            Self::ConnectionChanged => "connection.changed",
            Self::Search => "tool.search",
            Self::Fetch => "tool.fetch",
            Self::UnknownTool => "tool.unknown",
            Self::UnusualReading => "reading.unusual",
            Self::ServiceClientCreated => "service_client.created",
            Self::ServiceClientSecretRotated => "service_client.secret_rotated",
            Self::ServiceClientChanged => "service_client.changed",
            Self::ServiceClientDeleted => "service_client.deleted",
            Self::DocumentStored => "document.stored",
            Self::DocumentReleased => "document.released",
            Self::DocumentDeleted => "document.deleted",
            Self::WatchRemoved => "watch.removed",
            Self::WatchSaved => "watch.saved",
            Self::DocumentReceived => "document.received",
            Self::DocumentRestored => "document.restored",
            Self::IngestCancelled => "ingest.cancelled",
            Self::IngestRetried => "ingest.retried",
            Self::IngestRefused => "ingest.refused",
            Self::VectorStoreCreated => "vector_store.created",
            Self::VectorStoreDeleted => "vector_store.deleted",
            Self::EmbeddingModelChosen => "embedding_model.chosen",
            Self::EmbeddingModelSwitched => "embedding_model.switched",
            Self::EmbeddingModelGivenUp => "embedding_model.given_up",
            Self::RerankerChosen => "reranker.chosen",
            Self::RerankerRemoved => "reranker.removed",
            Self::TenantCreated => "tenant.created",
            Self::TenantDeleted => "tenant.deleted",
            Self::MemberAdded => "member.added",
            Self::MemberRemoved => "member.removed",
            Self::OperatorCreated => "operator.created",
            Self::UserCreated => "user.created",
            Self::UserDisabled => "user.disabled",
            Self::SigningKeyPublished => "signing_key.published",
            Self::SigningKeyRetired => "signing_key.retired",
            Self::ProblemDismissed => "problem.dismissed",
            Self::SsoProviderSaved => "sso_provider.saved",
            Self::SsoProviderRemoved => "sso_provider.removed",
            Self::SsoLinked => "sso_link.created",
            Self::SsoUnlinked => "sso_link.removed",
            Self::SsoLinkAllowed => "sso_link.allowed",
            Self::LimitsChanged => "limits.changed",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

/// One event. `detail` holds ids, counts and names; never a secret, never query text.
#[derive(Clone, Debug)]
pub struct Event {
    /// Names it, and orders events of one moment.
    pub id: EventId,
    /// Where it happened; `None` outside any tenant.
    pub tenant: Option<TenantId>,
    /// When.
    pub at: OffsetDateTime,
    /// What.
    pub kind: Kind,
    /// Who did it.
    pub user: Option<UserId>,
    /// Through which OAuth client.
    pub client: Option<String>,
    /// Under which grant.
    pub grant: Option<GrantId>,
    /// The request's id, as in the log.
    pub request: Option<Uuid>,
    /// The network prefix it came from.
    pub address: Option<String>,
    /// The rest.
    pub detail: Map<String, Value>,
}

impl Event {
    /// An event with nothing but its kind and time.
    #[must_use]
    pub fn new(kind: Kind, at: OffsetDateTime) -> Self {
        Self {
            id: EventId::new(),
            tenant: None,
            at,
            kind,
            user: None,
            client: None,
            grant: None,
            request: None,
            address: None,
            detail: Map::new(),
        }
    }

    /// Where it happened.
    #[must_use]
    pub const fn tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Who did it; `None` for a back end in its own name.
    #[must_use]
    pub fn user(mut self, user: impl Into<Option<UserId>>) -> Self {
        self.user = user.into();
        self
    }

    /// Through which OAuth client.
    #[must_use]
    pub fn client(mut self, client: &str) -> Self {
        self.client = Some(client.to_owned());
        self
    }

    /// Under which grant.
    #[must_use]
    pub const fn grant(mut self, grant: GrantId) -> Self {
        self.grant = Some(grant);
        self
    }

    /// Who did it, and from where.
    #[must_use]
    pub fn by(mut self, actor: &Actor) -> Self {
        self.user = actor.user;
        match &actor.origin {
            Some(origin) => self.from(origin),
            None => self,
        }
    }

    /// From where, and in which request.
    #[must_use]
    pub fn from(mut self, origin: &Origin) -> Self {
        self.request = origin.request;
        self.address = Some(origin.address.clone());
        self
    }

    /// One more detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }
}
