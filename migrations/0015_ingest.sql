-- What people and programs send, on its way to being a document: a queue in these tables, worked
-- at by any number of nodes. See src/documents/ingest.

-- A file as it was sent. It goes with its document; until there is one, its job holds it.
create table originals (
  tenant_id        uuid not null,
  id               uuid not null,
  vector_store_id  uuid not null,
  document_id      uuid,
  file_name        text not null check (length(file_name) between 1 and 500),
  media_type       text not null check (length(media_type) <= 100),
  content_hash     bytea not null check (length(content_hash) = 32),
  byte_size        bigint not null check (byte_size >= 0),
  created_at       timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, vector_store_id) references vector_stores on delete cascade,
  foreign key (tenant_id, document_id) references documents on delete cascade
);
create index originals_document on originals (tenant_id, document_id);
create index originals_store on originals (tenant_id, vector_store_id);
create index originals_loose on originals (created_at) where document_id is null;
call guard_tenant_table('originals');
call open_to_control('originals');
grant select, insert, update, delete on originals to app_tenant;
grant select (tenant_id, document_id, created_at) on originals to app_control;

-- Its bytes, a mebibyte a row, so that none is in memory whole because of us. As they are:
-- documents are compressed already, or small.
create table original_parts (
  tenant_id    uuid not null,
  original_id  uuid not null,
  part         integer not null check (part >= 0),
  body         bytea not null check (length(body) <= 1048576),
  primary key (tenant_id, original_id, part),
  foreign key (tenant_id, original_id) references originals on delete cascade
);
alter table original_parts alter body set storage external;
call guard_tenant_table('original_parts');
grant select, insert, delete on original_parts to app_tenant;

-- Which one the document was read from; none for what a command brought in.
alter table documents add original_id uuid;

-- A file to be read, and how far that is. Whoever works at it has it leased, and `fence` counts the
-- leases: a worker that lost its own, and does not know it yet, changes nothing any more.
create table ingest_jobs (
  tenant_id        uuid not null references tenants on delete cascade,
  id               uuid not null,
  vector_store_id  uuid not null,
  original_id      uuid, -- null once a document has it, or it is gone
  document_id      uuid, -- what came of it
  source_key       text not null check (length(source_key) between 1 and 1024),
  -- Its hash, which is what the control plane may know: files of one source are read in order.
  source_number    bigint not null,
  file_name        text not null check (length(file_name) between 1 and 500),
  media_type       text not null check (length(media_type) <= 100),
  content_hash     bytea not null check (length(content_hash) = 32),
  byte_size        bigint not null check (byte_size >= 0),
  uploaded_by      uuid,
  request_id       uuid,
  address          text not null default '' check (length(address) <= 100),
  stage            text not null default 'received' check (stage in
    ('received', 'extracted', 'chunked', 'embedded', 'published', 'failed', 'cancelled')),
  chunks_total     integer not null default 0 check (chunks_total >= 0),
  chunks_done      integer not null default 0 check (chunks_done >= 0),
  added            integer not null default 0,
  updated          integer not null default 0,
  unchanged        integer not null default 0,
  failure          text check (length(failure) <= 1000),
  failures         jsonb not null default '[]', -- of what it holds
  attempts         smallint not null default 0, -- that failed in this stage
  lost             smallint not null default 0, -- workers that it had in this stage and that went away
  run_after        timestamptz not null,
  lease_owner      uuid,
  leased_until     timestamptz,
  fence            bigint not null default 0,
  claimed_at       timestamptz,
  created_at       timestamptz not null,
  updated_at       timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, vector_store_id) references vector_stores on delete cascade,
  foreign key (tenant_id, document_id) references documents on delete cascade,
  check ((lease_owner is null) = (leased_until is null))
);
create index ingest_jobs_waiting on ingest_jobs (tenant_id, run_after)
  where stage in ('received', 'extracted', 'chunked', 'embedded');
create index ingest_jobs_source on ingest_jobs (tenant_id, vector_store_id, source_number)
  where stage in ('received', 'extracted', 'chunked', 'embedded');
create index ingest_jobs_leased on ingest_jobs (leased_until) where leased_until is not null;
create index ingest_jobs_served on ingest_jobs (tenant_id, claimed_at);
create index ingest_jobs_document on ingest_jobs (tenant_id, document_id);
create index ingest_jobs_store on ingest_jobs (tenant_id, vector_store_id);
create index ingest_jobs_ended on ingest_jobs (updated_at)
  where stage in ('published', 'failed', 'cancelled');
call guard_tenant_table('ingest_jobs');
call open_to_control('ingest_jobs');
grant select, insert, update, delete on ingest_jobs to app_tenant;
-- Who is next is decided over all tenants; what it is, inside the tenant.
grant select (tenant_id, id, vector_store_id, source_number, stage, run_after, lease_owner,
              leased_until, fence, lost, claimed_at, created_at, updated_at)
  on ingest_jobs to app_control;
grant update (lease_owner, leased_until, fence, lost, claimed_at) on ingest_jobs to app_control;

-- What the stages before hand on: the text, then its chunks, then their vectors. Nothing of it is
-- searched, listed or shown.
create table ingest_texts (
  tenant_id  uuid not null,
  job_id     uuid not null,
  extracted  text, -- as the parser has it, in JSON
  draft      text, -- as it will be saved, in JSON
  primary key (tenant_id, job_id),
  foreign key (tenant_id, job_id) references ingest_jobs on delete cascade
);
call guard_tenant_table('ingest_texts');
grant select, insert, update, delete on ingest_texts to app_tenant;

create table ingest_chunks (
  tenant_id  uuid not null,
  job_id     uuid not null,
  ordinal    integer not null check (ordinal >= 0),
  body       text not null, -- in JSON
  vector     real[],
  primary key (tenant_id, job_id, ordinal),
  foreign key (tenant_id, job_id) references ingest_jobs on delete cascade
);
call guard_tenant_table('ingest_chunks');
grant select, insert, update, delete on ingest_chunks to app_tenant;

-- How much a tenant keeps, counted as it comes and goes: whoever adds something within a limit
-- locks the row first, so that two at once cannot both be the last. With a tenant its documents go
-- one by one, and this row in their course: whether it has a tenant is asked at the end.
create table document_totals (
  tenant_id  uuid primary key references tenants on delete cascade deferrable initially deferred,
  documents  bigint not null default 0,
  bytes      bigint not null default 0
);
alter table documents no force row level security;
insert into document_totals
select tenant_id, count(*), sum(byte_size) from documents group by tenant_id;
alter table documents force row level security;
call guard_tenant_table('document_totals');
grant select, insert, update on document_totals to app_tenant;

-- Documents are counted at the end of their transaction, so that everybody locks terms first and
-- this row last. As in 0014: what goes with its store is counted by the store, beforehand.
create function count_document() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    -- Before PostgreSQL 18, a foreign key's removals run this as the role that began them.
    if has_table_privilege('document_totals', 'update') then
      update document_totals known
         set documents = documents - 1, bytes = bytes - old.byte_size
        from vector_stores store
       where known.tenant_id = old.tenant_id
         and store.tenant_id = old.tenant_id and store.id = old.vector_store_id;
    end if;
    return null;
  end if;
  insert into document_totals as known (tenant_id, documents, bytes)
  values (new.tenant_id, (tg_op = 'INSERT')::integer, new.byte_size - coalesce(old.byte_size, 0))
  on conflict (tenant_id) do update
  set documents = known.documents + excluded.documents, bytes = known.bytes + excluded.bytes;
  return null;
end
$$;
create function discount_store() returns trigger language plpgsql as $$
begin
  -- As the tables' owner, when the tenant itself goes, there is nothing to see and nothing to do.
  if has_table_privilege('document_totals', 'update') then
    update document_totals known
       set documents = known.documents - gone.documents, bytes = known.bytes - gone.bytes
      from (select count(*) as documents, coalesce(sum(byte_size), 0) as bytes
              from documents where tenant_id = old.tenant_id and vector_store_id = old.id) gone
     where known.tenant_id = old.tenant_id;
  end if;
  return old;
end
$$;
create constraint trigger document_counted after insert or update of byte_size on documents
  deferrable initially deferred for each row execute function count_document();
create trigger document_discounted after delete on documents
  for each row execute function count_document();
create trigger store_discounted before delete on vector_stores
  for each row execute function discount_store();
revoke all on function count_document(), discount_store() from public;
