"""A second tenant, which asks for more than its share."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from browser import Browser
from demo import WORK, Demo, callslip
from oauth import Client, Person
from visitor import Node, Visitor, behind

TENANT, EMAIL, PASSWORD = "noisy", "nora@noisy.example", "quarrel-lantern-7-viaduct"


def settle(demo: Demo, node: Node) -> Node:
    """Make the tenant, with something to find and a member who connects an app."""
    text = WORK / "noise.md"
    text.write_text("# Noise\n\nThe drums are kept in the attic.\n")
    url = callslip("tenant", "create", TENANT, "--name", "Noisy").strip()
    callslip("import", "--tenant", TENANT, "--store", "Noise", str(text))
    member = ["--tenant", TENANT, "--email", EMAIL, "--name", "Nora", "--password-stdin"]
    callslip("user", "add", *member, text=f"{PASSWORD}\n")
    client = Client.register(demo.origin, url, "Drums")
    answer = client.redeem(*client.code(Person(Browser(demo.origin), EMAIL, PASSWORD)))
    return replace(node, path=urlsplit(url).path, token=answer.json()["access_token"])


@contextlib.contextmanager
def beside(node: Node, each_second: int) -> Iterator[Counter]:
    """Search so often, from many addresses, as long as this lasts; how that was answered."""
    statuses: Counter = Counter()
    is_over = threading.Event()
    visitors = each_second // 5

    async def visit(number: int) -> None:
        visitor = Visitor(node)
        asks = behind(node, f"198.51.100.{number % 250}")
        search = asks.message("tools/call", {"name": "search", "arguments": {"query": "drums"}})
        due = time.monotonic() + number / each_second
        while not is_over.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            status, _ = await visitor.ask(search)
            statuses[status] += 1
            due = max(due + visitors / each_second, time.monotonic() - 1)
        visitor.hang_up()

    async def all_of_them() -> None:
        await asyncio.gather(*(visit(number) for number in range(visitors)))

    noise = threading.Thread(target=asyncio.run, args=(all_of_them(),))
    noise.start()
    try:
        yield statuses
    finally:
        is_over.set()
        noise.join()
