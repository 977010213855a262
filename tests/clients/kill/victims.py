"""The processes that the suite kills, and a look into their database."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import browser
from demo import DATA, WORK

POSTGRES = Path(os.environ["CALLSLIP_POSTGRES_DIR"])
CLUSTER = DATA / "postgres"
PID_FILE = WORK / "serve.pid"  # for `run`, which ends what a broken suite leaves


def until(what: str, met: Callable[[], bool], seconds: float = 60) -> float:
    """Wait for something to become true; how long it took."""
    since = time.monotonic()
    while not met():
        assert time.monotonic() - since < seconds, f"{what}: not in {seconds:.0f} s"
        time.sleep(0.01)
    return time.monotonic() - since


class Server:
    """`callslip serve` on the demonstration's data."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.process: subprocess.Popen | None = None

    def start(self) -> float:
        """Until it is ready; how long that took."""
        with open(WORK / "serve.log", "ab") as log:
            self.process = subprocess.Popen(
                [os.environ["SUITE_BIN"], "serve"], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

        PID_FILE.write_text(str(self.process.pid))

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
        try:
            return browser.request("GET", f"{self.origin}/readyz", timeout=5).status == 200
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        PID_FILE.unlink()

    def stop(self) -> None:
        """As an operator does."""
        self.process.terminate()
        status = self.process.wait(timeout=40)
        PID_FILE.unlink()
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


def sql(query: str) -> list[list[str]]:
    """Ask the database as its superuser, whom row-level security does not hold."""
    done = subprocess.run(
        [POSTGRES / "bin/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-F", "\t",
         "-h", CLUSTER, "-U", "postgres", "-d", "callslip", "-c", query],
        env=os.environ | {"PGPASSFILE": str(DATA / "postgres.pgpass")},
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, f"psql: {done.stderr}"
    return [line.split("\t") for line in done.stdout.splitlines()]


def number(query: str) -> int:
    return int(sql(query)[0][0])
