"""How quickly stores of every size answer, what they take, and what goes missing.

usage: scripts/bench retrieval [--chunks 20000] [--tenants 20] [--questions 200]

Starts a demonstration in a folder of its own and fills it with tenants of very unlike sizes: one of
each measured size (100, 1,000, 10,000 and 100,000 passages, as far as there are so many) and the
rest in ever smaller ones. Words are as frequent as words are (Zipf), vectors lie in clusters, as
those of texts do. Then, for each measured size, asks `callslip recall`: passages of the store are
the questions, by their own embedding and eight of their words, once with every passage looked at
and once, where the store is large, by its index in memory. Embedding the question is not part of it.
The first question after Postgres was started is the cold one.

Last: a tenant of 1,000 is measured beside one that grows a hundredfold, and documents are brought in
the way that documents come in, with and without the embedding model.

A million passages of a thousand tenants take about 5 GB while it runs, and some minutes.
"""
import argparse
import json
import re
import subprocess
import time

import common

MEASURED = (100, 1_000, 10_000, 100_000)

SET_UP = """
create extension if not exists vector;
create table bench_word as
  select id, word, term_of(word) as term
    from (select id, translate(id::text, '0123456789', 'bcdfghjklm') as word
            from generate_series(1, 60000) id);
alter table bench_word add primary key (id);
create index on bench_word (term);
create table bench_noise as
  select n, l2_normalize(array_agg(random_normal())::real[]::vector)::vector(384) as v
    from generate_series(1, 4000) n, generate_series(1, 384) group by n;
create table bench_center as
  select n, l2_normalize(array_agg(random_normal())::real[]::vector)::vector(384) as v
    from generate_series(1, 1000) n, generate_series(1, 384) group by n;
alter table bench_noise add primary key (n);
alter table bench_center add primary key (n);
analyze bench_word, bench_noise, bench_center;

-- A vector times a number.
create function bench_times(v vector, by real) returns vector language sql immutable
  return v * array_fill(by, array[384])::vector;

create procedure bench_tenant(name text) language sql as $$
  with tenant as (
    insert into tenants (id, slug, name, created_at)
    values (gen_random_uuid(), name, name, now()) returning id)
  insert into vector_stores (tenant_id, id, name, backend, created_at)
  select id, gen_random_uuid(), 'Books', 'builtin', now() from tenant;
$$;

-- Add passages, 20 to a document, to the one store of a tenant.
create procedure bench_fill(slug text, passages integer) language plpgsql as $$
declare
  tenant uuid; store uuid;
begin
  select t.id, s.id into strict tenant, store
    from tenants t join vector_stores s on s.tenant_id = t.id where t.slug = bench_fill.slug;
  create temporary table made on commit drop as
    select gen_random_uuid() as id, n from generate_series(0, (passages - 1) / 20) n;
  insert into documents (tenant_id, id, vector_store_id, source_key, title, media_type, content_hash,
                         byte_size, char_count, created_at, updated_at, language)
  select tenant, id, store, 'bench:' || id, 'Document ' || n, 'text/plain', sha256(id::text::bytea),
         6000, 6000, now(), now(), 'english' from made;
  create temporary table passage on commit drop as
  select made.id as document, number % 20 as ordinal,
         l2_normalize(bench_times(c.v, 0.8) + bench_times(a.v, 0.9) + bench_times(b.v, 0.6)) as v,
         words
    from (select number,
                 1 + floor(power(random(), 2) * 1000)::int as c,
                 1 + floor(random() * 4000)::int as a, 1 + floor(random() * 4000)::int as b,
                 array(select power(60000::float8, random() + 0 * number)::int
                         from generate_series(1, 70)) as words
            from generate_series(0, passages - 1) number offset 0) drawn
    join made on made.n = number / 20
    join bench_center c on c.n = drawn.c
    join bench_noise a on a.n = drawn.a
    join bench_noise b on b.n = drawn.b;
  insert into chunks (tenant_id, vector_store_id, document_id, ordinal, start_char, end_char, body)
  select tenant, store, document, ordinal, ordinal * 300, ordinal * 300 + 299,
         (select string_agg(translate(id::text, '0123456789', 'bcdfghjklm'), ' ')
            from unnest(words) id)
    from passage;
  create temporary table said on commit drop as
  select document, ordinal, term, min(word) as word, count(*) as times
    from passage, unnest(words) id join bench_word using (id)
   group by document, ordinal, term;
  insert into chunk_index (tenant_id, vector_store_id, document_id, ordinal, embedded_by, embedding,
                           terms)
  select tenant, store, document, ordinal, 1, v::halfvec(384), terms
    from passage
    join (select document, ordinal, format('{%s}/1000000000', string_agg(
                   term || ':' || round((times * 2.2 / (times + 0.93))::numeric, 4), ','))::sparsevec
                 as terms
            from said group by document, ordinal) weighed using (document, ordinal);
  insert into term_frequencies as known (tenant_id, vector_store_id, term, chunks, word)
  select tenant, store, term, count(*), case when length(min(word)) > 3 then min(word) end
    from said group by term
  union all
  select tenant, store, 0, passages, null
  on conflict (tenant_id, vector_store_id, term)
  do update set chunks = known.chunks + excluded.chunks;
  drop table made, passage, said;
end
$$;
"""


def sizes(chunks, tenants):
    """The measured sizes, and ever smaller ones until there are so many chunks."""
    measured = [size for size in MEASURED if size * 2 <= chunks]
    rest = max(tenants - len(measured) - 1, 1)
    weights = [1 / (n + 10) for n in range(rest)]
    left = chunks - sum(measured) - 1_000
    return measured, [max(20, int(left * weight / sum(weights))) for weight in weights]


class Bench:
    def __init__(self, demo, questions):
        self.demo, self.questions = demo, questions

    def fill(self, tenants):
        """Bulk load; passages per second."""
        started, count = time.monotonic(), 0
        for start in range(0, len(tenants), 50):
            part = tenants[start:start + 50]
            self.demo.psql(
                "set session_replication_role = replica;"
                + "".join(f"call bench_tenant('{name}'); call bench_fill('{name}', {size});"
                          for name, size in part)
            )
            count += sum(size for _, size in part)
        return count / (time.monotonic() - started)

    def grow(self, name, by):
        self.demo.psql(f"set session_replication_role = replica; call bench_fill('{name}', {by});")

    def settle(self):
        self.demo.psql("vacuum analyze")

    def restart(self):
        self.demo.stop()
        self.demo.start()

    def ask(self, name):
        """What `callslip recall` prints, as numbers."""
        printed = subprocess.run(
            [self.demo.binary, "recall", "--tenant", name, "--store", "Books",
             "--questions", str(self.questions)],
            env=self.demo.environment, check=True, stdout=subprocess.PIPE, text=True,
        ).stdout
        times = re.findall(r"first ([\d.]+) ms, p50 ([\d.]+) ms, p99 ([\d.]+) ms", printed)
        recall = re.search(r"recall@10 ([\d.]+)", printed)
        return times, recall.group(1) if recall else "1"

    def size(self):
        rows = self.demo.psql(
            "select case when relname like 'chunk_index%' then 'chunk_index' else relname end,"
            " sum(pg_total_relation_size(oid)) from pg_class where relkind = 'r'"
            " and (relname like 'chunk_index%' or relname in ('chunks', 'term_frequencies', 'documents'))"
            " group by 1 order by 1"
        )
        for row in rows.splitlines():
            name, size = row.split("|")
            print(f"  {name}: {int(size) / 1e6:,.0f} MB")

    def bring_in(self, documents, model):
        """Passages per second the way documents come in."""
        name = "with-model" if model else "without-model"
        self.demo.psql(f"call bench_tenant('{name}')")
        words = self.demo.psql(
            "select string_agg(w, ' ') from (select translate((power(60000::float8, random()))::int::text,"
            " '0123456789', 'bcdfghjklm') w from generate_series(1, 3000)) x"
        ).split()
        file = self.demo.folder / f"{name}.jsonl"
        with file.open("w") as lines:
            for n in range(documents):
                at = n * 37 % 1000
                text = ". ".join(" ".join(words[at + i:at + i + 12]).capitalize() for i in range(0, 1800, 12))
                lines.write(json.dumps({"_id": str(n), "title": f"Document {n}", "text": text}) + "\n")
        environment = dict(self.demo.environment)
        if not model:
            environment["CALLSLIP_MODEL_DIR"] = str(self.demo.folder / "no-model")
        started = time.monotonic()
        subprocess.run(
            [self.demo.binary, "import", "--tenant", name, "--store", "Books", str(file)],
            env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        took = time.monotonic() - started
        count = int(self.demo.psql(
            "select count(*) from chunks c join tenants t on t.id = c.tenant_id"
            f" where t.slug = '{name}'"
        ))
        print(f"  {name}: {documents} documents, {count} passages, {count / took:,.0f} passages/s")


def row(size, times, recall):
    exact = times[0]
    near = times[1] if len(times) > 1 else None
    cells = [f"{size:,}", *exact, *(near[1:] if near else ("", "")), recall if near else ""]
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--tenants", type=int, default=20)
    parser.add_argument("--questions", type=int, default=200)
    options = parser.parse_args()
    measured, rest = sizes(options.chunks, options.tenants)
    with common.demonstration(peers=False) as (demo, _):
        bench = Bench(demo, options.questions)
        demo.psql(SET_UP)
        tenants = [(f"size-{size}", size) for size in measured]
        tenants += [(f"other-{n}", size) for n, size in enumerate(rest)] + [("neighbour", 1_000)]
        rate = bench.fill(tenants)
        bench.settle()
        total = sum(size for _, size in tenants)
        print(f"{total:,} passages of {len(tenants):,} tenants, loaded at {rate:,.0f} passages/s:")
        bench.size()
        bench.restart()
        print("\n| passages | cold ms | p50 ms | p99 ms | index: p50 ms | p99 ms | recall@10 |")
        print("|---|---|---|---|---|---|---|")
        for size in measured:
            row(size, *bench.ask(f"size-{size}"))
        if 1_000 in measured:
            print("\nA tenant of 1,000 passages while its neighbour has as many, and a hundred times as many:")
            before = bench.ask("size-1000")[0][0]
            bench.grow("neighbour", 99_000)
            bench.settle()
            after = bench.ask("size-1000")[0][0]
            print(f"  before: p50 {before[1]} ms, p99 {before[2]} ms; after: p50 {after[1]} ms, p99 {after[2]} ms")
        print("\nBringing documents in:")
        bench.bring_in(200, model=False)
        bench.bring_in(10, model=True)


if __name__ == "__main__":
    main()
