-- What happened in a tenant. Append-only for the server: no role of its may update or delete.
create table audit_events (
  tenant_id     uuid not null references tenants on delete cascade,
  id            uuid not null,
  at            timestamptz not null,
  kind          text not null check (length(kind) between 3 and 60),
  user_id       uuid,
  client_id     text check (length(client_id) <= 256),
  grant_id      uuid,
  request_id    text check (length(request_id) <= 64),
  address       text check (length(address) <= 64), -- network prefix, never the whole address
  detail        jsonb not null default '{}' check (length(detail::text) <= 16384),
  primary key (tenant_id, id)
);
create index audit_events_at on audit_events (tenant_id, at desc);
call guard_tenant_table('audit_events');
call open_to_control('audit_events');
grant select, insert on audit_events to app_tenant;
grant insert on audit_events to app_control;

-- What happened outside any tenant: sign-ins, registrations, operator actions.
create table installation_events (
  id          uuid primary key,
  at          timestamptz not null,
  kind        text not null check (length(kind) between 3 and 60),
  user_id     uuid,
  client_id   text check (length(client_id) <= 256),
  request_id  text check (length(request_id) <= 64),
  address     text check (length(address) <= 64),
  detail      jsonb not null default '{}' check (length(detail::text) <= 16384)
);
create index installation_events_at on installation_events (at desc);
grant select, insert on installation_events to app_control;

-- Strangers make these too (refused sign-ins, registrations), so what is older than 90 days goes: by
-- the database's own clock and with its owner's rights, so that no role of the server's can take
-- away anything younger.
create function forget_installation_events() returns bigint
  language sql volatile security definer set search_path = public, pg_temp as $$
  with forgotten as (
    delete from installation_events where at < now() - interval '90 days' returning 1)
  select count(*) from forgotten
$$;
revoke all on function forget_installation_events() from public;
grant execute on function forget_installation_events() to app_control;
