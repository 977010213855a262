-- Former versions of documents, idempotency keys of the API, and watched places.

-- What a document said before its content was replaced: the last ten times. Its original, if that
-- was kept, stays with the document.
create table document_versions (
  tenant_id     uuid not null,
  document_id   uuid not null,
  version       integer not null check (version > 0),
  vector_store_id  uuid not null,
  title         text not null,
  media_type    text not null,
  content_hash  bytea not null check (length(content_hash) = 32),
  byte_size     bigint not null,
  char_count    integer not null,
  body          text not null,
  original_id   uuid,
  uploaded_by   uuid,
  created_at    timestamptz not null, -- since when it was what the document said
  replaced_at   timestamptz not null,
  primary key (tenant_id, document_id, version),
  foreign key (tenant_id, document_id) references documents on delete cascade
);
call guard_tenant_table('document_versions');
grant select, insert, delete on document_versions to app_tenant;

alter table documents add version integer not null default 1 check (version > 0);

-- Whatever replaces a document's content keeps what it was, whichever way it comes in. The text is
-- replaced after the row.
create function keep_version() returns trigger language plpgsql as $$
begin
  insert into document_versions
  select old.tenant_id, old.id, old.version, old.vector_store_id, old.title, old.media_type, old.content_hash,
         old.byte_size, old.char_count, text.body, old.original_id, old.uploaded_by,
         old.updated_at, new.updated_at
    from document_texts text
   where text.document_id = old.id;
  delete from document_versions where document_id = old.id and version <= old.version - 10;
  new.version := old.version + 1;
  return new;
end
$$;
create trigger document_replaced before update of content_hash on documents
  for each row when (old.content_hash <> new.content_hash) execute function keep_version();

-- What is kept counts, versions too. As in 0015: when a document goes, its versions are counted out
-- by itself beforehand, and when a store goes, by the store.
create function count_version() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and not exists (
    select from vector_stores where tenant_id = old.tenant_id and id = old.vector_store_id
  ) then
    return null;
  end if;
  update document_totals
     set bytes = bytes + coalesce(new.byte_size, 0) - coalesce(old.byte_size, 0)
   where tenant_id = coalesce(new.tenant_id, old.tenant_id);
  return null;
end
$$;
create function drop_versions() returns trigger language plpgsql as $$
begin
  if exists (select from vector_stores
              where tenant_id = old.tenant_id and id = old.vector_store_id) then
    delete from document_versions where tenant_id = old.tenant_id and document_id = old.id;
  end if;
  return old;
end
$$;
create function discount_versions() returns trigger language plpgsql as $$
begin
  if has_table_privilege('document_totals', 'update') then
    update document_totals known
       set bytes = known.bytes - gone.bytes
      from (select coalesce(sum(byte_size), 0) as bytes
              from document_versions
             where tenant_id = old.tenant_id and vector_store_id = old.id) gone
     where known.tenant_id = old.tenant_id;
  end if;
  return old;
end
$$;
create constraint trigger version_counted after insert or delete on document_versions
  deferrable initially deferred for each row execute function count_version();
create trigger document_versions_dropped before delete on documents
  for each row execute function drop_versions();
create trigger store_versions_discounted before delete on vector_stores
  for each row execute function discount_versions();
revoke all on function keep_version(), count_version(), drop_versions(), discount_versions()
  from public;

-- Uploads through the API that say which attempt they are: the same key means the same file.
create table api_uploads (
  tenant_id        uuid not null,
  client_id        text not null check (length(client_id) <= 255),
  idempotency_key  text not null check (length(idempotency_key) between 1 and 255),
  vector_store_id  uuid not null,
  request_hash     bytea not null check (length(request_hash) = 32),
  job_id           uuid not null,
  created_at       timestamptz not null,
  primary key (tenant_id, client_id, idempotency_key),
  foreign key (tenant_id, vector_store_id) references vector_stores on delete cascade
);
create index api_uploads_old on api_uploads (created_at);
call guard_tenant_table('api_uploads');
call open_to_control('api_uploads');
grant select, insert, update, delete on api_uploads to app_tenant;
grant select (tenant_id, created_at), delete on api_uploads to app_control;

-- A folder of the operator's or a bucket that a store follows. One node at a time looks at it.
create table watched_places (
  tenant_id        uuid not null,
  vector_store_id  uuid not null,
  revision         uuid not null, -- of what an admin chose
  folder           text check (length(folder) <= 512),
  endpoint         text check (length(endpoint) <= 512),
  bucket           text check (length(bucket) between 1 and 255),
  region           text check (length(region) between 1 and 64),
  prefix           text check (length(prefix) <= 512),
  access_key_id    text check (length(access_key_id) between 1 and 128),
  secret_sealed    bytea,
  created_by       uuid,
  created_at       timestamptz not null,
  next_look_at     timestamptz not null,
  lease_owner      uuid,
  leased_until     timestamptz,
  fence            bigint not null default 0,
  looked_at        timestamptz,
  failure          text check (length(failure) <= 500),
  files            integer not null default 0,
  waiting          integer not null default 0,
  removed          bigint not null default 0,
  primary key (tenant_id, vector_store_id),
  foreign key (tenant_id, vector_store_id) references vector_stores on delete cascade,
  check ((lease_owner is null) = (leased_until is null)),
  check (num_nonnulls(endpoint, bucket, region, prefix, access_key_id, secret_sealed)
         = case when folder is null then 6 else 0 end)
);
create index watched_places_due on watched_places (next_look_at);
call guard_tenant_table('watched_places');
call open_to_control('watched_places');
grant select, insert, update, delete on watched_places to app_tenant;
-- Which one is next is decided over all tenants; what it is, inside the tenant.
grant select (tenant_id, vector_store_id, next_look_at, lease_owner, leased_until, fence)
  on watched_places to app_control;
grant update (lease_owner, leased_until, fence) on watched_places to app_control;

-- What was last seen there, and how it looked.
create table watched_files (
  tenant_id        uuid not null,
  vector_store_id  uuid not null,
  path             text not null check (length(path) between 1 and 900),
  mark             text not null check (length(mark) <= 300),
  content_hash     bytea check (length(content_hash) = 32),
  failure          text check (length(failure) <= 500),
  primary key (tenant_id, vector_store_id, path),
  foreign key (tenant_id, vector_store_id) references watched_places on delete cascade
);
create index watched_files_content on watched_files (tenant_id, vector_store_id, content_hash);
call guard_tenant_table('watched_files');
grant select, insert, update, delete on watched_files to app_tenant;
