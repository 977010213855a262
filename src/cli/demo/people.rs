//! The tenant and who signs in to it.

use super::note::Note;
use super::stage::TENANT;
use super::{Stop, note::Person};
use crate::{
    app::Parts,
    fault::Fault,
    sign_in::accounts::{Accounts, NewAccount},
    tenants::{self, Role, Tenant},
    users::{
        self, Email, User,
        password::{Hashing, Password},
    },
};

/// See that the tenant, its people and the operator are there, and have the passwords of the
/// note. `reset`: the note is new, so accounts of an earlier one get new passwords.
pub(super) async fn welcome(parts: &Parts, note: &Note, reset: bool) -> Result<Tenant, Stop> {
    let host = Host {
        accounts: Accounts {
            db: parts.db.clone(),
            clock: parts.clock.clone(),
            hashing: Hashing::start(parts.password_cost.clone()),
        },
        reset,
    };
    host.welcome(note)
        .await
        .map_err(|fault| Stop(format!("cannot set the stage: {}", fault.chain())))
}

struct Host {
    accounts: Accounts,
    reset: bool,
}

impl Host {
    async fn welcome(&self, note: &Note) -> Result<Tenant, Fault> {
        let tenant = self.tenant().await?;
        for Person { email, password, role } in &note.users {
            let user = self.user(email, password, role, false).await?;
            // Whoever is a member already stays one, in whatever role.
            let _ = self.accounts.add_member(&tenant, &user, role.parse::<Role>()?).await?;
        }
        self.user(&note.operator.email, &note.operator.password, "operator", true).await?;
        Ok(tenant)
    }

    async fn tenant(&self) -> Result<Tenant, Fault> {
        let mut tx = self.accounts.db.control().await?;
        if let Some(tenant) = tenants::store::find_by_slug(&mut tx, TENANT).await? {
            return Ok(tenant);
        }
        drop(tx);
        let created =
            self.accounts.create_tenant(&TENANT.parse()?, &"Demonstration".parse()?).await?;
        created.map_err(|_| Fault::new("the demonstration tenant is suspended"))
    }

    async fn user(
        &self,
        email: &str,
        password: &str,
        name: &str,
        is_operator: bool,
    ) -> Result<User, Fault> {
        let email: Email = email.parse()?;
        let password = Password::presented(password)?;
        let mut tx = self.accounts.db.control().await?;
        let found = users::store::find_credentials(&mut tx, &email).await?;
        drop(tx);
        let Some(found) = found else {
            let name = format!("Demo {name}").parse()?;
            let new = NewAccount { email, name, password, is_operator };
            let created = self.accounts.create_user(new).await?;
            return created.map_err(|_| Fault::new("a demonstration account is switched off"));
        };
        if self.reset
            && let Some(old) = &found.password
        {
            let hash = self.accounts.hashing.hash(password).await?;
            let mut tx = self.accounts.db.control().await?;
            users::store::rehash_password(&mut tx, found.user.id, old, &hash).await?;
            tx.commit().await?;
        }
        Ok(found.user)
    }
}
