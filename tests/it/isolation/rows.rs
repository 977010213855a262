//! A tenant's rows, whatever tables there are.

use std::collections::{BTreeMap, BTreeSet};

use callslip::ids::TenantId;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

/// Every table with a `tenant_id`.
pub(super) async fn tables(pool: &PgPool) -> Vec<String> {
    let sql = "select c.relname::text from pg_class c
                 join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
                where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
                  and not a.attisdropped and not c.relispartition
                order by 1";
    let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(pool).await.unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    tables
}

/// How many rows a tenant has in each table, and a digest of them.
pub(super) async fn fingerprint(pool: &PgPool, tenant: TenantId) -> BTreeMap<String, String> {
    let mut sources: Vec<(String, String)> = tables(pool)
        .await
        .into_iter()
        .map(|table| (table.clone(), format!("{table} t where tenant_id = $1")))
        .collect();
    let members = "(select user_id from memberships where tenant_id = $1)";
    sources.push(("tenants".to_owned(), "tenants t where id = $1".to_owned()));
    sources.push(("users".to_owned(), format!("users t where id in {members}")));
    sources.push(("sessions".to_owned(), format!("sessions t where user_id in {members}")));
    let mut prints = BTreeMap::new();
    for (table, rows) in sources {
        let sql = format!(
            "select count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' order by t::text)), '')
               from {rows}"
        );
        let print = sqlx::query_scalar(AssertSqlSafe(sql)).bind(tenant.uuid()).fetch_one(pool);
        prints.insert(table, print.await.unwrap());
    }
    prints
}

/// The tables in which two fingerprints differ.
pub(super) fn changed(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<String> {
    before
        .iter()
        .filter(|(table, print)| after[*table] != **print)
        .map(|(t, _)| t.clone())
        .collect()
}

/// Every UUID in a tenant's rows, under the name of a column that holds it.
pub(super) async fn uuids(pool: &PgPool, tenant: TenantId) -> BTreeMap<Uuid, String> {
    let mut found = BTreeMap::new();
    for table in tables(pool).await {
        let sql = "select attname::text from pg_attribute
                    where attrelid = $1::regclass and atttypid = 'uuid'::regtype
                      and not attisdropped";
        let columns: Vec<String> =
            sqlx::query_scalar(sql).bind(&table).fetch_all(pool).await.unwrap();
        for column in columns {
            let sql = format!(
                "select distinct {column} from {table}
                  where tenant_id = $1 and {column} is not null order by 1"
            );
            let ids: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(tenant.uuid())
                .fetch_all(pool)
                .await
                .unwrap();
            for id in ids {
                found.entry(id).or_insert_with(|| format!("{table}.{column}"));
            }
        }
    }
    found
}

/// At most two UUIDs of each kind.
pub(super) fn samples(uuids: &BTreeMap<Uuid, String>) -> Vec<(String, Uuid)> {
    let kinds: BTreeSet<&String> = uuids.values().collect();
    kinds
        .into_iter()
        .flat_map(|kind| {
            let of_kind = uuids.iter().filter(move |(_, name)| *name == kind);
            of_kind.take(2).map(|(id, name)| (name.clone(), *id))
        })
        .collect()
}

/// An id of the same age that nothing has.
pub(super) fn neighbour(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128() ^ 1)
}
