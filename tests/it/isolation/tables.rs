//! Row-level security, table by table as the catalogue lists them.

use callslip::db::TenantScope;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Error, PgPool};

use super::{
    camp::Field,
    rows::{self, tables},
};

/// What came of a statement inside our own tenant's transaction.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It touched this many rows.
    Touched(i64),
    /// Postgres refused it: not granted, or against the policy.
    Refused,
}

/// Run in a transaction of acme's that is rolled back.
async fn attempt(field: &Field, sql: String, row: Option<&Value>) -> Outcome {
    let scope = TenantScope::proven(field.acme.tenant.id);
    let mut tx = field.app.db().tenant(scope).await.unwrap();
    let mut query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql.clone()));
    query = query.bind(field.zeta.tenant.id.uuid());
    if let Some(row) = row {
        query = query.bind(row.clone());
    }
    match query.fetch_one(tx.conn()).await {
        Ok(rows) => Outcome::Touched(rows),
        // insufficient_privilege: what both a missing grant and a policy answer.
        Err(Error::Database(error)) if error.code().as_deref() == Some("42501") => Outcome::Refused,
        // It got as far as the keys.
        Err(Error::Database(error)) if error.code().is_some_and(|code| code.starts_with("23")) => {
            Outcome::Touched(1)
        }
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// A row of a tenant's, as JSON.
async fn row_of(field: &Field, table: &str, tenant: uuid::Uuid) -> Value {
    let sql = format!("select to_jsonb(t) from {table} t where tenant_id = $1 limit 1");
    let row: Option<Value> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(tenant)
        .fetch_optional(&field.app.pool)
        .await
        .unwrap();
    row.unwrap_or_else(|| panic!("plant a row in {table}, so that this test can attack it"))
}

/// What acme can do to zeta's rows of a table, and to give its own away.
pub(super) async fn trespasses(field: &Field, table: &str) -> Vec<String> {
    let theirs = row_of(field, table, field.zeta.tenant.id.uuid()).await;
    row_of(field, table, field.acme.tenant.id.uuid()).await;
    let counted = |act: &str| format!("with done as ({act} returning 1) select count(*) from done");
    let mut wrong = Vec::new();
    for sql in [
        format!("select count(*) from {table} where tenant_id = $1"),
        counted(&format!("delete from {table} where tenant_id = $1")),
        counted(&format!("update {table} set tenant_id = tenant_id where tenant_id = $1")),
        // Everything that can be seen is ours.
        format!(
            "select count(*) from {table}
              where tenant_id is distinct from current_tenant_id() and $1::uuid is not null"
        ),
    ] {
        let outcome = attempt(field, sql.clone(), None).await;
        if !matches!(outcome, Outcome::Touched(0) | Outcome::Refused) {
            wrong.push(format!("{sql}: {outcome:?}"));
        }
    }
    let give = counted(&format!("update {table} set tenant_id = $1"));
    let plant = counted(&format!(
        "insert into {table} select (jsonb_populate_record(null::{table},
                                     $2::jsonb || jsonb_build_object('tenant_id', $1))).*"
    ));
    for (sql, row) in [(give, None), (plant, Some(&theirs))] {
        let outcome = attempt(field, sql.clone(), row).await;
        if outcome != Outcome::Refused {
            wrong.push(format!("{sql}: {outcome:?}"));
        }
    }
    wrong
}

/// [I-06] In every table that has a tenant: another tenant's rows cannot be read, changed, removed
/// or made, whatever the statement says, and ours cannot be given away.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn in_every_table_the_other_tenants_rows_are_out_of_reach(pool: PgPool) {
    let field = Field::set(&pool).await;
    let before = rows::fingerprint(&pool, field.zeta.tenant.id).await;
    let mut readable = 0;
    for table in tables(&pool).await {
        assert_eq!(trespasses(&field, &table).await, Vec::<String>::new());
        let ours = format!("select count(*) from {table} where $1::uuid is not null");
        if matches!(attempt(&field, ours, None).await, Outcome::Touched(1..)) {
            readable += 1;
        }
    }
    assert!(readable >= 7, "our own rows are seen: {readable}");
    let after = rows::fingerprint(&pool, field.zeta.tenant.id).await;
    assert_eq!(rows::changed(&before, &after), Vec::<String>::new());
}
