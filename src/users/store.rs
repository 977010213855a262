//! Users in Postgres.

use sqlx::types::Uuid;
use time::OffsetDateTime;

use super::{Email, User, password::PasswordHash};
use crate::{db::ControlTx, ids::UserId, tenants::DisplayName};

/// A user to be.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// Nobody else may have it.
    pub email: &'a Email,
    /// What people call them.
    pub name: &'a DisplayName,
    /// `None`: cannot sign in with a password.
    pub password: Option<&'a PasswordHash>,
    /// Whether they run the installation.
    pub is_operator: bool,
}

/// Another user has this e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another user has this e-mail address")]
pub struct EmailTaken;

/// What a sign-in is checked against.
#[derive(Debug)]
pub struct Credentials {
    /// Whose.
    pub user: User,
    /// `None`: cannot sign in with a password.
    pub password: Option<PasswordHash>,
}

/// Make a user. Of any number of racing callers with one address, one succeeds.
///
/// # Errors
/// When the database fails.
pub async fn create(
    tx: &mut ControlTx,
    new: &NewUser<'_>,
    now: OffsetDateTime,
) -> sqlx::Result<Result<User, EmailTaken>> {
    let created = sqlx::query_as!(
        User,
        r#"
        insert into users (id, email, name, password_hash, is_operator, created_at)
        values ($1, $2, $3, $4, $5, $6)
            on conflict on constraint users_email_key do nothing
        returning id as "id: UserId", email, name, is_operator
        "#,
        UserId::new().uuid(),
        new.email.as_str(),
        new.name.as_str(),
        new.password.map(PasswordHash::expose),
        new.is_operator,
        now,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(created.ok_or(EmailTaken))
}

/// The user with this id, unless disabled.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut ControlTx, user: UserId) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"
        select id as "id: UserId", email, name, is_operator
          from users
         where id = $1 and disabled_at is null
        "#,
        user.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// The user with this address, unless disabled.
///
/// # Errors
/// When the database fails.
pub async fn find_by_email(tx: &mut ControlTx, email: &Email) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"
        select id as "id: UserId", email, name, is_operator
          from users
         where email = $1 and disabled_at is null
        "#,
        email.as_str(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// What a sign-in with this address is checked against; `None` for a disabled user too.
///
/// # Errors
/// When the database fails.
pub async fn find_credentials(
    tx: &mut ControlTx,
    email: &Email,
) -> sqlx::Result<Option<Credentials>> {
    let row = sqlx::query!(
        r#"
        select id as "id: UserId", email, name, is_operator, password_hash
          from users
         where email = $1 and disabled_at is null
        "#,
        email.as_str(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Credentials {
        user: User { id: row.id, email: row.email, name: row.name, is_operator: row.is_operator },
        password: row.password_hash.map(PasswordHash::stored),
    }))
}

/// Put a hash of the same password at today's cost in the place of `old`; nothing happens when the
/// password was changed meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn rehash_password(
    tx: &mut ControlTx,
    user: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set password_hash = $3 where id = $1 and password_hash = $2",
        user.uuid(),
        old.expose(),
        new.expose(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Switch an account off; `false` when it was off already or never existed. Its sessions are
/// `sign_in`'s to end.
///
/// # Errors
/// When the database fails.
pub async fn disable(tx: &mut ControlTx, user: UserId, now: OffsetDateTime) -> sqlx::Result<bool> {
    let disabled = sqlx::query!(
        "update users set disabled_at = $2 where id = $1 and disabled_at is null",
        user.uuid(),
        now,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    Ok(disabled == 1)
}

/// The e-mail addresses and names of these users, disabled ones included: for lists.
///
/// # Errors
/// When the database fails.
pub async fn list_by_id(tx: &mut ControlTx, users: &[UserId]) -> sqlx::Result<Vec<User>> {
    let ids: Vec<Uuid> = users.iter().map(|user| user.uuid()).collect();
    sqlx::query_as!(
        User,
        r#"
        select id as "id: UserId", email, name, is_operator
          from users
         where id = any($1)
         order by name, email
        "#,
        &ids,
    )
    .fetch_all(tx.conn())
    .await
}

/// Everybody, disabled ones included, with whether they are: for the operator.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut ControlTx) -> sqlx::Result<Vec<(User, bool)>> {
    let rows = sqlx::query!(
        r#"
        select id as "id: UserId", email, name, is_operator,
               disabled_at is not null as "is_disabled!"
          from users
         order by email
        "#
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let user =
                User { id: row.id, email: row.email, name: row.name, is_operator: row.is_operator };
            (user, row.is_disabled)
        })
        .collect())
}
