//! The limits on an assistant's calls, once it is known whose they are: by token, user, app and
//! tenant, and how many run at the same time.

use std::{sync::Arc, time::Duration};

use axum::http::HeaderMap;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Limited, Limits,
    bucket::{Bucket, Spent},
    rate::{Policy, Rate, times},
    refusal::Standing,
    refused::Refused,
    running::{Run, Running},
    shared::{Charge, Lease, Name, Place, Shared, Verdict},
    tenant::TenantLimits,
};
use crate::ids::{GrantId, TenantId};

/// One grant: one client of one user.
pub const TOKEN: Policy = Policy { name: "token", per_minute: 60, burst: 30 };
/// One user in all their clients.
pub const USER: Policy = Policy { name: "user", per_minute: 120, burst: 60 };
/// One client for all its users in a tenant: three quarters, so that no app takes everything.
pub const CLIENT: Policy = Policy { name: "client", per_minute: 450, burst: 150 };
/// One tenant.
pub const TENANT: Policy = Policy { name: "tenant", per_minute: 600, burst: 200 };
/// Calls of one tenant that run at the same time.
pub const TENANT_AT_ONCE: u32 = 20;
/// Calls of one grant that do.
pub const TOKEN_AT_ONCE: u32 = 8;

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// A tool: one (spec row L-06).
    Tool,
    /// What every connection begins with, and asks again and again: a tenth.
    Other,
}

impl Cost {
    const fn thousandths(self) -> u32 {
        match self {
            Self::Tool => 1000,
            Self::Other => 100,
        }
    }
}

/// Whose call it is.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// What the tenant has of its own.
    pub limits: TenantLimits,
    /// The user; a service client, which has none, counts as one by itself.
    pub user: Uuid,
    /// The client.
    pub client_id: &'a str,
    /// The grant.
    pub grant: GrantId,
    /// What it costs.
    pub cost: Cost,
}

/// Counts calls. Clones share.
#[derive(Clone, Debug)]
pub struct Calls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    scale: f64,
    buckets: [Bucket; 4],
    running: Running,
    shared: Option<Shared>,
    refused: Refused,
}

/// A call that was let through, until it has been answered.
#[derive(Debug)]
pub struct Admitted {
    standing: Standing,
    _runs: [Run; 2],
    lease: Option<Leased>,
}

#[derive(Debug)]
struct Leased {
    shared: Shared,
    places: [Name; 2],
    lease: Lease,
}

impl Admitted {
    /// Say on an answer which limit is the next that the caller will meet.
    pub fn tell(&self, headers: &mut HeaderMap) {
        self.standing.tell(headers);
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.shared.leave(&self.places, self.lease);
    }
}

/// What one call is counted by, from the narrowest to the widest: who is refused at one takes
/// nothing from those that others share.
struct Counts {
    spent: [Spent; 4],
    /// Whose calls run, and how many may.
    at_once: [(Uuid, &'static str, u32); 2],
}

impl Inner {
    fn counts(&self, call: &Call<'_>) -> Counts {
        let Call { limits, tenant, grant, .. } = *call;
        let cost = call.cost.thousandths();
        let spent = |key: Uuid, rate: Rate| Spent { key, rate, cost };
        let at_once = times(limits.at_once(), self.scale).get();
        Counts {
            spent: [
                spent(grant.uuid(), limits.token()),
                spent(in_tenant(tenant, call.user.as_bytes()), limits.user()),
                spent(in_tenant(tenant, call.client_id.as_bytes()), limits.client()),
                spent(tenant.uuid(), limits.tenant()),
            ],
            at_once: [
                (grant.uuid(), TOKEN.name, times(TOKEN_AT_ONCE, self.scale).get().min(at_once)),
                (tenant.uuid(), TENANT.name, at_once),
            ],
        }
    }

    async fn admit(&self, call: &Call<'_>) -> Result<Admitted, Limited> {
        let counts = self.counts(call);
        let runs = self.run(&counts)?;
        let mut standing = self.spend(&counts)?;
        let mut lease = None;
        if let Some(shared) = &self.shared {
            let (charges, places) = self.asked_of(shared, &counts);
            let name = Lease::new();
            match shared.admit(&charges, &places, name).await {
                Some(Verdict::Admitted(left)) => {
                    let places = places.map(|place| place.name);
                    lease = Some(Leased { shared: shared.clone(), places, lease: name });
                    standing = self.tightest(&counts, &left).unwrap_or(standing);
                }
                Some(Verdict::Refused { which, wait }) => return Err(counts.limited(which, wait)),
                None => self.admit_alone(&counts, &runs, shared.nodes())?,
            }
        }
        Ok(Admitted { standing, _runs: runs, lease })
    }

    fn run(&self, counts: &Counts) -> Result<[Run; 2], Limited> {
        let begin = |(key, name, most)| {
            self.running.begin(key, most).ok_or_else(|| Limited::at_once(name, most))
        };
        let [token, tenant] = counts.at_once;
        Ok([begin(token)?, begin(tenant)?])
    }

    fn spend(&self, counts: &Counts) -> Result<Standing, Limited> {
        let mut tightest: Option<Standing> = None;
        for (bucket, spent) in self.buckets.iter().zip(&counts.spent) {
            let standing = bucket.spend(spent).map_err(|wait| Limited::spread(spent.rate, wait))?;
            if tightest.is_none_or(|other| standing.remaining < other.remaining) {
                tightest = Some(standing);
            }
        }
        Ok(tightest.expect("there are four"))
    }

    fn asked_of(&self, shared: &Shared, counts: &Counts) -> (Vec<Charge>, [Place; 2]) {
        let charges = self.buckets.iter().zip(&counts.spent);
        let charges = charges.map(|(bucket, spent)| bucket.charge(spent, shared)).collect();
        let places = counts.at_once.map(|(key, name, most)| Place {
            name: shared.name(&format!("{name}-at-once"), &key),
            most,
        });
        (charges, places)
    }

    fn tightest(&self, counts: &Counts, left: &[Duration]) -> Option<Standing> {
        let standings = self.buckets.iter().zip(&counts.spent).zip(left);
        let standings = standings.map(|((bucket, spent), left)| bucket.standing(spent, *left));
        standings.min_by_key(|standing| standing.remaining)
    }

    /// This node's share of what all nodes may let through.
    fn admit_alone(&self, counts: &Counts, runs: &[Run; 2], nodes: u32) -> Result<(), Limited> {
        for (run, (_, name, most)) in runs.iter().zip(counts.at_once) {
            if run.place > most.div_ceil(nodes) {
                return Err(Limited::at_once(name, most));
            }
        }
        for (bucket, spent) in self.buckets.iter().zip(&counts.spent) {
            let paid = bucket.spend_for_others(spent, nodes);
            paid.map_err(|wait| Limited::spread(spent.rate, wait))?;
        }
        Ok(())
    }
}

impl Counts {
    fn limited(&self, which: usize, wait: Duration) -> Limited {
        if let Some(spent) = self.spent.get(which) {
            return Limited::spread(spent.rate, wait);
        }
        let place = which.saturating_sub(self.spent.len());
        let (_, name, most) = self.at_once[place.min(1)];
        Limited::at_once(name, most)
    }
}

impl Calls {
    /// Let a call through, or say which limit it has met.
    ///
    /// # Errors
    /// [`Limited`].
    pub async fn admit(&self, call: &Call<'_>) -> Result<Admitted, Limited> {
        let admitted = self.0.admit(call).await;
        if let Err(limited) = &admitted {
            self.0.refused.note(call.tenant, limited.limit.label());
        }
        admitted
    }

    /// What was refused, until it is written down.
    #[must_use]
    pub fn refused(&self) -> &Refused {
        &self.0.refused
    }
}

/// A user or client as the tenant knows it: in another tenant it is another.
fn in_tenant(tenant: TenantId, name: &[u8]) -> Uuid {
    let digest = Sha256::new().chain_update(tenant.uuid()).chain_update(name).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(bytes)
}

impl Limits {
    /// The limits on calls.
    #[must_use]
    pub fn calls(&self) -> Calls {
        Calls(Arc::new(Inner {
            scale: self.scale,
            buckets: [TOKEN, USER, CLIENT, TENANT].map(|policy| self.bucket(policy)),
            running: Running::default(),
            shared: self.shared.clone(),
            refused: Refused::default(),
        }))
    }
}
