"""Clients that mean well: HTTP/1.1 with asyncio, and how long they wait for answers."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from dataclasses import dataclass, field, replace


@dataclass
class Node:
    """Where to connect, and as whom."""

    port: int
    authority: str
    path: str = "/mcp"
    token: str = ""
    headers: str = ""

    def message(self, method: str, params: dict) -> bytes:
        """A JSON-RPC request to the MCP endpoint."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.authority}\r\nAuthorization: Bearer {self.token}\r\n"
            "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
            f"MCP-Protocol-Version: 2025-11-25\r\n{self.headers}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def get(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: {self.authority}\r\n\r\n".encode()


@dataclass
class Visitor:
    """One connection at a time, kept as long as the server keeps it."""

    node: Node
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None)

    async def ask(self, request: bytes, pause: float = 0) -> tuple[int, bytes]:
        """Status and body; with a pause before the last of the request. A connection that breaks is
        an error of the caller's."""
        if self._streams is not None and self._streams[0].at_eof():
            self.hang_up()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.node.port)
        reader, writer = self._streams
        try:
            writer.write(request[:-20] if pause else request)
            if pause:
                await asyncio.sleep(pause)
                writer.write(request[-20:])
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = next(
                int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length:")
            )
            body = await reader.readexactly(length)
        except BaseException:
            self.hang_up()
            raise
        if "\r\nconnection: close" in head:
            self.hang_up()
        return int(head.split()[1]), body

    def hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


def behind(node: Node, address: str) -> Node:
    """As a proxy passes it on that this address speaks to, where the server trusts one."""
    return replace(node, headers=f"X-Forwarded-For: {address}\r\n")


@dataclass
class Measured:
    p50: float
    p99: float
    count: int

    def __str__(self) -> str:
        return f"p50 {self.p50 * 1e3:.1f} ms, p99 {self.p99 * 1e3:.1f} ms ({self.count} calls)"


def measure(node: Node, seconds: float, visitors: int = 20, each: float = 10) -> Measured:
    """Call at a steady rate, whatever the answers take, and see what they take.

    The 99th percentile is the middle one of many short times: somebody else on the machine who
    wants all of it for a moment is in a few of them.
    """

    async def visit(number: int, taken: list[tuple[float, float]]) -> None:
        visitor = Visitor(node)
        request = behind(node, f"192.0.2.{number}").message("tools/list", {})
        due = time.monotonic() + number / (visitors * each)
        end = due + seconds
        while due < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            status, _ = await visitor.ask(request)
            assert status == 200, f"a caller who means well was answered {status}"
            taken.append((due, time.monotonic() - due))
            due += 1 / each
        visitor.hang_up()

    async def all_of_them() -> list[tuple[float, float]]:
        taken: list[tuple[float, float]] = []
        await asyncio.gather(*(visit(number, taken) for number in range(visitors)))
        return sorted(taken)

    taken = asyncio.run(all_of_them())
    times: dict[int, list[float]] = {}
    for due, took in taken:
        times.setdefault(int(due - taken[0][0]), []).append(took)
    highest = [statistics.quantiles(some, n=100)[98] for some in times.values() if len(some) > 20]
    middle = statistics.median(took for _, took in taken)
    return Measured(middle, statistics.median(highest), len(taken))
