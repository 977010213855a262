"""What outlives a kill -9. See `run`."""

from __future__ import annotations

import http.client
import os
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import checks
from browser import Answer
from demo import Demo
from files import (  # noqa: F401 - the checks are found by their names
    WAITING,
    test_killed_in_every_stage_of_a_file,
)
from kills import (  # noqa: F401 - the checks are found by their names
    Unread,
    code_fields,
    test_a_hundred_redemptions_over_two_processes,
    test_fifty_refreshes_over_two_processes,
    test_killed_around_each_commit,
)
from library import FILES, LINES, committed, finish_import, require_whole, start_import, write_documents
from oauth import Client, error_of
from victims import Server, freeze_postgres, kill_postgres, number, sql, until

SEED = random.randrange(10**6)
CHANCE = random.Random(SEED)
BROKEN = (OSError, http.client.HTTPException)  # the connection, by which nothing was acknowledged


# [FX-04] Killed again and again, an import ends with every document there once, and whole.
def test_a_killed_import_goes_on_where_it_stopped(demo: Demo) -> None:
    store, paths = "Killed import", write_documents("killed")
    seen: dict[str, str] = {}
    for share in (0.1, 0.4, 0.8):
        process = start_import(demo.tenant, store, paths)
        wanted = int((FILES + LINES) * share)
        until(f"{wanted} documents", lambda: len(committed(store)) >= wanted or process.poll() is not None)
        assert process.poll() is None, f"the import ended with {process.returncode}"
        before = committed(store)
        process.kill()
        process.wait()
        require_kept(seen | before, committed(store))
        require_whole(store)
        seen = before
    finish_import(demo.tenant, store, paths)
    require_all_there(store, seen)


# [FX-06] Postgres comes back by itself, the server with it, and the import can be run again.
def test_postgres_killed_during_an_import(demo: Demo, server: Server) -> None:
    store, paths = "Killed Postgres", write_documents("power")
    process = start_import(demo.tenant, store, paths)
    until("some documents", lambda: len(committed(store)) >= 40 or process.poll() is not None)
    assert process.poll() is None, f"the import ended with {process.returncode}"
    before = committed(store)
    kill_postgres()
    took = until("the server is ready again", server.is_ready)
    print(f"        ready {took:.1f} s after Postgres was killed")
    process.wait(timeout=60)
    require_kept(before, committed(store))
    require_whole(store)
    finish_import(demo.tenant, store, paths)
    require_all_there(store, before)


def test_the_server_killed_during_uploads(demo: Demo, server: Server) -> None:
    admin = demo.admin()
    admin.browser.sign_in(admin.email, admin.password)
    page = admin.browser.open(f"/t/{demo.tenant}/documents")
    form = page.form(action="/documents$", holds="file")
    acknowledged: list[str] = []

    def upload() -> None:
        for index in range(1000):
            text = f"# Upload {index}\n\nBegins.\n\n{'More of it. ' * 300}\n\nEnds.\n"
            try:
                answer = admin.browser.upload(form, f"upload-{index}.md", text.encode(), "text/markdown")
            except BROKEN:
                return
            assert answer.status == 303, f"the upload answered {answer.status}"
            acknowledged.append(f"upload-{index}.md")

    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(upload)
        until("some uploads", lambda: len(acknowledged) >= 15 or work.done())
        time.sleep(CHANCE.uniform(0, 0.05))
        server.kill()
        work.result(timeout=60)
    server.start()
    until("everything that was sent is read", lambda: number(WAITING) == 0)
    there = [key for (key,) in sql("select source_key from documents where source_key like '%upload-%'")]
    lost = [name for name in acknowledged if not any(name in key for key in there)]
    assert not lost, f"acknowledged and lost: {lost} of {len(acknowledged)}"
    assert len(there) <= len(acknowledged) + 1, f"{len(there)} uploads for {len(acknowledged)}"
    store = sql(
        "select name from vector_stores s where exists (select from documents d"
        " where d.vector_store_id = s.id and d.source_key like '%upload-0%')"
    )[0][0]
    whole = number(
        "select count(*) from documents d join document_texts t on t.document_id = d.id"
        " where source_key like '%upload-%' and body ~ 'Begins' and body ~ 'Ends'"
        " and exists (select from chunks c where c.document_id = d.id)"
    )
    assert whole == len(there), f"{len(there) - whole} uploads in {store} are not whole"


# [FX-01] Before the commit nothing has happened, and the code can be spent after the restart.
def test_killed_before_a_code_exchange_commits(demo: Demo, server: Server) -> None:
    client, person = demo.client("Killed before"), demo.person("reader")
    code, verifier = client.code(person)
    freeze_postgres()
    try:
        exchange = Unread(client, code_fields(code, verifier))
        time.sleep(0.3)  # it waits for Postgres by now
        server.kill()
    finally:
        freeze_postgres(thaw=True)
    exchange.close()
    server.start()
    answer = client.redeem(code, verifier)
    assert answer.status == 200, f"the code was spent by nobody, and is dead: {answer.text}"
    assert client.works(answer.json()["access_token"])


# [FX-01] After the commit, with the answer lost, the code is spent: trying again ends its grant.
def test_killed_after_a_code_exchange_committed(demo: Demo, server: Server) -> None:
    client, person = demo.client("Killed after"), demo.person("reader")
    code, verifier = client.code(person)
    exchange = Unread(client, code_fields(code, verifier))
    until("the exchange has committed", lambda: newest_generation(client) == 1, 10)
    server.kill()
    exchange.close()
    server.start()
    assert error_of(client.redeem(code, verifier)) == "invalid_grant"
    assert live_grants(client) == 0, "a grant lives whose tokens nobody has"


# [R-11, FX-02] A refresh whose answer was lost is repeated with the token that the client still has.
def test_killed_after_a_refresh_committed(demo: Demo, server: Server) -> None:
    client, person = demo.client("Killed refresh"), demo.person("reader")
    first = client.redeem(*client.code(person)).json()
    fields = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    exchange = Unread(client, fields)
    until("the refresh has committed", lambda: newest_generation(client) == 2, 10)
    server.kill()
    exchange.close()
    server.start()
    again = client.refresh(first["refresh_token"])
    assert again.status == 200, f"locked out: {again.text}"
    assert client.works(again.json()["access_token"])
    following = client.refresh(again.json()["refresh_token"])
    assert following.status == 200, f"the new line is dead: {following.text}"
    assert error_of(client.refresh(first["refresh_token"])) == "invalid_grant", "a second line lives"


# What was refused before a restart is refused after it.
def test_refusals_outlive_a_kill(demo: Demo, server: Server) -> None:
    person = demo.person("reader")
    rotated, revoked = demo.client("Rotated"), demo.client("Revoked")
    first = rotated.redeem(*rotated.code(person)).json()
    second = rotated.refresh(first["refresh_token"]).json()
    third = rotated.refresh(second["refresh_token"]).json()
    tokens = revoked.redeem(*revoked.code(person)).json()
    assert revoked.revoke(tokens["refresh_token"]).status == 200
    server.kill()
    server.start()
    assert not revoked.works(tokens["access_token"]), "a revoked token works again"
    assert error_of(revoked.refresh(tokens["refresh_token"])) == "invalid_grant"
    assert rotated.works(third["access_token"]), "a good token does not work any more"
    assert error_of(rotated.refresh(first["refresh_token"])) == "invalid_grant"


# [FX-01] At any moment of many exchanges at once: none succeeds twice, none acknowledged is lost.
def test_the_server_killed_during_code_exchanges(demo: Demo, server: Server) -> None:
    for _ in range(4):
        exchanges_interrupted_by(demo, lambda: (server.kill(), server.start()))


# [FX-06] The same when Postgres goes: the server answers 503 until it is back.
def test_postgres_killed_during_code_exchanges(demo: Demo, server: Server) -> None:
    for _ in range(2):
        exchanges_interrupted_by(
            demo, lambda: (kill_postgres(), until("the server is ready again", server.is_ready))
        )


def test_answers_that_were_given_are_in_the_audit(demo: Demo, server: Server) -> None:
    client, person = demo.client("Audited"), demo.person("reader")
    token = client.redeem(*client.code(person)).json()["access_token"]
    acknowledged: list[int] = []

    def search() -> None:
        while True:
            try:
                answer = client.call(token, "search", {"query": "Cheshire proverbs"})
            except BROKEN:
                return
            assert answer.status == 200, f"the search answered {answer.status}: {answer.text}"
            acknowledged.append(1)

    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(search) for _ in range(4)]
        until("some answers", lambda: len(acknowledged) >= 60 or any(one.done() for one in work))
        server.kill()
        for one in work:
            one.result(timeout=60)
    server.start()
    kept = number(
        f"select count(*) from audit_events where client_id = '{client.client_id}' and kind like '%search%'"
    )
    assert kept >= len(acknowledged), f"{len(acknowledged)} answers and {kept} events"
    assert client.works(token), "the token did not outlive the restart"


def test_both_killed_at_once(demo: Demo, server: Server) -> None:
    client, person = demo.client("Power cut"), demo.person("reader")
    token = client.redeem(*client.code(person)).json()["access_token"]
    before = number("select count(*) from documents")
    server.kill()
    kill_postgres()
    took = server.start()
    print(f"        started in {took:.1f} s after both were killed")
    assert number("select count(*) from documents") == before
    assert client.works(token), "the token did not outlive the power cut"
    page = person.browser.get(f"/t/{demo.tenant}/apps")
    assert page.status == 200, f"the session did not outlive the power cut: {page.status}"
    assert "Power cut" in page.text


# --- how


def exchanges_interrupted_by(demo: Demo, interrupt: Callable[[], object]) -> None:
    """Spend a dozen codes at once, interrupt, and look what each is worth afterwards."""
    client, person = demo.client("Interrupted"), demo.person("reader")
    codes = [client.code(person) for _ in range(12)]
    first: dict[str, Answer | None] = {}

    def spend(code: str, verifier: str) -> None:
        try:
            first[code] = client.redeem(code, verifier, timeout=15)
        except BROKEN:
            first[code] = None

    with ThreadPoolExecutor(4) as pool:
        for code, verifier in codes:
            pool.submit(spend, code, verifier)
        time.sleep(CHANCE.uniform(0.005, 0.06))
        interrupt()
    bought = []
    for code, verifier in codes:
        answer = first[code]
        if answer is not None and answer.status == 200:
            bought.append(answer.json())
            continue
        assert answer is None or answer.status == 503, f"answered {answer.status}: {answer.text}"
        again = client.redeem(code, verifier)
        if again.status == 200:
            bought.append(again.json())
        else:
            assert error_of(again) == "invalid_grant"
    for tokens in bought:
        assert client.works(tokens["access_token"]), "an acknowledged token does not work"
        refreshed = client.refresh(tokens["refresh_token"])
        assert refreshed.status == 200, f"an acknowledged refresh token is dead: {refreshed.text}"
    assert live_grants(client) == len(bought), f"{live_grants(client)} grants for {len(bought)} tokens"
    for code, verifier in codes:
        assert error_of(client.redeem(code, verifier)) == "invalid_grant", "a code was spent twice"


def newest_generation(client: Client) -> int:
    return number(
        "select coalesce(max(generation), 0) from oauth_refresh_tokens t join oauth_grants g"
        f" on (g.tenant_id, g.id) = (t.tenant_id, t.grant_id) where client_id = '{client.client_id}'"
    )


def live_grants(client: Client) -> int:
    return number(
        "select count(*) from oauth_grants"
        f" where client_id = '{client.client_id}' and revoked_at is null"
    )


def require_kept(before: dict[str, str], after: dict[str, str]) -> None:
    lost = {key for key, id in before.items() if after.get(key) != id}
    assert not lost, f"{len(lost)} documents were there and are gone, such as {min(lost)}"


def require_all_there(store: str, before: dict[str, str]) -> None:
    after = committed(store)
    assert len(after) == FILES + LINES, f"{len(after)} documents of {FILES + LINES}"
    require_kept(before, after)
    require_whole(store)


if __name__ == "__main__":
    print(f"random numbers from {SEED}")
    told = Demo.load()
    running = Server(told.origin)
    outcome = checks.run("__main__", told, running, before=running.ensure)
    running.stop()
    sys.stdout.flush()
    os._exit(outcome)  # whatever a failed check has left running
