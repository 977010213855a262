"""The transport before Streamable HTTP, where answers come on a stream: the official SDK's, and OpenAI's."""

from __future__ import annotations

import anyio
from agents.mcp import MCPServerSse
from mcp import Client
from mcp.client.sse import sse_client

from agents_sdk import QUESTION, list_search_fetch
from demo import Demo
from sdk import Assistant, result_of


def test_the_main_job_over_http_with_sse(demo: Demo) -> None:
    asking = Assistant(demo.sse_url, demo.person("reader"), "Python SDK, SSE")

    async def work() -> None:
        with anyio.fail_after(60):
            stream = sse_client(demo.sse_url, auth=asking.provider(), timeout=30)
            async with Client(stream, mode="legacy") as client:
                tools = {tool.name for tool in (await client.list_tools()).tools}
                assert tools == {"search", "fetch"}, tools
                hits = result_of(await client.call_tool("search", {"query": QUESTION}))["results"]
                assert hits, "the search found nothing"
                read = result_of(await client.call_tool("fetch", {"id": hits[0]["id"]}))
                assert read["title"] == hits[0]["title"], read

    anyio.run(work)
    assert len(asking.asked) == 1, f"sent to the browser {len(asking.asked)} times"


def test_openai_agents_over_http_with_sse(demo: Demo) -> None:
    asking = Assistant(demo.sse_url, demo.person("reader"), "openai-agents, SSE")

    async def work() -> None:
        params = {"url": demo.sse_url, "auth": asking.provider(), "timeout": 30}
        with anyio.fail_after(60):
            async with MCPServerSse(params=params) as server:
                await list_search_fetch(server)

    anyio.run(work)
    assert len(asking.asked) == 1, f"sent to the browser {len(asking.asked)} times"
