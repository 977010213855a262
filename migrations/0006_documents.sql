create table documents (
  tenant_id        uuid not null references tenants on delete cascade,
  id               uuid not null,
  vector_store_id  uuid not null,
  source_key       text not null check (length(source_key) between 1 and 1024), -- path, or the line's own id
  title            text not null check (length(title) between 1 and 500),
  url              text check (length(url) <= 2048),
  metadata         jsonb not null default '{}' check (length(metadata::text) <= 65536),
  media_type       text not null check (length(media_type) <= 100),
  content_hash     bytea not null check (length(content_hash) = 32),
  byte_size        bigint not null check (byte_size >= 0),
  char_count       integer not null check (char_count >= 0),
  uploaded_by      uuid,
  created_at       timestamptz not null,
  updated_at       timestamptz not null,
  primary key (tenant_id, id),
  constraint documents_source_key_key unique (tenant_id, vector_store_id, source_key),
  foreign key (tenant_id, vector_store_id) references vector_stores on delete cascade
);
create index documents_listing on documents (tenant_id, vector_store_id, updated_at desc);
create index documents_content on documents (tenant_id, vector_store_id, content_hash);
call guard_tenant_table('documents');
grant select, insert, update, delete on documents to app_tenant;

-- The extracted text, apart from the listing so that lists stay light. Ranges count characters
-- (Unicode scalar values) of `body`.
create table document_texts (
  tenant_id    uuid not null,
  document_id  uuid not null,
  body         text not null,
  primary key (tenant_id, document_id),
  foreign key (tenant_id, document_id) references documents on delete cascade
);
call guard_tenant_table('document_texts');
grant select, insert, update, delete on document_texts to app_tenant;

create table chunks (
  tenant_id        uuid not null,
  vector_store_id  uuid not null,
  document_id      uuid not null,
  ordinal          integer not null check (ordinal >= 0),
  start_char       integer not null check (start_char >= 0),
  end_char         integer not null,
  heading          text not null default '' check (length(heading) <= 500),
  body             text not null,
  lexemes          tsvector not null,
  primary key (tenant_id, document_id, ordinal),
  foreign key (tenant_id, document_id) references documents on delete cascade,
  check (end_char > start_char)
);
create index chunks_store on chunks (tenant_id, vector_store_id);
-- No index on lexemes: `@@` is not leakproof, so under row-level security the planner cannot use one,
-- and searches read the store's chunks.
call guard_tenant_table('chunks');
grant select, insert, update, delete on chunks to app_tenant;
