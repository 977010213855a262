//! Two tenants with their people, and things in them to look at.

use callslip::{
    ids::{DocumentId, GrantId, TenantId, UserId, VectorStoreId},
    search::{Reference, id::Target},
    sign_in::accounts::{Accounts, NewAccount},
    tenants::{Role, Tenant},
    users::{
        User,
        password::{Cost, Hashing, Password},
    },
};
use sqlx::PgPool;

use crate::support::{Answer, Browser, TestApp};

const PASSWORD: &str = "marmalade ledger orbit quince";

/// The stage, set.
pub(super) struct Stage {
    pub(super) app: TestApp,
    pub(super) accounts: Accounts,
    pub(super) acme: Tenant,
    /// Admin of acme.
    pub(super) ada: User,
    /// Reader of acme.
    pub(super) rob: User,
    pub(super) other: Tenant,
    /// Admin of the other tenant, and of nothing else.
    pub(super) eve: User,
}

impl Stage {
    pub(super) async fn set(pool: &PgPool) -> Self {
        let app = TestApp::new(pool).await;
        let accounts = Accounts {
            db: app.db().clone(),
            clock: app.clock.clone(),
            hashing: Hashing::start(Cost::least()),
        };
        let acme = tenant(&accounts, "acme", "Acme <b class=canary>Corp</b>").await;
        let other = tenant(&accounts, "other", "Other").await;
        let ada = user(&accounts, "ada", Some((&acme, Role::Admin))).await;
        let rob = user(&accounts, "rob", Some((&acme, Role::Reader))).await;
        let eve = user(&accounts, "eve", Some((&other, Role::Admin))).await;
        Self { app, accounts, acme, ada, rob, other, eve }
    }

    /// A browser in which this user has signed in.
    pub(super) async fn signed_in(&self, user: &User) -> Browser {
        let mut browser = self.app.browser();
        let answer = browser
            .submit("/sign-in", "/sign-in", &[("email", &user.email), ("password", PASSWORD)])
            .await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        browser
    }

    /// A builtin store.
    pub(super) async fn store(&self, tenant: TenantId, name: &str) -> VectorStoreId {
        let id = VectorStoreId::new();
        sqlx::query!(
            "insert into vector_stores (tenant_id, id, name, backend, created_at)
             values ($1, $2, $3, 'builtin', now())",
            tenant.uuid(),
            id.uuid(),
            name,
        )
        .execute(&self.app.pool)
        .await
        .unwrap();
        id
    }

    /// A document whose second chunk is the part of `text` between `[` and `]`, which are left out.
    pub(super) async fn document(
        &self,
        tenant: TenantId,
        store: VectorStoreId,
        title: &str,
        text: &str,
    ) -> DocumentId {
        let id = DocumentId::new();
        let start = text.chars().position(|c| c == '[').unwrap();
        let end = text.chars().position(|c| c == ']').unwrap() - 1;
        let body: String = text.chars().filter(|c| !matches!(c, '[' | ']')).collect();
        let (start, end) = (i32::try_from(start).unwrap(), i32::try_from(end).unwrap());
        sqlx::query!(
            "with document as (
               insert into documents (tenant_id, id, vector_store_id, source_key, title, media_type,
                                      content_hash, byte_size, char_count, created_at, updated_at)
               values ($1, $2, $3, $2::uuid::text, $4, 'text/plain',
                       sha256(convert_to($5, 'UTF8')), length($5), length($5), now(), now())
               returning tenant_id, id),
             body as (
               insert into document_texts (tenant_id, document_id, body)
               select tenant_id, id, $5 from document)
             insert into chunks (tenant_id, vector_store_id, document_id, ordinal, start_char,
                                 end_char, body)
             select tenant_id, $3, id, 1, $6, $7, '' from document",
            tenant.uuid(),
            id.uuid(),
            store.uuid(),
            title,
            body,
            start,
            end,
        )
        .execute(&self.app.pool)
        .await
        .unwrap();
        id
    }

    /// A living grant of `user` for a client of this name.
    pub(super) async fn grant(
        &self,
        tenant: TenantId,
        user: UserId,
        client_name: &str,
        store: VectorStoreId,
    ) -> GrantId {
        let id = GrantId::new();
        let client_id = format!("client-{id}");
        sqlx::query!(
            "insert into oauth_clients (client_id, client_name, redirect_uris, grant_types,
                                        token_endpoint_auth_methods, created_at)
             values ($1, $2, array['https://client.example/callback'],
                     array['authorization_code'], '{none}', now())",
            client_id,
            client_name,
        )
        .execute(&self.app.pool)
        .await
        .unwrap();
        sqlx::query!(
            "insert into oauth_grants (tenant_id, id, user_id, client_id, redirect_uri, resource,
                                       scope, created_at, expires_at)
             values ($1, $2, $3, $4, 'https://client.example/callback', 'https://r.example/mcp',
                     array['search:read'], now(), now() + interval '90 days')",
            tenant.uuid(),
            id.uuid(),
            user.uuid(),
            client_id,
        )
        .execute(&self.app.pool)
        .await
        .unwrap();
        sqlx::query!(
            "insert into oauth_grant_vector_stores values ($1, $2, $3)",
            tenant.uuid(),
            id.uuid(),
            store.uuid(),
        )
        .execute(&self.app.pool)
        .await
        .unwrap();
        id
    }

    /// Why a grant was revoked; `None` while it lives.
    pub(super) async fn revoked_for(&self, grant: GrantId) -> Option<String> {
        sqlx::query_scalar!("select revoked_for from oauth_grants where id = $1", grant.uuid())
            .fetch_one(&self.app.pool)
            .await
            .unwrap()
    }

    /// The kinds of a tenant's events, oldest first.
    pub(super) async fn events(&self, tenant: TenantId) -> Vec<String> {
        sqlx::query_scalar!(
            "select kind from audit_events where tenant_id = $1 order by id",
            tenant.uuid()
        )
        .fetch_all(&self.app.pool)
        .await
        .unwrap()
    }
}

/// Where a citation of this passage leads.
pub(super) fn citation(store: VectorStoreId, document: DocumentId, chunk: u32) -> String {
    format!("/d/{}", Reference { store, document: Target::Builtin { document, chunk } })
}

/// What a page looks like to somebody for whom it does not exist.
pub(super) fn assert_absent(answer: &Answer) {
    assert_eq!(answer.status, 404);
    assert_eq!(answer.select("h1"), ["Nothing here"]);
}

async fn tenant(accounts: &Accounts, slug: &str, name: &str) -> Tenant {
    let (slug, name) = (slug.parse().unwrap(), name.parse().unwrap());
    accounts.create_tenant(&slug, &name).await.unwrap().unwrap()
}

/// A user of this name, perhaps in a tenant.
pub(super) async fn user(accounts: &Accounts, name: &str, member: Option<(&Tenant, Role)>) -> User {
    let account = NewAccount {
        email: format!("{name}@acme.example").parse().unwrap(),
        name: name.parse().unwrap(),
        password: Password::chosen(PASSWORD, &[]).unwrap(),
        is_operator: member.is_none(),
    };
    let user = accounts.create_user(account).await.unwrap().unwrap();
    if let Some((tenant, role)) = member {
        accounts.add_member(tenant, &user, role).await.unwrap().unwrap();
    }
    user
}
