//! Rows without an owner, in whatever tables there are (spec row I-25).
//!
//! Foreign keys keep most of them from being. The rest is counted by what a column is called: in a
//! table of a tenant's, `document_id` and `vector_store_id` name a document and a store that are
//! there. A new table is looked at without being named here.

use std::collections::BTreeMap;

use super::{Db, TenantScope};
use crate::ids::TenantId;

/// How many rows a place holds that belong to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphans {
    /// A table, and the column that leads nowhere.
    pub place: String,
    /// How many.
    pub rows: i64,
}

impl Db {
    /// Look at every tenant's rows, and at those of tenants that were deleted in the last 90 days.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn orphans(&self) -> sqlx::Result<Vec<Orphans>> {
        let mut found: BTreeMap<String, i64> = BTreeMap::new();
        let mut tx = self.control().await?;
        let tenants = sqlx::query!(
            r#"
            select logs.tenant_id as "id: TenantId", closed_at is not null as "is_gone!",
                   set_config('statement_timeout', '300s', true) as timeout
              from audit_logs logs
             order by logs.tenant_id
            "#
        )
        .fetch_all(tx.conn())
        .await?;
        let seen = sqlx::query!(r#"select place as "place!", rows as "rows!" from orphans(false)"#)
            .fetch_all(tx.conn())
            .await?;
        drop(tx);
        for row in seen {
            *found.entry(row.place).or_default() += row.rows;
        }
        for tenant in tenants {
            for orphans in self.orphans_of(tenant.id, tenant.is_gone).await? {
                *found.entry(orphans.place).or_default() += orphans.rows;
            }
        }
        Ok(found.into_iter().map(|(place, rows)| Orphans { place, rows }).collect())
    }

    async fn orphans_of(&self, tenant: TenantId, is_gone: bool) -> sqlx::Result<Vec<Orphans>> {
        #[expect(clippy::disallowed_methods, reason = "only counts come back")]
        let mut tx = self.tenant(TenantScope::proven(tenant)).await?;
        sqlx::query!("select set_config('statement_timeout', '300s', true) as timeout")
            .fetch_one(tx.conn())
            .await?;
        sqlx::query_as!(
            Orphans,
            r#"select place as "place!", rows as "rows!" from orphans($1)"#,
            is_gone,
        )
        .fetch_all(tx.conn())
        .await
    }
}
