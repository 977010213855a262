-- What assistants ask is not kept, unless an admin of the tenant says so: then for seven days, each
-- question sealed under the tenant's data key, beside the event of its call.
alter table tenants add column keeps_questions boolean not null default false;

create table questions (
  tenant_id    uuid not null references tenants on delete cascade,
  event_id     uuid not null,
  at           timestamptz not null,
  text_sealed  bytea not null check (length(text_sealed) <= 16384),
  primary key (tenant_id, event_id)
);
create index questions_at on questions (at);
call guard_tenant_table('questions');
call open_to_control('questions');
grant select, insert, delete on questions to app_tenant;
-- To forget them, and not to read them.
grant select (tenant_id, event_id, at), delete on questions to app_control;
