//! What was posted to other nodes, fetched for one stream.

use super::{Streams, calls::MOST_WAITING, letter, session::Posted, store};
use crate::{db::TenantScope, fault::Fault, secret::SecretHash};

/// How many messages are fetched at once.
const AT_ONCE: i64 = 8;

/// What there was.
pub(super) enum Fetched {
    Letters {
        posted: Vec<Posted>,
        /// Whether these were the last ever.
        last: bool,
    },
    /// A message whose token has died on its way.
    Dead,
    /// A message that could not be read, and is gone.
    Lost,
}

/// The oldest messages.
pub(super) async fn fetch(
    streams: &Streams,
    scope: TenantScope,
    name: &SecretHash,
) -> Result<Fetched, Fault> {
    let mut tx = streams.0.db.tenant(scope).await?;
    let letters = store::take(&mut tx, name, AT_ONCE).await?;
    tx.commit().await?;
    Ok(open(streams, scope, name, &letters, false).await)
}

/// All messages that there are; and none can come any more, since the stream is over.
pub(super) async fn fetch_last(
    streams: &Streams,
    scope: TenantScope,
    name: &SecretHash,
) -> Result<Fetched, Fault> {
    let mut tx = streams.0.db.tenant(scope).await?;
    store::hold_session(&mut tx, name).await?;
    // More than may wait: of those that were posted at once, none counted the others.
    let letters = store::take(&mut tx, name, i64::try_from(2 * MOST_WAITING)?).await?;
    store::close(&mut tx, name).await?;
    tx.commit().await?;
    Ok(open(streams, scope, name, &letters, true).await)
}

async fn open(
    streams: &Streams,
    scope: TenantScope,
    name: &SecretHash,
    letters: &[Vec<u8>],
    last: bool,
) -> Fetched {
    let mut posted = Vec::with_capacity(letters.len());
    for sealed in letters {
        match letter::open(&streams.0, scope, name, sealed).await {
            Ok(Some(one)) => posted.push(one),
            Ok(None) => return Fetched::Dead,
            Err(fault) => {
                fault.log();
                return Fetched::Lost;
            }
        }
    }
    Fetched::Letters { posted, last }
}
