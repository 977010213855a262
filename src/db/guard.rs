//! What must be true of the database before the server starts (spec row I-35).

use sqlx::PgPool;

use super::Db;

/// Why the server refuses to start on this database.
#[derive(Debug, thiserror::Error)]
pub enum Unsafe {
    /// Row-level security does not bind a superuser.
    #[error("DATABASE_URL signs in as a superuser or a role with BYPASSRLS ({0}): use app_login")]
    Almighty(String),
    /// Row-level security can be switched off by a table's owner.
    #[error(
        "the role {0} owns tenant tables: migrate with MIGRATION_DATABASE_URL, serve as app_login"
    )]
    Owner(String),
    /// A tenant table without its guard.
    #[error("tenant tables without forced row-level security: {0}")]
    Unguarded(String),
    /// The look-up itself failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The tables are older or newer than this build.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database is at migration {found} and this build needs {needed}: run `callslip migrate` with MIGRATION_DATABASE_URL set"
)]
pub struct OutOfDate {
    found: i64,
    needed: i64,
}

impl Db {
    /// Refuse a database whose tables do not fit this build.
    ///
    /// # Errors
    /// [`OutOfDate`]; a table of migrations that cannot be read counts as none.
    pub async fn require_migrated(&self) -> Result<(), OutOfDate> {
        let needed = super::MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
        let found = sqlx::query_scalar!(r#"select schema_version() as "version!""#)
            .fetch_one(&self.pool)
            .await
            .unwrap_or(0);
        if found == needed { Ok(()) } else { Err(OutOfDate { found, needed }) }
    }

    /// Refuse a database role or schema under which tenants would not be isolated.
    ///
    /// # Errors
    /// The first reason found.
    pub async fn require_isolation(&self) -> Result<(), Unsafe> {
        let pool: &PgPool = &self.pool;
        let role = sqlx::query!(
            r#"
            select current_user::text as "name!", rolsuper or rolbypassrls as "almighty!",
                   exists (select from pg_class c
                             join pg_attribute a on a.attrelid = c.oid
                            where c.relkind in ('r', 'p') and a.attname = 'tenant_id'
                              and not a.attisdropped and c.relowner = r.oid) as "owner!"
              from pg_roles r
             where rolname = current_user
            "#
        )
        .fetch_one(pool)
        .await?;
        if role.almighty {
            return Err(Unsafe::Almighty(role.name));
        }
        if role.owner {
            return Err(Unsafe::Owner(role.name));
        }
        let unguarded = sqlx::query_scalar!(
            r#"
            select c.relname::text as "name!"
              from pg_class c
              join pg_attribute a on a.attrelid = c.oid
             where c.relkind in ('r', 'p') and a.attname = 'tenant_id' and not a.attisdropped
               and c.relnamespace = 'public'::regnamespace
               and not (c.relrowsecurity and c.relforcerowsecurity)
             order by 1
            "#
        )
        .fetch_all(pool)
        .await?;
        if !unguarded.is_empty() {
            return Err(Unsafe::Unguarded(unguarded.join(", ")));
        }
        Ok(())
    }
}
