"""kill -9 of the server in every stage of a file that was sent, as often as SUITE_FILE_KILLS says."""

from __future__ import annotations

import http.client
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from browser import Browser, Form
from demo import Demo
from victims import Console, Server, until

KILLS = int(os.environ["SUITE_FILE_KILLS"])
BROKEN = (OSError, http.client.HTTPException)
# The table that a stage writes to first, which somebody else has; none for any moment.
MOMENTS = (
    ("extracted", "ingest_texts"),
    ("chunked", "ingest_chunks"),
    ("published", "documents"),
    ("published by half", "chunk_index"),
    ("any", None),
)
# How often the lease of the killed worker runs out by itself: otherwise we end it, as time would.
PATIENT = 25
# A worker that was killed is given up after 30 seconds, and its file read within as many.
RESUMED = 60

WAITING = "select count(*) from ingest_jobs where stage not in ('published', 'failed', 'cancelled')"
# What is there by half: a document without all of its text, its chunks, their index or its bytes.
_HALVES = """
select count(*) from documents d where source_key like 'upload:killed-%' and not (
  exists (select from document_texts t where t.document_id = d.id
                  and t.body ~ 'Begins' and t.body ~ 'Ends')
  and (select count(*) from chunks c where c.document_id = d.id) >= 8
  and (select count(*) from chunks c where c.document_id = d.id)
      = (select count(*) from chunk_index c where c.document_id = d.id)
  and exists (select from originals o where o.document_id = d.id and o.id = d.original_id))"""


# [FX-04] Killed in any stage, a file is read after the restart: within a minute, once, and whole;
# until then nobody sees anything of it.
def test_killed_in_every_stage_of_a_file(demo: Demo, server: Server) -> None:
    admin = demo.admin()
    admin.browser.sign_in(admin.email, admin.password)
    form = admin.browser.open(f"/t/{demo.tenant}/documents").form(
        action="/documents$", holds="file"
    )
    moments: Counter = Counter()
    slowest = 0.0
    with Console() as console:
        for index in range(KILLS):
            moment, table = MOMENTS[index % len(MOMENTS)]
            sent = disturbed(server, console, (admin.browser, form), index, table)
            assert console.ask(_HALVES) == [["0"]], f"something is there by half: {moment} {index}"
            is_patient = index % PATIENT == PATIENT - 1
            if not is_patient:
                console.ask("update ingest_jobs set leased_until = now() where leased_until > now()")
            since = time.monotonic()
            server.start()
            if not sent:
                send(admin.browser, form, index)  # nobody had acknowledged it
            until("the file is read", lambda: console.ask(WAITING) == [["0"]], RESUMED)
            slowest = max(slowest, time.monotonic() - since)
            moments[moment] += 1
            if index % 100 == 99:
                print(f"        {index + 1} kills", flush=True)
        there = console.ask(
            "select count(*), count(distinct content_hash) from documents"
            " where source_key like 'upload:killed-%'"
        )
        assert there == [[str(KILLS), str(KILLS)]], f"{there[0]} documents of {KILLS}"
        assert console.ask(_HALVES) == [["0"]]
        left = console.ask(
            "select (select count(*) from ingest_texts) + (select count(*) from ingest_chunks)"
            " + (select count(*) from originals where document_id is null)"
        )
        assert left == [["0"]], f"{left[0][0]} rows are left over"
    counts = ", ".join(f"{count} {moment}" for moment, count in sorted(moments.items()))
    print(f"        {KILLS} kills: {counts}; read {slowest:.1f} s after the start at the latest")


def disturbed(
    server: Server, console: Console, sender: tuple[Browser, Form], index: int, table: str | None
) -> bool:
    """Send a file and kill the server; whether it has the file."""
    with ThreadPoolExecutor(1) as pool, held(table):
        work = pool.submit(send, *sender, index)
        if table is None:
            time.sleep(random.uniform(0, 0.2))
        else:
            blocked = (
                "select count(*) from pg_stat_activity where usename = 'app_login'"
                " and wait_event_type = 'Lock'"
            )
            until("the worker writes", lambda: console.ask(blocked) != [["0"]], 20, pause=0.002)
        server.kill()
        work.result(timeout=60)
    others = "select count(*) from pg_stat_activity where usename = 'app_login'"
    until("the server's sessions are gone", lambda: console.ask(others) == [["0"]], 20)
    query = f"select count(*) from ingest_jobs where file_name = 'killed-{index}.md'"
    return console.ask(query) != [["0"]]


def send(browser: Browser, form: Form, index: int) -> None:
    middle = "\n\n".join(f"Paragraph {number}. {'More of it. ' * 80}" for number in range(9))
    text = f"# Killed {index}\n\nBegins.\n\n{middle}\n\nEnds {index}.\n"
    try:
        answer = browser.upload(form, f"killed-{index}.md", text.encode(), "text/markdown")
    except BROKEN:
        return
    assert answer.status == 303, f"the upload answered {answer.status}"


@contextmanager
def held(table: str | None) -> Iterator[None]:
    """Somebody else has a table, so that whoever writes to it waits."""
    if table is None:
        yield
        return
    with Console() as holder:
        holder.ask("begin")
        holder.ask(f"lock table {table} in share mode")
        yield
        holder.ask("rollback")
