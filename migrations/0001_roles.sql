-- Three roles, none of which owns a table:
--   app_login    what the server connects as; NOINHERIT and without rights of its own, so code that
--                skips TenantTx and ControlTx gets "permission denied" and not data
--   app_tenant   what a TenantTx becomes: sees the rows of one tenant
--   app_control  what a ControlTx becomes: accounts, OAuth, and no tenant content
-- Roles belong to the whole cluster, so databases that migrate at once race here.
do $$
declare
  statement text;
begin
  foreach statement in array array[
    'create role app_login login noinherit',
    'create role app_tenant nologin',
    'create role app_control nologin',
    'grant app_tenant to app_login',
    'grant app_control to app_login'
  ] loop
    begin
      execute statement;
    exception
      when duplicate_object or unique_violation then null;
      when internal_error then null; -- "tuple concurrently updated": the other one did it
    end;
  end loop;
end
$$;

revoke all on schema public from public;
grant usage on schema public to app_tenant, app_control;

-- NULLIF: after any transaction that set it, the setting reads '' and not NULL.
create function current_tenant_id() returns uuid language sql stable as
  $$ select nullif(current_setting('app.tenant_id', true), '')::uuid $$;
revoke all on function current_tenant_id() from public;
grant execute on function current_tenant_id() to app_tenant, app_control;

-- The guard that every table with a tenant_id gets: row-level security, forced (owners obey too),
-- one policy a role. tests/it/catalogue.rs fails for a table without it.
create procedure guard_tenant_table(guarded regclass) language plpgsql as $$
begin
  execute format('alter table %s enable row level security', guarded);
  execute format('alter table %s force row level security', guarded);
  execute format(
    'create policy own_tenant on %s to app_tenant
       using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id())', guarded);
end
$$;

-- Where the control plane needs a tenant table too (memberships, grants), and only there.
create procedure open_to_control(guarded regclass) language plpgsql as $$
begin
  execute format('create policy control on %s to app_control using (true) with check (true)', guarded);
end
$$;
revoke all on procedure guard_tenant_table(regclass), open_to_control(regclass) from public;

-- Which migration was the last: what the server compares with its build before it starts. The
-- table belongs to the migrator, so the function reads it with its owner's rights.
create function schema_version() returns bigint
  language plpgsql stable security definer set search_path = public, pg_temp as $$
begin
  return (select max(version) from _sqlx_migrations where success);
end
$$;
revoke all on function schema_version() from public;
grant execute on function schema_version() to app_login;
grant usage on schema public to app_login;
