//! What a tenant uploads, by the mebibyte (spec row L-06).

use std::sync::Arc;

use super::{
    Limited, Limits,
    bucket::{Bucket, Spent},
    rate::{Policy, Rate},
    shared::{Lease, Shared, Verdict},
    slots::{Slot, Slots, Taken},
};
use crate::ids::TenantId;

/// Mebibytes.
const UPLOAD: Policy = Policy { name: "upload", per_minute: 300, burst: 1500 };
const MEBIBYTE: u64 = 1 << 20;

/// Counts uploads by tenant. Clones share.
#[derive(Clone, Debug)]
pub struct Uploads(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bucket: Bucket,
    shared: Option<Shared>,
    slots: Slots,
}

impl Uploads {
    /// A place among those that come to this node at the same moment.
    ///
    /// # Errors
    /// [`Taken`] says by whom the places are.
    pub fn slot(&self, tenant: TenantId) -> Result<Slot, Taken> {
        self.0.slots.take(tenant)
    }

    /// Take a file of this size, or say when.
    ///
    /// # Errors
    /// [`Limited`].
    pub async fn take(&self, tenant: TenantId, bytes: usize) -> Result<(), Limited> {
        let Inner { bucket, shared, .. } = &*self.0;
        let thousandths = (bytes as u64).saturating_mul(1000).div_ceil(MEBIBYTE).max(1);
        let cost = u32::try_from(thousandths).unwrap_or(u32::MAX);
        let rate = Rate::from(UPLOAD);
        let spent = Spent { key: tenant.uuid(), rate, cost };
        let limited = |wait| Limited::new(rate, wait);
        bucket.spend(&spent).map_err(limited)?;
        let Some(shared) = shared else { return Ok(()) };
        match shared.admit(&[bucket.charge(&spent, shared)], &[], Lease::new()).await {
            Some(Verdict::Admitted(_)) => Ok(()),
            Some(Verdict::Refused { wait, .. }) => Err(limited(wait)),
            None => bucket.spend_for_others(&spent, shared.nodes()).map_err(limited),
        }
    }
}

impl Limits {
    /// The limit on uploads.
    #[must_use]
    pub fn uploads(&self) -> Uploads {
        let shared = self.shared.clone();
        let slots = Slots::default();
        Uploads(Arc::new(Inner { bucket: self.bucket(UPLOAD), shared, slots }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [L-06] A file costs what it weighs, and a tenant's uploads are its own.
    #[tokio::test]
    async fn uploads_are_counted_by_their_size() {
        let uploads = Limits::new(0.01).uploads();
        let (acme, zeta) = (TenantId::new(), TenantId::new());
        assert!(uploads.take(acme, 14 << 20).await.is_ok());
        assert!(uploads.take(acme, 1 << 19).await.is_ok());
        let limited = uploads.take(acme, 1 << 20).await.unwrap_err();
        // Half a mebibyte at three in a minute.
        assert!((9..=10).contains(&limited.retry_after), "{limited:?}");
        assert!(uploads.take(zeta, 1 << 20).await.is_ok());
    }
}
