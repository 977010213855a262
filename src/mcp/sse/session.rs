//! A stream as those see it who post to it.

use tokio::sync::{
    Notify,
    mpsc::{self, error::TrySendError},
};

use super::Posting;
use crate::{
    ids::{GrantId, TenantId, UserId},
    mcp::{
        caller::Caller,
        dispatch::Asker,
        jsonrpc::{Id, Request},
    },
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

/// A message that has an effect.
#[derive(Debug)]
pub(super) enum Posted {
    Request(Delivery),
    /// Takes the request of this name back.
    Cancel(Asker, Id),
}

impl Posted {
    pub(super) const fn asker(&self) -> &Asker {
        match self {
            Self::Request(delivery) => &delivery.asker,
            Self::Cancel(asker, _) => asker,
        }
    }
}

/// The way to the task of a stream that this node holds.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) principal: Principal,
    /// What is posted here.
    pub(super) inbox: mpsc::Sender<Delivery>,
    /// What of it is taken back: heard also when there is no room for more.
    pub(super) cancelled: mpsc::Sender<Id>,
    /// Something was posted elsewhere and waits in the database.
    pub(super) poke: Notify,
}

impl Session {
    /// Give a message to the stream.
    pub(super) fn hand_over(&self, posted: Posted) -> Posting {
        fn posting<T>(sent: &Result<(), TrySendError<T>>) -> Posting {
            match sent {
                Ok(()) => Posting::Accepted,
                Err(TrySendError::Full(_)) => Posting::Full,
                // It has just ended.
                Err(TrySendError::Closed(_)) => Posting::Unknown,
            }
        }
        match posted {
            Posted::Request(delivery) => posting(&self.inbox.try_send(delivery)),
            Posted::Cancel(_, id) => posting(&self.cancelled.try_send(id)),
        }
    }
}
