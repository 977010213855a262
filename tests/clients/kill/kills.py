"""kill -9 around the commit of an exchange and of a refresh, as often as SUITE_KILLS says; and two
servers at once on one database."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from browser import Answer, request
from demo import Demo
from oauth import REDIRECT_URI, Client, Person, error_of
from victims import Console, Server, until

KILLS = int(os.environ["SUITE_KILLS"])
# Where a kill falls: before the commit, as soon as others see the commit, and at any moment.
MOMENTS = ("before", "committed", "any")


# [FX-01, FX-02, R-11] Wherever the kill falls: no code buys twice, no token lives that nobody
# holds, nobody is locked out, and a refresh token has one successor.
def test_killed_around_each_commit(demo: Demo, server: Server) -> None:
    rounds = Rounds(demo, server)
    for index in range(KILLS):
        rounds.play(MOMENTS[index % len(MOMENTS)])
        if index % 100 == 99:
            print(f"        {index + 1} kills", flush=True)
    for what, outcomes in (("exchange", rounds.exchanges), ("refresh", rounds.refreshes)):
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        print(f"        {KILLS} kills, {what}: {counts}")
    rounds.close()


# [T-08] Two server processes share a database: of a hundred redemptions one buys.
def test_a_hundred_redemptions_over_two_processes(demo: Demo, server: Server) -> None:
    client, person = demo.client("Two processes"), demo.person("reader")
    with another(server) as other:
        code, verifier = client.code(person)
        answers = at_both(client, (server, other), code_fields(code, verifier), 100)
        won = [answer for answer in answers if answer.status == 200]
        assert len(won) == 1, f"{len(won)} of 100 redemptions succeeded"
        assert {error_of(answer) for answer in answers if answer not in won} == {"invalid_grant"}
        bought = console_row(f"{_GRANTS} where client_id = '{client.client_id}'")
        assert bought == ["1", "1", "1", "1"], f"one code bought {bought}"
        # The others were the same client: the code was in more than one hand.
        assert not client.works(won[0].json()["access_token"])


# Of fifty refreshes there comes one line, and a retry gets the same token as the first.
def test_fifty_refreshes_over_two_processes(demo: Demo, server: Server) -> None:
    client, person = demo.client("Two processes"), demo.person("reader")
    tokens = client.redeem(*client.code(person)).json()
    with another(server) as other:
        fields = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        answers = at_both(client, (server, other), fields, 50)
        won = [answer.json() for answer in answers if answer.status == 200]
        refused = [answer for answer in answers if answer.status != 200]
        assert 1 <= len(won) <= 4, f"{len(won)} of 50 refreshes succeeded"
        assert {error_of(answer) for answer in refused} == {"invalid_grant"}
        assert len({one["refresh_token"] for one in won}) == 1, "a token has siblings"
        line = console_row(f"{_GRANTS} where client_id = '{client.client_id}'")
        assert line == ["0", "2", "2", "1"], f"the line is {line}"
        assert all(client.works(one["access_token"]) for one in won)
        assert client.refresh(won[0]["refresh_token"]).status == 200, "the line is dead"


# --- killing


# Of one grant: whether it has ended, its refresh tokens, the newest generation, and those unused.
_GRANTS = """
select (revoked_at is not null)::int, count(secret_hash), coalesce(max(generation), 0),
       count(*) filter (where secret_hash is not null and rotated_at is null)
  from oauth_grants g left join lateral
       (select * from oauth_refresh_tokens t where (t.tenant_id, t.grant_id) = (g.tenant_id, g.id)) t
       on true"""
_GROUPED = " group by g.tenant_id, g.id"


def console_row(query: str) -> list[str]:
    with Console() as console:
        rows = console.ask(query + _GROUPED)
    assert len(rows) == 1, f"{len(rows)} grants"
    return rows[0]


@dataclass
class Rounds:
    """A client that refreshes one line of tokens and redeems a new code, and is disturbed."""

    demo: Demo
    server: Server
    exchanges: Counter = field(default_factory=Counter)
    refreshes: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.console = Console()
        self.person: Person = self.demo.person("reader")
        self.client: Client = self.demo.client("Disturbed")
        code, verifier = self.client.code(self.person)
        since = time.monotonic()
        self.token: str = self.client.redeem(code, verifier).json()["refresh_token"]
        self.usual = time.monotonic() - since
        self.line = self.grant_of(code)

    def close(self) -> None:
        self.console.close()

    def play(self, moment: str) -> None:
        code, verifier = self.client.code(self.person)
        grant = self.grant_of(code)
        generation = int(self.shown(self.line)[2])
        with self.held(moment == "before"):
            exchange = Unread(self.client, code_fields(code, verifier))
            refresh = Unread(self.client, refresh_fields(self.token))
            self.await_moment(moment, (grant, generation))
            self.server.kill()
        was_bought, was_rotated = self.settled(grant, generation)
        self.server.start()
        self.after_exchange((code, verifier), grant, exchange.close(), was_bought)
        self.after_refresh(refresh.close(), was_rotated)

    def await_moment(self, moment: str, state: tuple[str, int]) -> None:
        if moment == "before":
            # Everything is written, and the commit is next.
            until("both wait for the audit", lambda: self.waiting() == 2, 10)
        elif moment == "committed":
            grant, generation = state
            chosen = random.choice((0, 1))
            until("a commit", lambda: self.is_done(grant, generation)[chosen], 10, pause=0)
        else:
            time.sleep(random.uniform(0, 2 * self.usual))

    @contextmanager
    def held(self, wanted: bool) -> Iterator[None]:
        """Somebody else has the audit's table, which a request writes to last."""
        if not wanted:
            yield
            return
        with Console() as holder:
            holder.ask("begin")
            holder.ask("lock table audit_events in share mode")
            yield
            holder.ask("rollback")

    def waiting(self) -> int:
        query = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        return int(self.console.ask(query)[0][0])

    def settled(self, grant: str, generation: int) -> tuple[bool, bool]:
        """What was committed, once the server's sessions are gone: they notice that it died."""
        others = (
            "select count(*) from pg_stat_activity where datname = 'callslip'"
            " and usename = 'app_login'"
        )
        until("the server's sessions are gone", lambda: self.console.ask(others) == [["0"]], 20)
        return self.is_done(grant, generation)

    def is_done(self, grant: str, generation: int) -> tuple[bool, bool]:
        newest = [int(self.shown(one)[2]) for one in (grant, self.line)]
        return newest[0] == 1, newest[1] > generation

    def grant_of(self, code: str) -> str:
        rows = self.console.ask(
            "select grant_id from oauth_authorization_codes"
            f" where secret_hash = sha256('{code}'::bytea)"
        )
        return rows[0][0]

    def shown(self, grant: str) -> list[str]:
        return self.console.ask(f"{_GRANTS} where g.id = '{grant}'{_GROUPED}")[0]

    def after_exchange(
        self, code: tuple[str, str], grant: str, answer: dict | None, committed: bool
    ) -> None:
        self.exchanges[outcome_of(answer, committed)] += 1
        if answer is None:
            again = self.client.redeem(*code)
            assert (again.status == 200) is not committed, f"tried again: {again.text}"
            if committed:
                assert error_of(again) == "invalid_grant"
                assert self.shown(grant)[0] == "1", "tokens live that nobody holds"
                return
            answer = again.json()
        assert self.client.works(answer["access_token"]), "an acknowledged token does not work"
        assert self.shown(grant) == ["0", "1", "1", "1"], f"bought {self.shown(grant)}"
        assert error_of(self.client.redeem(*code)) == "invalid_grant", "a code bought twice"
        assert not self.client.works(answer["access_token"]), "a replay was not noticed"

    def after_refresh(self, answer: dict | None, committed: bool) -> None:
        self.refreshes[outcome_of(answer, committed)] += 1
        if answer is None:
            again = self.client.refresh(self.token)
            assert again.status == 200, f"locked out: {again.text}"
            answer = again.json()
        assert self.client.works(answer["access_token"]), "an acknowledged token does not work"
        ended, tokens, newest, unused = self.shown(self.line)
        assert (ended, tokens, unused) == ("0", newest, "1"), f"{tokens} tokens, {unused} unused"
        self.token = answer["refresh_token"]


def outcome_of(answer: dict | None, committed: bool) -> str:
    if answer is not None:
        assert committed, "answered before it was committed"
        return "answered"
    return "between commit and answer" if committed else "before the commit"


class Unread:
    """A token request whose answer nobody waits for."""

    def __init__(self, client: Client, fields: dict[str, str]) -> None:
        url = urlsplit(client.metadata["token_endpoint"])
        body = urlencode({"client_id": client.client_id, "resource": client.resource} | fields)
        self._socket = socket.create_connection((url.hostname, url.port))
        self._socket.sendall(
            f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}".encode()
        )

    def close(self) -> dict | None:
        """The tokens, if the whole answer had arrived by the time that the server died."""
        received = b""
        try:
            while part := self._socket.recv(1 << 16):
                received += part
        except OSError:
            pass  # reset
        self._socket.close()
        head, _, body = received.partition(b"\r\n\r\n")
        try:
            answer = json.loads(body)
        except ValueError:
            return None
        assert b" 200 " in head.split(b"\r\n")[0], f"answered {received!r}"
        return answer


def code_fields(code: str, verifier: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": verifier,
        "redirect_uri": REDIRECT_URI,
    }


def refresh_fields(token: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": token}


# --- two servers


@contextmanager
def another(server: Server) -> Iterator[Server]:
    """A second process on the same database, behind the same public URL."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        ports = one.getsockname()[1], two.getsockname()[1]
    other = Server(server.origin, ports)
    other.start()
    try:
        yield other
    finally:
        other.stop()


def at_both(
    client: Client, servers: tuple[Server, Server], fields: dict[str, str], times: int
) -> list[Answer]:
    """The same token request, so many times at once, at one server and the other in turn."""
    url = urlsplit(client.metadata["token_endpoint"])
    body = urlencode({"client_id": client.client_id, "resource": client.resource} | fields).encode()
    headers = {"Host": url.netloc, "Content-Type": "application/x-www-form-urlencoded"}

    def send(index: int) -> Answer:
        for _ in range(60):
            answer = request("POST", f"{servers[index % 2].address}{url.path}", body, headers, 60)
            if answer.status != 503:
                return answer
            time.sleep(random.uniform(0, 0.5))  # nothing was changed: try again soon
        return answer

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(send, range(times)))
