"""Other people's OAuth clients in Python: fastmcp, with its own browser and callback server, and Authlib."""

from __future__ import annotations

import json
import os
import threading
import urllib.error
import urllib.request
import warnings
import webbrowser

import anyio
from authlib.integrations.requests_client import OAuth2Session
from fastmcp import Client as FastMcpClient
from fastmcp.client.auth import OAuth
from joserfc import jwt
from joserfc.jwk import KeySet

from browser import request
from demo import Demo
from oauth import REDIRECT_URI, Client, Person

QUESTION = "Are cats attached to their homes?"


class PersonAtTheBrowser(webbrowser.BaseBrowser):
    """What `webbrowser` opens: the person signs in, consents, and the browser follows the redirect."""

    def __init__(self, person: Person) -> None:
        super().__init__("person")
        self.person = person
        self.opened: list[str] = []

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        self.opened.append(url)
        threading.Thread(target=self._visit, args=(url,), daemon=True).start()
        return True

    def _visit(self, url: str) -> None:
        back = self.person.decide(url)
        for _ in range(100):  # the client's own server may still be on its way up
            try:
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(back.location, timeout=10)
                return
            except ConnectionError:
                continue
            except urllib.error.URLError as error:
                if not isinstance(error.reason, ConnectionError):
                    raise


def test_fastmcp_connects_searches_and_fetches(demo: Demo) -> None:
    person = PersonAtTheBrowser(demo.person("reader"))
    webbrowser.register("person", None, person, preferred=True)

    async def work() -> None:
        with anyio.fail_after(60):
            async with FastMcpClient(demo.mcp_url, auth=OAuth(client_name="fastmcp")) as client:
                tools = {tool.name for tool in await client.list_tools()}
                assert tools == {"search", "fetch"}, tools
                found = await client.call_tool("search", {"query": QUESTION})
                hits = found.structured_content["results"]
                assert hits, "the search found nothing"
                read = await client.call_tool("fetch", {"id": hits[0]["id"]})
                assert read.structured_content["title"] == hits[0]["title"]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it keeps tokens in memory, and says so
        anyio.run(work)
    assert len(person.opened) == 1, f"sent to the browser {len(person.opened)} times"


def authlib_dance(demo: Demo, method: str) -> None:
    """Register, authorize, look into the token, use it, refresh it, and give it back."""
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # the demonstration is plain http on loopback
    metadata = request("GET", f"{demo.origin}/.well-known/oauth-authorization-server").json()
    registered = register(metadata, method)
    session = OAuth2Session(
        registered["client_id"],
        registered.get("client_secret"),
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        redirect_uri=REDIRECT_URI,
        scope="search:read",
        code_challenge_method="S256",
    )
    session.trust_env = False
    verifier = "a" * 20 + os.urandom(20).hex()
    url, state = session.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=verifier, resource=demo.mcp_url
    )
    back = demo.person("reader").decide(url)
    token = session.fetch_token(
        metadata["token_endpoint"],
        authorization_response=back.location,
        state=state,
        code_verifier=verifier,
        resource=demo.mcp_url,
    )
    keys = KeySet.import_key_set(request("GET", metadata["jwks_uri"]).json())
    decoded = jwt.decode(token["access_token"], keys, algorithms=["EdDSA", "Ed25519"])
    assert decoded.header["typ"] == "at+jwt", decoded.header
    assert decoded.claims["aud"] == demo.mcp_url, decoded.claims
    assert decoded.claims["client_id"] == registered["client_id"], decoded.claims
    caller = Client(metadata, demo.mcp_url, registered["client_id"])
    assert caller.works(token["access_token"])
    refreshed = session.refresh_token(metadata["token_endpoint"])
    assert refreshed["refresh_token"] != token["refresh_token"]
    assert caller.works(refreshed["access_token"])
    answer = session.revoke_token(metadata["revocation_endpoint"], refreshed["refresh_token"])
    assert answer.status_code == 200, answer.text
    assert not caller.works(refreshed["access_token"]), "the access token outlived its grant"


def register(metadata: dict, method: str) -> dict:
    body = {
        "client_name": "Authlib",
        "redirect_uris": [REDIRECT_URI],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": method,
    }
    headers = {"Content-Type": "application/json"}
    answer = request("POST", metadata["registration_endpoint"], json.dumps(body).encode(), headers)
    assert answer.status == 201, answer.text
    return answer.json()


def test_authlib_with_a_secret_by_basic(demo: Demo) -> None:
    authlib_dance(demo, "client_secret_basic")


def test_authlib_with_a_secret_in_the_body(demo: Demo) -> None:
    authlib_dance(demo, "client_secret_post")


def test_authlib_without_a_secret(demo: Demo) -> None:
    authlib_dance(demo, "none")
