//! Acts on accounts, each with its audit event in the same transaction: for the command line, the
//! demonstration and the admin pages.

use time::Duration;

use super::store;
use crate::{
    audit::{self, Event, Kind},
    clock::Clock,
    db::Db,
    fault::Fault,
    ids::UserId,
    secret::{self, Plaintext},
    tenants::{
        self, DisplayName, Role, Slug, Tenant,
        store::{AlreadyMember, SlugTaken, Unchanged},
    },
    users::{
        self, Email, User,
        password::{Hashing, Password},
        store::{EmailTaken, NewUser},
    },
};

/// How long a link for the first operator works.
const LINK_LIVES: Duration = Duration::hours(1);

/// What the acts need.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Where accounts are.
    pub db: Db,
    /// When they were made.
    pub clock: Clock,
    /// Hashes their passwords.
    pub hashing: Hashing,
}

/// An account to be.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Nobody else may have it.
    pub email: Email,
    /// What people call them.
    pub name: DisplayName,
    /// What they will sign in with.
    pub password: Password,
    /// Whether they run the installation.
    pub is_operator: bool,
}

impl Accounts {
    /// Make a tenant.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create_tenant(
        &self,
        slug: &Slug,
        name: &DisplayName,
    ) -> Result<Result<Tenant, SlugTaken>, Fault> {
        let now = self.clock.now();
        let mut tx = self.db.control().await?;
        let tenant = match tenants::store::create(&mut tx, slug, name, now).await? {
            Ok(tenant) => tenant,
            Err(taken) => return Ok(Err(taken)),
        };
        let event = Event::new(Kind::TenantCreated, now).tenant(tenant.id);
        audit::store::append_control(&mut tx, &event.with("slug", slug.as_str())).await?;
        tx.commit().await?;
        Ok(Ok(tenant))
    }

    /// Make a user, in no tenant yet.
    ///
    /// # Errors
    /// When the database fails or too much is hashed at once.
    pub async fn create_user(&self, new: NewAccount) -> Result<Result<User, EmailTaken>, Fault> {
        let hash = self.hashing.hash(new.password).await?;
        let now = self.clock.now();
        let mut tx = self.db.control().await?;
        let row = NewUser {
            email: &new.email,
            name: &new.name,
            password: Some(&hash),
            is_operator: new.is_operator,
        };
        let user = match users::store::create(&mut tx, &row, now).await? {
            Ok(user) => user,
            Err(taken) => return Ok(Err(taken)),
        };
        let kind = if user.is_operator { Kind::OperatorCreated } else { Kind::UserCreated };
        let event = Event::new(kind, now).user(user.id);
        audit::store::append_control(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(Ok(user))
    }

    /// Take a user into a tenant.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_member(
        &self,
        tenant: &Tenant,
        user: &User,
        role: Role,
    ) -> Result<Result<(), AlreadyMember>, Fault> {
        let now = self.clock.now();
        let mut tx = self.db.control().await?;
        let added = tenants::store::add_member(&mut tx, tenant.id, user.id, role, now).await?;
        if let Err(already) = added {
            return Ok(Err(already));
        }
        let event = Event::new(Kind::MemberAdded, now)
            .tenant(tenant.id)
            .user(user.id)
            .with("role", role.as_str());
        audit::store::append_control(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Let a member go.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_member(
        &self,
        tenant: &Tenant,
        user: &User,
    ) -> Result<Result<(), Unchanged>, Fault> {
        let now = self.clock.now();
        let mut tx = self.db.control().await?;
        let removed = tenants::store::remove_member(&mut tx, tenant.id, user.id).await?;
        if let Err(unchanged) = removed {
            return Ok(Err(unchanged));
        }
        let event = Event::new(Kind::MemberRemoved, now).tenant(tenant.id).user(user.id);
        audit::store::append_control(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Switch an account off and end its sessions; `false` when it was off already.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn disable_user(&self, user: UserId) -> Result<bool, Fault> {
        let now = self.clock.now();
        let mut tx = self.db.control().await?;
        let disabled = users::store::disable(&mut tx, user, now).await?;
        if disabled {
            let event = Event::new(Kind::UserDisabled, now).user(user);
            audit::store::append_control(&mut tx, &event).await?;
        }
        store::delete_all(&mut tx, user).await?;
        tx.commit().await?;
        Ok(disabled)
    }

    /// A link with which somebody makes themself operator: once, within the hour. Earlier ones
    /// that nobody used stop working.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create_operator_link(&self) -> Result<Plaintext, Fault> {
        let link = Plaintext::generate(secret::Kind::OneTimeLink);
        let now = self.clock.now();
        let mut tx = self.db.control().await?;
        store::create_operator_link(&mut tx, &link.hash(), now, now + LINK_LIVES).await?;
        tx.commit().await?;
        Ok(link)
    }
}
