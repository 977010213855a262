-- A tenant's own sign-in: an OpenID provider outside, and who of the tenant's members is whom there.
create table tenant_sso_providers (
  tenant_id               uuid primary key references tenants on delete cascade,
  -- Another one with every change: what was begun under an older one is over.
  revision                uuid not null,
  enabled                 boolean not null,
  issuer                  text not null check (length(issuer) between 8 and 255),
  client_id               text not null check (length(client_id) between 1 and 255),
  client_secret_sealed    bytea not null check (length(client_secret_sealed) <= 2048),
  secret_in_body          boolean not null, -- client_secret_post in the place of client_secret_basic
  sends_iss               boolean not null, -- RFC 9207
  -- As the provider's own document said when it was saved.
  authorization_endpoint  text not null check (length(authorization_endpoint) <= 512),
  token_endpoint          text not null check (length(token_endpoint) <= 512),
  jwks_uri                text not null check (length(jwks_uri) <= 512),
  updated_at              timestamptz not null
);
call guard_tenant_table('tenant_sso_providers');
call open_to_control('tenant_sso_providers');
grant select, insert, update, delete on tenant_sso_providers to app_control;

-- A member is who the provider says, by issuer and subject, from the first time on. A link that an
-- admin removed stays, so that the same address does not make it again.
create table sso_links (
  tenant_id   uuid not null,
  issuer      text not null check (length(issuer) <= 255),
  subject     text not null check (length(subject) between 1 and 255),
  user_id     uuid not null,
  created_at  timestamptz not null,
  used_at     timestamptz not null,
  removed_at  timestamptz,
  primary key (tenant_id, issuer, subject),
  constraint sso_links_user_key unique (tenant_id, user_id),
  foreign key (tenant_id, user_id) references memberships on delete cascade
);
call guard_tenant_table('sso_links');
call open_to_control('sso_links');
grant select, insert, update, delete on sso_links to app_control;

-- A sign-in that is on its way through a provider. The name is the `state`; nonce and PKCE verifier
-- follow from it and from the browser's cookie, and are stored nowhere.
create table sso_sign_ins (
  secret_hash   bytea primary key check (length(secret_hash) = 32),
  tenant_id     uuid not null references tenants on delete cascade,
  browser_hash  bytea not null check (length(browser_hash) = 32),
  revision      uuid not null,
  return_to     text not null check (length(return_to) <= 4096),
  created_at    timestamptz not null,
  expires_at    timestamptz not null,
  used_at       timestamptz,
  check (expires_at <= created_at + interval '10 minutes')
);
create index sso_sign_ins_tenant on sso_sign_ins (tenant_id);
create index sso_sign_ins_expires_at on sso_sign_ins (expires_at);
call guard_tenant_table('sso_sign_ins');
call open_to_control('sso_sign_ins');
grant select, insert, update, delete on sso_sign_ins to app_control;

-- Whose provider the word was that began a session. Such a session opens that tenant alone.
alter table sessions add column sso_tenant_id uuid references tenants on delete cascade;
create index sessions_sso_tenant on sessions (sso_tenant_id) where sso_tenant_id is not null;
