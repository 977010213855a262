-- What limits a tenant has of its own. Null: what everybody has.
create table tenant_limits (
  tenant_id              uuid primary key references tenants on delete cascade,
  -- How far they may go: an operator's.
  bound_per_minute       integer check (bound_per_minute between 6 and 60000),
  bound_user_per_minute  integer check (bound_user_per_minute between 6 and 60000),
  bound_token_per_minute integer check (bound_token_per_minute between 6 and 60000),
  bound_at_once          integer check (bound_at_once between 1 and 1000),
  -- What the tenant's admins chose. Where it is more than the bound, the bound holds.
  per_minute             integer check (per_minute between 6 and 60000),
  user_per_minute        integer check (user_per_minute between 6 and 60000),
  token_per_minute       integer check (token_per_minute between 6 and 60000),
  at_once                integer check (at_once between 1 and 1000)
);
call guard_tenant_table('tenant_limits');
call open_to_control('tenant_limits');
grant select on tenant_limits to app_tenant;
grant select, insert, update on tenant_limits to app_control;

-- How many calls limits turned away, by the day and by what refused.
create table limit_refusals (
  tenant_id   uuid not null references tenants on delete cascade,
  day         date not null,
  limit_name  text not null check (length(limit_name) between 1 and 20),
  refused     bigint not null check (refused > 0),
  primary key (tenant_id, day, limit_name)
);
create index limit_refusals_day on limit_refusals (day);
call guard_tenant_table('limit_refusals');
call open_to_control('limit_refusals');
grant select on limit_refusals to app_tenant;
grant select, insert, update, delete on limit_refusals to app_control;
