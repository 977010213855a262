-- The HTTP+SSE transport of MCP 2024-11-05: who holds which stream, so that a message that was posted
-- to another node finds its way, and so that the caps hold for all nodes together.

-- A node that holds streams says so every few seconds. One that does not any more holds none.
create table sse_nodes (
  id       uuid primary key,
  seen_at  timestamptz not null
);
grant select, insert, update, delete on sse_nodes to app_control;

-- An open stream, under the name that its messages are posted to, and whose it is.
create table sse_sessions (
  tenant_id    uuid not null references tenants on delete cascade,
  secret_hash  bytea not null check (length(secret_hash) = 32),
  node_id      uuid not null references sse_nodes on delete cascade,
  grant_id     uuid not null,
  user_id      uuid, -- none: a service client in its own name
  client_id    text not null check (length(client_id) <= 2048),
  opened_at    timestamptz not null,
  primary key (tenant_id, secret_hash)
);
create index sse_sessions_node on sse_sessions (node_id);
call guard_tenant_table('sse_sessions');
call open_to_control('sse_sessions');
-- The one column, so that a session can be held while a message is posted to it.
grant select, update (opened_at), delete on sse_sessions to app_tenant;
grant select, insert, delete on sse_sessions to app_control;

-- A message on its way to the node that holds the stream: there for milliseconds, and sealed, since
-- it holds a question. What a crash would lose is worth nothing without its stream.
create unlogged table sse_messages (
  tenant_id    uuid not null,
  id           uuid not null,
  secret_hash  bytea not null,
  sealed       bytea not null check (length(sealed) <= 1200000),
  posted_at    timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, secret_hash) references sse_sessions on delete cascade
);
alter table sse_messages alter column sealed set storage external; -- nothing to compress
create index sse_messages_session on sse_messages (tenant_id, secret_hash);
call guard_tenant_table('sse_messages');
call open_to_control('sse_messages');
grant select, insert, delete on sse_messages to app_tenant;
grant select (tenant_id, secret_hash, posted_at), delete on sse_messages to app_control;
