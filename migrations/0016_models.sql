-- The page of a PDF, the slide or the sheet that a chunk is on, counted from 1: which of them its
-- document's media type says. Null where there are none, and for what came in before.
alter table chunks add page integer check (page > 0);

-- Which model makes a store's vectors: 1 is the one that runs in this installation, others are rows
-- of embedding_models, counted up and never used again. A change fills `next_embedding` by
-- `next_embedded_by` while search goes by `embedded_by`, and ends with one update of this row.
alter table vector_stores
  add embedded_by smallint not null default 1 check (embedded_by > 0),
  add next_embedded_by smallint check (next_embedded_by > 1 and next_embedded_by <> embedded_by),
  add models_made smallint not null default 1 check (models_made between 1 and 32000);

create table embedding_models (
  tenant_id        uuid not null,
  vector_store_id  uuid not null,
  id               smallint not null check (id > 1),
  base_url         text check (length(base_url) between 1 and 512), -- null: the installation's own
  model            text not null check (length(model) between 1 and 200),
  dimensions       integer not null check (dimensions between 1 and 2000),
  asks_dimensions  boolean not null default false, -- whether it must be told how many
  normalisation    text not null default 'unit' check (normalisation = 'unit'),
  api_key_sealed   bytea check (length(api_key_sealed) <= 4096),
  api_key_hint     text check (length(api_key_hint) <= 8), -- the last four characters
  tokens_per_day   bigint check (tokens_per_day > 0),
  used_on          date,
  used_tokens      bigint not null default 0,
  leased_by        uuid, -- the node that asks it for passages
  leased_until     timestamptz,
  rests_until      timestamptz, -- after it failed, or was used up for the day
  failures         smallint not null default 0,
  failed_at        timestamptz, -- the last time it gave no answer, and why
  failure          text check (length(failure) <= 500),
  created_at       timestamptz not null,
  primary key (tenant_id, vector_store_id, id),
  foreign key (tenant_id, vector_store_id) references vector_stores on delete cascade,
  check (base_url is not null or api_key_sealed is null and tokens_per_day is null),
  check ((api_key_sealed is null) = (api_key_hint is null))
);
call guard_tenant_table('embedding_models');
grant select, insert, update on embedding_models to app_tenant;

-- Vectors of any length; those of one model have one.
-- (A change of the type forgets how it is stored.)
alter table chunk_index alter embedding type halfvec;
alter table chunk_index alter embedding set storage plain;
alter table chunk_index
  add next_by smallint,
  add next_embedding halfvec,
  add check ((next_embedding is null) = (next_by is null));
-- The longest two do not fit into a page: then the one that few questions read goes out of it.
alter table chunk_index alter next_embedding set storage main;
grant update (next_embedding, next_by) on chunk_index to app_tenant;
