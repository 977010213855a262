//! A limit around routes, keyed by what is in the request's extensions.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Extensions, Request, StatusCode},
    response::{IntoResponse, Response},
};
use governor::middleware::NoOpMiddleware;
use tower_governor::{
    GovernorError, GovernorLayer, governor::GovernorConfigBuilder, key_extractor::KeyExtractor,
};

use super::{Limited, Limits, Rate, counter::Kept};

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

impl<K: Clone + Hash + Eq + fmt::Debug> KeyExtractor for By<K> {
    type Key = K;

    fn extract<T>(&self, request: &Request<T>) -> Result<K, GovernorError> {
        (self.0)(request.extensions()).ok_or(GovernorError::UnableToExtractKey)
    }
}

/// For `route_layer`.
pub type Layer<K> = GovernorLayer<By<K>, NoOpMiddleware, Body>;

impl Limits {
    /// A layer under `policy` that counts by `key` and has `answer` say so in the words of its
    /// surface; status and headers are added to it.
    #[must_use]
    pub fn layer<K>(
        &self,
        policy: impl Into<Rate>,
        key: fn(&Extensions) -> Option<K>,
        answer: fn(&Limited) -> Response,
    ) -> Layer<K>
    where
        K: Clone + Hash + Eq + fmt::Debug + Send + Sync + 'static,
    {
        let policy = policy.into();
        let config = GovernorConfigBuilder::default()
            .period(policy.period(self.scale))
            .burst_size(policy.burst(self.scale).get())
            .key_extractor(By(key))
            .finish()
            .expect("neither period nor burst is zero");
        self.keep(Box::new(Kept(Arc::clone(config.limiter()))));
        GovernorLayer::new(config).error_handler(move |error| match error {
            // Its whole seconds are rounded down; one more is never too early.
            GovernorError::TooManyRequests { wait_time, .. } => {
                let limited = Limited::new(policy, Duration::from_secs(wait_time + 1));
                limited.refuse(answer(&limited))
            }
            GovernorError::UnableToExtractKey | GovernorError::Other { .. } => {
                tracing::error!(limit = policy.name, "a request came without the key of its limit");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        })
    }
}
