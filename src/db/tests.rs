use std::time::{Duration, Instant};

use sqlx::PgPool;
use uuid::Uuid;

use super::{Class, Db, TenantScope, gate::Gate, guard::Unsafe};
use crate::{deadline, ids::TenantId};

/// A scope for a tenant that nobody proved: what these tests are about.
#[expect(clippy::disallowed_methods, reason = "the tests stand in for the verifiers")]
fn scope(tenant: TenantId) -> TenantScope {
    TenantScope::proven(tenant)
}

async fn tenant(pool: &PgPool, slug: &str) -> TenantId {
    let id = TenantId::new();
    sqlx::query!(
        "insert into tenants (id, slug, name, created_at) values ($1, $2, $2, now())",
        id.uuid(),
        slug
    )
    .execute(pool)
    .await
    .unwrap();
    id
}

async fn add_store(db: &Db, inside: TenantId, owner: TenantId, name: &str) -> sqlx::Result<()> {
    let mut tx = db.tenant(scope(inside)).await?;
    sqlx::query!(
        "insert into vector_stores (tenant_id, id, name, backend, created_at)
         values ($1, $2, $3, 'builtin', now())",
        owner.uuid(),
        Uuid::now_v7(),
        name
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await
}

async fn store_names(db: &Db, inside: TenantId) -> Vec<String> {
    let mut tx = db.tenant(scope(inside)).await.unwrap();
    sqlx::query_scalar!("select name from vector_stores order by name")
        .fetch_all(tx.conn())
        .await
        .unwrap()
}

#[sqlx::test]
async fn a_transaction_sees_its_own_tenant_and_writes_nowhere_else(pool: PgPool) {
    let db = Db::over(&pool);
    let (acme, zeta) = (tenant(&pool, "acme").await, tenant(&pool, "zeta").await);
    add_store(&db, acme, acme, "handbook").await.unwrap();
    add_store(&db, zeta, zeta, "ledger").await.unwrap();
    assert_eq!(store_names(&db, acme).await, ["handbook"]);
    assert_eq!(store_names(&db, zeta).await, ["ledger"]);

    let refused = add_store(&db, acme, zeta, "planted").await.unwrap_err();
    let refused = refused.into_database_error().unwrap();
    assert_eq!(refused.code().unwrap(), "42501", "row-level security refuses: {refused}");

    let mut tx = db.tenant(scope(acme)).await.unwrap();
    let changed =
        sqlx::query!("update vector_stores set name = 'x' where tenant_id = $1", zeta.uuid())
            .execute(tx.conn())
            .await
            .unwrap();
    assert_eq!(changed.rows_affected(), 0);
}

#[sqlx::test]
async fn neither_kind_of_transaction_reaches_the_others_tables(pool: PgPool) {
    let db = Db::over(&pool);
    let acme = tenant(&pool, "acme").await;
    let mut inside = db.tenant(scope(acme)).await.unwrap();
    let users = sqlx::query!("select id from users").fetch_all(inside.conn()).await.unwrap_err();
    assert_eq!(users.into_database_error().unwrap().code().unwrap(), "42501");
    let mut control = db.control().await.unwrap();
    let texts = sqlx::query!("select body from document_texts")
        .fetch_all(control.conn())
        .await
        .unwrap_err();
    assert_eq!(texts.into_database_error().unwrap().code().unwrap(), "42501");
}

/// [FX-03] A transaction that was cancelled while it began does not swallow the next write.
#[sqlx::test]
async fn a_cancelled_begin_loses_no_acknowledged_write(pool: PgPool) {
    let mut gate = Gate::before(&pool);
    let db = gate.db();
    db.ping().await.unwrap();
    for _ in 0..20 {
        // Released connections come back in a task of their own.
        while db.pool.num_idle() == 0 {
            tokio::task::yield_now().await;
        }
        gate.open.send_replace(false);
        gate.requests.mark_unchanged();
        tokio::select! {
            begun = db.control() => panic!("nothing was answered: {begun:?}"),
            sent = gate.requests.changed() => sent.unwrap(), // the client hangs up here
        }
        gate.open.send_replace(true);
        let id = Uuid::now_v7();
        sqlx::query!(
            "insert into installation_events (id, at, kind) values ($1, now(), 'session.created')",
            id
        )
        .execute(&db.pool)
        .await
        .unwrap();
        let seen = sqlx::query!("select id from installation_events where id = $1", id)
            .fetch_optional(&pool)
            .await
            .unwrap();
        assert!(seen.is_some(), "an acknowledged write was lost");
    }
}

/// [I-31] A panic while a tenant's rows are read leaves nothing behind for whoever comes next, on the
/// same thread and the same connection.
#[sqlx::test]
async fn a_panic_leaves_no_tenant_behind(pool: PgPool) {
    let db = Db::of_size(&pool, 1);
    let acme = tenant(&pool, "acme").await;
    let panicking = tokio::spawn({
        let db = db.clone();
        deadline::within(Duration::from_secs(9), async move {
            let mut tx = db.tenant(scope(acme)).await.unwrap();
            sqlx::query!("select name from vector_stores").fetch_all(tx.conn()).await.unwrap();
            std::panic::panic_any("as a handler may")
        })
    });
    assert!(panicking.await.is_err_and(|error| error.is_panic()));
    let next = tokio::spawn(async move {
        let mut tx = db.control().await.unwrap();
        let row = sqlx::query!(
            "select current_user::text as role, current_setting('app.tenant_id', true) as tenant,
                    current_setting('statement_timeout') as statement_timeout"
        );
        (deadline::left(), row.fetch_one(tx.conn()).await.unwrap())
    });
    let (left, row) = next.await.unwrap();
    assert_eq!(left, None);
    assert_eq!(row.role.as_deref(), Some("app_control"));
    assert_eq!(row.tenant.unwrap_or_default(), "");
    assert_eq!(row.statement_timeout.as_deref(), Some("10s"), "what pages may take");
}

/// [FX-12] No statement runs longer than its kind may, or than anybody waits for it.
#[sqlx::test]
async fn a_statement_ends_with_whoever_waits(pool: PgPool) {
    let db = Db::over(&pool);
    let limit_of = async |class| {
        let mut tx = db.of(class).control().await.unwrap();
        let limit = sqlx::query_scalar!(
            r#"select setting::bigint as "limit!" from pg_settings where name = 'statement_timeout'"#
        );
        limit.fetch_one(tx.conn()).await.unwrap()
    };
    assert_eq!(limit_of(Class::Check).await, 2_000);
    assert_eq!(limit_of(Class::OAuth).await, 2_000);
    assert_eq!(limit_of(Class::Tool).await, 10_000);
    let wait = Duration::from_millis(500);
    let left = deadline::within(wait, limit_of(Class::Tool)).await.unwrap();
    assert!((1..=500).contains(&left), "{left}");

    let begun = Instant::now();
    let slept = deadline::until((begun + wait).into(), async {
        let mut tx = db.of(Class::Tool).control().await.unwrap();
        sqlx::query!("select pg_sleep(20) as slept").fetch_one(tx.conn()).await
    });
    let ended = slept.await.unwrap_err().into_database_error().unwrap();
    assert_eq!(ended.code().unwrap(), "57014");
    let took = begun.elapsed();
    assert!(took < wait + Duration::from_millis(400), "{took:?}");
}

/// [I-35] A role that row-level security does not bind is refused.
#[sqlx::test]
async fn the_server_refuses_a_superuser(pool: PgPool) {
    let refused = Db::over(&pool).require_isolation().await;
    assert!(matches!(refused, Err(Unsafe::Almighty(_))), "{refused:?}");
}

/// [I-35] So are a table's owner and a database with an unguarded tenant table; `app_login` on a
/// guarded one is accepted.
#[sqlx::test]
async fn the_server_refuses_an_owner_and_an_unguarded_table(pool: PgPool) {
    let name = format!("owner_{}", Uuid::now_v7().simple());
    for statement in [
        format!("create role {name} login"),
        format!("grant usage, create on schema public to {name}"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    }
    let sign_in_as = |name| {
        let options = (*pool.connect_options()).clone().username(name);
        Db::on(Db::pool_options(1).connect_lazy_with(options))
    };
    let owner = sign_in_as(&name);
    owner.require_isolation().await.unwrap();
    sqlx::raw_sql("create table loose (tenant_id uuid primary key)")
        .execute(&owner.pool)
        .await
        .unwrap();
    let refused = owner.require_isolation().await;
    assert!(matches!(refused, Err(Unsafe::Owner(_))), "{refused:?}");
    let login = sign_in_as("app_login");
    let refused = login.require_isolation().await;
    assert!(matches!(&refused, Err(Unsafe::Unguarded(tables)) if tables == "loose"), "{refused:?}");

    let statement = format!("drop table loose; drop owned by {name}; drop role {name}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    login.require_isolation().await.unwrap();
    login.require_migrated().await.unwrap();
    let denied = sqlx::query!("select id from users").fetch_all(&login.pool).await.unwrap_err();
    assert_eq!(
        denied.into_database_error().unwrap().code().unwrap(),
        "42501",
        "no rights of its own"
    );
}
