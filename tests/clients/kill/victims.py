"""The processes that the suite kills, and a look into their database."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import browser
from demo import DATA, WORK

POSTGRES = Path(os.environ["CALLSLIP_POSTGRES_DIR"])
CLUSTER = DATA / "postgres"


def until(
    what: str, met: Callable[[], bool], seconds: float = 60, pause: float = 0.01
) -> float:
    """Wait for something to become true; how long it took."""
    since = time.monotonic()
    while not met():
        assert time.monotonic() - since < seconds, f"{what}: not in {seconds:.0f} s"
        time.sleep(pause)
    return time.monotonic() - since


class Server:
    """`callslip serve` on the demonstration's data; with ports, at others than the first's, and
    with a prefix, run by another program."""

    def __init__(
        self, origin: str, ports: tuple[int, int] | None = None, prefix: tuple[str, ...] = ()
    ) -> None:
        self.prefix = prefix
        self.origin = origin
        self.address = origin
        self.environment = dict(os.environ)
        self.process: subprocess.Popen | None = None
        # For `run`, which ends what a broken suite leaves.
        self.pid_file = WORK / "serve.pid"
        if ports is not None:
            public, metrics = ports
            self.address = f"http://127.0.0.1:{public}"
            self.environment |= {
                "CALLSLIP_PUBLIC_URL": origin,
                "CALLSLIP_LISTEN": f"127.0.0.1:{public}",
                "CALLSLIP_METRICS_LISTEN": f"127.0.0.1:{metrics}",
            }
            self.pid_file = WORK / f"serve-{public}.pid"

    def start(self) -> float:
        """Until it is ready; how long that took."""
        with open(WORK / "serve.log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, os.environ["SUITE_BIN"], "serve"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment,
            )
        self.pid_file.write_text(str(self.process.pid))

        def is_ready() -> bool:
            status = self.process.poll()
            assert status is None, f"the server ended with {status}"
            return self.is_ready()

        return until("the server is ready", is_ready)

    def ensure(self) -> None:
        """A failed check may have left it dead."""
        if self.process is None or self.process.poll() is not None:
            self.start()

    def is_ready(self) -> bool:
        host = {"Host": urlsplit(self.origin).netloc}
        try:
            return browser.request("GET", f"{self.address}/readyz", None, host, 5).status == 200
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.pid_file.unlink()

    def stop(self) -> None:
        """As an operator does."""
        self.process.terminate()
        status = self.process.wait(timeout=40)
        self.pid_file.unlink()
        assert status == 0, f"the server ended with {status} at SIGTERM"


def postmaster() -> int:
    return int((CLUSTER / "postmaster.pid").read_text().split()[0])


def postgres_processes() -> list[int]:
    """The postmaster's children."""
    parent, children = postmaster(), []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # ended meanwhile
        if int(fields[1]) == parent:
            children.append(int(status.parent.name))
    assert children, "Postgres has no children, or this machine no /proc"
    return children


def kill_postgres() -> None:
    """The postmaster and all that it has started, as a machine that loses power does."""
    victims = [postmaster(), *postgres_processes()]
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def freeze_postgres(thaw: bool = False) -> None:
    for pid in postgres_processes():
        try:
            os.kill(pid, signal.SIGCONT if thaw else signal.SIGSTOP)
        except ProcessLookupError:
            pass


_PSQL = [POSTGRES / "bin/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-F", "\t",
         "-h", CLUSTER, "-U", "postgres", "-d", "callslip"]
_PSQL_ENVIRONMENT = os.environ | {"PGPASSFILE": str(DATA / "postgres.pgpass")}


def sql(query: str) -> list[list[str]]:
    """Ask the database as its superuser, whom row-level security does not hold."""
    done = subprocess.run(
        [*_PSQL, "-c", query], env=_PSQL_ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"psql: {done.stderr}"
    return [line.split("\t") for line in done.stdout.splitlines()]


def number(query: str) -> int:
    return int(sql(query)[0][0])


class Console:
    """The same in one session: for what is asked often, and for transactions."""

    def __init__(self) -> None:
        self._psql = subprocess.Popen(
            _PSQL, env=_PSQL_ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, query: str) -> list[list[str]]:
        self._psql.stdin.write(f"{query};\n\\echo --\n")
        self._psql.stdin.flush()
        rows = []
        for line in self._psql.stdout:
            if line == "--\n":
                return rows
            rows.append(line.rstrip("\n").split("\t"))
        raise AssertionError(f"psql ended at {query}")

    def close(self) -> None:
        self._psql.stdin.close()
        self._psql.stdout.close()
        self._psql.wait()
