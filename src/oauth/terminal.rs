//! A token for whoever sits at the server's own terminal (`callslip token`): to try the MCP
//! endpoint, or a client under development, without a browser. Its grant is like any other: listed
//! among the connected apps, audited, revocable at once.

use serde_json::Map;
use uuid::Uuid;

use super::{
    Server,
    access_token::{self, Claims},
    client::{AuthMethod, Client},
    resource::Resource,
    scope::Scope,
    store_clients,
    store_grants::{self, Grant},
};
use crate::{
    audit::{self, Event, Kind},
    fault::Fault,
    ids::{GrantId, UserId, VectorStoreId},
    tenants::{self, Tenant},
};

const CLIENT_ID: &str = "callslip-terminal";
/// Nothing is ever sent there: the client can do no flow.
const REDIRECT_URI: &str = "http://127.0.0.1/";

/// The user does not belong to the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the user does not belong to the tenant")]
pub struct NotAMember;

impl Server {
    /// Consent in the name of a member to these stores, and hand out an access token. There is no
    /// refresh token: the grant ends with it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn issue_at_terminal(
        &self,
        user: UserId,
        tenant: &Tenant,
        stores: &[VectorStoreId],
    ) -> Result<Result<String, NotAMember>, Fault> {
        let now = self.clock.now();
        let mut tx = self.db.control().await?;
        if tenants::store::find_role(&mut tx, tenant.id, user).await?.is_none() {
            return Ok(Err(NotAMember));
        }
        if store_clients::find(&mut tx, CLIENT_ID).await?.is_none() {
            store_clients::create(&mut tx, &client(), now).await?;
        }
        let grant = Grant {
            id: GrantId::new(),
            tenant: tenant.id,
            user,
            client_id: CLIENT_ID.to_owned(),
            redirect_uri: REDIRECT_URI.to_owned(),
            resource: self.resources.audience(&Resource::TenantMcp(tenant.slug.clone())),
            scope: Scope::all(),
            expires_at: now + self.access_token_life,
        };
        store_grants::create(&mut tx, &grant, stores, now).await?;
        let event = Event::new(Kind::ConsentGiven, now)
            .tenant(tenant.id)
            .user(user)
            .client(CLIENT_ID)
            .grant(grant.id)
            .with("client_name", client().client_name)
            .with("at", "the server's terminal");
        audit::store::append_control(&mut tx, &event).await?;
        tx.commit().await?;
        access_token::sign(&self.keys, &self.claims(&grant)).map(Ok)
    }

    fn claims(&self, grant: &Grant) -> Claims {
        let exp = grant.expires_at.unix_timestamp();
        Claims {
            iss: self.public_url.as_str().to_owned(),
            aud: grant.resource.clone(),
            sub: grant.user,
            client_id: grant.client_id.clone(),
            tenant: grant.tenant,
            grant: grant.id,
            scope: grant.scope,
            jti: Uuid::now_v7(),
            iat: exp - self.access_token_life.whole_seconds(),
            exp,
        }
    }
}

fn client() -> Client {
    Client {
        client_id: CLIENT_ID.to_owned(),
        client_name: "Server terminal".to_owned(),
        redirect_uris: vec![REDIRECT_URI.to_owned()],
        grant_types: Vec::new(),
        token_endpoint_auth_method: AuthMethod::None,
        secret_hash: None,
        metadata: Map::new(),
    }
}
