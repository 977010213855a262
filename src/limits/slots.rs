//! How many uploads are read at once: each holds a file in memory, and nobody may take all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::ids::TenantId;

const AT_ONCE: usize = 6;
const OF_ONE_TENANT: usize = 2;

/// The slots that are taken, by tenant.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots(Arc<Mutex<HashMap<TenantId, usize>>>);

/// A place among the uploads that are read, until it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    tenant: TenantId,
}

impl Slots {
    /// `None` when the tenant has its share, or all are taken.
    pub(super) fn take(&self, tenant: TenantId) -> Option<Slot> {
        let mut taken = self.lock();
        let own = taken.get(&tenant).copied().unwrap_or_default();
        if own >= OF_ONE_TENANT || taken.values().sum::<usize>() >= AT_ONCE {
            return None;
        }
        taken.insert(tenant, own + 1);
        Some(Slot { slots: self.clone(), tenant })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        match taken.get_mut(&self.tenant) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.remove(&self.tenant)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_takes_its_share_and_all_together_no_more_than_there_are() {
        let slots = Slots::default();
        let tenant = TenantId::new();
        let mut held = vec![slots.take(tenant), slots.take(tenant)];
        assert!(held.iter().all(Option::is_some) && slots.take(tenant).is_none());
        held.pop();
        held.push(slots.take(tenant));
        assert!(held[1].is_some() && slots.take(tenant).is_none());
        held.extend((0..4).map(|_| slots.take(TenantId::new())));
        assert!(held.iter().all(Option::is_some));
        assert!(slots.take(TenantId::new()).is_none());
        drop(held);
        assert!(slots.lock().is_empty());
    }
}
