//! Room for every kind of work, and in it for every tenant: one that is flooded leaves the others
//! theirs (spec row Q-09).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::ids::TenantId;

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// What every call of a tool needs besides its answer: is its token alive, and its record.
    Check,
    /// The answers to tool calls.
    Tool,
    /// The authorization server.
    OAuth,
    /// Pages, signing in, and commands.
    Pages,
    /// Uploads, imports, and sweeping.
    Work,
}

impl Class {
    /// How long one statement may take (spec row FX-12).
    pub(super) const fn statement_limit(self) -> Duration {
        match self {
            Self::Check | Self::OAuth => Duration::from_secs(2),
            Self::Tool | Self::Pages | Self::Work => Duration::from_secs(10),
        }
    }

    /// How long anybody waits for room: a slow search is worth waiting for.
    pub(super) const fn patience(self) -> Duration {
        match self {
            Self::Tool | Self::Work => Duration::from_secs(10),
            Self::Check | Self::OAuth | Self::Pages => Duration::from_secs(2),
        }
    }
}

/// How many connections each class may hold: no more than half, so that whichever takes all it can
/// leaves the other half. Uploads and imports can wait: a quarter. Of the tools', no tenant holds
/// more than half.
#[derive(Debug)]
pub(super) struct Room {
    classes: [Arc<Semaphore>; 5],
    share: usize,
    /// Those whose tools run or wait.
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

/// Leave to hold a connection until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _tenant: Option<OwnedSemaphorePermit>,
    _class: OwnedSemaphorePermit,
}

impl Room {
    /// On so many connections.
    pub(super) fn of(connections: u32) -> Arc<Self> {
        let connections = usize::try_from(connections).unwrap_or(Semaphore::MAX_PERMITS);
        let part = |of: usize| (connections / of).max(1);
        let classes = [2, 2, 2, 2, 4].map(|of| Arc::new(Semaphore::new(part(of))));
        Arc::new(Self { classes, share: part(4), tenants: Mutex::default() })
    }

    /// Wait for room, first come first served: the tenant's own first, so that whoever waits for it
    /// takes nobody else's.
    pub(super) async fn enter(
        &self,
        class: Class,
        tenant: Option<TenantId>,
    ) -> Result<Place, AcquireError> {
        let tenant = match tenant.filter(|_| class == Class::Tool) {
            Some(tenant) => Some(self.of_tenant(tenant).acquire_owned().await?),
            None => None,
        };
        let class = Arc::clone(&self.classes[class as usize]).acquire_owned().await?;
        Ok(Place { _tenant: tenant, _class: class })
    }

    fn of_tenant(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = tenants.get(&tenant) {
            return Arc::clone(own);
        }
        // Permits and those who wait hold on to theirs.
        tenants.retain(|_, own| Arc::strong_count(own) > 1);
        let own = Arc::new(Semaphore::new(self.share));
        tenants.insert(tenant, Arc::clone(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn enter(room: &Room, class: Class, tenant: Option<TenantId>) -> Option<Place> {
        room.enter(class, tenant).now_or_never().map(Result::unwrap)
    }

    /// Each class, flooded, leaves every other more than a quarter of its own; passwords and
    /// uploads are counted elsewhere too.
    #[test]
    fn a_flooded_class_leaves_the_others_their_half() {
        const ALL: [Class; 5] =
            [Class::Check, Class::Tool, Class::OAuth, Class::Pages, Class::Work];
        for connections in [2, 3, 10, 16, 1000] {
            for flooded in ALL {
                let room = Room::of(connections);
                let flood: Vec<_> = std::iter::from_fn(|| enter(&room, flooded, None)).collect();
                let left = usize::try_from(connections).unwrap() - flood.len();
                for other in ALL.into_iter().filter(|other| *other != flooded) {
                    let held: Vec<_> = std::iter::from_fn(|| enter(&room, other, None)).collect();
                    assert!(left.min(held.len()) * 4 >= held.len(), "{flooded:?} {other:?}");
                    assert!(left >= 1 && !held.is_empty());
                }
            }
        }
    }

    #[test]
    fn a_busy_tenant_leaves_room_and_is_forgotten() {
        let room = Room::of(8);
        let (busy, other) = (Some(TenantId::new()), Some(TenantId::new()));
        let enter = |tenant| enter(&room, Class::Tool, tenant);
        let held = [enter(busy).unwrap(), enter(busy).unwrap()];
        assert!(enter(busy).is_none(), "half of half of eight");
        let others = [enter(other).unwrap(), enter(other).unwrap()];
        assert!(enter(Some(TenantId::new())).is_none(), "the other half is for other things");
        drop(held);
        drop(enter(busy).unwrap());
        drop(others);
        drop(enter(Some(TenantId::new())).unwrap());
        assert_eq!(room.tenants.lock().unwrap().len(), 1);
    }
}
