//! From an identity to a member of the tenant whose provider it is.

use time::OffsetDateTime;

use super::{Provider, id_token::Identity, refusal::Refused, store, store_links};
use crate::{
    audit::{self, Event, Kind, Origin},
    db::ControlTx,
    fault::Fault,
    users::User,
};

/// The member. Their link is made the first time, by an address that the provider has verified; from
/// then on issuer and subject decide, whatever the address becomes (spec row S-09).
pub(super) async fn admit(
    tx: &mut ControlTx,
    provider: &Provider,
    identity: &Identity,
    (origin, now): (&Origin, OffsetDateTime),
) -> Result<Result<User, Refused>, Fault> {
    // Whoever switches the provider off or changes it ends the sessions that it began: none may
    // begin behind their back.
    if !store::holds(tx, provider).await? {
        return Ok(Err(Refused::Changed));
    }
    let subject = identity.subject.as_str();
    let link = match store_links::find(tx, provider, subject).await? {
        Some(link) => link,
        None => match make(tx, provider, identity, (origin, now)).await? {
            Ok(()) => match store_links::find(tx, provider, subject).await? {
                Some(link) => link,
                None => return Ok(Err(Refused::LinkedElsewhere)),
            },
            Err(refused) => return Ok(Err(refused)),
        },
    };
    if link.is_removed {
        return Ok(Err(Refused::LinkRemoved));
    }
    let Some(user) = store_links::member(tx, provider.tenant, link.user).await? else {
        return Ok(Err(Refused::NotAMember));
    };
    store_links::touch(tx, provider, subject, now).await?;
    Ok(Ok(user))
}

/// Link the member who has the identity's address, if nobody else is linked to them.
async fn make(
    tx: &mut ControlTx,
    provider: &Provider,
    identity: &Identity,
    (origin, now): (&Origin, OffsetDateTime),
) -> Result<Result<(), Refused>, Fault> {
    let Some(email) = &identity.email else { return Ok(Err(Refused::Unverified)) };
    let Some(user) = store_links::member_by_email(tx, provider.tenant, email).await? else {
        return Ok(Err(Refused::NotAMember));
    };
    // Of several at once, one makes it; the others find it, unless it is another subject's.
    if store_links::create(tx, provider, (&identity.subject, user), now).await? {
        let event = Event::new(Kind::SsoLinked, now)
            .tenant(provider.tenant)
            .user(user)
            .from(origin)
            .with("name", provider.issuer.clone());
        audit::store::append_control(tx, &event).await?;
    }
    Ok(Ok(()))
}
