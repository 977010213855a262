//! What a tenant's owners say about its provider, and about whom it has let in.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Provider, SECRET_PLACE, Sso,
    discovery::{self, Discovered},
    store::{self, Kept},
    store_links,
};
use crate::{
    audit::{self, Actor, Event, Kind},
    db::{ControlTx, TenantScope},
    fault::Fault,
    ids::UserId,
    secret::Secret,
    tenants::vault,
};

/// The provider, as the page shows it. The secret is never shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its issuer.
    pub issuer: String,
    /// The client id that it gave us.
    pub client_id: String,
    /// Whether members may sign in through it.
    pub enabled: bool,
    /// Since when it is so.
    pub updated_at: OffsetDateTime,
}

/// A member whom the provider has named.
#[derive(Clone, Debug)]
pub struct Linked {
    /// Who.
    pub user: UserId,
    /// Their name.
    pub name: String,
    /// Their address here.
    pub email: String,
    /// When they last came in this way.
    pub used_at: OffsetDateTime,
    /// Whether an admin has ended this way in for them.
    pub is_removed: bool,
}

/// What an owner typed.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The issuer, exactly.
    pub issuer: String,
    /// The client id that it gave us.
    pub client_id: String,
    /// A new secret; `None` leaves what is there.
    pub client_secret: Option<Secret>,
    /// Whether members may sign in through it.
    pub enabled: bool,
}

/// What is wrong with it: a sentence beside one of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The issuer, or what answers there.
    Issuer(&'static str),
    /// The client id.
    ClientId(&'static str),
    /// The secret.
    ClientSecret(&'static str),
}

/// Where, and who does it.
#[derive(Clone, Debug)]
pub struct By {
    /// Leave to act there.
    pub scope: TenantScope,
    /// Who.
    pub actor: Actor,
}

impl Sso {
    /// The tenant's provider, and everybody whom it has named.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn show(&self, scope: TenantScope) -> Result<(Option<Shown>, Vec<Linked>), Fault> {
        let mut tx = self.gate.db.control().await?;
        let kept = store::find(&mut tx, scope.tenant_id()).await?;
        let links = store_links::list(&mut tx, scope.tenant_id()).await?;
        let shown = kept.map(|kept| Shown {
            issuer: kept.issuer,
            client_id: kept.client_id,
            enabled: kept.enabled,
            updated_at: kept.updated_at,
        });
        let linked = links.into_iter().map(|link| Linked {
            user: link.user,
            name: link.name,
            email: link.email,
            used_at: link.used_at,
            is_removed: link.is_removed,
        });
        Ok((shown, linked.collect()))
    }

    /// Ask the provider who it is, and keep what it says. What was begun under the old settings is
    /// over; where another provider or nobody speaks for members from now on, so are the sessions.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn save(&self, by: &By, wanted: Wanted) -> Result<Result<(), Wrong>, Fault> {
        let mut tx = self.gate.db.control().await?;
        let kept = store::hold(&mut tx, by.scope.tenant_id()).await?;
        // A secret is for one provider and one client: nobody can send it elsewhere who could not
        // type it.
        let same = kept.filter(|kept| wanted.is_about(kept));
        if wanted.client_secret.is_none() && !wanted.enabled && same.is_some() {
            // Also where the provider does not answer any more.
            return self.switch_off(tx, by, &wanted).await.map(Ok);
        }
        drop(tx); // the provider may take a while
        if let Err(wrong) = wanted.check(same.is_some()) {
            return Ok(Err(wrong));
        }
        let discovered = match discovery::discover(self, &wanted.issuer).await {
            Ok(discovered) => discovered,
            Err(sentence) => return Ok(Err(Wrong::Issuer(sentence))),
        };
        self.keep(by, &wanted, discovered).await
    }

    async fn switch_off(&self, mut tx: ControlTx, by: &By, wanted: &Wanted) -> Result<(), Fault> {
        let (tenant, now) = (by.scope.tenant_id(), self.gate.clock.now());
        store::switch(&mut tx, tenant, false, now).await?;
        store::end_sessions(&mut tx, tenant, None).await?;
        audit::store::append_control(&mut tx, &by.saved(wanted, now)).await?;
        Ok(tx.commit().await?)
    }

    async fn keep(
        &self,
        by: &By,
        wanted: &Wanted,
        discovered: Discovered,
    ) -> Result<Result<(), Wrong>, Fault> {
        let (tenant, now) = (by.scope.tenant_id(), self.gate.clock.now());
        let fresh = match &wanted.client_secret {
            Some(secret) => {
                let mut tx = self.gate.db.tenant(by.scope).await?;
                let sealed =
                    vault::seal(&mut tx, &self.master_key, now, (SECRET_PLACE, secret)).await?;
                tx.commit().await?;
                Some(sealed)
            }
            None => None,
        };
        let mut tx = self.gate.db.control().await?;
        // Read again: somebody may have changed it meanwhile.
        let same = store::hold(&mut tx, tenant).await?.filter(|kept| wanted.is_about(kept));
        let is_same = same.is_some();
        let Some(sealed) = fresh.or(same.map(|kept| kept.client_secret_sealed)) else {
            return Ok(Err(Wrong::ClientSecret(SECRET_AGAIN)));
        };
        let provider = Provider {
            tenant,
            slug: String::new(),
            tenant_name: String::new(),
            revision: Uuid::now_v7(),
            issuer: wanted.issuer.clone(),
            client_id: wanted.client_id.clone(),
            client_secret_sealed: sealed,
            secret_in_body: discovered.secret_in_body,
            sends_iss: discovered.sends_iss,
            authorization_endpoint: discovered.authorization_endpoint,
            token_endpoint: discovered.token_endpoint,
            jwks_uri: discovered.jwks_uri,
        };
        store::save(&mut tx, &provider, wanted.enabled, now).await?;
        store_links::forget_all(&mut tx, tenant, Some(&wanted.issuer)).await?;
        if !is_same || !wanted.enabled {
            store::end_sessions(&mut tx, tenant, None).await?;
        }
        audit::store::append_control(&mut tx, &by.saved(wanted, now)).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Forget the provider, everybody's link, and end the sessions that it began. Without one,
    /// nothing happens.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove(&self, by: &By) -> Result<(), Fault> {
        let tenant = by.scope.tenant_id();
        let mut tx = self.gate.db.control().await?;
        let Some(kept) = store::hold(&mut tx, tenant).await? else { return Ok(()) };
        store::delete(&mut tx, tenant).await?;
        store_links::forget_all(&mut tx, tenant, None).await?;
        store::end_sessions(&mut tx, tenant, None).await?;
        let event = by.event(Kind::SsoProviderRemoved, self.gate.clock.now());
        audit::store::append_control(&mut tx, &event.with("name", kept.issuer)).await?;
        Ok(tx.commit().await?)
    }

    /// End this way in for one member, and the sessions that they began so. `false` when it was
    /// ended before, or never was.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_link(&self, by: &By, user: UserId) -> Result<bool, Fault> {
        let (tenant, now) = (by.scope.tenant_id(), self.gate.clock.now());
        let mut tx = self.gate.db.control().await?;
        if !store_links::remove(&mut tx, tenant, user, now).await? {
            return Ok(false);
        }
        store::end_sessions(&mut tx, tenant, Some(user)).await?;
        let event = by.event(Kind::SsoUnlinked, now).with("member", user.to_string());
        audit::store::append_control(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Let a member whose link was removed be linked anew. `false` when there is no such link.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_link(&self, by: &By, user: UserId) -> Result<bool, Fault> {
        let mut tx = self.gate.db.control().await?;
        if !store_links::forget(&mut tx, by.scope.tenant_id(), user).await? {
            return Ok(false);
        }
        let event = by.event(Kind::SsoLinkAllowed, self.gate.clock.now());
        let event = event.with("member", user.to_string());
        audit::store::append_control(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(true)
    }
}

const SECRET_AGAIN: &str = "Another provider or client: type its secret.";

impl Wanted {
    fn is_about(&self, kept: &Kept) -> bool {
        kept.issuer == self.issuer && kept.client_id == self.client_id
    }

    fn check(&self, has_secret: bool) -> Result<(), Wrong> {
        let is_plain = |text: &str, longest: usize| {
            (1..=longest).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !is_plain(&self.client_id, 255) {
            return Err(Wrong::ClientId(
                "Copy it from the provider: no spaces, at most 255 characters.",
            ));
        }
        match &self.client_secret {
            Some(secret) if !is_plain(secret.expose(), 512) => Err(Wrong::ClientSecret(
                "Copy it from the provider: no spaces, at most 512 characters.",
            )),
            None if !has_secret => Err(Wrong::ClientSecret(SECRET_AGAIN)),
            _ => Ok(()),
        }
    }
}

impl By {
    fn event(&self, kind: Kind, now: OffsetDateTime) -> Event {
        Event::new(kind, now).tenant(self.scope.tenant_id()).by(&self.actor)
    }

    fn saved(&self, wanted: &Wanted, now: OffsetDateTime) -> Event {
        self.event(Kind::SsoProviderSaved, now)
            .with("name", wanted.issuer.clone())
            .with("client_id", wanted.client_id.clone())
            .with("enabled", wanted.enabled)
    }
}
