"""A server under hostile files. See `run`."""

from __future__ import annotations

import re
import statistics
import sys
import threading
import time
from pathlib import Path

import checks
import files
from demo import DATA, Demo, callslip

QUESTIONS = ["where do cats sleep", "kittens and their mothers", "a cat's tongue", "Siamese", "rats and mice"]
# What may be left of the times and the memory of before: two files are read at once, each by a process
# of its own, and a machine of two cores has not much left beside them.
SLOWER, LATE_MS, MORE_MIB = 8.0, 400.0, 160


class Reader(threading.Thread):
    """Searches without a pause until told to stop; how long each search took, in milliseconds."""

    def __init__(self, client, token: str) -> None:
        super().__init__(daemon=True)
        self.client, self.token = client, token
        self.times: list[float] = []
        self.failure = ""
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            since = time.monotonic()
            question = QUESTIONS[len(self.times) % len(QUESTIONS)]
            answer = self.client.call(self.token, "search", {"query": question})
            self.times.append(1000 * (time.monotonic() - since))
            if answer.status != 200 or "structuredContent" not in answer.text:
                self.failure = f"search answered {answer.status}: {answer.text[:300]}"
                return

    def stop(self) -> list[float]:
        self.done.set()
        self.join()
        assert not self.failure, self.failure
        return sorted(self.times)


def resident() -> int:
    """The server's own memory, in MiB; what reads files is another process."""
    pid = (DATA / "demo.pid").read_text().strip()
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))) // 1024


ENDS = {"published", "failed", "cancelled"}


def on_their_way() -> list[tuple[str, str, str]]:
    """Every file that was taken: how far it is, its name, and why it failed."""
    jobs: list[tuple[str, str, str]] = []
    for line in callslip("ingest", "--tenant", "hostile", "--all").splitlines():
        if line.startswith("    ") and jobs:
            stage, name, reason = jobs[-1]
            jobs[-1] = (stage, name, f"{reason} {line.strip()}".strip())
        elif match := re.match(r"[0-9a-f-]{36}  (\w+) .*  (\S+)$", line):
            jobs.append((match[1], match[2], ""))
    return jobs


def p99(times: list[float]) -> float:
    return times[min(len(times) - 1, len(times) * 99 // 100)]


def test_nothing_moves_while_every_file_ends_in_text_or_a_reason(demo: Demo) -> None:
    cases = files.cases()
    assert len(cases) >= 60, len(cases)
    client = demo.client("Reader beside hostile files")
    tokens = client.redeem(*client.code(demo.person("reader"))).json()
    callslip("tenant", "create", "hostile", "--name", "Hostile")
    password = callslip(
        "user", "add", "--tenant", "hostile", "--role", "admin", "--email", "h@hostile.example", "--name", "H"
    ).strip()
    browser = demo.person("reader").browser
    browser.sign_in("h@hostile.example", password)
    form = browser.open("/t/hostile/vector-stores").form(action="/vector-stores$", holds="name", says="builtin")
    assert browser.submit(form, name="Files").status == 303

    alone = Reader(client, tokens["access_token"])
    alone.start()
    time.sleep(8)
    before, memory = alone.stop(), resident()
    beside = Reader(client, tokens["access_token"])
    beside.start()
    refused, most, since = {}, memory, time.monotonic()
    for name, content in cases.items():
        page = browser.open("/t/hostile/documents")
        form = page.form(action="/documents$", holds="store", says="")
        answer = browser.upload(form, name, content, timeout=120)
        assert answer.status in {200, 202, 303, 422}, f"{name}: {answer.status} {answer.text[:300]}"
        if answer.status == 422:
            refused[name] = answer.text
        most = max(most, resident())
    while (jobs := on_their_way()) and any(stage not in ENDS for stage, _, _ in jobs):
        assert time.monotonic() - since < 900, f"still on their way: {jobs}"
        most = max(most, resident())
        time.sleep(0.5)
    took = time.monotonic() - since
    during = beside.stop()
    for stage, name, reason in jobs:
        if stage == "failed":
            refused[name] = f"{name} {reason}"
            assert len(reason) > 10, f"{name} failed without a reason"
    there = {name for stage, name, _ in jobs if stage == "published"}
    left = set(cases) - there - set(refused)
    assert not left, f"neither text nor a reason: {sorted(left)}"
    assert len(refused) >= 20 and len(there) >= 20, f"{len(refused)} refused, {len(there)} read"
    print(
        f"        {len(cases)} files in {took:.0f} s, {len(refused)} refused with a reason; search p50 "
        f"{statistics.median(before):.0f} -> {statistics.median(during):.0f} ms, p99 {p99(before):.0f} -> "
        f"{p99(during):.0f} ms ({len(during)} searches); server {memory} -> {most} MiB"
    )
    for name, text in refused.items():
        assert name.split(".")[0] in text, f"{name} was refused and is not named"
    assert most - memory < MORE_MIB, f"the server grew from {memory} to {most} MiB"
    for kind, first, then in [
        ("median", statistics.median(before), statistics.median(during)),
        ("p99", p99(before), p99(during)),
    ]:
        assert then < SLOWER * first + LATE_MS, f"{kind} went from {first:.0f} to {then:.0f} ms"


if __name__ == "__main__":
    sys.exit(checks.run(__name__, Demo.load()))
