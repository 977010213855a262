//! Tenants and memberships in Postgres.

use time::OffsetDateTime;

use super::{DisplayName, Role, Slug, Tenant, TenantMember, TenantOverview};
use crate::{
    db::ControlTx,
    ids::{TenantId, UserId},
};

/// Another tenant has this slug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another tenant has this slug")]
pub struct SlugTaken;

/// The user belongs to the tenant already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the user belongs to the tenant already")]
pub struct AlreadyMember;

/// Why a membership stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// There is no such membership.
    #[error("the user does not belong to the tenant")]
    NotAMember,
    /// Nobody could manage the tenant's admins any more.
    #[error("the tenant would have no owner left")]
    LastOwner,
}

/// Make a tenant. Of any number of racing callers with one slug, one succeeds.
///
/// # Errors
/// When the database fails.
pub async fn create(
    tx: &mut ControlTx,
    slug: &Slug,
    name: &DisplayName,
    now: OffsetDateTime,
) -> sqlx::Result<Result<Tenant, SlugTaken>> {
    let created = sqlx::query_as!(
        Tenant,
        r#"
        insert into tenants (id, slug, name, created_at)
        values ($1, $2, $3, $4)
            on conflict on constraint tenants_slug_key do nothing
        returning id as "id: TenantId", slug, name
        "#,
        TenantId::new().uuid(),
        slug.as_str(),
        name.as_str(),
        now,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(created.ok_or(SlugTaken))
}

/// The tenant with this slug, unless it is suspended.
///
/// # Errors
/// When the database fails.
pub async fn find_by_slug(tx: &mut ControlTx, slug: &str) -> sqlx::Result<Option<Tenant>> {
    sqlx::query_as!(
        Tenant,
        r#"
        select id as "id: TenantId", slug, name
          from tenants
         where slug = $1 and suspended_at is null
        "#,
        slug,
    )
    .fetch_optional(tx.conn())
    .await
}

/// The tenant with this id, unless it is suspended.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<Option<Tenant>> {
    sqlx::query_as!(
        Tenant,
        r#"
        select id as "id: TenantId", slug, name
          from tenants
         where id = $1 and suspended_at is null
        "#,
        tenant.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// Every tenant, for the operator.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut ControlTx) -> sqlx::Result<Vec<TenantOverview>> {
    sqlx::query_as!(
        TenantOverview,
        r#"
        select t.id as "id: TenantId", t.slug, t.name, t.created_at,
               t.suspended_at is not null as "is_suspended!",
               (select count(*) from memberships m where m.tenant_id = t.id) as "members!"
          from tenants t
         where t.deleted_at is null
         order by t.slug
        "#
    )
    .fetch_all(tx.conn())
    .await
}

/// Take a user into a tenant.
///
/// # Errors
/// When the database fails, or there is no such tenant or user.
pub async fn add_member(
    tx: &mut ControlTx,
    tenant: TenantId,
    user: UserId,
    role: Role,
    now: OffsetDateTime,
) -> sqlx::Result<Result<(), AlreadyMember>> {
    let added = sqlx::query!(
        "insert into memberships (tenant_id, user_id, role, created_at)
         values ($1, $2, $3, $4)
             on conflict (tenant_id, user_id) do nothing",
        tenant.uuid(),
        user.uuid(),
        role.as_str(),
        now,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    Ok(if added == 1 { Ok(()) } else { Err(AlreadyMember) })
}

/// Give a member another role. The last owner stays one, whoever races.
///
/// # Errors
/// When the database fails.
pub async fn change_role(
    tx: &mut ControlTx,
    tenant: TenantId,
    user: UserId,
    role: Role,
) -> sqlx::Result<Result<(), Unchanged>> {
    if let Err(unchanged) = require_removable(tx, tenant, user, role).await? {
        return Ok(Err(unchanged));
    }
    sqlx::query!(
        "update memberships set role = $3 where tenant_id = $1 and user_id = $2",
        tenant.uuid(),
        user.uuid(),
        role.as_str(),
    )
    .execute(tx.conn())
    .await?;
    Ok(Ok(()))
}

/// Let a member go. The last owner stays, whoever races.
///
/// # Errors
/// When the database fails.
pub async fn remove_member(
    tx: &mut ControlTx,
    tenant: TenantId,
    user: UserId,
) -> sqlx::Result<Result<(), Unchanged>> {
    if let Err(unchanged) = require_removable(tx, tenant, user, Role::Reader).await? {
        return Ok(Err(unchanged));
    }
    sqlx::query!(
        "delete from memberships where tenant_id = $1 and user_id = $2",
        tenant.uuid(),
        user.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(Ok(()))
}

/// Whether the membership exists and may become `next` without taking the last owner away.
/// The tenant's row is locked, so that two owners cannot leave at once; rows that point at it are
/// still made meanwhile.
async fn require_removable(
    tx: &mut ControlTx,
    tenant: TenantId,
    user: UserId,
    next: Role,
) -> sqlx::Result<Result<(), Unchanged>> {
    sqlx::query!("select id from tenants where id = $1 for no key update", tenant.uuid())
        .fetch_optional(tx.conn())
        .await?;
    let found = sqlx::query!(
        r#"
        select role as "role: Role",
               (select count(*) from memberships o
                 where o.tenant_id = $1 and o.role = 'owner') as "owners!"
          from memberships
         where tenant_id = $1 and user_id = $2
        "#,
        tenant.uuid(),
        user.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(match found {
        None => Err(Unchanged::NotAMember),
        Some(row) if row.role == Role::Owner && next != Role::Owner && row.owners == 1 => {
            Err(Unchanged::LastOwner)
        }
        Some(_) => Ok(()),
    })
}

/// The tenants that a user may act in, with the role in each.
///
/// # Errors
/// When the database fails.
pub async fn memberships_of(tx: &mut ControlTx, user: UserId) -> sqlx::Result<Vec<(Tenant, Role)>> {
    let rows = sqlx::query!(
        r#"
        select t.id as "id: TenantId", t.slug, t.name, m.role as "role: Role"
          from memberships m
          join tenants t on t.id = m.tenant_id and t.suspended_at is null
          join users u on u.id = m.user_id and u.disabled_at is null
         where m.user_id = $1
         order by t.name, t.slug
        "#,
        user.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (Tenant { id: row.id, slug: row.slug, name: row.name }, row.role))
        .collect())
}

/// The role in which a user may act in a tenant; `None` too when either is switched off.
///
/// # Errors
/// When the database fails.
pub async fn find_role(
    tx: &mut ControlTx,
    tenant: TenantId,
    user: UserId,
) -> sqlx::Result<Option<Role>> {
    sqlx::query_scalar!(
        r#"
        select m.role as "role: Role"
          from memberships m
          join tenants t on t.id = m.tenant_id and t.suspended_at is null
          join users u on u.id = m.user_id and u.disabled_at is null
         where m.tenant_id = $1 and m.user_id = $2
        "#,
        tenant.uuid(),
        user.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// Everybody in a tenant, disabled accounts included.
///
/// # Errors
/// When the database fails.
pub async fn members(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<Vec<TenantMember>> {
    sqlx::query_as!(
        TenantMember,
        r#"
        select u.id as "user_id: UserId", u.email, u.name, m.role as "role: Role", m.created_at,
               u.disabled_at is not null as "is_disabled!"
          from memberships m
          join users u on u.id = m.user_id
         where m.tenant_id = $1
         order by u.name, u.email
        "#,
        tenant.uuid(),
    )
    .fetch_all(tx.conn())
    .await
}
