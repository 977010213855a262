-- Deletion that is real, and how well search answers, as a tenant's own questions measure it.

-- A tenant that is being deleted answers nobody from here on (it is suspended too) and has given its
-- slug back; its rows follow within a minute.
alter table tenants add column deleted_at timestamptz;
create index tenants_deleted on tenants (id) where deleted_at is not null;

-- The record of what happened in a tenant outlives it. Whose record it is, and since when it is
-- closed; it goes with this row, which nobody may delete in the first 90 days.
create table audit_logs (
  tenant_id  uuid primary key,
  closed_at  timestamptz
);
insert into audit_logs (tenant_id) select id from tenants;
call guard_tenant_table('audit_logs');
call open_to_control('audit_logs');
create policy closed_for_long on audit_logs as restrictive for delete to app_control
  using (closed_at < now() - interval '90 days');
grant select, insert, delete, update (closed_at) on audit_logs to app_control;

create function open_audit_log() returns trigger language plpgsql as $$
begin
  insert into audit_logs (tenant_id) values (new.id);
  return null;
end
$$;
create function close_audit_log() returns trigger language plpgsql as $$
begin
  update audit_logs set closed_at = now() where tenant_id = old.id;
  return null;
end
$$;
revoke all on function open_audit_log(), close_audit_log() from public;
create trigger tenant_created after insert on tenants
  for each row execute function open_audit_log();
create trigger tenant_deleted after delete on tenants
  for each row execute function close_audit_log();
alter table audit_events
  drop constraint audit_events_tenant_id_fkey,
  add constraint audit_events_log_fkey foreign key (tenant_id) references audit_logs
      on delete cascade not valid;
alter table audit_events validate constraint audit_events_log_fkey;

-- What a store held is discounted only where there is a tenant left to count for: when it goes too,
-- each of its stores would count in a row that belongs to nobody by then.
create or replace function discount_store() returns trigger language plpgsql as $$
begin
  -- A tenant's transaction does not see tenants, and its tenant is there.
  if has_table_privilege('tenants', 'select') then
    if not exists (select from tenants where id = old.tenant_id) then
      return old;
    end if;
  end if;
  -- As the tables' owner, who sees no tenant's rows, there is nothing to do.
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

-- The only rows of a tenant that did not go with it. Their owner obeys row-level security, but for this.
alter table oauth_revoked_access_tokens no force row level security;
delete from oauth_revoked_access_tokens where tenant_id not in (select id from tenants);
alter table oauth_revoked_access_tokens force row level security;
alter table oauth_revoked_access_tokens
  add constraint oauth_revoked_access_tokens_tenant_fkey foreign key (tenant_id) references tenants
      on delete cascade;

-- Rows without an owner, whatever tables there are, as far as the role that asks can see: what names
-- a document or a store that is not there, and, for a tenant that is gone, whatever is left. Foreign
-- keys do not know of all of these.
create function orphans(tenant_is_gone boolean)
  returns table (place text, rows bigint) language plpgsql stable as $$
declare
  child record;
begin
  for child in
    select class.relname::text as name, of.attname::text as refers,
           case of.attname when 'document_id' then 'documents'
                           when 'vector_store_id' then 'vector_stores' end as parent
      from pg_class class
      join pg_attribute owner on owner.attrelid = class.oid and owner.attname = 'tenant_id'
      join pg_attribute of on of.attrelid = class.oid and not of.attisdropped
       and of.attname in ('tenant_id', 'document_id', 'vector_store_id')
     where class.relkind in ('r', 'p') and not class.relispartition
       and class.relnamespace = 'public'::regnamespace
       and class.relname not in ('audit_events', 'audit_logs')
       and has_column_privilege(current_user, class.oid, of.attnum, 'select')
     order by class.relname, of.attname
  loop
    if child.parent is null and has_table_privilege(current_user, 'tenants', 'select') then
      execute format(
        'select count(*) from %I child
          where child.tenant_id is not null
            and not exists (select from tenants where tenants.id = child.tenant_id)',
        child.name) into rows;
    elsif child.parent is null and tenant_is_gone then
      execute format('select count(*) from %I', child.name) into rows;
    elsif child.parent is not null and has_table_privilege(current_user, child.parent, 'select') then
      execute format(
        'select count(*) from %I child
          where child.%I is not null and not exists (
            select from %I parent where parent.tenant_id = child.tenant_id and parent.id = child.%2$I)',
        child.name, child.refers, child.parent) into rows;
    else
      continue;
    end if;
    place := child.name || '.' || child.refers;
    if rows > 0 then
      return next;
    end if;
  end loop;
  if not has_table_privilege(current_user, 'term_frequencies', 'select') then
    return;
  end if;
  -- What was derived from what is not there any more.
  place := 'chunk_index';
  select count(*) into rows from chunk_index index
   where not exists (select from chunks chunk
                      where chunk.tenant_id = index.tenant_id
                        and chunk.document_id = index.document_id
                        and chunk.ordinal = index.ordinal
                        and chunk.vector_store_id = index.vector_store_id);
  if rows > 0 then
    return next;
  end if;
  place := 'term_frequencies';
  select count(*) into rows from term_frequencies known
   where not exists (select from chunk_index index
                      where index.tenant_id = known.tenant_id
                        and index.vector_store_id = known.vector_store_id);
  if rows > 0 then
    return next;
  end if;
end
$$;
revoke all on function orphans(boolean) from public;
grant execute on function orphans(boolean) to app_tenant, app_control;

-- Questions of which a tenant knows what should answer them.
create table golden_questions (
  tenant_id        uuid not null,
  id               uuid not null,
  vector_store_id  uuid not null,
  question         text not null check (length(question) between 1 and 2000),
  created_at       timestamptz not null,
  primary key (tenant_id, id),
  constraint golden_questions_key unique (tenant_id, vector_store_id, question),
  foreign key (tenant_id, vector_store_id) references vector_stores on delete cascade
);
call guard_tenant_table('golden_questions');
call open_to_control('golden_questions');
grant select, insert, delete on golden_questions to app_tenant;
grant select (tenant_id, id) on golden_questions to app_control;

-- Any of these answers it. Of one that was deleted nothing is left but that it was.
create table golden_documents (
  tenant_id    uuid not null,
  question_id  uuid not null,
  number       smallint not null,
  document_id  uuid,
  primary key (tenant_id, question_id, number),
  constraint golden_documents_key unique (tenant_id, question_id, document_id),
  foreign key (tenant_id, question_id) references golden_questions on delete cascade,
  foreign key (tenant_id, document_id) references documents on delete set null (document_id)
);
create index golden_documents_document on golden_documents (tenant_id, document_id);
call guard_tenant_table('golden_documents');
grant select, insert, delete on golden_documents to app_tenant;

-- All of a tenant's questions asked once. What ranked them is named, so that the runs before and
-- after a change can be told apart. A node that has a run says so all the time; when it is silent
-- another one takes the run, and `held_by` keeps what the first one still says out.
create table golden_runs (
  tenant_id    uuid not null references tenants on delete cascade,
  id           uuid not null,
  fingerprint  text not null check (length(fingerprint) between 1 and 400),
  created_at   timestamptz not null,
  state        text not null check (state in ('waiting', 'running', 'done', 'failed')),
  held_by      uuid,
  seen_at      timestamptz,
  asked        integer not null default 0,
  of_asked     integer not null default 0,
  finished_at  timestamptz,
  primary key (tenant_id, id)
);
-- Of any number who want a run at once, one begins it.
create unique index golden_runs_open on golden_runs (tenant_id) where state in ('waiting', 'running');
call guard_tenant_table('golden_runs');
call open_to_control('golden_runs');
grant select, insert, update, delete on golden_runs to app_tenant;
grant select on golden_runs to app_control;

-- Where in a run the first document that answers a question stood; null when it was not found.
create table golden_ranks (
  tenant_id    uuid not null,
  run_id       uuid not null,
  question_id  uuid not null,
  rank         integer check (rank > 0),
  primary key (tenant_id, run_id, question_id),
  foreign key (tenant_id, run_id) references golden_runs on delete cascade,
  foreign key (tenant_id, question_id) references golden_questions on delete cascade
);
create index golden_ranks_question on golden_ranks (tenant_id, question_id);
call guard_tenant_table('golden_ranks');
grant select, insert, delete on golden_ranks to app_tenant;

-- Questions without a good answer that an admin has put away, by their fingerprints.
create table dismissed_questions (
  tenant_id    uuid not null references tenants on delete cascade,
  fingerprint  text not null check (length(fingerprint) = 32),
  at           timestamptz not null,
  primary key (tenant_id, fingerprint)
);
call guard_tenant_table('dismissed_questions');
call open_to_control('dismissed_questions');
grant select, insert, update on dismissed_questions to app_tenant;
grant select (tenant_id, at), delete on dismissed_questions to app_control;
