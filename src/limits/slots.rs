//! How many uploads one node takes at once: each holds a file on disk, and nobody may take all (spec
//! row U-01).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::ids::TenantId;

const AT_ONCE: usize = 100;
const OF_ONE_TENANT: usize = 10;

/// Who has taken the places that are not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The tenant itself has its share.
    Own,
    /// Everybody together has all.
    All,
}

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
    /// A place, or why there is none.
    pub(super) fn take(&self, tenant: TenantId) -> Result<Slot, Taken> {
        let mut taken = self.lock();
        let own = taken.get(&tenant).copied().unwrap_or_default();
        if own >= OF_ONE_TENANT {
            return Err(Taken::Own);
        }
        if taken.values().sum::<usize>() >= AT_ONCE {
            return Err(Taken::All);
        }
        taken.insert(tenant, own + 1);
        Ok(Slot { slots: self.clone(), tenant })
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
        let refused = |tenant| slots.take(tenant).unwrap_err();
        let mut held: Vec<_> = (0..10).map(|_| slots.take(tenant).unwrap()).collect();
        assert_eq!(refused(tenant), Taken::Own);
        held.pop();
        held.push(slots.take(tenant).unwrap());
        assert_eq!(refused(tenant), Taken::Own);
        held.extend((0..90).map(|_| slots.take(TenantId::new()).unwrap()));
        assert_eq!((refused(tenant), refused(TenantId::new())), (Taken::Own, Taken::All));
        drop(held);
        assert!(slots.lock().is_empty());
    }
}
