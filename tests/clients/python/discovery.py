"""What a client may read before it connects, and what a registry is given."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess

from browser import request
from demo import Demo

# As the schemas of the server card and of server.json have them.
NAME = re.compile(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+")
VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
KNOWN = {"$schema", "name", "title", "version", "description", "websiteUrl", "remotes"}


def check(document: dict, more: set[str]) -> None:
    """The rules that both schemas share."""
    assert set(document) == KNOWN | more, sorted(document)
    assert NAME.fullmatch(document["name"]) and 3 <= len(document["name"]) <= 200, document["name"]
    assert VERSION.fullmatch(document["version"]), document["version"]
    for name in ("title", "description"):
        assert 1 <= len(document[name]) <= 100, document[name]
    for remote in document["remotes"]:
        assert remote["type"] in {"streamable-http", "sse"}, remote
        assert re.fullmatch(r"https?://\S+", remote["url"]), remote


# [H-07] Anybody can tell whether the tools that callers see are the ones that we publish.
def test_the_server_card_pins_the_tools(demo: Demo) -> None:
    card = request("GET", f"{demo.mcp_url}/server-card").json()
    check(card, {"_meta"})
    assert [remote["url"] for remote in card["remotes"]] == [demo.mcp_url, demo.sse_url], card
    client, person = demo.client("Suspicious"), demo.person("reader")
    token = client.redeem(*client.code(person)).json()["access_token"]
    listed = client.message(token, "tools/list", {}).json()["result"]
    sorted_members = json.dumps(listed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(sorted_members.encode()).hexdigest()
    assert card["_meta"]["callslip/tools"]["sha256"] == digest, "the tools are others"


def server_json(public_url: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [os.environ["SUITE_BIN"], "server-json", *options],
        env=os.environ | {"CALLSLIP_PUBLIC_URL": public_url},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_the_registry_s_entry_is_printed() -> None:
    done = server_json("https://docs.example.com", "--tenant", "acme")
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout)
    check(entry, set())
    assert entry["name"] == "com.example.docs/callslip.acme", entry
    remote = {"type": "streamable-http", "url": "https://docs.example.com/t/acme/mcp"}
    assert entry["remotes"] == [remote], entry
    named = server_json("https://docs.example.com", "--name", "io.github.ada/callslip")
    assert json.loads(named.stdout)["name"] == "io.github.ada/callslip", named
    for refused in (
        server_json("http://localhost:8700"),
        server_json("https://docs.example.com", "--tenant", "No Slug"),
        server_json("https://docs.example.com", "--name", "callslip"),
    ):
        assert refused.returncode == 1 and refused.stdout == "", refused
        assert refused.stderr.startswith("callslip: "), refused.stderr
