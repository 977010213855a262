create table tenants (
  id            uuid primary key,
  slug          text not null constraint tenants_slug_key unique
                check (slug ~ '^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$'),
  name          text not null check (length(name) between 1 and 80),
  created_at    timestamptz not null,
  suspended_at  timestamptz
);
grant select, insert, update, delete on tenants to app_control;

-- E-mail addresses are stored in lower case, so that the key compares as people expect.
create table users (
  id             uuid primary key,
  email          text not null constraint users_email_key unique
                 check (email = lower(email) and length(email) between 3 and 254),
  name           text not null check (length(name) between 1 and 80),
  password_hash  text check (length(password_hash) <= 512),
  is_operator    boolean not null default false,
  created_at     timestamptz not null,
  disabled_at    timestamptz
);
grant select, insert, update, delete on users to app_control;

create table memberships (
  tenant_id   uuid not null references tenants on delete cascade,
  user_id     uuid not null references users on delete cascade,
  role        text not null check (role in ('owner', 'admin', 'reader')),
  created_at  timestamptz not null,
  primary key (tenant_id, user_id)
);
create index memberships_user on memberships (user_id);
call guard_tenant_table('memberships');
call open_to_control('memberships');
grant select on memberships to app_tenant;
grant select, insert, update, delete on memberships to app_control;

-- A browser's signed-in session. The cookie holds the secret, the row its SHA-256.
create table sessions (
  secret_hash   bytea primary key check (length(secret_hash) = 32),
  user_id       uuid not null references users on delete cascade,
  created_at    timestamptz not null, -- also when the password was last given
  last_seen_at  timestamptz not null,
  user_agent    text not null default '' check (length(user_agent) <= 256)
);
create index sessions_user on sessions (user_id);
grant select, insert, update, delete on sessions to app_control;

-- A link that works once: the first operator's invitation.
create table one_time_links (
  secret_hash  bytea primary key check (length(secret_hash) = 32),
  purpose      text not null check (purpose in ('first_operator')),
  created_at   timestamptz not null,
  expires_at   timestamptz not null,
  used_at      timestamptz
);
grant select, insert, update, delete on one_time_links to app_control;
