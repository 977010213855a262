//! Clients that a document at their `client_id` describes: draft-ietf-oauth-client-id-metadata-document.
//!
//! A document is read once somebody has signed in (spec row K-07): [`find`] fetches nothing and is
//! for everybody; [`refresh_known`] fetches only what is known already; [`read`] fetches. What was
//! read is kept as a client like any other until it has to be read again; where that fails, the
//! copy at hand serves on, and for the well-known assistants a pinned one.

pub(super) mod document;
pub(super) mod location;
mod pinned;
mod reader;
mod store;

use time::{Duration, OffsetDateTime};

pub(super) use document::Unusable;
pub(super) use pinned::AssertionAudience;
pub(super) use reader::{Behalf, Reader};

use super::{Server, client::Client};
use crate::{db::ControlTx, fault::Fault};
use location::Location;
use reader::Landed;
use store::Known;

/// How long a copy that is not from its host serves before the host is asked again.
const PINNED_LIFE: Duration = Duration::minutes(1);

/// Whether this `client_id` may be the address of a document (spec row K-01). No client that
/// registered itself has such an id.
pub(super) fn is_url(client_id: &str) -> bool {
    Location::parse(client_id).is_some()
}

/// Whether the document is of a well-known assistant's, on its own host: the name in it is true.
pub(super) fn is_well_known(client_id: &str) -> bool {
    Location::parse(client_id).is_some_and(|location| pinned::is_well_known(&location))
}

/// What the assertions of this client may name as their audience; the issuer at least.
pub(super) fn assertion_audiences(client_id: &str) -> &'static [AssertionAudience] {
    let location = Location::parse(client_id);
    location.map_or(pinned::ISSUER, |location| pinned::assertion_audiences(&location))
}

/// The client, where its document was read lately. Fetches nothing.
pub(super) async fn find(
    tx: &mut ControlTx,
    client_id: &str,
    now: OffsetDateTime,
) -> sqlx::Result<Option<Client>> {
    if Location::parse(client_id).is_none() {
        return Ok(None);
    }
    Ok(store::find(tx, client_id).await?.filter(|known| known.is_fresh(now)).map(|it| it.client))
}

/// The client, from its document where no fresh copy is at hand. Call it for people who have
/// signed in, or within the little that strangers may have read, and with no transaction open: it
/// may take seconds.
pub(super) async fn read(
    server: &Server,
    client_id: &str,
    behalf: Behalf,
) -> Result<Result<Client, Unusable>, Fault> {
    let Some(location) = Location::parse(client_id) else { return Ok(Err(Unusable::Address)) };
    let known = known(server, client_id).await?;
    go_on(server, location, known, behalf).await
}

/// As [`read`], where the document was read before; for callers who have not signed in.
pub(super) async fn refresh_known(
    server: &Server,
    client_id: &str,
    behalf: Behalf,
) -> Result<Result<Client, Unusable>, Fault> {
    let Some(location) = Location::parse(client_id) else { return Ok(Err(Unusable::Address)) };
    match known(server, client_id).await? {
        None => Ok(Err(Unusable::Unknown)),
        known => go_on(server, location, known, behalf).await,
    }
}

async fn known(server: &Server, client_id: &str) -> sqlx::Result<Option<Known>> {
    let mut tx = server.db.control().await?;
    store::find(&mut tx, client_id).await
}

async fn go_on(
    server: &Server,
    location: Location,
    known: Option<Known>,
    behalf: Behalf,
) -> Result<Result<Client, Unusable>, Fault> {
    match &known {
        Some(known) if known.is_disabled => return Ok(Err(Unusable::Disabled)),
        Some(fresh) if fresh.is_fresh(server.clock.now()) => return Ok(Ok(fresh.client.clone())),
        Some(_) | None => {}
    }
    if let Err(unwelcome) = server.policy.check_document(location.as_str()) {
        return Ok(Err(Unusable::Unwelcome(unwelcome)));
    }
    match server.documents.fetch(&location, behalf).await {
        Landed::Stored => {
            let stored = self::known(server, location.as_str()).await?;
            Ok(stored.filter(|it| !it.is_disabled).map(|it| it.client).ok_or(Unusable::Disabled))
        }
        Landed::Unusable(why) => fall_back(server, &location, known, why).await,
        Landed::Faulted => Err(Fault::new("a client's document was read and could not be kept")),
    }
}

/// The copy at hand, unless its host took it back. A pinned one is the host's word in any case.
async fn fall_back(
    server: &Server,
    location: &Location,
    known: Option<Known>,
    why: Unusable,
) -> Result<Result<Client, Unusable>, Fault> {
    let Some((pinned, seen)) = pinned::find(location) else {
        let stale = known.filter(|_| why.is_silence());
        return Ok(stale.map(|known| known.client).ok_or(why));
    };
    if let Some(known) = known.filter(|known| known.fetched_at >= seen) {
        return Ok(Ok(known.client));
    }
    let mut tx = server.db.control().await?;
    let now = server.clock.now();
    store::keep(
        &mut tx,
        &pinned,
        store::Life { now, fetched_at: seen, fresh_until: now + PINNED_LIFE },
    )
    .await?;
    let kept = store::find(&mut tx, location.as_str()).await?;
    tx.commit().await?;
    Ok(kept.filter(|it| !it.is_disabled).map(|it| it.client).ok_or(Unusable::Disabled))
}
