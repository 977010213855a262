"""Calls per second, and CPU per call, beside others in the same run.

usage: scripts/bench search [--seconds 5] [--rounds 3] [--connections 1,16,64]

Builds all in release mode, starts a demonstration in a folder of its own with limits far away,
connects over OAuth, and then takes turns:

- bare axum that reads JSON and answers ten results;
- a minimal rmcp server with the tools `search` and `fetch` over ten documents in memory, without a
  token, and again with the signature of a token verified on every call;
- Callslip's `ping`: token, liveness, limits;
- Callslip's `fetch` of a document that there is not, in both eras: every check that a call passes
  (token, liveness, limits, scope) and a durable audit event, with the store stubbed: the id names
  none, so none is asked. The rmcp server is asked for the same. And once over HTTP+SSE, where a call
  is two requests' worth: a POST that is taken, and the answer on the stream;
- Callslip's `search` that finds nothing in a store of one document, and that searches the book:
  the same checks, and the builtin store in Postgres.

Prints one row a server and number of connections: calls per second, median of the rounds, with p50
and p99 in milliseconds and the CPU microseconds per call of the server and of Postgres. CPU per
call is what to compare: rates on a shared machine drift.
"""
import argparse
import contextlib
import json
import urllib.parse
import urllib.request

import common
from identity import tenant

QUESTION = "Are cats attached to their homes?"
JSON = ["Content-Type: application/json", "Accept: application/json, text/event-stream"]


MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}


def call(method, name=None, arguments=None, meta=None):
    params = {}
    if name:
        params = {"name": name, "arguments": arguments}
    if meta:
        params["_meta"] = meta
    text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    return text.replace("{}", "{ }")  # which stands for a value, to the load generator


def modern(method, name):
    return [f"MCP-Protocol-Version: {MODERN}", f"Mcp-Method: {method}", f"Mcp-Name: {name}"]


class Streams:
    """A file for the load generator with a path and a token for each connection. One token may hold
    a few streams."""

    EACH = 4

    def __init__(self, demo, connections):
        self.demo = demo
        self.tokens = [demo.token() for _ in range(-(-connections // self.EACH))]
        self.path = urllib.parse.urlsplit(demo.facts["sse_url"]).path

    def of(self, connections, _seconds):
        lines = [f"{self.path} {self.tokens[number // self.EACH]}" for number in range(connections)]
        file = self.demo.folder / "streams"
        file.write_text("\n".join(lines) + "\n")
        return f"stream:{file}"


def main():
    options = common.options(argparse.ArgumentParser(description=__doc__.splitlines()[0]))
    with common.demonstration() as (demo, peers), contextlib.ExitStack() as stack:
        def peer(program, *arguments):
            address = f"127.0.0.1:{common.free_port()}"
            running = common.running([peers / program, address, *arguments])
            return address, stack.enter_context(running).pid

        with urllib.request.urlopen(f"http://{demo.listen}/oauth/jwks.json") as answer:
            key = json.load(answer)["keys"][0]["x"]
        bearer = [f"Authorization: Bearer {demo.token()}"]
        path = "/" + demo.facts["mcp_url"].split("/", 3)[3]
        headers = JSON + bearer
        streams = Streams(demo, max(options.levels))
        # Last: from here on, tokens are this tenant's.
        empty_path, empty_token = tenant(demo, "bench", "acanary")
        empty = JSON + [f"Authorization: Bearer {empty_token}"]

        search = call("tools/call", "search", {"query": QUESTION})
        fetch = call("tools/call", "fetch", {"id": "document-99"})
        fetch_modern = call("tools/call", "fetch", {"id": "document-99"}, META)
        nothing = call("tools/call", "search", {"query": "zyzzyva"})
        postgres = (demo.pid, demo.database)
        bare, bare_pid = peer("axum_bare")
        open_rmcp, open_pid = peer("rmcp_search")
        rmcp, rmcp_pid = peer("rmcp_search", key)

        def theirs(name, address, body, expected, headers, pid):
            return common.Target(name, address, "/mcp", body, expected, headers, pid)

        def ours(name, body, expected, headers=headers, path=path):
            return common.Target(f"callslip, {name}", demo.listen, path, body, expected, headers, *postgres)

        over_streams = ours("the same over HTTP+SSE", fetch, "isError", JSON, "-")
        over_streams.values = streams.of
        targets = [
            theirs("axum, ten results", bare, search, "results", JSON, bare_pid),
            theirs("rmcp, search, no token", open_rmcp, search, "results", JSON, open_pid),
            theirs("rmcp, fetch, no token", open_rmcp, fetch, "isError", JSON, open_pid),
            theirs("rmcp, search, JWT", rmcp, search, "results", JSON + bearer, rmcp_pid),
            theirs("rmcp, fetch, JWT", rmcp, fetch, "isError", JSON + bearer, rmcp_pid),
            ours("ping", call("ping"), '"result"'),
            ours("fetch, no store asked", fetch, "isError"),
            ours(
                f"the same, {MODERN}", fetch_modern, "isError",
                headers + modern("tools/call", "fetch"),
            ),
            over_streams,
            ours("search, nothing found", nothing, '"results":[]', empty, empty_path),
            ours("search the book", search, "results"),
        ]
        print(f"idle memory: server {common.resident_mb(demo.pid):.0f} MB", flush=True)
        common.rounds(targets, peers / "load", options.levels, options.seconds, options.rounds)
        common.table(targets, options.levels)


if __name__ == "__main__":
    main()
