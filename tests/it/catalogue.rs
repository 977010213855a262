//! What the database itself promises, read from its catalogue.

use sqlx::PgPool;

/// [I-35] Every table with a `tenant_id` is under forced row-level security.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_tenant_table_is_guarded(pool: PgPool) {
    let unguarded: Vec<String> = sqlx::query_scalar!(
        r#"select c.relname::text as "name!"
             from pg_class c join pg_attribute a on a.attrelid = c.oid
            where c.relkind in ('r', 'p') and a.attname = 'tenant_id' and not a.attisdropped
              and c.relnamespace = 'public'::regnamespace
              and not (c.relrowsecurity and c.relforcerowsecurity)"#
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(unguarded.is_empty(), "{unguarded:?}");
}

/// A tenant's transaction can reach guarded tables and nothing else.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn app_tenant_reaches_tenant_tables_only(pool: PgPool) {
    let others: Vec<String> = sqlx::query_scalar!(
        r#"select c.relname::text as "name!"
             from pg_class c
            where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace = 'public'::regnamespace
              and has_table_privilege('app_tenant', c.oid, 'select, insert, update, delete')
              and not exists (select from pg_attribute a
                               where a.attrelid = c.oid and a.attname = 'tenant_id')"#
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(others.is_empty(), "{others:?}");
}

/// Every tenant table's primary key leads with the tenant, or with a secret's hash.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn tenant_keys_lead_with_the_tenant(pool: PgPool) {
    let others: Vec<String> = sqlx::query_scalar!(
        r#"select c.relname::text as "name!"
             from pg_class c
             join pg_attribute t on t.attrelid = c.oid and t.attname = 'tenant_id'
             join pg_index i on i.indrelid = c.oid and i.indisprimary
             join pg_attribute k on k.attrelid = c.oid and k.attnum = i.indkey[0]
            where c.relnamespace = 'public'::regnamespace
              and k.attname not in ('tenant_id', 'secret_hash')"#
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(others.is_empty(), "{others:?}");
}

/// No role of the server's may truncate, own, or look past row-level security; the audit is
/// append-only.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_servers_roles_have_no_more_than_they_need(pool: PgPool) {
    let excess: Vec<String> = sqlx::query_scalar!(
        r#"select r.rolname || ': ' || c.relname as "what!"
             from pg_roles r, pg_class c
            where r.rolname in ('app_login', 'app_tenant', 'app_control')
              and c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
              and (has_table_privilege(r.rolname, c.oid, 'truncate, references, trigger')
                   or c.relowner = r.oid or r.rolsuper or r.rolbypassrls
                   or (r.rolname = 'app_login'
                       and has_table_privilege(r.rolname, c.oid, 'select, insert, update, delete'))
                   or (c.relname in ('audit_events', 'installation_events')
                       and has_table_privilege(r.rolname, c.oid, 'update, delete')))"#
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(excess.is_empty(), "{excess:?}");
}

/// Nothing reaches around row-level security: no view without `security_invoker`, no materialised
/// view, and no definer function but the one that names the schema's version and the
/// one that forgets events of the installation that are older than 90 days.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn nothing_reaches_around_row_level_security(pool: PgPool) {
    let around: Vec<String> = sqlx::query_scalar!(
        r#"select c.relname::text as "name!" from pg_class c
            where c.relnamespace = 'public'::regnamespace
              and (c.relkind = 'm' or (c.relkind = 'v'
                   and not coalesce('security_invoker=true' = any(c.reloptions), false)))
           union all
           select p.proname::text from pg_proc p
            where p.pronamespace = 'public'::regnamespace and p.prosecdef
              and p.proname not in ('schema_version', 'forget_installation_events')"#
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(around.is_empty(), "{around:?}");
}

/// A tenant takes all that it had with it: from every one of its tables, keys that delete lead to the
/// tenant; but for the record of what happened in it, which outlives it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_tenant_table_goes_with_its_tenant(pool: PgPool) {
    let left: Vec<String> = sqlx::query_scalar!(
        r#"with recursive going (oid) as (
             select 'tenants'::regclass::oid
             union
             select conrelid from pg_constraint
               join going on confrelid = going.oid
              where contype = 'f' and confdeltype = 'c' and conrelid <> 'audit_events'::regclass)
           select c.relname::text as "name!" from pg_class c
             join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
            where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
              and not a.attisdropped and not c.relispartition
              and c.oid not in (select oid from going)
            order by 1"#
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(left, ["audit_events", "audit_logs"]);
}

/// What names a document or a store can be looked at for its being there, by a role of the server's
/// that sees documents and stores too.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_table_can_be_looked_at_for_orphans(pool: PgPool) {
    let dark: Vec<String> = sqlx::query_scalar!(
        r#"select c.relname || '.' || a.attname as "name!" from pg_class c
             join pg_attribute t on t.attrelid = c.oid and t.attname = 'tenant_id'
             join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
              and a.attname in ('tenant_id', 'document_id', 'vector_store_id')
            where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
              and not c.relispartition
              and not has_column_privilege('app_tenant', c.oid, a.attnum, 'select')
              and (a.attname <> 'tenant_id'
                   or not has_column_privilege('app_control', c.oid, a.attnum, 'select'))"#
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(dark.is_empty(), "{dark:?}");
}
