"""The main job through the official Python SDK, and the dance with other clients. See `run`."""

from __future__ import annotations

import html
import json
import logging
import sys
from collections.abc import Awaitable, Callable

import anyio

import checks
from agents_sdk import test_openai_agents_over_streamable_http  # noqa: F401 - a check of this suite too
from browser import Browser, request
from demo import WORK, Demo, callslip
from discovery import (  # noqa: F401 - checks of this suite too
    test_the_registry_s_entry_is_printed,
    test_the_server_card_pins_the_tools,
)
from mcp.client.auth import OAuthFlowError
from oauth import Client, Person, error_of
from older import (  # noqa: F401 - checks of this suite too
    test_openai_agents_over_http_with_sse,
    test_the_main_job_over_http_with_sse,
)
from others import (  # noqa: F401 - checks of this suite too
    test_authlib_with_a_secret_by_basic,
    test_authlib_with_a_secret_in_the_body,
    test_authlib_without_a_secret,
    test_fastmcp_connects_searches_and_fetches,
)
from sdk import Assistant, result_of

QUESTION = "Are cats attached to their homes?"
MODERN, LEGACY = "2026-07-28", "2025-11-25"
# Sentences that the other tenant's documents hold, and nobody else's.
CANARY = "The marmalade ledger of Tenby counts seventeen quinces"
OTHER_PASSWORD = "seventeen quinces in Tenby"


def assistant(demo: Demo, name: str, role: str = "reader") -> Assistant:
    return Assistant(demo.mcp_url, demo.person(role), name)


def wait_for(work: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        with anyio.fail_after(60):
            await work()

    anyio.run(within)


# [S-01, M-01, M-05] Every step that a client takes from the bare URL is written down.
def test_a_401_leads_to_the_authorization_server(demo: Demo) -> None:
    refused = request("POST", demo.mcp_url, b"{}", {"Content-Type": "application/json"})
    challenge = refused.header("www-authenticate")
    assert refused.status == 401, refused.status
    assert challenge.startswith("Bearer ") and "error=" not in challenge, challenge
    assert 'scope="search:read"' in challenge, challenge
    where = challenge.split('resource_metadata="')[1].split('"')[0]
    resource = request("GET", where).json()
    assert resource["resource"] == demo.mcp_url, resource
    assert resource["bearer_methods_supported"] == ["header"], resource
    assert "offline_access" not in resource["scopes_supported"], resource
    issuer = resource["authorization_servers"][0]
    assert issuer == demo.origin, f"{issuer} instead of {demo.origin}"
    metadata = request("GET", f"{issuer}/.well-known/oauth-authorization-server")
    assert metadata.header("content-type").startswith("application/json")
    assert metadata.json()["issuer"] == issuer
    assert metadata.json()["code_challenge_methods_supported"] == ["S256"]


def main_job(demo: Demo, mode: str, version: str) -> None:
    """One URL: authorize, list, search, fetch, and open what was cited."""
    asking = assistant(demo, f"Python SDK, {mode}")

    async def work() -> None:
        async with asking.connect(mode) as client:
            assert client.protocol_version == version, client.protocol_version
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools) == {"search", "fetch"}, sorted(tools)
            for tool in tools.values():
                assert tool.annotations.read_only_hint, f"{tool.name} is not marked read-only"
                assert tool.output_schema, f"{tool.name} has no outputSchema"
            hits = result_of(await client.call_tool("search", {"query": QUESTION}))["results"]
            assert hits, "the search found nothing"
            for hit in hits:
                assert {"id", "title", "url"} <= set(hit), hit
                assert hit["url"].startswith(f"{demo.origin}/d/"), hit["url"]
            passages = []
            for hit in hits[:3]:
                document = result_of(await client.call_tool("fetch", {"id": hit["id"]}))
                assert document["id"] == hit["id"], document["id"]
                assert document["title"] == hit["title"], document["title"]
                passage = await anyio.to_thread.run_sync(passage_of, hit)
                passages.append(passage.lower())
                # A very long document is cut, and says so.
                whole = document.get("metadata", {}).get("truncated") != "true"
                assert not whole or passage in " ".join(document["text"].split()), passage
            about = [passage for passage in passages if "cat" in passage and "home" in passage]
            assert about, f"none of the first passages is on cats and their homes: {passages}"

    def passage_of(hit: dict) -> str:
        """What the citation's page marks."""
        page = asking.person.browser.open(hit["url"])
        assert page.status == 200, f"{hit['url']} answered {page.status}"
        assert page.text.count("<mark") == 1, f"{page.text.count('<mark')} passages are marked"
        marked = page.text.split("<mark", 1)[1].split(">", 1)[1].split("</mark>")[0]
        words = html.unescape(marked).split()
        assert len(words) > 5, f"only {words} are marked"
        return " ".join(words)

    wait_for(work)
    assert len(asking.asked) == 1, f"sent to the browser {len(asking.asked)} times"


def test_the_main_job_over_the_modern_protocol(demo: Demo) -> None:
    main_job(demo, "auto", MODERN)


def test_the_main_job_over_the_legacy_protocol(demo: Demo) -> None:
    main_job(demo, "legacy", LEGACY)


# Success and refusal both carry the state and the issuer, once each.
def test_the_redirect_names_state_and_issuer(demo: Demo) -> None:
    client, person = demo.client("Redirected"), demo.person("reader")
    url = client.authorization_url('a "state" / with +all= of&it')
    for decision in ("approve", "deny"):
        back = person.decide(url, decision)
        assert back.status == 303, back.status
        assert back.query["state"] == 'a "state" / with +all= of&it', back.location
        assert back.query["iss"] == demo.origin, back.location
        assert ("code" in back.query) == (decision == "approve"), back.location
    assert back.query["error"] == "access_denied", back.location


def test_a_refused_consent_ends_the_connection(demo: Demo) -> None:
    asking = assistant(demo, "Denied")
    asking.choices = {"decision": "deny"}

    async def work() -> None:
        async with asking.connect():
            pass

    try:
        wait_for(work)
    except BaseException as error:  # noqa: BLE001 - a group of whatever the SDK raises
        assert "code" in str(flatten(error)).lower(), flatten(error)
    else:
        raise AssertionError("connected without consent")
    assert asking.tokens is None, "a token without consent"


def flatten(error: BaseException) -> list[BaseException]:
    inner = getattr(error, "exceptions", None)
    return [one for member in inner for one in flatten(member)] if inner else [error]


# The SDK refreshes by itself when its token has run out.
def test_an_expired_token_is_refreshed(demo: Demo) -> None:
    asking = assistant(demo, "Refreshed")

    async def work() -> None:
        provider = asking.provider()
        async with asking.connect(provider=provider) as client:
            await client.list_tools()
            first = asking.tokens
            provider.context.token_expiry_time = 1.0
            await client.call_tool("search", {"query": QUESTION})
            second = asking.tokens
        assert first.access_token != second.access_token, "the same access token"
        assert first.refresh_token != second.refresh_token, "the same refresh token"
        assert first.scope == second.scope, f"{first.scope} became {second.scope}"

    wait_for(work)
    assert len(asking.asked) == 1, "the person was bothered"


# A refresh token that comes back after its successor was used is taken for stolen.
def test_a_refresh_token_of_the_past_ends_the_grant(demo: Demo) -> None:
    client, person = demo.client("Stolen from"), demo.person("reader")
    tokens = client.redeem(*client.code(person)).json()
    second = client.refresh(tokens["refresh_token"]).json()
    third = client.refresh(second["refresh_token"]).json()
    assert client.works(third["access_token"])
    assert error_of(client.refresh(tokens["refresh_token"])) == "invalid_grant"
    assert not client.works(third["access_token"]), "the access token outlived the theft"
    assert error_of(client.refresh(third["refresh_token"])) == "invalid_grant"


# [C-08] Revoked on the page, dead at the very next call; to come back it has to ask again.
def test_revoking_on_the_page_ends_the_very_next_call(demo: Demo) -> None:
    asking = assistant(demo, "Revoked on the page")

    async def work() -> None:
        async with asking.connect() as client:
            result_of(await client.call_tool("search", {"query": QUESTION}))
            await anyio.to_thread.run_sync(revoke)
            asking.choices = {"decision": "deny"}
            asking.traffic.clear()
            try:
                await client.call_tool("search", {"query": QUESTION})
            except OAuthFlowError:
                pass

    def revoke() -> None:
        browser = asking.person.browser
        page = browser.open(f"/t/{demo.tenant}/apps")
        form = page.form(action="/revoke", says="Revoked on the page")
        answer = browser.submit(form)
        assert answer.status == 303, f"revoking answered {answer.status}"
        after = browser.follow(answer)
        assert not [form for form in after.forms() if "Revoked on the page" in form.text]

    tokens = None
    try:
        wait_for(work)
    except BaseException as error:  # noqa: BLE001 - the SDK may end the connection
        kinds = {type(one).__name__ for one in flatten(error)}
        assert kinds & {"OAuthFlowError", "MCPError"}, flatten(error)
    path = demo.mcp_url.removeprefix(demo.origin)
    calls = [status for method, where, status in asking.traffic if where == path]
    assert calls and calls[0] == 401, f"the next call answered {calls}"
    assert len(asking.asked) == 2, "the person was not asked again"
    tokens = asking.tokens
    client = demo.client("Anyone")
    client.client_id = asking.registration.client_id
    assert not client.works(tokens.access_token)
    assert error_of(client.refresh(tokens.refresh_token)) == "invalid_grant"


def test_a_client_may_revoke_its_own_tokens(demo: Demo) -> None:
    client, person = demo.client("Tidy"), demo.person("reader")
    tokens = client.redeem(*client.code(person)).json()
    assert client.works(tokens["access_token"])
    assert client.revoke(tokens["refresh_token"]).status == 200
    assert not client.works(tokens["access_token"])
    assert client.revoke("nothing that we ever issued").status == 200


# [T-05] A code that comes back was stolen: what it bought is dead.
def test_a_code_works_once(demo: Demo) -> None:
    client, person = demo.client("Twice"), demo.person("reader")
    code, verifier = client.code(person)
    tokens = client.redeem(code, verifier).json()
    assert client.works(tokens["access_token"])
    assert error_of(client.redeem(code, verifier)) == "invalid_grant"
    assert not client.works(tokens["access_token"]), "the access token outlived the replay"


# [I-01, I-02, I-04] What one tenant holds cannot be found, fetched or opened from another.
def test_tenants_do_not_see_each_other(demo: Demo) -> None:
    other = other_tenant(demo)
    ours = assistant(demo, "Ours")
    theirs = Assistant(f"{demo.origin}/t/other/mcp", other, "Theirs")
    found: dict[str, dict] = {}

    async def look() -> None:
        async with theirs.connect() as client:
            hits = result_of(await client.call_tool("search", {"query": CANARY}))["results"]
            assert any("Ledger" in hit["title"] for hit in hits), f"{hits} lack the canary"
            found["theirs"] = hits[0]
            hits = result_of(await client.call_tool("search", {"query": QUESTION}))["results"]
            assert all("ledger" in hit["title"].lower() for hit in hits), hits
        async with ours.connect() as client:
            hits = result_of(await client.call_tool("search", {"query": CANARY}))["results"]
            assert "quince" not in json.dumps(hits).lower(), "the canary came through"
            for wanted in (found["theirs"]["id"], found["theirs"]["url"].rsplit("/", 1)[1]):
                answer = await client.call_tool("fetch", {"id": wanted})
                assert answer.is_error, f"fetched {wanted} of another tenant"
                assert "quince" not in str(answer.content).lower()

    wait_for(look)
    page = ours.person.browser.open(found["theirs"]["url"])
    assert page.status == 404 and "quince" not in page.text, f"the page answered {page.status}"
    assert ours.person.browser.open("/t/other/documents").status in {403, 404}
    client = demo.client("Wanderer")
    client.resource = theirs.mcp_url
    assert not client.works(ours.tokens.access_token), "our token at their URL"


SWITCHING = {"X-Tenant-Id": "other", "Mcp-Param-Tenant": "other", "Cookie": "tenant=other"}


def search_titles(client: Client, token: str, query: str, headers: dict[str, str]) -> list[str]:
    answer = client.call(token, "search", {"query": query}, headers)
    assert answer.status == 200, answer.text
    return [hit["title"] for hit in answer.json()["result"]["structuredContent"]["results"]]


def other_tenant(demo: Demo) -> Person:
    """A second tenant with a member and a document, made by the commands."""
    folder = WORK / "other"
    folder.mkdir()
    (folder / "ledger.md").write_text(f"# Ledger\n\n{CANARY}, and no more.\n")
    callslip("tenant", "create", "other", "--name", "The other")
    callslip(
        *("user", "add", "--tenant", "other", "--email", "eve@example.org", "--name", "Eve"),
        "--password-stdin",
        text=f"{OTHER_PASSWORD}\n",
    )
    callslip("import", "--tenant", "other", "--store", "Ledgers", str(folder))
    return Person(Browser(demo.origin), "eve@example.org", OTHER_PASSWORD)


# [C-09] Where the URL names no tenant the person picks one, and nothing that is sent later changes it.
def test_a_member_of_two_tenants_picks_one(demo: Demo) -> None:
    callslip("user", "add", "--tenant", demo.tenant, "--email", "eve@example.org")
    person = Person(Browser(demo.origin), "eve@example.org", OTHER_PASSWORD)
    client = demo.client("Undecided")
    client.resource = f"{demo.origin}/mcp"
    consent = person.sign_in_at(client.authorization_url("look")).form(button="decision")
    tenants = consent.choices["tenant"]
    assert len(tenants) == 2, f"{len(tenants)} tenants to pick from"
    found = []
    for tenant in tenants:
        token = client.redeem(*client.code(person, tenant=tenant)).json()["access_token"]
        titles = [search_titles(client, token, CANARY, headers) for headers in ({}, SWITCHING)]
        assert titles[0] == titles[1], f"{titles[0]} became {titles[1]}"
        found.append("Ledger" in titles[0])
        assert found[-1] != bool(search_titles(client, token, QUESTION, {})), "both tenants answer"
    assert sorted(found) == [False, True], found


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    sys.exit(checks.run("__main__", Demo.load()))
