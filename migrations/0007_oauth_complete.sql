-- Clients of every kind: those that register themselves (RFC 7591), those that a metadata document
-- at their client_id describes, and those that a tenant's admin makes for a back end.
alter table oauth_clients
  drop constraint oauth_clients_check,
  drop constraint oauth_clients_redirect_uris_check,
  add column source text not null default 'registration'
             check (source in ('registration', 'document', 'tenant')),
  add column token_endpoint_auth_methods text[],
  add column registration_token_hash bytea check (length(registration_token_hash) = 32),
  add column jwks jsonb check (length(jwks::text) <= 16384),
  add column jwks_uri text check (length(jwks_uri) <= 512),
  add column dpop_bound boolean not null default false,
  -- Moves with everything that a user consented to: grants of an older version are over.
  add column version integer not null default 1,
  -- For documents: when it was read, and until when it need not be read again.
  add column fetched_at timestamptz,
  add column fresh_until timestamptz,
  add constraint oauth_clients_document_check
      check ((source = 'document') = (fetched_at is not null)
             and (source = 'document') = (fresh_until is not null));
update oauth_clients set token_endpoint_auth_methods = array[token_endpoint_auth_method];
alter table oauth_clients
  drop column token_endpoint_auth_method,
  alter column token_endpoint_auth_methods set not null,
  add constraint oauth_clients_methods_check
      check (cardinality(token_endpoint_auth_methods) > 0
             and token_endpoint_auth_methods <@ array['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt']),
  add constraint oauth_clients_secret_check
      check ((token_endpoint_auth_methods && array['client_secret_basic', 'client_secret_post'])
             = (secret_hash is not null)),
  add constraint oauth_clients_redirect_uris_check
      check (cardinality(redirect_uris) between (case source when 'tenant' then 0 else 1 end) and 20);

-- Assistants register anew at each connection. Registrations that a person could not tell apart are
-- one app: the same name, and answers to the same places.
create function oauth_app_identity(
  source text, client_id text, client_name text, redirect_uris text[]
) returns bytea language plpgsql immutable set search_path = public, pg_temp as $$
begin
  if source <> 'registration' then
    return sha256(convert_to('client ' || client_id, 'UTF8'));
  end if;
  -- Neither a name nor an address holds a line break, so nobody's name says what another's address does.
  return sha256(convert_to('app' || E'\n' || client_name || (
    select string_agg(E'\n' || place, '' order by place collate "C")
      from (select distinct regexp_replace(
                     uri, '^(http://(?:127\.0\.0\.1|\[::1\]|localhost)):[0-9]+', '\1') as place
              from unnest(redirect_uris) as uri) as places), 'UTF8'));
end
$$;
revoke all on function oauth_app_identity(text, text, text, text[]) from public;
grant execute on function oauth_app_identity(text, text, text, text[]) to app_control;
alter table oauth_clients
  add column app_identity bytea not null
      generated always as (oauth_app_identity(source, client_id, client_name, redirect_uris)) stored;

-- What is shown, and revoked, as one connected app. All installs of an app share the address of its
-- document, so there the way back tells them apart; the port of a loopback address is chosen anew
-- each time.
create function oauth_app_key(app_identity bytea, source text, redirect_uri text)
  returns bytea language sql immutable parallel safe set search_path = public, pg_temp as $$
  select case when source <> 'document' then app_identity else
    sha256(app_identity || convert_to(regexp_replace(
      redirect_uri, '^(http://(?:127\.0\.0\.1|\[::1\]|localhost)):[0-9]+', '\1'), 'UTF8')) end
$$;
revoke all on function oauth_app_key(bytea, text, text) from public;
grant execute on function oauth_app_key(bytea, text, text) to app_control;

-- A tenant's back ends. Each acts under a grant of its own, and never with a user's rights.
create table oauth_service_clients (
  tenant_id       uuid not null references tenants on delete cascade,
  client_id       text not null references oauth_clients on delete cascade,
  grant_id        uuid, -- none for one that may only introspect
  may_introspect  boolean not null default false,
  created_by      uuid not null,
  created_at      timestamptz not null,
  expires_at      timestamptz not null,
  -- Moves with every change, so that of two admins who change one at once one is told.
  revision        integer not null default 1,
  primary key (tenant_id, client_id)
);
create unique index oauth_service_clients_client on oauth_service_clients (client_id);
call guard_tenant_table('oauth_service_clients');
call open_to_control('oauth_service_clients');
grant select, insert, update, delete on oauth_service_clients to app_control;

-- A grant without a user is a service client's.
alter table oauth_grants
  alter column user_id drop not null,
  add column client_version integer not null default 1,
  add column resource_was_sent boolean not null default true,
  add column dpop_jkt text check (length(dpop_jkt) = 43), -- RFC 9449: whose key its tokens are bound to
  drop constraint oauth_grants_revoked_for_check,
  add constraint oauth_grants_revoked_for_check
      check (revoked_for in ('user', 'admin', 'client', 'client_changed', 'code_replay', 'refresh_reuse'));

alter table oauth_authorization_codes
  add column dpop_jkt text check (length(dpop_jkt) = 43);

-- A request that cannot be granted waits too: its user is told before the client is.
alter table oauth_authorization_requests
  alter column code_challenge drop not null,
  add column client_version integer not null default 1,
  add column resource_was_sent boolean not null default true,
  add column dpop_jkt text check (length(dpop_jkt) = 43),
  add column error text check (length(error) <= 60),
  add column error_description text check (length(error_description) <= 200),
  add constraint oauth_authorization_requests_outcome_check
      check ((error is null) = (error_description is null) and (error is null) <= (code_challenge is not null));

create index oauth_authorization_requests_client on oauth_authorization_requests (client_id);

-- A request whose client is described by a document that nobody has read yet. It is read once
-- somebody has signed in, so that strangers cannot send us to fetch things.
create table oauth_unresolved_requests (
  secret_hash   bytea primary key check (length(secret_hash) = 32),
  browser_hash  bytea not null check (length(browser_hash) = 32),
  parameters    text not null check (length(parameters) <= 16384),
  created_at    timestamptz not null,
  expires_at    timestamptz not null
);
create index oauth_unresolved_requests_expires_at on oauth_unresolved_requests (expires_at);
grant select, insert, delete on oauth_unresolved_requests to app_control;

-- RFC 9126: what a client pushed before it sent the browser.
create table oauth_pushed_requests (
  secret_hash  bytea primary key check (length(secret_hash) = 32),
  client_id    text not null references oauth_clients on delete cascade,
  parameters   text not null check (length(parameters) <= 16384),
  created_at   timestamptz not null,
  expires_at   timestamptz not null,
  used_at      timestamptz
);
create index oauth_pushed_requests_expires_at on oauth_pushed_requests (expires_at);
create index oauth_pushed_requests_client on oauth_pushed_requests (client_id);
grant select, insert, update, delete on oauth_pushed_requests to app_control;

-- What may be shown once: the `jti` of client assertions (RFC 7523) and DPoP proofs (RFC 9449), by
-- the SHA-256 of whose it is and what it says.
create table oauth_used_proofs (
  digest      bytea primary key check (length(digest) = 32),
  expires_at  timestamptz not null
);
create index oauth_used_proofs_expires_at on oauth_used_proofs (expires_at);
grant select, insert, delete on oauth_used_proofs to app_control;

-- A key is published, then signs from activates_at on, then verifies until it is retired.
alter table signing_keys add column activates_at timestamptz;
update signing_keys set activates_at = created_at;
alter table signing_keys alter column activates_at set not null;

-- What a tenant demands of the apps that its members connect.
create table tenant_oauth_policies (
  tenant_id              uuid primary key references tenants on delete cascade,
  apps                   text not null default 'open'
                         check (apps in ('open', 'approval', 'allow_list', 'off')),
  allowed_hosts          text[] not null default '{}' check (cardinality(allowed_hosts) <= 100),
  require_dpop           boolean not null default false,
  refresh_retry_seconds  smallint not null default 60 check (refresh_retry_seconds between 0 and 300),
  updated_at             timestamptz not null
);
call guard_tenant_table('tenant_oauth_policies');
call open_to_control('tenant_oauth_policies');
grant select on tenant_oauth_policies to app_tenant;
grant select, insert, update on tenant_oauth_policies to app_control;

-- Apps that a member asked for, and what an admin decided.
create table oauth_app_approvals (
  tenant_id     uuid not null references tenants on delete cascade,
  app_identity  bytea not null check (length(app_identity) = 32),
  client_name   text not null check (length(client_name) between 1 and 60),
  place         text not null check (length(place) <= 12288), -- wherever its answers may go, or its client_id
  requested_by  uuid not null,
  requested_at  timestamptz not null,
  decided_by    uuid,
  decided_at    timestamptz,
  approved      boolean,
  primary key (tenant_id, app_identity),
  check ((decided_at is null) = (approved is null) and (decided_at is null) = (decided_by is null))
);
call guard_tenant_table('oauth_app_approvals');
call open_to_control('oauth_app_approvals');
grant select on oauth_app_approvals to app_tenant;
grant select, insert, update, delete on oauth_app_approvals to app_control;

-- What is wrong with the installation itself, as calls showed it: for the operator and the admins.
create table installation_problems (
  kind      text primary key check (length(kind) between 3 and 60),
  detail    text not null check (length(detail) <= 400),
  first_at  timestamptz not null,
  last_at   timestamptz not null,
  seen      bigint not null default 1
);
grant select, insert, update, delete on installation_problems to app_control;

-- What the sweep looks for, and takes away a part at a time.
create index oauth_authorization_codes_expires_at on oauth_authorization_codes (expires_at);
create index oauth_refresh_tokens_expires_at on oauth_refresh_tokens (expires_at);
create index oauth_revoked_access_tokens_expires_at on oauth_revoked_access_tokens (expires_at);
create index oauth_grants_over on oauth_grants (least(revoked_at, expires_at));

-- Nothing depends on it: PKCE holds the answer to the request (OAuth 2.1 section 10.2).
alter table oauth_authorization_requests drop column redirect_uri_was_sent;
alter table oauth_authorization_codes drop column redirect_uri_was_sent;
