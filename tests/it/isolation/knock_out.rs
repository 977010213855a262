//! The attacks would notice: with a policy opened, they find the leak.

use sqlx::{AssertSqlSafe, PgPool};

use super::{attacker::Attacker, camp::Field, rows::tables, tables::trespasses};

/// For tables that pages list and for one that they only name by id: with row-level
/// security opened there, the very attacks that find nothing otherwise find something.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn without_its_policy_a_table_leaks_and_the_matrix_sees_it(pool: PgPool) {
    let field = Field::set(&pool).await;
    let attacker = Attacker::new("an owner", field.acme.owner.sign_in().await).await;
    for table in ["audit_events", "documents", "vector_stores"] {
        let open = async |to: &str| {
            let sql = format!("alter policy own_tenant on {table} using ({to}) with check ({to})");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        };
        open("true").await;
        let leaks = field.leaks(&attacker).await;
        assert!(!leaks.is_empty(), "nobody noticed that {table} is open");
        open("tenant_id = current_tenant_id()").await;
    }
}

/// [I-36] Each tenant table's policy in turn: without it, and with nothing else changed but the
/// right to read where that was missing, the other tenant's rows are within reach.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_policy_is_what_keeps_its_table(pool: PgPool) {
    let field = Field::set(&pool).await;
    for table in tables(&pool).await {
        let sql = format!(
            "grant select on {table} to app_tenant;
             alter policy own_tenant on {table} using (true) with check (true)"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        assert!(
            !trespasses(&field, &table).await.is_empty(),
            "nobody noticed that {table} is open"
        );
    }
}
