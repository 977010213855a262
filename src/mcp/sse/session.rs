//! A stream as those see it who post to it.

use tokio::sync::{Notify, mpsc};

use crate::{
    ids::{GrantId, TenantId, UserId},
    mcp::{caller::Caller, dispatch::Asker, jsonrpc::Request},
};

/// Whose a stream is. A message for it comes from the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Principal {
    pub(super) tenant: TenantId,
    pub(super) grant: GrantId,
    /// None: a service client in its own name.
    pub(super) user: Option<UserId>,
    pub(super) client_id: String,
}

impl Principal {
    pub(super) fn of(caller: &Caller) -> Self {
        Self {
            tenant: caller.scope().tenant_id(),
            grant: caller.grant(),
            user: caller.user(),
            client_id: caller.client_id().to_owned(),
        }
    }
}

/// A request that was posted, with who asks.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) asker: Asker,
    pub(super) request: Request,
}

/// The way to the task of a stream that this node holds.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) principal: Principal,
    /// What is posted here.
    pub(super) inbox: mpsc::Sender<Delivery>,
    /// Something was posted elsewhere and waits in the database.
    pub(super) poke: Notify,
}
