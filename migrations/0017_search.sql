-- Search in every language, misspelt words, and stores of more chunks than a question can look at
-- one by one. See src/search/.
create extension if not exists pg_trgm;

-- The text-search configuration that a document's words go by: English until now; plain words where
-- no stemmer is sure to fit.
alter table documents
  add language text not null default 'english' check (language ~ '^[a-z]{2,30}$');
alter table documents alter language set default 'simple';

-- Runs of letters that scripts without spaces between words are written in, and Korean, whose words
-- end in particles.
create function unspaced() returns text
  language sql immutable parallel safe
  return '[\u0E01-\u0E4E\u0E80-\u0EFF\u1000-\u109F\u1780-\u17DD\u3041-\u3096\u3099-\u309F'
      || '\u30A1-\u30FA\u30FC-\u30FF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7A3'
      || '\uF900-\uFAFF\uFF66-\uFF9F\U00020000-\U0002FA1F]+';

-- The words of a text with how often each is there, as the language's stemmer makes them, without
-- its stop words. Besides, as they are, tokens that the parser takes apart, such as INV-2024-113 and
-- snake_case; and of unspaced runs each two letters that follow each other, and each single one, for
-- questions of one letter. What is whole does not make a text longer.
drop function term_vector(text);
drop function words_of(text);
create function words_of(content text, language regconfig)
  returns table (term integer, times integer, whole boolean, word text)
  language sql immutable parallel safe
  begin atomic
    with run as materialized (
      select found[1] as letters from regexp_matches(content, unspaced(), 'g') found
    ), spaced as materialized (
      select case when exists (select from run)
                  then regexp_replace(content, unspaced(), ' ', 'g') else content end as text
    )
    select term_of(lexeme), cardinality(positions), false, lexeme
      from spaced, unnest(to_tsvector(language, text))
    union all
    select term_of('=' || token), count(*)::integer, true, token
      from (select lower(found[1]) as token
              from spaced,
                   regexp_matches(text, '[[:alnum:]]+(?:[-_./:#]{1,2}[[:alnum:]]+)+', 'g') found)
     where token ~ '[0-9_:#]' and token !~ '^[0-9.]+$'
     group by token
    union all
    select term_of(pair), count(*)::integer, false, pair
      from (select substr(letters, at, 2) as pair
              from run, generate_series(1, greatest(length(letters) - 1, 1)) at)
     group by pair
    union all
    select term_of(letter), count(*)::integer, true, null
      from (select substr(letters, at, 1) as letter
              from run, generate_series(1, length(letters)) at
             where length(letters) > 1)
     group by letter;
  end;

-- BM25's half of a chunk, as before; and that it is in a language other than English, as a word of
-- no question: so how many chunks speak which language is counted with the words.
create function term_vector(content text, language regconfig) returns sparsevec
  language sql immutable parallel safe
  begin atomic
    with word as (
      select term, sum(times) as times, coalesce(sum(times) filter (where not whole), 0) as counted
        from words_of(content, language)
       group by term
    ), weighed as (
      select term, times * 2.2 / (times + 1.2 * (0.25 + 0.75 * sum(counted) over () / 100)) as weight
        from word
      union all
      select term_of('@' || language::text), 0.0001 where language <> 'english'::regconfig
    )
    select format('{%s}/1000000000', string_agg(term || ':' || round(sum, 4), ','))::sparsevec
      from (select term, sum(weight) from weighed group by term);
  end;

revoke all on function unspaced(), words_of(text, regconfig), term_vector(text, regconfig) from public;
grant execute on function unspaced(), words_of(text, regconfig), term_vector(text, regconfig)
  to app_tenant;

-- The word that a term stands for, where it is of letters only: what a misspelt one may have meant.
alter table term_frequencies add word text check (length(word) between 4 and 40);

-- What was added or embedded since a store was loaded into memory: see src/search/near/.
alter table chunk_index add changed_in xid8 not null default pg_current_xact_id();
drop index chunk_index_store;
create index chunk_index_store on chunk_index (tenant_id, vector_store_id, changed_in);
grant update (changed_in) on chunk_index to app_tenant;

-- How many of the ten best the index in memory last found that a look at every chunk finds.
create table search_recall (
  tenant_id        uuid not null,
  vector_store_id  uuid not null,
  recall           real not null check (recall between 0 and 1),
  questions        integer not null,
  chunks           integer not null,
  measured_at      timestamptz not null,
  primary key (tenant_id, vector_store_id),
  foreign key (tenant_id, vector_store_id) references vector_stores on delete cascade
);

-- As before, and a new term's word is looked up in the first chunk that has it.
create or replace function count_terms() returns trigger language plpgsql as $$
begin
  with has as materialized (
    select tenant_id, vector_store_id, document_id, ordinal, term
      from fresh, lateral (select terms_in(terms) union all select 0) as has (term)
  ), counted as materialized (
    select tenant_id, vector_store_id, term, count(*) as chunks
      from has
     group by tenant_id, vector_store_id, term
  ), unknown as materialized (
    select tenant_id, vector_store_id, term
      from counted
     where not exists (select from term_frequencies known
                        where known.tenant_id = counted.tenant_id
                          and known.vector_store_id = counted.vector_store_id
                          and known.term = counted.term)
  ), first as (
    select distinct on (tenant_id, vector_store_id, term) *
      from has join unknown using (tenant_id, vector_store_id, term)
     order by tenant_id, vector_store_id, term, document_id, ordinal
  ), worded as (
    select chunk.tenant_id, chunk.vector_store_id, said.term, min(said.word) as word
      from (select distinct tenant_id, vector_store_id, document_id, ordinal from first) chunk
      join documents document
        on document.tenant_id = chunk.tenant_id and document.id = chunk.document_id
      join chunks text on text.tenant_id = chunk.tenant_id
                      and text.document_id = chunk.document_id and text.ordinal = chunk.ordinal
     cross join lateral words_of(concat_ws(' ', document.title, text.heading, text.body),
                                 document.language::regconfig) said
     where said.word ~ '^[[:alpha:]]{4,40}$'
     group by chunk.tenant_id, chunk.vector_store_id, said.term
  )
  insert into term_frequencies as known (tenant_id, vector_store_id, term, chunks, word)
  select tenant_id, vector_store_id, term, chunks, word
    from counted
    left join worded using (tenant_id, vector_store_id, term)
   order by tenant_id, vector_store_id, term
  on conflict (tenant_id, vector_store_id, term)
  do update set chunks = known.chunks + excluded.chunks;
  return null;
end
$$;

-- What is there already. The owner obeys row-level security too, but for this.
alter table documents no force row level security;
alter table chunks no force row level security;
alter table chunk_index no force row level security;
alter table term_frequencies no force row level security;
update term_frequencies known
   set word = said.word
  from (select chunk.tenant_id, chunk.vector_store_id, term, min(word) as word
          from chunks chunk
          join documents document on document.tenant_id = chunk.tenant_id
                                 and document.id = chunk.document_id and document.held_at is null
         cross join lateral words_of(concat_ws(' ', document.title, heading, body), 'english')
         where word ~ '^[[:alpha:]]{4,40}$'
         group by chunk.tenant_id, chunk.vector_store_id, term) said
 where (known.tenant_id, known.vector_store_id, known.term)
     = (said.tenant_id, said.vector_store_id, said.term);
-- Pairs of letters were no words before: chunks that have some are read anew, with their counts.
create temporary table reread on commit drop as
select chunk.tenant_id, chunk.document_id, chunk.ordinal,
       term_vector(concat_ws(' ', document.title, heading, body), 'english') as terms
  from chunks chunk
  join documents document on document.tenant_id = chunk.tenant_id and document.id = chunk.document_id
 where concat_ws(' ', document.title, heading, body) ~ unspaced() and document.held_at is null;
with old as (
  select chunk.tenant_id, chunk.vector_store_id, terms_in(chunk.terms) as term, -1 as chunks
    from chunk_index chunk
    join reread using (tenant_id, document_id, ordinal)
), new as (
  update chunk_index chunk set terms = reread.terms
    from reread
   where (chunk.tenant_id, chunk.document_id, chunk.ordinal)
       = (reread.tenant_id, reread.document_id, reread.ordinal)
  returning chunk.tenant_id, chunk.vector_store_id, reread.terms
)
insert into term_frequencies as known (tenant_id, vector_store_id, term, chunks)
select tenant_id, vector_store_id, term, sum(chunks)
  from (select * from old
        union all
        select tenant_id, vector_store_id, terms_in(terms), 1 from new)
 group by tenant_id, vector_store_id, term
having sum(chunks) <> 0
on conflict (tenant_id, vector_store_id, term) do update set chunks = known.chunks + excluded.chunks;
delete from term_frequencies where chunks <= 0;
alter table documents force row level security;
alter table chunks force row level security;
alter table chunk_index force row level security;
alter table term_frequencies force row level security;

call guard_tenant_table('search_recall');
grant select, insert, update, delete on search_recall to app_tenant;
