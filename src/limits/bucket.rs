//! A rate whose calls may cost more or less, and which may differ from key to key.
//!
//! Keyed rate limiters have one quota for all keys. Here a call takes [`CELLS`] of them at the
//! usual rate; twice as many where the key's own rate is half of it, and N times as many where N
//! nodes that cannot reach each other must not let more through together.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::{NoOpMiddleware, StateInformationMiddleware, StateSnapshot},
    state::keyed::DefaultKeyedStateStore,
};
use uuid::Uuid;

use super::{
    Limits,
    counter::Kept,
    rate::{Rate, times},
    refusal::Standing,
    shared::{Charge, Shared, whole_micros},
};

/// What one call takes at the usual rate.
const CELLS: u32 = 1000;

type Limiter<C> = RateLimiter<Uuid, DefaultKeyedStateStore<Uuid>, C, StateInformationMiddleware>;

/// Counts by 16 bytes: an id, or a digest of what is longer.
#[derive(Debug)]
pub(super) struct Bucket<C: Clock = DefaultClock> {
    pub(super) usual: Rate,
    scale: f64,
    most: NonZeroU32,
    cell: Duration,
    limiter: Arc<Limiter<C>>,
}

/// A call at a key's own rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    pub(super) key: Uuid,
    /// The key's own rate.
    pub(super) rate: Rate,
    /// In thousandths of a call.
    pub(super) cost: u32,
}

impl<C: Clock> Bucket<C> {
    fn over(usual: Rate, scale: f64, clock: C) -> Self {
        let cell = (usual.period(scale) / CELLS).max(Duration::from_nanos(1));
        let most = times(usual.burst.saturating_mul(CELLS), scale);
        let quota = Quota::with_period(cell).expect("not zero").allow_burst(most);
        let limiter: RateLimiter<_, _, _, NoOpMiddleware<C::Instant>> =
            RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock);
        let limiter = Arc::new(limiter.with_middleware());
        Self { usual, scale, most, cell, limiter }
    }

    /// Pay for a call here.
    ///
    /// # Errors
    /// How long to wait, when the key has not got as much; nothing is paid then.
    pub(super) fn spend(&self, spent: &Spent) -> Result<Standing, Duration> {
        let state = self.take(&spent.key, self.cells(spent, 1))?;
        let each = self.cells(&Spent { cost: CELLS, ..*spent }, 1);
        let left = state.remaining_burst_capacity();
        let whole_in = self.cell.saturating_mul(self.most.get().saturating_sub(left));
        Ok(Standing { rate: spent.rate, remaining: (left / each.get()).into(), whole_in })
    }

    /// Pay for what `nodes - 1` others may let through meanwhile.
    ///
    /// # Errors
    /// As [`Self::spend`].
    pub(super) fn spend_for_others(&self, spent: &Spent, nodes: u32) -> Result<(), Duration> {
        let Some(others) = NonZeroU32::new(nodes.saturating_sub(1)) else { return Ok(()) };
        // All of it together is no more than a burst, or nothing would ever pass.
        let rest = self.most.get() - self.cells(spent, 1).get();
        match NonZeroU32::new(self.cells(spent, others.get()).get().min(rest)) {
            Some(cells) => self.take(&spent.key, cells).map(|_| ()),
            None => Ok(()),
        }
    }

    fn take(&self, key: &Uuid, cells: NonZeroU32) -> Result<StateSnapshot, Duration> {
        match self.limiter.check_key_n(key, cells) {
            Ok(Ok(state)) => Ok(state),
            Ok(Err(until)) => Err(until.wait_time_from(self.limiter.clock().now())),
            // A single call costs no more than a burst: see `cells`.
            Err(_) => Err(Duration::from_secs(self.usual.seconds.into())),
        }
    }

    fn cells(&self, spent: &Spent, nodes: u32) -> NonZeroU32 {
        let cells = u64::from(spent.cost) * u64::from(self.usual.calls) * u64::from(nodes);
        let cells = cells.div_ceil(spent.rate.calls.max(1).into());
        let cells = u32::try_from(cells).unwrap_or(u32::MAX).min(self.most.get());
        NonZeroU32::new(cells).unwrap_or(NonZeroU32::MIN)
    }

    /// The same for a counter that is shared.
    pub(super) fn charge(&self, spent: &Spent, shared: &Shared) -> Charge {
        let period = whole_micros(spent.rate.period(self.scale));
        let whole = period.saturating_mul(spent.rate.burst(self.scale).get());
        let cost = whole_micros(period.saturating_mul(spent.cost) / CELLS).min(whole);
        Charge { name: shared.name(self.usual.name, &spent.key), cost, whole }
    }

    /// What is left of a shared counter.
    pub(super) fn standing(&self, spent: &Spent, left: Duration) -> Standing {
        let period = whole_micros(spent.rate.period(self.scale));
        let whole = period.saturating_mul(spent.rate.burst(self.scale).get());
        let remaining = u64::try_from(left.as_micros() / period.as_micros().max(1));
        Standing {
            rate: spent.rate,
            remaining: remaining.unwrap_or(u64::MAX),
            whole_in: whole.saturating_sub(left),
        }
    }
}

impl Limits {
    pub(super) fn bucket(&self, usual: impl Into<Rate>) -> Bucket {
        let bucket = Bucket::over(usual.into(), self.scale, DefaultClock::default());
        self.keep(Box::new(Kept(Arc::clone(&bucket.limiter))));
        bucket
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const USUAL: Rate = Rate { name: "test", calls: 600, seconds: 60, burst: 200 };

    proptest! {
        /// [L-01] Over any window a key gets a burst and what the window pays back, and no more:
        /// at whatever rate is its own, whatever its calls cost, and its share of that where
        /// others share it.
        #[test]
        fn a_key_gets_no_more_than_burst_and_rate(
            own in 6..1200_u32,
            nodes in 1..4_u32,
            calls in vec((0..20_000_u64, prop_oneof![Just(100_u32), Just(1000)]), 1..120),
        ) {
            let clock = FakeRelativeClock::default();
            let bucket = Bucket::over(USUAL, 1.0, clock.clone());
            let rate = USUAL.with_calls(own);
            let (mut now, mut admitted) = (Duration::ZERO, Vec::new());
            for (after, cost) in calls {
                let after = Duration::from_millis(after);
                clock.advance(after);
                now += after;
                let spent = Spent { key: Uuid::nil(), rate, cost };
                let outcome = bucket.spend(&spent);
                if outcome.is_ok() && bucket.spend_for_others(&spent, nodes).is_ok() {
                    admitted.push((now, f64::from(cost) / 1000.0));
                }
                if let Err(wait) = outcome {
                    prop_assert!(wait > Duration::ZERO);
                }
            }
            let share = f64::from(own) / f64::from(USUAL.calls) / f64::from(nodes);
            // Where a burst is less than a call, one passes when it is whole.
            let burst = (f64::from(USUAL.burst) * share).max(1.0);
            let rate = f64::from(USUAL.calls) / 60.0 * share.max(1.0 / f64::from(USUAL.burst));
            for (first, (begins, _)) in admitted.iter().enumerate() {
                let mut sum = 0.0;
                for (at, cost) in &admitted[first..] {
                    sum += cost;
                    let most = burst + rate * (*at - *begins).as_secs_f64();
                    prop_assert!(sum <= most + 1e-6, "{sum} in {:?}: {most}", *at - *begins);
                }
            }
        }
    }

    /// What is said of a call that passes is true: so many more do, and then none.
    #[test]
    fn the_standing_is_what_is_left() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::over(USUAL, 1.0, clock.clone());
        let spent = Spent { key: Uuid::nil(), rate: USUAL.with_calls(60), cost: CELLS };
        let standing = bucket.spend(&spent).unwrap();
        assert_eq!((standing.remaining, standing.whole_in), (19, Duration::from_secs(1)));
        for left in (0..19).rev() {
            assert_eq!(bucket.spend(&spent).unwrap().remaining, left);
        }
        let wait = bucket.spend(&spent).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        clock.advance(wait);
        assert!(bucket.spend(&spent).is_ok() && bucket.spend(&spent).is_err());
    }
}
