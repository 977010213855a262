//! What the superuser does, and nobody else: the database, its owner, the role that the server
//! signs in as, and the extensions. Everything after that is migrations, run by the owner.

use std::path::Path;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};

use super::PORT;
use super::passwords::{APP, OWNER, Passwords, SUPERUSER};

/// The database of the private Postgres.
pub(super) const DATABASE: &str = "callslip";

/// Complete the set-up. A start that was killed in the middle is completed by the next one.
pub(super) async fn complete(socket_folder: &Path, passwords: &Passwords) -> sqlx::Result<()> {
    let server = PgConnectOptions::new_without_pgpass()
        .socket(socket_folder)
        .port(PORT)
        .username(SUPERUSER)
        .password(&passwords.superuser)
        .ssl_mode(PgSslMode::Disable)
        .disable_statement_logging();

    let mut postgres = server.clone().database("postgres").connect().await?;
    if !exists(&mut postgres, "pg_roles", "rolname", APP).await? {
        create_roles(&mut postgres, passwords).await?;
    }
    if !exists(&mut postgres, "pg_database", "datname", DATABASE).await? {
        run(&mut postgres, format!("create database {DATABASE} owner {OWNER}")).await?;
    }
    postgres.close().await?;

    let mut database = server.database(DATABASE).connect().await?;
    if !exists(&mut database, "pg_extension", "extname", "vector").await? {
        for extension in ["btree_gin", "pg_trgm", "unaccent", "vector"] {
            run(&mut database, format!("create extension if not exists {extension}")).await?;
        }
    }
    database.close().await
}

/// Whether Postgres turned us away because it is about to stop.
pub(super) fn is_stopping(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true, // its socket is gone already
        sqlx::Error::Database(said) => said.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

/// Both roles, or neither.
///
/// The owner may create further roles (migrations do) and grant them to `app_login`.
async fn create_roles(postgres: &mut PgConnection, passwords: &Passwords) -> sqlx::Result<()> {
    let (owner, app) = (&passwords.owner, &passwords.app);
    let statements = format!(
        "begin;
         set local log_min_error_statement = panic; -- a statement with a password stays out
         create role {OWNER} login createrole password '{owner}';
         create role {APP} login noinherit password '{app}';
         grant {APP} to {OWNER} with admin true, inherit false, set false;
         commit"
    );
    run(postgres, statements).await
}

async fn exists(
    connection: &mut PgConnection,
    catalogue: &'static str,
    column: &'static str,
    name: &'static str,
) -> sqlx::Result<bool> {
    let question = format!("select exists (select from {catalogue} where {column} = '{name}')");
    sqlx::raw_sql(AssertSqlSafe(question)).fetch_one(connection).await?.try_get(0)
}

/// Statements made of our own constants and of passwords in hexadecimal.
async fn run(connection: &mut PgConnection, statements: String) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(connection).await.map(|_| ())
}
