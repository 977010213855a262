-- A tenant's data key, wrapped by the installation's master key. Destroying the row makes every
-- secret of the tenant unreadable.
create table tenant_keys (
  tenant_id    uuid not null references tenants on delete cascade,
  version      integer not null check (version > 0),
  wrapped_key  bytea not null check (length(wrapped_key) between 40 and 200),
  created_at   timestamptz not null,
  primary key (tenant_id, version)
);
call guard_tenant_table('tenant_keys');
grant select, insert, update, delete on tenant_keys to app_tenant;

create table vector_stores (
  tenant_id       uuid not null references tenants on delete cascade,
  id              uuid not null,
  name            text not null check (length(name) between 1 and 80),
  backend         text not null check (backend in ('builtin', 'openai')),
  external_id     text check (length(external_id) between 1 and 128),
  base_url        text check (length(base_url) <= 512),
  api_key_sealed  bytea check (length(api_key_sealed) <= 4096),
  api_key_hint    text check (length(api_key_hint) <= 8), -- the last four characters
  created_at      timestamptz not null,
  checked_at      timestamptz, -- the last time the backend answered
  failed_at       timestamptz, -- the last time it did not, and why
  failure         text check (length(failure) <= 500),
  primary key (tenant_id, id),
  constraint vector_stores_name_key unique (tenant_id, name),
  check ((backend = 'builtin') = (external_id is null)),
  check ((backend = 'builtin') = (api_key_sealed is null))
);
call guard_tenant_table('vector_stores');
grant select, insert, update, delete on vector_stores to app_tenant;
