"""Whether every answer belongs to its caller: many clients of two tenants at once, with the same
JSON-RPC ids, one call in ten cut off at a random moment.

usage: scripts/identity [CALLS] [--clients 64]

Builds in release mode, starts a demonstration in a folder of its own with limits far away and a
second tenant beside it, gives each tenant a document with a word of its own, connects both over
OAuth, and asks. Says how many calls were answered, cut off, and told to try again, in how many seconds; ends with
an error at the first answer that is somebody else's, or where the audit of one tenant holds as
much as one call of the other's.
"""
import argparse
import json
import subprocess

import common

WORDS = {"alpha": "acanary", "omega": "zanary"}


def callslip(demo, *arguments, text=None):
    done = subprocess.run(
        [demo.binary, *arguments], env=demo.environment, input=text, check=True,
        stdout=subprocess.PIPE, text=True,
    )
    return done.stdout


def tenant(demo, slug, word):
    """A tenant with one member and one document; a token of theirs."""
    password = "a long enough password of the test's"
    email = f"member@{slug}.example"
    callslip(demo, "tenant", "create", slug, "--name", f"The {slug} company")
    callslip(
        demo, "user", "add", "--tenant", slug, "--email", email, "--name", "A member",
        "--password-stdin", text=password + "\n",
    )
    file = demo.folder / f"{slug}.md"
    file.write_text(f"# The ledger\n\nThe {word} ledger is kept below the lamp.\n")
    callslip(demo, "import", "--tenant", slug, "--store", "Books", str(file))
    path = f"/t/{slug}/mcp"
    facts = demo.folder / f"{slug}.json"
    users = [{"email": email, "password": password}]
    facts.write_text(json.dumps({**demo.facts, "mcp_url": demo.facts["origin"] + path, "users": users}))
    demo.file = facts
    return path, demo.token()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("calls", type=int, nargs="?", default=100_000)
    parser.add_argument("--clients", type=int, default=64)
    options = parser.parse_args()
    with common.demonstration() as (demo, peers):
        lines = []
        for slug, word in WORDS.items():
            path, token = tenant(demo, slug, word)
            foreign = next(other for other in WORDS.values() if other != word)
            lines.append(f"{path} {token} {word} {foreign}")
        camps = demo.folder / "camps"
        camps.write_text("\n".join(lines) + "\n")
        command = [peers / "identity", demo.listen, options.calls, options.clients, camps]
        done = subprocess.run(
            [str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True
        )
        answered, cut, put_off, seconds = done.stdout.split()
        print(
            f"{answered} calls answered, {cut} cut off, {put_off} told to try again, none crossed, "
            f"in {seconds} s"
        )
        # An id begins with a byte, and then has the store's.
        crossed = demo.psql(
            """
            select count(*) from audit_events e, jsonb_array_elements_text(e.detail -> 'documents') d
             where e.kind = 'tool.search' and not exists (
               select from vector_stores s where s.tenant_id = e.tenant_id and s.id = encode(substr(
                 decode(rpad(translate(d, '-_', '+/'), (length(d) + 3) / 4 * 4, '='), 'base64'),
                 2, 16), 'hex')::uuid)
            """
        )
        recorded = demo.psql("select count(*) from audit_events where kind = 'tool.search'")
        print(f"{recorded} calls on record, {crossed} of them with another tenant's document")


if __name__ == "__main__":
    main()
