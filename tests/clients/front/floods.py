"""HTTP/2 frames, and peers that send too many of them."""

from __future__ import annotations

import itertools
import socket
import struct
import time
from collections.abc import Callable

DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)


def head(method: int, path: str, authority: str) -> bytes:
    """`method`: 2 is GET and 3 is POST."""
    return (
        bytes([0x80 | method, 0x86, 0x04, len(path)]) + path.encode()
        + bytes([0x01, len(authority)]) + authority.encode()
    )


def floods(authority: str) -> dict[str, tuple[bytes, Callable[[int], bytes]]]:
    """What each begins with, and its pieces."""
    get = head(2, "/mcp", authority)
    post = head(3, "/oauth/token", authority)
    both = END_STREAM | END_HEADERS
    more = frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b" * 3000)

    def request(number: int) -> bytes:
        return frame(HEADERS, both, 2 * number + 1, get)

    def reset(number: int) -> bytes:
        return frame(RST_STREAM, 0, 2 * number + 1, struct.pack(">I", 8))

    def unfinished(number: int) -> bytes:
        return frame(HEADERS, END_HEADERS, 2 * number + 1, post)

    return {
        "rapid reset": (HELLO, lambda number: request(number) + reset(number)),
        "streams": (HELLO, unfinished),
        "continuation": (HELLO + frame(HEADERS, END_STREAM, 1, get), lambda _: more),
        "empty data": (HELLO + unfinished(0), lambda _: frame(DATA, 0, 1) * 1000),
        "pings": (HELLO, lambda _: frame(PING, 0, 0, b"12345678") * 100),
    }


def flood(port: int, begin: bytes, piece: Callable[[int], bytes], seconds: float = 20) -> int:
    """Send until the server hangs up; how many pieces it took."""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.setblocking(False)
        waiting, numbers = begin, itertools.count()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if not waiting:
                    number = next(numbers)
                    waiting = piece(number)
                waiting = waiting[peer.send(waiting):]
            except BlockingIOError:
                time.sleep(0.001)
            except OSError:
                return number
            try:
                if not peer.recv(65536):
                    return number
            except BlockingIOError:
                pass
            except OSError:
                return number
    raise AssertionError(f"the server took {next(numbers)} pieces and did not hang up")
