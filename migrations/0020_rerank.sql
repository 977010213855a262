-- What puts a store's best passages into their last order: a model behind an endpoint, for stores
-- that want one.
create table rerankers (
  tenant_id        uuid not null,
  vector_store_id  uuid not null,
  base_url         text not null check (length(base_url) between 1 and 512),
  model            text not null check (length(model) between 1 and 200),
  api_key_sealed   bytea check (length(api_key_sealed) <= 4096),
  api_key_hint     text check (length(api_key_hint) <= 8), -- the last four characters
  failed_at        timestamptz, -- the last time it gave no order, and why; null since it gave one
  failure          text check (length(failure) <= 500),
  created_at       timestamptz not null,
  primary key (tenant_id, vector_store_id),
  foreign key (tenant_id, vector_store_id) references vector_stores on delete cascade,
  check ((api_key_sealed is null) = (api_key_hint is null))
);
call guard_tenant_table('rerankers');
grant select, insert, update, delete on rerankers to app_tenant;

-- Passages that an embedding model behind an endpoint does not take: they have no vector by it and
-- are found by their words. A row goes with its chunk, and a chunk when its text changes.
create table refused_passages (
  tenant_id        uuid not null,
  vector_store_id  uuid not null,
  document_id      uuid not null,
  ordinal          integer not null,
  model            smallint not null, -- its number in the store
  status           smallint not null, -- what the endpoint answered
  refused_at       timestamptz not null,
  primary key (tenant_id, document_id, ordinal, model),
  foreign key (tenant_id, document_id, ordinal) references chunk_index on delete cascade
);
create index refused_passages_store on refused_passages (tenant_id, vector_store_id, model);
call guard_tenant_table('refused_passages');
grant select, insert, delete on refused_passages to app_tenant;
