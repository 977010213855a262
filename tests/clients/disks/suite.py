"""What goes on while a disk is full, and that all does when it is not any more. See `run`."""

from __future__ import annotations

import http.client
import os
import re
import socket
import sys
import time
from urllib.parse import urlencode, urlsplit

import checks
from browser import Answer, Form, request
from demo import Demo
from disks import DATA, LOG, MIB, UPLOADS, free, press, pressed, used
from oauth import Client, Person
from victims import Server, number, postmaster, until

BROKEN = (OSError, http.client.HTTPException)
WAITING = "select count(*) from ingest_jobs where stage not in ('published', 'failed', 'cancelled')"
# Documents by half: without all of their text, their chunks, their index or their bytes.
HALVES = """
select count(*) from documents d where source_key like 'upload:%' and not (
  exists (select from document_texts t where t.document_id = d.id
                  and t.body ~ 'Begins' and t.body ~ 'Ends')
  and (select count(*) from chunks c where c.document_id = d.id) > 0
  and (select count(*) from chunks c where c.document_id = d.id)
      = (select count(*) from chunk_index c where c.document_id = d.id)
  and exists (select from originals o where o.document_id = d.id and o.id = d.original_id))"""


class Library:
    """A tenant's admin with the upload form, its reader's assistant, and its back end."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.admin = demo.admin()
        self.admin.browser.sign_in(self.admin.email, self.admin.password)
        self.page = f"/t/{demo.tenant}/documents"
        self.form: Form = self.admin.browser.open(self.page).form(
            action="/documents$", holds="file"
        )
        self.store = dict(self.form.fields)["store"]
        reader: Person = demo.person("reader")
        self.client: Client = demo.client("Full disks")
        self.token = self.client.redeem(*self.client.code(reader)).json()["access_token"]
        self.back_end = self._back_end()
        assert self.send("known.html", text_of("Known heron", 0)).status == 303
        self.read_all()
        found = self.client.call(self.token, "search", {"query": "Known heron"})
        self.known = found.json()["result"]["structuredContent"]["results"][0]["id"]

    def _back_end(self) -> str:
        """A token for the API."""
        page = f"/t/{self.demo.tenant}/service-clients"
        form = self.admin.browser.open(page).form(action="/service-clients$", holds="name")
        made = self.admin.browser.submit(
            form, name="Filing bot", proof="secret", life="730", may="documents_write", store=self.store
        )
        id = re.search(r'id="issued-id"[^>]*>([^<]+)<', made.text)
        secret = re.search(r'id="issued-secret"[^>]*>([^<]+)<', made.text)
        assert id and secret, f"no back end ({made.status}): {made.text[:2000]}"
        fields = {
            "grant_type": "client_credentials",
            "client_id": id[1].strip(),
            "client_secret": secret[1].strip(),
            "resource": f"{self.demo.origin}/t/{self.demo.tenant}/api",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = request(
            "POST", f"{self.demo.origin}/oauth/token", urlencode(fields).encode(), headers
        )
        assert answer.status == 200, answer.text
        return answer.json()["access_token"]

    def send(self, name: str, content: bytes) -> Answer:
        """Through the page."""
        return self.admin.browser.upload(self.form, name, content, "text/html", timeout=60)

    def head(self, name: str, length: int) -> tuple[str, dict[str, str]]:
        path = f"/t/{self.demo.tenant}/api/v1/vector-stores/{self.store}/documents?filename={name}"
        return path, {
            "Authorization": f"Bearer {self.back_end}",
            "Content-Type": "text/html",
            "Content-Length": str(length),
        }

    def post(self, name: str, content: bytes) -> Answer:
        """Through the API."""
        path, headers = self.head(name, len(content))
        return request("POST", self.demo.origin + path, content, headers, 60)

    def begin(self, name: str, length: int) -> socket.socket:
        """Through the API, the content to come."""
        path, headers = self.head(name, length)
        where = urlsplit(self.demo.origin)
        lines = [f"POST {path} HTTP/1.1", f"Host: {where.netloc}", "Connection: close"]
        lines += [f"{key}: {value}" for key, value in headers.items()]
        connection = socket.create_connection((where.hostname, where.port), 60)
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection

    def read_all(self) -> None:
        """Wait until the queue is empty."""
        until("everything that was sent is read", lambda: number(WAITING) == 0, 120)

    def there(self, name: str) -> int:
        """How many documents were read from this file."""
        return number(f"select count(*) from documents where source_key = 'upload:{name}'")

    def search(self, words: str = "Known heron") -> Answer:
        return self.client.call(self.token, "search", {"query": words})

    def fetch(self) -> Answer:
        return self.client.call(self.token, "fetch", {"id": self.known})

    def events(self) -> int:
        return number(
            f"select count(*) from audit_events where client_id = '{self.client.client_id}'"
            " and kind in ('tool.search', 'tool.fetch')"
        )

    def require_tokens_are_told_apart(self) -> None:
        assert self.client.works(self.token), "a good token is refused"
        assert not self.client.works(self.token[:-4] + "AAAA"), "a bad token is taken"

    def require_pages(self) -> None:
        for page in (self.page, f"/d/{self.known}", f"/t/{self.demo.tenant}"):
            answer = self.admin.browser.get(page)
            assert answer.status == 200, f"{page} answered {answer.status}: {answer.text[:1500]}"
        assert "Known heron" in self.admin.browser.get(f"/d/{self.known}").text


def text_of(title: str, size: int) -> bytes:
    """Only a whole one begins and ends like this. So large, of which next to nothing is text: to
    keep it costs a disk more than to read it."""
    silence = f"<!-- {'x' * 1000} -->\n" * (size // 1000)
    return f"<h1>{title}</h1>\n<p>Begins.</p>\n{silence}<p>Ends.</p>\n".encode()


def resident(server: Server) -> int:
    """What the server has in memory of its own."""
    status = open(f"/proc/{server.process.pid}/status").read()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024


# [U-01] Ten files that come at once are on the disk and not in memory, and nothing is left of them
# when the server is killed.
def test_files_that_come_take_a_disk_and_no_memory(library: Library, server: Server) -> None:
    size, piece = 24 * MIB, bytes(MIB)
    assert library.post("warm.html", text_of("Warm", 3 * MIB)).status == 202
    library.read_all()
    before, on_disk = resident(server), used(UPLOADS)
    coming = [library.begin(f"coming-{index}.html", size) for index in range(10)]
    for _ in range(23):
        for connection in coming:
            connection.sendall(piece)
    until("all of it is on the disk", lambda: used(UPLOADS) - on_disk >= 10 * 22 * MIB)
    grown = resident(server) - before
    print(f"        {10 * 23} MiB on the way, {grown / MIB:.1f} MiB more in memory")
    assert grown < 32 * MIB, f"{grown / MIB:.0f} MiB more in memory"
    assert os.listdir(UPLOADS) == [], "a file has a name"
    server.kill()
    for connection in coming:
        connection.close()
    assert used(UPLOADS) == on_disk, "something is left of what was coming"
    server.start()


# [FX-11] Where files come in there are 32 MiB and others hold most of them: a file that does not fit
# is refused in each surface's words, a smaller one is taken, and everybody reads on.
def test_the_disk_for_uploads_is_full(library: Library, server: Server) -> None:
    pid = server.process.pid
    small = text_of("Small heron", MIB)
    large = text_of("Large heron", 10 * MIB)
    with pressed(UPLOADS, left=32 * MIB):
        press(UPLOADS, left=4 * MIB)
        for _ in range(3):
            refused = library.send("large.html", large)
            assert refused.status == 507, f"the page answered {refused.status}"
            assert "large.html" in refused.text and "disk is full: try again later" in refused.text
            refused = library.post("large.html", large)
            assert refused.status == 507, f"the API answered {refused.status}: {refused.text}"
            assert refused.header("content-type") == "application/problem+json"
            assert refused.json()["type"] == "urn:callslip:problem:server-full", refused.text
            assert refused.json()["detail"].endswith("at the moment: try again later")
            until("nothing is left of it", lambda: free(UPLOADS) == 4 * MIB, 10)
        assert library.send("small.html", small).status == 303
        press(UPLOADS)
        assert library.post("tiny.html", small).status == 507
        assert library.search().status == 200
        assert library.fetch().status == 200
        library.require_tokens_are_told_apart()
        library.require_pages()
    assert library.send("large.html", large).status == 303
    assert library.post("tiny.html", text_of("Tiny heron", 0)).status == 202
    library.read_all()
    there = [library.there(name) for name in ("small.html", "large.html", "tiny.html")]
    assert there == [1, 1, 1], f"{there} documents"
    assert number(HALVES) == 0
    assert server.process.pid == pid and used(UPLOADS) == 0


# [FX-11] Where Postgres has its tables there is no room at all: files are refused with 503; tokens
# are told apart, and pages and documents are read. A tool call is answered as long as its event can
# be kept, and else refused in its protocol's words: no answer without its event. Then there is room
# again, and everything goes on, with nothing by half and nothing twice.
def test_the_disk_of_the_tables_is_full(library: Library, server: Server) -> None:
    pid, database = server.process.pid, postmaster()
    answered = refusals = 0
    large = text_of("Later heron", 5 * MIB)
    before = library.events()
    assert library.send("waits.html", text_of("Waiting heron", 2 * MIB)).status == 303
    with pressed(DATA):
        for index in range(20):
            press(DATA)
            refused = library.send("later.html", large)
            assert refused.status == 503, f"the page answered {refused.status}"
            assert refused.header("retry-after") == "5" and "Nothing was lost" in refused.text
            refused = library.post("later.html", large)
            assert refused.status == 503, f"the API answered {refused.status}: {refused.text}"
            assert refused.json()["type"] == "urn:callslip:problem:unavailable", refused.text
            library.require_tokens_are_told_apart()
            library.require_pages()
            for _ in range(5):
                for call in (library.search, library.fetch):
                    answer = call()
                    if answer.status == 200:
                        assert "Known heron" in answer.text
                        answered += 1
                        continue
                    assert answer.status == 503, f"answered {answer.status}: {answer.text}"
                    error = answer.json()["error"]
                    assert error["code"] == -32603 and "not available" in error["message"], error
                    assert answer.header("retry-after") == "2"
                    refusals += 1
        print(f"        {answered} tool calls answered and {refusals} refused while it was full")
        kept = library.events() - before
        assert kept >= answered, f"{answered} answers and {kept} events"
        assert number("select count(*) from documents where source_key = 'upload:later.html'") == 0
    took = until("calls are answered again", lambda: library.search().status == 200, 30)
    print(f"        answered {took:.1f} s after there was room again")
    assert library.send("later.html", large).status == 303
    assert library.post("also.html", text_of("Also heron", MIB)).status == 202
    until("what waited is read", lambda: library.there("waits.html") == 1, 120)
    library.read_all()
    there = [library.there(name) for name in ("waits.html", "later.html", "also.html")]
    assert there == [1, 1, 1], f"{there} documents"
    assert number(HALVES) == 0
    assert postmaster() == database, "Postgres has stopped"
    assert server.process.pid == pid and server.process.poll() is None


# [FX-11] Where Postgres has its log there is no room: it stops, and every call is answered 503 soon.
# When there is room, it comes back by itself, and what was acknowledged is there.
def test_the_disk_of_the_log_is_full(library: Library, server: Server) -> None:
    pid = server.process.pid
    acknowledged: list[str] = []
    with pressed(LOG, left=40 * MIB):
        for index in range(200):
            name = f"logged-{index}.html"
            try:
                answer = library.post(name, text_of(f"Logged heron {index}", 4 * MIB))
            except BROKEN as error:
                raise AssertionError(f"the server does not answer: {error}") from error
            if answer.status == 202:
                acknowledged.append(name)
                continue
            assert answer.status == 503, f"answered {answer.status}: {answer.text}"
            break
        else:
            raise AssertionError("the log is never full")
        until("nobody is ready", lambda: not server.is_ready(), 30)
        for call in (library.search, library.fetch):
            since = time.monotonic()
            answer = call()
            assert answer.status == 503, f"answered {answer.status}: {answer.text}"
            assert time.monotonic() - since < 12, "it hung"
        page = library.admin.browser.get(library.page)
        assert page.status == 503, f"the page answered {page.status}"
    took = until("the server is ready again", server.is_ready, 60)
    print(f"        {len(acknowledged)} files taken; ready {took:.1f} s after there was room again")
    until("calls are answered again", lambda: library.search().status == 200, 30)
    library.require_pages()
    library.read_all()
    lost = [name for name in acknowledged if library.there(name) != 1]
    assert not lost, f"acknowledged and lost, or there twice: {lost}"
    assert number("select count(*) from documents where source_key like 'upload:logged-%'") <= len(acknowledged) + 1
    assert number(HALVES) == 0
    assert library.post("after.html", text_of("After heron", 0)).status == 202
    library.read_all()
    assert library.there("after.html") == 1
    assert server.process.pid == pid and server.process.poll() is None


if __name__ == "__main__":
    told = Demo.load()
    running = Server(told.origin)
    running.ensure()
    outcome = checks.run("__main__", Library(told), running, before=running.ensure)
    running.stop()
    sys.stdout.flush()
    os._exit(outcome)  # whatever a failed check has left running
