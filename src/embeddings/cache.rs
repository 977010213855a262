//! Vectors of the questions that were asked last.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
};

use crate::ids::{TenantId, VectorStoreId};

/// Of each half; a vector is 1.5 kB, one of the longest 8 kB.
const MOST: usize = 512;

/// Which model of whom: the installation's own, or one of a store's.
pub(super) type Asked = (TenantId, Option<(VectorStoreId, i16)>);

/// The younger half and the older one. When the younger is full, the older is forgotten: what was
/// asked since has moved to the younger.
#[derive(Debug, Default)]
pub(super) struct Cache {
    young: HashMap<(Asked, String), Arc<[f32]>>,
    old: HashMap<(Asked, String), Arc<[f32]>>,
}

impl Cache {
    pub(super) fn get(&mut self, asked: Asked, text: &str) -> Option<Arc<[f32]>> {
        let key = (asked, text.to_owned());
        if let Some(vector) = self.young.get(&key) {
            return Some(Arc::clone(vector));
        }
        let vector = self.old.remove(&key)?;
        self.put(asked, text, Arc::clone(&vector));
        Some(vector)
    }

    pub(super) fn put(&mut self, asked: Asked, text: &str, vector: Arc<[f32]>) {
        if self.young.len() >= MOST {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert((asked, text.to_owned()), vector);
    }

    /// Whose questions are here.
    pub(super) fn tenants(&self) -> HashSet<TenantId> {
        self.young.keys().chain(self.old.keys()).map(|((tenant, _), _)| *tenant).collect()
    }

    pub(super) fn forget(&mut self, gone: TenantId) {
        self.young.retain(|((tenant, _), _), _| *tenant != gone);
        self.old.retain(|((tenant, _), _), _| *tenant != gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_again_stays_and_the_rest_goes() {
        let (tenant, other) = ((TenantId::new(), None), (TenantId::new(), None));
        let mut cache = Cache::default();
        for n in 0..10 * MOST {
            cache.put(tenant, &n.to_string(), [0.5].into());
            assert!(cache.get(tenant, "0").is_some(), "{n}");
        }
        assert!(cache.young.len() + cache.old.len() <= 2 * MOST);
        assert!(cache.get(tenant, "1").is_none());
        assert!(cache.get(other, "0").is_none(), "another tenant's question is not known");
        cache.put(other, "0", [0.5].into());
        cache.forget(tenant.0);
        assert!(cache.get(tenant, "0").is_none() && cache.get(other, "0").is_some());
        assert_eq!(cache.tenants(), [other.0].into());
        let model = Some((VectorStoreId::new(), 2));
        assert!(cache.get((tenant.0, model), "0").is_none(), "nor what another model makes of it");
    }
}
