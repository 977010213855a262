"""The official SDK as an assistant uses it, with a person who signs in and consents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)

from oauth import REDIRECT_URI, Person


@dataclass
class Assistant:
    """One installation of an assistant: keeps its registration and tokens from call to call."""

    mcp_url: str
    person: Person
    name: str
    choices: dict[str, str] = field(default_factory=dict)
    tokens: OAuthToken | None = None
    registration: OAuthClientInformationFull | None = None
    asked: list[str] = field(default_factory=list)  # authorization URLs that the person was sent to
    answered: list[str] = field(default_factory=list)  # where the person was sent back to
    traffic: list[tuple[str, str, int]] = field(default_factory=list)

    # What the SDK stores through.
    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.registration

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.registration = client_info

    # What the person does when the SDK opens a browser.
    async def _redirect(self, url: str) -> None:
        self.asked.append(url)
        answer = await anyio.to_thread.run_sync(lambda: self.person.decide(url, **self.choices))
        assert answer.status == 303, f"consent answered {answer.status}: {answer.text[:300]}"
        assert answer.location.startswith(REDIRECT_URI + "?"), answer.location
        self.answered.append(answer.location)
        self._back = answer.query

    async def _callback(self) -> AuthorizationCodeResult:
        back = self._back
        return AuthorizationCodeResult(
            code=back.get("code", ""), state=back.get("state"), iss=back.get("iss")
        )

    def provider(self) -> OAuthClientProvider:
        return OAuthClientProvider(
            server_url=self.mcp_url,
            client_metadata=OAuthClientMetadata(
                client_name=self.name,
                redirect_uris=[REDIRECT_URI],
                grant_types=["authorization_code", "refresh_token"],
                token_endpoint_auth_method="none",
            ),
            storage=self,
            redirect_handler=self._redirect,
            callback_handler=self._callback,
        )

    @asynccontextmanager
    async def connect(
        self, mode: str = "auto", provider: OAuthClientProvider | None = None
    ) -> AsyncIterator[Client]:
        """An open connection; authorizes on the way when it has to."""

        async def note(response: httpx2.Response) -> None:
            asked = response.request
            self.traffic.append((asked.method, asked.url.path, response.status_code))

        auth = provider or self.provider()
        async with (
            httpx2.AsyncClient(
                auth=auth, timeout=30, event_hooks={"response": [note]}
            ) as http,
            Client(streamable_http_client(self.mcp_url, http_client=http), mode=mode) as client,
        ):
            yield client


def result_of(answer: object) -> dict:
    """A tool's structured result, which must also be there as one text item."""
    import json

    assert not answer.is_error, f"the tool failed: {answer.content}"
    structured = answer.structured_content
    assert isinstance(structured, dict), "no structuredContent"
    assert len(answer.content) == 1, f"{len(answer.content)} content items"
    assert json.loads(answer.content[0].text) == structured, "the text is another object"
    return structured
