//! A limit around routes, keyed by what is in the request's extensions.
//!
//! Outside stands tower-governor's, in this process. Where nodes share their limits, [`Spread`]
//! asks next whether the others leave room.

use std::{
    fmt,
    hash::Hash,
    mem,
    num::NonZeroU32,
    panic::Location,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Extensions, Request, StatusCode},
    response::{IntoResponse, Response},
};
use futures_util::future::{BoxFuture, Either, FutureExt};
use governor::{
    DefaultKeyedRateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
};
use tower::Service;
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::{Governor, GovernorConfigBuilder},
    key_extractor::KeyExtractor,
};

use super::{
    Limited, Limits, Rate,
    counter::Kept,
    shared::{Charge, Lease, Shared, Verdict, whole_micros},
};

/// Keys requests by something that an outer middleware put into their extensions.
pub struct By<K>(fn(&Extensions) -> Option<K>);

impl<K> Clone for By<K> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<K> fmt::Debug for By<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("By")
    }
}

impl<K: Clone + Hash + Eq + fmt::Debug + Send + Sync + 'static> KeyExtractor for By<K> {
    type Key = K;

    fn extract<T>(&self, request: &Request<T>) -> Result<K, GovernorError> {
        (self.0)(request.extensions()).ok_or(GovernorError::UnableToExtractKey)
    }
}

type Say = fn(&Limited) -> Response;

/// For `route_layer`.
pub struct Layer<K: Clone + Hash + Eq + fmt::Debug + Send + Sync + 'static> {
    governor: GovernorLayer<By<K>, NoOpMiddleware, Body>,
    others: Option<Arc<Others<K>>>,
}

impl<K: Clone + Hash + Eq + fmt::Debug + Send + Sync + 'static> Clone for Layer<K> {
    fn clone(&self) -> Self {
        Self { governor: self.governor.clone(), others: self.others.clone() }
    }
}

impl<K: Clone + Hash + Eq + fmt::Debug + Send + Sync + 'static> fmt::Debug for Layer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layer")
    }
}

impl<K, S> tower::Layer<S> for Layer<K>
where
    K: Clone + Hash + Eq + fmt::Debug + Send + Sync + 'static,
{
    type Service = Governor<By<K>, NoOpMiddleware, Spread<K, S>, Body>;

    fn layer(&self, inner: S) -> Self::Service {
        self.governor.layer(Spread { inner, others: self.others.clone() })
    }
}

/// Asks the other nodes, where there are any.
pub struct Spread<K: Clone + Hash + Eq, S> {
    inner: S,
    others: Option<Arc<Others<K>>>,
}

impl<K: Clone + Hash + Eq, S: Clone> Clone for Spread<K, S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), others: self.others.clone() }
    }
}

impl<K: Clone + Hash + Eq, S> fmt::Debug for Spread<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spread")
    }
}

struct Others<K: Clone + Hash + Eq> {
    shared: Shared,
    /// Where the layer is made, which is the same on every node: limits that count by the same key
    /// under the same policy in two places are two.
    place: String,
    rate: Rate,
    cost: Duration,
    whole: Duration,
    key: fn(&Extensions) -> Option<K>,
    limiter: Arc<DefaultKeyedRateLimiter<K>>,
    answer: Say,
}

impl<K: Clone + Hash + Eq> Others<K> {
    async fn admit(&self, key: &K) -> Result<(), Limited> {
        let name = self.shared.name(&self.place, key);
        let charge = Charge { name, cost: self.cost, whole: self.whole };
        match self.shared.admit(&[charge], &[], Lease::new()).await {
            Some(Verdict::Admitted(_)) => Ok(()),
            Some(Verdict::Refused { wait, .. }) => Err(Limited::spread(self.rate, wait)),
            None => self.admit_alone(key),
        }
    }

    /// This node's share: the others let as much through.
    fn admit_alone(&self, key: &K) -> Result<(), Limited> {
        let Some(others) = NonZeroU32::new(self.shared.nodes() - 1) else { return Ok(()) };
        match self.limiter.check_key_n(key, others) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                Err(Limited::spread(self.rate, wait))
            }
            // More nodes than calls in a burst: one call, when the burst is whole again.
            Err(least) => match NonZeroU32::new(least.0 - 1) {
                Some(rest) if matches!(self.limiter.check_key_n(key, rest), Ok(Ok(()))) => Ok(()),
                None => Ok(()),
                Some(_) => Err(Limited::spread(self.rate, self.cost)),
            },
        }
    }
}

impl<K, S> Service<Request<Body>> for Spread<K, S>
where
    K: Clone + Hash + Eq + Send + Sync + 'static,
    S: Service<Request<Body>, Response = Response> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(others) = self.others.clone() else {
            return Either::Left(self.inner.call(request));
        };
        // The one that said that it is ready.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let asked = async move {
            let Some(key) = (others.key)(request.extensions()) else { return Ok(no_key()) };
            match others.admit(&key).await {
                Ok(()) => inner.call(request).await,
                Err(limited) => Ok(limited.refuse((others.answer)(&limited))),
            }
        };
        Either::Right(asked.boxed())
    }
}

fn no_key() -> Response {
    tracing::error!("a request came without the key of its limit");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

impl Limits {
    /// A layer under `policy` that counts by `key` and has `answer` say so in the words of its
    /// surface; status and headers are added to it.
    #[must_use]
    #[track_caller]
    pub fn layer<K>(
        &self,
        policy: impl Into<Rate>,
        key: fn(&Extensions) -> Option<K>,
        answer: Say,
    ) -> Layer<K>
    where
        K: Clone + Hash + Eq + fmt::Debug + Send + Sync + 'static,
    {
        let rate = policy.into();
        let (period, burst) = (rate.period(self.scale), rate.burst(self.scale));
        let config = GovernorConfigBuilder::default()
            .period(period)
            .burst_size(burst.get())
            .key_extractor(By(key))
            .finish()
            .expect("neither period nor burst is zero");
        let limiter = Arc::clone(config.limiter());
        self.keep(Box::new(Kept(Arc::clone(&limiter))));
        let place = Location::caller();
        let others = self.shared.clone().map(|shared| {
            let place = format!("{}:{} {rate:?}", place.file(), place.line());
            let cost = whole_micros(period);
            let whole = cost.saturating_mul(burst.get());
            Arc::new(Others { shared, place, rate, cost, whole, key, limiter, answer })
        });
        let governor = GovernorLayer::new(config).error_handler(move |error| match error {
            // Its whole seconds are rounded down; one more is never too early.
            GovernorError::TooManyRequests { wait_time, .. } => {
                let limited = Limited::spread(rate, Duration::from_secs(wait_time + 1));
                limited.refuse(answer(&limited))
            }
            GovernorError::UnableToExtractKey | GovernorError::Other { .. } => no_key(),
        });
        Layer { governor, others }
    }
}
