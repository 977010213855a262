//! Who of a tenant's members is whom at its provider, in Postgres.

use time::OffsetDateTime;

use super::Provider;
use crate::{
    db::ControlTx,
    ids::{TenantId, UserId},
    users::{Email, User},
};

/// Whom an identity belongs to.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) user: UserId,
    pub(super) is_removed: bool,
}

/// The link of a subject. Nobody removes it until `tx` ends.
pub(super) async fn find(
    tx: &mut ControlTx,
    provider: &Provider,
    subject: &str,
) -> sqlx::Result<Option<Link>> {
    sqlx::query_as!(
        Link,
        r#"
        select user_id as "user: UserId", removed_at is not null as "is_removed!"
          from sso_links
         where tenant_id = $1 and issuer = $2 and subject = $3
           for update
        "#,
        provider.tenant.uuid(),
        provider.issuer,
        subject,
    )
    .fetch_optional(tx.conn())
    .await
}

/// Note that a link was used.
pub(super) async fn touch(
    tx: &mut ControlTx,
    provider: &Provider,
    subject: &str,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update sso_links set used_at = $4
          where tenant_id = $1 and issuer = $2 and subject = $3",
        provider.tenant.uuid(),
        provider.issuer,
        subject,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Link a member who has no link, not even a removed one; `false` otherwise.
pub(super) async fn create(
    tx: &mut ControlTx,
    provider: &Provider,
    (subject, user): (&str, UserId),
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let created = sqlx::query!(
        "insert into sso_links (tenant_id, issuer, subject, user_id, created_at, used_at)
         values ($1, $2, $3, $4, $5, $5)
             on conflict do nothing",
        provider.tenant.uuid(),
        provider.issuer,
        subject,
        user.uuid(),
        now,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    Ok(created == 1)
}

/// A member of the tenant by id, unless their account is switched off.
pub(super) async fn member(
    tx: &mut ControlTx,
    tenant: TenantId,
    user: UserId,
) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"
        select u.id as "id: UserId", u.email, u.name, false as "is_operator!"
          from memberships m
          join users u on u.id = m.user_id and u.disabled_at is null
         where m.tenant_id = $1 and m.user_id = $2
        "#,
        tenant.uuid(),
        user.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// A member of the tenant by address, unless their account is switched off. For the first time
/// only (spec row S-09).
pub(super) async fn member_by_email(
    tx: &mut ControlTx,
    tenant: TenantId,
    email: &Email,
) -> sqlx::Result<Option<UserId>> {
    sqlx::query_scalar!(
        r#"
        select u.id as "id: UserId"
          from memberships m
          join users u on u.id = m.user_id and u.disabled_at is null
         where m.tenant_id = $1 and u.email = $2
           for share of m
        "#,
        tenant.uuid(),
        email.as_str(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// A link as admins see it.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) user: UserId,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) used_at: OffsetDateTime,
    pub(super) is_removed: bool,
}

/// Every link of the tenant's.
pub(super) async fn list(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"
        select u.id as "user: UserId", u.name, u.email, l.used_at,
               l.removed_at is not null as "is_removed!"
          from sso_links l
          join users u on u.id = l.user_id
         where l.tenant_id = $1
         order by u.name, u.email
        "#,
        tenant.uuid(),
    )
    .fetch_all(tx.conn())
    .await
}

/// Remove a member's link, so that it lets nobody in; `false` when there is none that does.
pub(super) async fn remove(
    tx: &mut ControlTx,
    tenant: TenantId,
    user: UserId,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let removed = sqlx::query!(
        "update sso_links set removed_at = $3
          where tenant_id = $1 and user_id = $2 and removed_at is null",
        tenant.uuid(),
        user.uuid(),
        now,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    Ok(removed == 1)
}

/// Forget a removed link, so that the next sign-in may make another; `false` when there is none.
pub(super) async fn forget(
    tx: &mut ControlTx,
    tenant: TenantId,
    user: UserId,
) -> sqlx::Result<bool> {
    let forgotten = sqlx::query!(
        "delete from sso_links
          where tenant_id = $1 and user_id = $2 and removed_at is not null",
        tenant.uuid(),
        user.uuid(),
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    Ok(forgotten == 1)
}

/// Forget every link that was made through another issuer, or through any.
pub(super) async fn forget_all(
    tx: &mut ControlTx,
    tenant: TenantId,
    but_of: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from sso_links where tenant_id = $1 and ($2::text is null or issuer <> $2)",
        tenant.uuid(),
        but_of,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
