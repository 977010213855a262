"""Calls per second of `search`, and CPU per call, beside a minimal rmcp server in the same run.

usage: scripts/bench search [--seconds 5] [--rounds 3] [--connections 1,16,64]

Builds both in release mode, starts a demonstration in a folder of its own with limits far away,
connects over OAuth, and then takes turns: the minimal rmcp server (no token, no database, ten
documents in memory), Callslip's `ping` (token, liveness, limits) and its `search` (those, the
book in the builtin store, and a durable audit event). Prints one row a server and number of
connections: calls per second, median of the rounds, with p50 and p99 in milliseconds and the CPU
microseconds per call of the server and of Postgres. CPU per call is what to compare: rates on a
shared machine drift.
"""
import argparse
import json

import common

QUESTION = "Are cats attached to their homes?"
JSON = ["Content-Type: application/json", "Accept: application/json, text/event-stream"]


def call(method, name=None, arguments=None):
    params = {}
    if name:
        params = {"name": name, "arguments": arguments}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


def main():
    options = common.options(argparse.ArgumentParser(description=__doc__.splitlines()[0]))
    with common.demonstration() as (demo, peers):
        address = f"127.0.0.1:{common.free_port()}"
        with common.running([peers / "rmcp_search", address]) as peer:
            path = "/" + demo.facts["mcp_url"].split("/", 3)[3]
            headers = JSON + [f"Authorization: Bearer {demo.token()}"]
            search = call("tools/call", "search", {"query": QUESTION})
            ours = (headers, demo.pid, demo.database)
            targets = [
                common.Target("rmcp, search in memory, no checks", address, "/mcp", search, "results", JSON, peer.pid),
                common.Target("callslip, ping", demo.listen, path, call("ping"), '"result"', *ours),
                common.Target("callslip, search the book", demo.listen, path, search, "results", *ours),
            ]
            print(f"idle memory: server {common.resident_mb(demo.pid):.0f} MB", flush=True)
            common.rounds(targets, peers / "load", options.levels, options.seconds, options.rounds)
            common.table(targets, options.levels)


if __name__ == "__main__":
    main()
