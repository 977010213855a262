//! How many calls run at the same time, by key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

/// Calls that run here. Clones share.
#[derive(Clone, Debug, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<Uuid, u32>>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Run {
    running: Running,
    key: Uuid,
    /// How many there were with this one.
    pub(super) place: u32,
}

impl Running {
    /// `None` when `most` run already.
    pub(super) fn begin(&self, key: Uuid, most: u32) -> Option<Run> {
        let mut running = self.lock();
        let place = running.get(&key).copied().unwrap_or_default() + 1;
        if place > most {
            return None;
        }
        running.insert(key, place);
        Some(Run { running: self.clone(), key, place })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut running = self.running.lock();
        match running.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(running.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_run_and_no_more_and_nothing_stays_behind() {
        let (running, key) = (Running::default(), Uuid::now_v7());
        let mut runs: Vec<_> = (0..3).map(|_| running.begin(key, 3)).collect();
        assert!(runs.iter().all(Option::is_some) && running.begin(key, 3).is_none());
        assert!(running.begin(Uuid::now_v7(), 1).is_some());
        runs.pop();
        runs.push(running.begin(key, 3));
        assert_eq!(runs[2].as_ref().unwrap().place, 3);
        drop(runs);
        assert!(running.lock().is_empty());
    }
}
