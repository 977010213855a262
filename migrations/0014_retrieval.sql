-- Search by words and by meaning: for each chunk a sparse vector of its terms, whose inner product
-- with a question's is BM25, and the embedding of a model. See src/search/store.rs.
--
-- Postgres' own text ranking knows no document frequency, and scored 3 to 10 times worse on real
-- questions. An approximate index over all tenants returns almost nothing to a small one: a store's
-- chunks are scanned, exactly, which takes 10 ms for 10,000 of them.
create extension if not exists vector;

-- What stands for a word in a vector of 10^9 dimensions.
create function term_of(word text) returns integer
  language sql immutable strict parallel safe
  return (abs(hashtextextended(word, 0) % 1000000000) + 1)::integer;

-- The words of a text with how often each is there: English stems without stop words, and besides,
-- as they are, tokens that the parser takes apart, such as INV-2024-113 and snake_case.
create function words_of(content text) returns table (term integer, times integer, whole boolean)
  language sql immutable parallel safe
  begin atomic
    select term_of(lexeme), cardinality(positions), false
      from unnest(to_tsvector('english', content))
    union all
    select term_of('=' || token), count(*)::integer, true
      from (select lower(found[1]) as token
              from regexp_matches(content, '[[:alnum:]]+(?:[-_./:#]{1,2}[[:alnum:]]+)+', 'g') found)
     where token ~ '[0-9_:#]' and token !~ '^[0-9.]+$'
     group by token;
  end;

-- BM25's half of a chunk: k1 1.2, b 0.75, and 100 words as the usual length, so that no chunk
-- changes when another one does. Two words of one hash, rare as they are, count as one.
create function term_vector(content text) returns sparsevec
  language sql immutable parallel safe
  begin atomic
    with word as (
      select term, sum(times) as times, coalesce(sum(times) filter (where not whole), 0) as counted
        from words_of(content)
       group by term
    ), weighed as (
      select term, times * 2.2 / (times + 1.2 * (0.25 + 0.75 * sum(counted) over () / 100)) as weight
        from word
    )
    select format('{%s}/1000000000', string_agg(term || ':' || round(weight, 4), ','))::sparsevec
      from weighed;
  end;

-- The terms that a vector has.
create function terms_in(vector sparsevec) returns setof integer
  language sql immutable parallel safe
  return split_part(
    unnest(string_to_array(trim(both '{}' from split_part(vector::text, '/', 1)), ',')), ':', 1
  )::integer;

revoke all on function term_of(text), words_of(text), term_vector(text), terms_in(sparsevec) from public;
grant execute on function term_of(text), words_of(text), term_vector(text), terms_in(sparsevec)
  to app_tenant;

-- What is searched, apart from the text so that rows are short. Partitioned, so that a tenant's
-- search reads pages of few others; no approximate index, see above.
create table chunk_index (
  tenant_id        uuid not null,
  vector_store_id  uuid not null,
  document_id      uuid not null,
  ordinal          integer not null,
  embedded_by      smallint, -- which model; null until one has
  embedding        halfvec(384),
  terms            sparsevec not null,
  primary key (tenant_id, document_id, ordinal),
  foreign key (tenant_id, document_id) references documents on delete cascade,
  check ((embedding is null) = (embedded_by is null))
) partition by hash (tenant_id);
alter table chunk_index alter embedding set storage plain, alter terms set storage main;
do $$
begin
  for part in 0..31 loop
    execute format(
      'create table %I partition of chunk_index for values with (modulus 32, remainder %s)
         with (toast_tuple_target = 8160)', -- beyond 2,000 bytes, and not compressed before
      'chunk_index_' || part, part);
  end loop;
end
$$;
create index chunk_index_store on chunk_index (tenant_id, vector_store_id);
create index chunk_index_waiting on chunk_index (tenant_id, vector_store_id) where embedding is null;

-- In how many chunks of a store each term is; under 0, how many chunks there are. Of one store
-- alone: what other tenants write must not be heard in anybody's scores.
create table term_frequencies (
  tenant_id        uuid not null,
  vector_store_id  uuid not null,
  term             integer not null,
  chunks           integer not null,
  primary key (tenant_id, vector_store_id, term),
  foreign key (tenant_id, vector_store_id) references vector_stores on delete cascade
) with (fillfactor = 90);

-- Stores with chunks that no model has embedded yet, for whichever node has one. `noted` counts up,
-- so that a store to which chunks were added meanwhile is not taken for finished.
create table embedding_backlog (
  tenant_id        uuid not null,
  vector_store_id  uuid not null,
  noted            bigint not null default 1,
  primary key (tenant_id, vector_store_id),
  foreign key (tenant_id, vector_store_id) references vector_stores on delete cascade
);

-- What is there already. The owner obeys row-level security too, but for this.
alter table documents no force row level security;
alter table chunks no force row level security;
alter table vector_stores no force row level security;
insert into chunk_index (tenant_id, vector_store_id, document_id, ordinal, terms)
select tenant_id, chunk.vector_store_id, document_id, ordinal,
       term_vector(concat_ws(' ', document.title, chunk.heading, chunk.body))
  from chunks chunk
  join documents document using (tenant_id)
 where document.id = chunk.document_id
   and document.held_at is null; -- what waits for an admin is not found
insert into term_frequencies
select tenant_id, vector_store_id, term, count(*)
  from chunk_index, lateral (select terms_in(terms) union all select 0) as has (term)
 group by tenant_id, vector_store_id, term;
insert into embedding_backlog
select tenant_id, vector_store_id from chunk_index group by tenant_id, vector_store_id;
alter table chunks drop column lexemes;
alter table documents force row level security;
alter table chunks force row level security;
alter table vector_stores force row level security;

call guard_tenant_table('chunk_index');
do $$
begin
  for part in 0..31 loop
    call guard_tenant_table(format('chunk_index_%s', part)::regclass);
  end loop;
end
$$;
call guard_tenant_table('term_frequencies');
call guard_tenant_table('embedding_backlog');
call open_to_control('embedding_backlog');
-- The partitions are reached through their parent only.
grant select, insert, delete on chunk_index to app_tenant;
grant update (embedding, embedded_by) on chunk_index to app_tenant; -- terms are counted: see below
grant select, insert, update, delete on term_frequencies to app_tenant;
grant select, insert, update, delete on embedding_backlog to app_tenant;
grant select on embedding_backlog to app_control;

-- Keep the frequencies right, whatever adds and removes chunks. Each store's row of term 0 is
-- touched first, so that of two at once one waits there and none for the other in a circle.
--
-- These run as whoever changes the rows, under row-level security. What a foreign key removes is
-- removed as the tables' owner, who sees no tenant's rows here: a document takes its chunks out of
-- the index by itself beforehand, and with a store or a tenant its frequencies go too.
create function count_terms() returns trigger language plpgsql as $$
begin
  insert into term_frequencies as known (tenant_id, vector_store_id, term, chunks)
  select tenant_id, vector_store_id, term, count(*)
    from fresh, lateral (select terms_in(terms) union all select 0) as has (term)
   group by tenant_id, vector_store_id, term
   order by tenant_id, vector_store_id, term
  on conflict (tenant_id, vector_store_id, term)
  do update set chunks = known.chunks + excluded.chunks;
  return null;
end
$$;
create function discount_terms() returns trigger language plpgsql as $$
begin
  -- Before PostgreSQL 18, a foreign key's removals run this as the role that began them.
  if not has_table_privilege('term_frequencies', 'update') or not exists (
    select from (select distinct tenant_id, vector_store_id from stale) gone
      join vector_stores store on store.tenant_id = gone.tenant_id and store.id = vector_store_id
  ) then
    return null;
  end if;
  with gone as (
    select tenant_id, vector_store_id, term, count(*) as chunks
      from stale, lateral (select terms_in(terms) union all select 0) as has (term)
     group by tenant_id, vector_store_id, term
  ), locked as materialized (
    select tenant_id, vector_store_id, term, gone.chunks
      from term_frequencies known join gone using (tenant_id, vector_store_id, term)
     order by tenant_id, vector_store_id, term
       for update of known
  )
  update term_frequencies known
     set chunks = known.chunks - locked.chunks
    from locked
   where (known.tenant_id, known.vector_store_id, known.term)
       = (locked.tenant_id, locked.vector_store_id, locked.term);
  delete from term_frequencies
   where chunks <= 0
     and (tenant_id, vector_store_id, term) in
         (select tenant_id, vector_store_id, terms_in(terms) from stale
          union select tenant_id, vector_store_id, 0 from stale);
  return null;
end
$$;
create trigger chunks_added after insert on chunk_index
  referencing new table as fresh for each statement execute function count_terms();
create trigger chunks_removed after delete on chunk_index
  referencing old table as stale for each statement execute function discount_terms();
create function unindex_document() returns trigger language plpgsql as $$
begin
  if exists (select from vector_stores
              where tenant_id = old.tenant_id and id = old.vector_store_id) then
    delete from chunk_index where tenant_id = old.tenant_id and document_id = old.id;
  end if;
  return old;
end
$$;
create trigger document_removed before delete on documents
  for each row execute function unindex_document();
revoke all on function count_terms(), discount_terms(), unindex_document() from public;
