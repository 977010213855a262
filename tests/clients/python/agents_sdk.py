"""OpenAI's agents SDK as a client: what its servers list and call needs no model."""

from __future__ import annotations

import os

os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"

import anyio
from agents.mcp import MCPServer, MCPServerStreamableHttp

from demo import Demo
from sdk import Assistant, result_of

QUESTION = "Are cats attached to their homes?"


async def list_search_fetch(server: MCPServer) -> None:
    tools = {tool.name for tool in await server.list_tools()}
    assert tools == {"search", "fetch"}, tools
    found = await server.call_tool("search", {"query": QUESTION})
    hits = result_of(found)["results"]
    assert hits, "the search found nothing"
    read = await server.call_tool("fetch", {"id": hits[0]["id"]})
    assert result_of(read)["title"] == hits[0]["title"], read


def test_openai_agents_over_streamable_http(demo: Demo) -> None:
    asking = Assistant(demo.mcp_url, demo.person("reader"), "openai-agents")

    async def work() -> None:
        params = {"url": demo.mcp_url, "auth": asking.provider(), "timeout": 30}
        with anyio.fail_after(60):
            async with MCPServerStreamableHttp(params=params) as server:
                await list_search_fetch(server)

    anyio.run(work)
    assert len(asking.asked) == 1, f"sent to the browser {len(asking.asked)} times"
