"""A browser without scripts: keeps cookies, sends fetch metadata, fills in forms. Standard library."""

from __future__ import annotations

import http.client
import json
import re
import uuid
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit


@dataclass
class Answer:
    """What came back."""

    url: str
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> dict:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def location(self) -> str:
        """Where it redirects to; empty when it does not."""
        where = self.header("location")
        return urljoin(self.url, where) if where else ""

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the redirect, each of which must be there once."""
        pairs = parse_qsl(urlsplit(self.location).query, keep_blank_values=True)
        assert len(pairs) == len(dict(pairs)), f"a parameter twice in {self.location}"
        return dict(pairs)

    def forms(self) -> list[Form]:
        reader = _Forms(self.url)
        reader.feed(self.text)
        return reader.forms

    def form(self, action: str = "", button: str = "", holds: str = "", says: str = "") -> Form:
        """The one form whose action matches a pattern, that has a button or a field of this name,
        and these words in it."""
        found = [
            form
            for form in self.forms()
            if re.search(action, urlsplit(form.action).path)
            and (not button or any(name == button for name, _ in form.buttons))
            and (not holds or holds in form.names)
            and says in form.text
        ]
        assert len(found) == 1, (
            f"{len(found)} forms with action ~ {action!r}, button {button!r}, field {holds!r}, "
            f"words {says!r} "
            f"at {self.url} ({self.status}): {[form.action for form in self.forms()]}"
        )
        return found[0]


@dataclass
class Form:
    """As a browser would send it untouched."""

    action: str
    method: str
    text: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    choices: dict[str, list[str]] = field(default_factory=dict)

    def filled(self, values: dict[str, str]) -> list[tuple[str, str]]:
        kept = [(name, value) for name, value in self.fields if name not in values]
        return kept + list(values.items())


class _Forms(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.forms, self.form, self.select = url, [], None, None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attributes}
        if tag == "form":
            action = urljoin(self.url, has.get("action", ""))
            self.form = Form(action, has.get("method", "get").lower())
            self.forms.append(self.form)
        if self.form is None:
            return
        name, value = has.get("name", ""), has.get("value", "")
        if tag in {"input", "select", "textarea"} and name:
            self.form.names.add(name)
        if tag == "button" and has.get("type", "submit") == "submit":
            self.form.buttons.append((name, value))
        elif tag == "input":
            self._input(has.get("type", "text").lower(), name, value, "checked" in has)
        elif tag == "select":
            self.select = name
        elif tag == "option" and self.select:
            chosen = self.form.choices.setdefault(self.select, [])
            chosen.append(value)
            kept = [pair for pair in self.form.fields if pair[0] != self.select]
            if "selected" in has or len(chosen) == 1:
                self.form.fields = [*kept, (self.select, value)]

    def _input(self, kind: str, name: str, value: str, checked: bool) -> None:
        if kind in {"submit", "image"}:
            self.form.buttons.append((name, value))
        elif kind in {"radio", "checkbox"}:
            self.form.choices.setdefault(name, []).append(value)
            if checked:
                self.form.fields.append((name, value or "on"))
        elif name and kind != "file":
            self.form.fields.append((name, value))

    def handle_data(self, data: str) -> None:
        if self.form is not None:
            self.form.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = None
        if tag == "select":
            self.select = None


class Browser:
    """One person's browser at one origin."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.cookies: dict[str, str] = {}

    def send(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 30,
    ) -> Answer:
        url = urljoin(self.origin + "/", url)
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}" == self.origin, f"{url} is not of {self.origin}"
        sent = dict(headers or {})
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = request(method, url, body, sent, timeout)
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                self._keep(value)
        return answer

    def _keep(self, cookie: str) -> None:
        name, _, value = cookie.split(";")[0].partition("=")
        if value and not re.search(r"max-age=0\b", cookie, re.I):
            self.cookies[name.strip()] = value
        else:
            self.cookies.pop(name.strip(), None)

    def get(self, url: str) -> Answer:
        return self.send("GET", url, headers={"Sec-Fetch-Site": "none", "Accept": "text/html"})

    def open(self, url: str) -> Answer:
        """Get, and follow redirects for as long as they stay here."""
        return self.follow(self.get(url))

    def follow(self, answer: Answer) -> Answer:
        for _ in range(10):
            if not answer.location.startswith(self.origin + "/"):
                return answer
            answer = self.get(answer.location)
        raise AssertionError(f"redirected in circles at {answer.url}")

    def submit(self, form: Form, **values: str) -> Answer:
        """Send a form of ours, with other values for some of its fields."""
        fields = form.filled(values)
        if form.method == "get":
            return self.get(f"{form.action}?{urlencode(fields)}")
        headers = self._same_origin() | {"Content-Type": "application/x-www-form-urlencoded"}
        return self.send("POST", form.action, urlencode(fields).encode(), headers)

    def upload(
        self, form: Form, name: str, content: bytes, kind: str = "text/plain", timeout: float = 30
    ) -> Answer:
        """Send the form with one file."""
        line = uuid.uuid4().hex
        parts = [
            f'--{line}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
            for key, value in form.fields
        ]
        head = f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        parts += [f"{head}Content-Type: {kind}\r\n\r\n".encode(), content, b"\r\n"]
        parts.append(f"--{line}--\r\n".encode())
        headers = self._same_origin() | {"Content-Type": f"multipart/form-data; boundary={line}"}
        return self.send("POST", form.action, b"".join(parts), headers, timeout)

    def _same_origin(self) -> dict[str, str]:
        return {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"}

    def sign_in(self, email: str, password: str, page: str = "/sign-in") -> Answer:
        """Through the form, then on to where it leads."""
        form = self.open(page).form(holds="password")
        answer = self.submit(form, email=email, password=password)
        assert answer.status == 303, f"sign-in of {email} answered {answer.status}"
        return self.follow(answer)


def request(
    method: str,
    url: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    timeout: float = 30,
) -> Answer:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        return Answer(url, response.status, response.getheaders(), response.read())
    finally:
        connection.close()
