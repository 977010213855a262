-- What a tenant's admin says of the connection to the people who make it: at consent and on pages,
-- and never where assistants read what the tools do.
create table tenant_connections (
  tenant_id        uuid primary key references tenants on delete cascade,
  name             text not null default '' check (length(name) <= 60),
  description      text not null default '' check (length(description) <= 300),
  -- Whether what documents say goes out between marks that no document can know.
  delimits_text    boolean not null default false,
  -- Whether new documents wait until an admin has looked at them.
  holds_documents  boolean not null default false,
  updated_at       timestamptz not null
);
call guard_tenant_table('tenant_connections');
grant select, insert, update on tenant_connections to app_tenant;

-- What was found in a document when it came in: for its admin, and for whoever reads it.
alter table documents
  add column hidden_characters  integer not null default 0 check (hidden_characters >= 0),
  add column active_content     integer not null default 0 check (active_content >= 0),
  add column content_flags      text[] not null default '{}' check (cardinality(content_flags) <= 16),
  -- Since when it waits for an admin: nothing finds it, since its chunks have no lexemes.
  add column held_at            timestamptz;
