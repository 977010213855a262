"""A plain OAuth client of the demonstration, by hand: for what an SDK does not let one do."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlencode

from browser import Answer, Browser, request

REDIRECT_URI = "http://127.0.0.1:9/callback"  # nobody listens: the code is read off the redirect


@dataclass
class Person:
    """A user at a browser."""

    browser: Browser
    email: str
    password: str

    def decide(self, url: str, decision: str = "approve", **choices: str) -> Answer:
        """Open an authorization URL, sign in if asked to, decide; the redirect to the client."""
        form = self.sign_in_at(url).form(button="decision")
        return self.browser.submit(form, decision=decision, **choices)

    def sign_in_at(self, url: str) -> Answer:
        """Open an authorization URL and sign in if asked to; the consent page."""
        page = self.browser.open(url)
        if any("password" in form.names for form in page.forms()):
            form = page.form(holds="password")
            answer = self.browser.submit(form, email=self.email, password=self.password)
            assert answer.status == 303, f"sign-in answered {answer.status}"
            page = self.browser.follow(answer)
        assert page.status == 200, f"{page.url} answered {page.status}: {page.text[:300]}"
        return page


@dataclass
class Client:
    """A registered public client, and the tokens that it holds."""

    metadata: dict
    resource: str
    client_id: str
    verifiers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def register(cls, origin: str, resource: str, name: str) -> Client:
        metadata = request("GET", f"{origin}/.well-known/oauth-authorization-server").json()
        body = {
            "client_name": name,
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }
        answer = request(
            "POST",
            metadata["registration_endpoint"],
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        assert answer.status == 201, f"registration answered {answer.status}: {answer.text}"
        return cls(metadata, resource, answer.json()["client_id"])

    def authorization_url(self, state: str, **more: str) -> str:
        """Remembers the verifier under the state."""
        verifier = secrets.token_urlsafe(48)
        self.verifiers[state] = verifier
        digest = hashlib.sha256(verifier.encode()).digest()
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": REDIRECT_URI,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
            "state": state,
            "scope": "search:read",
            "resource": self.resource,
        } | more
        return f"{self.metadata['authorization_endpoint']}?{urlencode(parameters)}"

    def code(self, person: Person, **choices: str) -> tuple[str, str]:
        """A fresh code with its verifier."""
        state = secrets.token_urlsafe(16)
        answer = person.decide(self.authorization_url(state), **choices)
        assert answer.status == 303, f"consent answered {answer.status}: {answer.text[:300]}"
        assert answer.query.get("state") == state, f"another state: {answer.location}"
        assert "code" in answer.query, f"no code: {answer.location}"
        return answer.query["code"], self.verifiers.pop(state)

    def redeem(self, code: str, verifier: str, timeout: float = 30) -> Answer:
        return self.token(
            {
                "grant_type": "authorization_code",
                "code": code,
                "code_verifier": verifier,
                "redirect_uri": REDIRECT_URI,
            },
            timeout,
        )

    def refresh(self, refresh_token: str, timeout: float = 30) -> Answer:
        return self.token({"grant_type": "refresh_token", "refresh_token": refresh_token}, timeout)

    def token(self, fields: dict[str, str], timeout: float = 30) -> Answer:
        endpoint = self.metadata["token_endpoint"]
        fields = {"client_id": self.client_id, "resource": self.resource} | fields
        return _form(endpoint, fields, timeout)

    def revoke(self, token: str) -> Answer:
        fields = {"client_id": self.client_id, "token": token}
        return _form(self.metadata["revocation_endpoint"], fields, 30)

    def call(
        self, access_token: str, name: str, arguments: dict, more: dict[str, str] | None = None
    ) -> Answer:
        """A tool call, with more headers."""
        params = {"name": name, "arguments": arguments}
        return self.message(access_token, "tools/call", params, more)

    def message(
        self, access_token: str, method: str, params: dict, more: dict[str, str] | None = None
    ) -> Answer:
        """One JSON-RPC request as a caller without a session sends it."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {
            "Authorization": f"Bearer {access_token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2025-11-25",
        } | (more or {})
        return request("POST", self.resource, json.dumps(body).encode(), headers)

    def works(self, access_token: str) -> bool:
        """Whether a call with this token is answered. A refusal must be a clean one."""
        answer = self.message(access_token, "tools/list", {})
        assert answer.status in {200, 401}, f"tools/list answered {answer.status}: {answer.text}"
        return answer.status == 200


def error_of(answer: Answer) -> str:
    """The OAuth error code of a refusal."""
    assert answer.status in {400, 401}, f"answered {answer.status}: {answer.text}"
    return answer.json()["error"]


def _form(url: str, fields: dict[str, str], timeout: float) -> Answer:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return request("POST", url, urlencode(fields).encode(), headers, timeout)
