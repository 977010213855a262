//! Where a request came from, as far as the audit keeps it.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};
use uuid::Uuid;

use crate::{
    http::{client_ip::ClientIp, request_id::RequestId},
    ids::UserId,
};

/// The request's id and the network prefix of the client: never the whole address.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// As in the log.
    pub request: Option<Uuid>,
    /// A /24 or /48.
    pub address: String,
}

/// Who acts. By default nobody that we know: whoever runs a command beside the database.
#[derive(Clone, Debug, Default)]
pub struct Actor {
    /// Signed in.
    pub user: Option<UserId>,
    /// The request that they sent.
    pub origin: Option<Origin>,
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            request: parts.extensions.get::<RequestId>().map(|id| id.0),
            address: parts.extensions.get::<ClientIp>().map(|ip| ip.prefix()).unwrap_or_default(),
        })
    }
}
