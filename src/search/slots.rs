//! How many searches of our own Postgres run at once: on half of the connections, so that checking
//! tokens finds one, and half of these for one tenant, so that others find one too.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::{fault::Fault, ids::TenantId};

/// Room for searches.
#[derive(Debug)]
pub(super) struct Slots {
    all: Semaphore,
    share: usize,
    /// Those who search or wait.
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

/// Leave to search until it is dropped.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    _tenant: OwnedSemaphorePermit,
    _all: SemaphorePermit<'a>,
}

impl Slots {
    /// Of a pool of so many connections.
    pub(super) fn of(connections: u32) -> Self {
        let all = usize::try_from(connections / 2).unwrap_or(1).max(1);
        let share = (all / 2).max(1);
        Self { all: Semaphore::new(all), share, tenants: Mutex::default() }
    }

    /// Wait for room: the tenant's own first, so that whoever waits for it takes nobody else's.
    pub(super) async fn enter(&self, tenant: TenantId) -> Result<Slot<'_>, Fault> {
        let tenant = self.of_tenant(tenant).acquire_owned().await?;
        Ok(Slot { _tenant: tenant, _all: self.all.acquire().await? })
    }

    fn of_tenant(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        // Permits and those who wait hold on to theirs.
        tenants.retain(|_, slots| Arc::strong_count(slots) > 1);
        let slots = tenants.entry(tenant).or_insert_with(|| Arc::new(Semaphore::new(self.share)));
        Arc::clone(slots)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_busy_tenant_leaves_room_and_is_forgotten() {
        let slots = Slots::of(8);
        let (busy, other) = (TenantId::new(), TenantId::new());
        let enter = |tenant| slots.enter(tenant).now_or_never().map(Result::unwrap);
        let held = [enter(busy).unwrap(), enter(busy).unwrap()];
        assert!(enter(busy).is_none(), "half of half of eight");
        let others = [enter(other).unwrap(), enter(other).unwrap()];
        assert!(enter(TenantId::new()).is_none(), "the other half is for other things");
        drop(held);
        drop(enter(busy).unwrap());
        drop(others);
        drop(enter(other).unwrap());
        assert_eq!(slots.tenants.lock().unwrap().len(), 1);
    }
}
