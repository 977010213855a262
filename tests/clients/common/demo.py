"""The demonstration that `lib.sh` has started, as its demo.json describes it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from browser import Browser
from oauth import Client, Person

DATA = Path(os.environ["CALLSLIP_DATA_DIR"])
WORK = Path(os.environ["SUITE_WORK"])


@dataclass
class Demo:
    origin: str
    mcp_url: str
    sse_url: str
    tenant: str
    users: list[dict]
    operator: dict

    @classmethod
    def load(cls) -> Demo:
        path = DATA / "demo.json"
        mode = path.stat().st_mode & 0o777
        assert mode == 0o600, f"demo.json holds passwords and has mode {mode:o}"
        told = json.loads(path.read_text())
        return cls(**{name: told[name] for name in cls.__dataclass_fields__})

    def person(self, role: str) -> Person:
        """The user with this role, at a new browser."""
        user = next(user for user in self.users if user["role"] == role)
        return Person(Browser(self.origin), user["email"], user["password"])

    def admin(self) -> Person:
        """Who manages the tenant."""
        role = next(user["role"] for user in self.users if user["role"] in {"owner", "admin"})
        return self.person(role)

    def client(self, name: str) -> Client:
        return Client.register(self.origin, self.mcp_url, name)


def callslip(*arguments: str, text: str | None = None) -> str:
    """Run a command on the installation; its output."""
    done = subprocess.run(
        [os.environ["SUITE_BIN"], *arguments], input=text, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"callslip {' '.join(arguments)}: {done.stderr or done.stdout}"
    return done.stdout
