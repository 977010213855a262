create table signing_keys (
  kid            text primary key check (length(kid) between 8 and 64),
  public_key     bytea not null check (length(public_key) = 32), -- Ed25519
  sealed_key     bytea not null check (length(sealed_key) <= 1024), -- PKCS#8, under the master key
  created_at     timestamptz not null,
  retired_at     timestamptz
);
grant select, insert, update on signing_keys to app_control;

-- RFC 7591 clients.
create table oauth_clients (
  client_id                   text primary key check (length(client_id) between 8 and 256),
  client_name                 text not null check (length(client_name) between 1 and 60),
  redirect_uris               text[] not null check (cardinality(redirect_uris) between 1 and 10),
  grant_types                 text[] not null,
  token_endpoint_auth_method  text not null
                              check (token_endpoint_auth_method in ('none', 'client_secret_basic', 'client_secret_post')),
  secret_hash                 bytea check (length(secret_hash) = 32),
  metadata                    jsonb not null default '{}' check (length(metadata::text) <= 16384),
  created_at                  timestamptz not null,
  last_used_at                timestamptz,
  disabled_at                 timestamptz,
  check ((token_endpoint_auth_method = 'none') = (secret_hash is null))
);
grant select, insert, update, delete on oauth_clients to app_control;

-- An authorization request that waits for sign-in and consent. Nothing of it is held by the browser
-- but the secret that names it, and only the browser that began it may go on with it.
create table oauth_authorization_requests (
  secret_hash             bytea primary key check (length(secret_hash) = 32),
  browser_hash            bytea not null check (length(browser_hash) = 32),
  client_id               text not null references oauth_clients on delete cascade,
  redirect_uri            text not null check (length(redirect_uri) <= 2048),
  redirect_uri_was_sent   boolean not null,
  state                   text check (length(state) <= 4096),
  code_challenge          text not null check (length(code_challenge) = 43),
  scope                   text[] not null,
  resource                text not null check (length(resource) <= 2048),
  created_at              timestamptz not null,
  expires_at              timestamptz not null,
  decided_at              timestamptz
);
create index oauth_authorization_requests_expires_at on oauth_authorization_requests (expires_at);
grant select, insert, update, delete on oauth_authorization_requests to app_control;

-- One user's consent for one client at one resource.
create table oauth_grants (
  tenant_id      uuid not null references tenants on delete cascade,
  id             uuid not null,
  user_id        uuid not null,
  client_id      text not null references oauth_clients,
  redirect_uri   text not null check (length(redirect_uri) <= 2048),
  resource       text not null check (length(resource) <= 2048),
  scope          text[] not null,
  created_at     timestamptz not null,
  expires_at     timestamptz not null, -- absolute: rotation does not move it
  last_used_at   timestamptz,
  revoked_at     timestamptz,
  revoked_for    text check (revoked_for in ('user', 'admin', 'client', 'code_replay', 'refresh_reuse')),
  primary key (tenant_id, id),
  constraint oauth_grants_id_key unique (id),
  -- Who leaves a tenant and is taken back in later begins with nothing.
  constraint oauth_grants_member_fkey foreign key (tenant_id, user_id) references memberships
    on delete cascade,
  check ((revoked_at is null) = (revoked_for is null))
);
create index oauth_grants_user on oauth_grants (user_id, tenant_id);
create index oauth_grants_client on oauth_grants (client_id);
call guard_tenant_table('oauth_grants');
call open_to_control('oauth_grants');
grant select, update on oauth_grants to app_tenant;
grant select, insert, update, delete on oauth_grants to app_control;

-- The vector stores that the user ticked at consent.
create table oauth_grant_vector_stores (
  tenant_id        uuid not null,
  grant_id         uuid not null,
  vector_store_id  uuid not null,
  primary key (tenant_id, grant_id, vector_store_id),
  foreign key (tenant_id, grant_id) references oauth_grants on delete cascade,
  foreign key (tenant_id, vector_store_id) references vector_stores on delete cascade
);
call guard_tenant_table('oauth_grant_vector_stores');
call open_to_control('oauth_grant_vector_stores');
grant select on oauth_grant_vector_stores to app_tenant;
grant select, insert, delete on oauth_grant_vector_stores to app_control;

create table oauth_authorization_codes (
  secret_hash            bytea primary key check (length(secret_hash) = 32),
  tenant_id              uuid not null,
  grant_id               uuid not null,
  client_id              text not null,
  redirect_uri           text not null,
  redirect_uri_was_sent  boolean not null,
  code_challenge         text not null check (length(code_challenge) = 43),
  created_at             timestamptz not null,
  expires_at             timestamptz not null,
  redeemed_at            timestamptz,
  wrong_attempts         smallint not null default 0,
  foreign key (tenant_id, grant_id) references oauth_grants on delete cascade
);
create index oauth_authorization_codes_grant on oauth_authorization_codes (tenant_id, grant_id);
call guard_tenant_table('oauth_authorization_codes');
call open_to_control('oauth_authorization_codes');
grant select, insert, update, delete on oauth_authorization_codes to app_control;

-- A grant's refresh tokens are one line of generations; at most the newest and, until the newest is
-- first used, its immediate predecessor can be spent.
create table oauth_refresh_tokens (
  secret_hash   bytea primary key check (length(secret_hash) = 32),
  tenant_id     uuid not null,
  grant_id      uuid not null,
  generation    integer not null check (generation > 0),
  created_at    timestamptz not null,
  expires_at    timestamptz not null, -- idle limit
  rotated_at    timestamptz,          -- when its successor was first issued
  retries       smallint not null default 0,
  foreign key (tenant_id, grant_id) references oauth_grants on delete cascade
);
create unique index oauth_refresh_tokens_grant on oauth_refresh_tokens (tenant_id, grant_id, generation);
call guard_tenant_table('oauth_refresh_tokens');
call open_to_control('oauth_refresh_tokens');
grant select, insert, update, delete on oauth_refresh_tokens to app_control;

-- RFC 7009: an access token that was revoked alone, its grant living on. Swept after expiry.
create table oauth_revoked_access_tokens (
  tenant_id   uuid not null,
  jti         uuid not null,
  expires_at  timestamptz not null,
  primary key (tenant_id, jti)
);
call guard_tenant_table('oauth_revoked_access_tokens');
call open_to_control('oauth_revoked_access_tokens');
grant select, insert, delete on oauth_revoked_access_tokens to app_control;
