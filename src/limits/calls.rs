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
pub(super) const TOKEN: Policy = Policy { name: "token", per_minute: 60, burst: 30 };
/// One user in all their clients.
pub(super) const USER: Policy = Policy { name: "user", per_minute: 120, burst: 60 };
/// One client for all its users in a tenant: three quarters, so that no app takes everything.
pub(super) const CLIENT: Policy = Policy { name: "client", per_minute: 450, burst: 150 };
/// One tenant.
pub(super) const TENANT: Policy = Policy { name: "tenant", per_minute: 600, burst: 200 };
/// Calls of one tenant that run at the same time.
pub(super) const TENANT_AT_ONCE: u32 = 20;
/// Calls of one grant that do.
pub(super) const TOKEN_AT_ONCE: u32 = 8;

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
    _held: Held,
}

/// Places among the calls that run, until it is dropped.
#[derive(Debug)]
pub struct Held {
    _runs: [Run; 2],
    _lease: Option<Leased>,
}

#[derive(Debug)]
struct Leased {
    shared: Shared,
    /// None: they were not to be had.
    places: Option<[Name; 2]>,
    lease: Lease,
}

impl Leased {
    fn of(shared: &Shared, places: &[Place; 2]) -> Self {
        let places = places.each_ref().map(|place| place.name.clone());
        Self { shared: shared.clone(), places: Some(places), lease: Lease::new() }
    }
}

impl Admitted {
    /// Say on an answer which limit is the next that the caller will meet.
    pub fn tell(&self, headers: &mut HeaderMap) {
        self.standing.tell(headers);
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if let Some(places) = &self.places {
            self.shared.leave(places, self.lease);
        }
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
        let standing = self.spend(&counts)?;
        let (lease, left) = self.agree(&counts, &runs, &self.buckets).await?;
        let standing = self.tightest(&counts, &left).unwrap_or(standing);
        Ok(Admitted { standing, _held: Held { _runs: runs, _lease: lease } })
    }

    async fn hold(&self, call: &Call<'_>) -> Result<Held, Limited> {
        let counts = self.counts(call);
        let runs = self.run(&counts)?;
        let (lease, _) = self.agree(&counts, &runs, &[]).await?;
        Ok(Held { _runs: runs, _lease: lease })
    }

    /// Have the other nodes agree, where there are any, and pay for these; what is left of each.
    async fn agree(
        &self,
        counts: &Counts,
        runs: &[Run; 2],
        paid: &[Bucket],
    ) -> Result<(Option<Leased>, Vec<Duration>), Limited> {
        let Some(shared) = &self.shared else { return Ok((None, Vec::new())) };
        let charges = paid.iter().zip(&counts.spent);
        let charges: Vec<Charge> =
            charges.map(|(bucket, spent)| bucket.charge(spent, shared)).collect();
        let places = counts.at_once.map(|(key, name, most)| {
            let name = shared.name(&format!("{name}-at-once"), &key);
            Place { name, most }
        });
        // From before the question: whoever hangs up meanwhile leaves nothing behind.
        let mut leased = Leased::of(shared, &places);
        match shared.admit(&charges, &places, leased.lease).await {
            Some(Verdict::Admitted(left)) => Ok((Some(leased), left)),
            Some(Verdict::Refused { which, wait }) => {
                leased.places = None;
                Err(match which.checked_sub(charges.len()) {
                    None => Limited::spread(counts.spent[which].rate, wait),
                    Some(place) => {
                        let (_, name, most) = counts.at_once[place.min(1)];
                        Limited::at_once(name, most)
                    }
                })
            }
            None => {
                counts.share_of(runs, shared.nodes())?;
                for (bucket, spent) in paid.iter().zip(&counts.spent) {
                    let paid = bucket.spend_for_others(spent, shared.nodes());
                    paid.map_err(|wait| Limited::spread(spent.rate, wait))?;
                }
                Ok((None, Vec::new()))
            }
        }
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

    fn tightest(&self, counts: &Counts, left: &[Duration]) -> Option<Standing> {
        let standings = self.buckets.iter().zip(&counts.spent).zip(left);
        let standings = standings.map(|((bucket, spent), left)| bucket.standing(spent, *left));
        standings.min_by_key(|standing| standing.remaining)
    }
}

impl Counts {
    /// Whether these are among this node's share of what may run.
    fn share_of(&self, runs: &[Run; 2], nodes: u32) -> Result<(), Limited> {
        for (run, (_, name, most)) in runs.iter().zip(self.at_once) {
            if run.place > most.div_ceil(nodes) {
                return Err(Limited::at_once(name, most));
            }
        }
        Ok(())
    }
}

impl Calls {
    /// Let a call through, or say which limit it has met.
    ///
    /// # Errors
    /// [`Limited`].
    pub async fn admit(&self, call: &Call<'_>) -> Result<Admitted, Limited> {
        self.note(call, self.0.admit(call).await)
    }

    /// Let a call run that was let through before, and whose answer is not waited for.
    ///
    /// # Errors
    /// [`Limited`]: as many run as may.
    pub async fn hold(&self, call: &Call<'_>) -> Result<Held, Limited> {
        self.note(call, self.0.hold(call).await)
    }

    fn note<T>(&self, call: &Call<'_>, outcome: Result<T, Limited>) -> Result<T, Limited> {
        if let Err(limited) = &outcome {
            self.0.refused.note(call.tenant, limited.limit.label());
        }
        outcome
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
