"""Token endpoint rates: code exchange, refresh, client credentials, introspection.

usage: scripts/bench tokens [--seconds 5] [--rounds 3] [--connections 1,16,64]

Starts a demonstration in a folder of its own with limits far away, connects to it once over OAuth,
and copies that grant in the database as often as codes and refresh tokens are needed. Then takes
turns with each kind of request and with pgbench's own transaction (TPC-B like: seven statements and
a commit, prepared) in the same Postgres: the yardstick. Prints one row a kind and number of
connections: calls per second, median of the rounds, p50 and p99 in milliseconds, the CPU
microseconds per call of the server and of Postgres. The last table says how many calls one core
would make in a second, by the CPU that a call cost: of the server alone, and with Postgres on the
same core; and what a call costs in the yardstick's transactions.
"""
import argparse
import base64
import hashlib
import json
import os
import pathlib
import re
import secrets
import subprocess
import time
import urllib.parse

import common

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
FORM = ["Content-Type: application/x-www-form-urlencoded"]
YARDSTICK = "pgbench transaction"


def secret(prefix):
    """As the product makes them: prefix, 256 bits, checksum."""
    body = prefix + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return body + base64.urlsafe_b64encode(hashlib.sha256(body.encode()).digest()[:5]).decode()[:6]


def hashes(values):
    return ",".join(f"'\\x{hashlib.sha256(value.encode()).hexdigest()}'" for value in values)


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Copies:
    """Makes grants like one that exists, each with a code or a refresh token."""

    def __init__(self, demo, grant, folder):
        self.demo, self.grant, self.folder = demo, grant, pathlib.Path(folder)

    def make(self, count, prefix, insert):
        values = [secret(prefix) for _ in range(count)]
        self.demo.psql(
            f"""
            create temp table wanted as
              select gen_random_uuid() as grant_id, hash
                from unnest(array[{hashes(values)}]::bytea[]) as hash;
            insert into oauth_grants
            select (jsonb_populate_record(g, jsonb_build_object('id', w.grant_id))).*
              from oauth_grants g, wanted w where g.id = '{self.grant}';
            {insert}
            analyze oauth_grants, oauth_authorization_codes, oauth_refresh_tokens;
            """
        )
        file = self.folder / secrets.token_hex(8)
        file.write_text("\n".join(values) + "\n")
        return file

    def refresh_tokens(self, connections, _):
        file = self.make(
            connections,
            "csl_rt_",
            """insert into oauth_refresh_tokens
                      (secret_hash, tenant_id, grant_id, generation, created_at, expires_at)
               select w.hash, g.tenant_id, g.id, 1, now(), now() + interval '1 day'
                 from wanted w join oauth_grants g on g.id = w.grant_id;""",
        )
        return f"chain:{file}"

    def codes(self, connections, seconds):
        file = self.make(
            int(3000 * seconds) if connections > 1 else int(1500 * seconds),
            "csl_ac_",
            f"""insert into oauth_authorization_codes
                       (secret_hash, tenant_id, grant_id, client_id, redirect_uri,
                        code_challenge, created_at, expires_at)
                select w.hash, g.tenant_id, g.id, g.client_id, g.redirect_uri, '{CHALLENGE}',
                       now(), now() + interval '1 hour'
                  from wanted w join oauth_grants g on g.id = w.grant_id;""",
        )
        return f"list:{file}"


def service_client(demo, tenant):
    """A back end that may search and introspect; its credentials."""
    client_id, client_secret = "5b6f1c80-0000-4000-8000-00000000be2c", secret("csl_cs_")
    digest = hashlib.sha256(client_secret.encode()).hexdigest()
    resource = f"{demo.facts['origin']}/t/{demo.facts['tenant']}/mcp"
    demo.psql(
        f"""
        insert into oauth_clients (client_id, client_name, source, redirect_uris, grant_types,
                                   token_endpoint_auth_methods, secret_hash, created_at)
        values ('{client_id}', 'Benchmark', 'tenant', '{{}}', '{{client_credentials}}',
                '{{client_secret_post,client_secret_basic}}', '\\x{digest}', now());
        insert into oauth_grants (tenant_id, id, client_id, redirect_uri, resource, scope,
                                  created_at, expires_at)
        values ('{tenant}', '{client_id}', '{client_id}', '', '{resource}', '{{search:read}}', now(),
                now() + interval '1 day');
        insert into oauth_service_clients (tenant_id, client_id, grant_id, may_introspect,
                                           created_by, created_at, expires_at)
        values ('{tenant}', '{client_id}', '{client_id}', true, '{client_id}', now(),
                now() + interval '1 day');
        """
    )
    return {"client_id": client_id, "client_secret": client_secret}


class Yardstick:
    """pgbench in the same Postgres, counted like the rest."""

    def __init__(self, demo):
        self.name, self.demo, self.rounds = YARDSTICK, demo, {}
        demo.psql("create database yardstick;")
        self.pgbench("-i", "-q", "-s", "10")

    def pgbench(self, *options):
        lines = next((self.demo.folder / "data").glob("**/postmaster.pid")).read_text().splitlines()
        password_file = next((self.demo.folder / "data").glob("**/*.pgpass"))
        command = [
            pathlib.Path(os.environ["CALLSLIP_POSTGRES_DIR"]) / "bin/pgbench", *options,
            "-h", lines[4] or lines[5].split(",")[0], "-p", lines[3], "-U", "postgres", "yardstick",
        ]
        return subprocess.run(
            command, env={**os.environ, "PGPASSFILE": str(password_file)},
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ).stdout

    def measure(self, _, connections, seconds):
        before = common.tree_cpu(self.demo.database)
        printed = self.pgbench(
            "-n", "-M", "prepared", "-c", str(connections), "-T", str(max(1, round(seconds))), "-r"
        )
        rate = float(re.search(r"tps = ([0-9.]+)", printed)[1])
        latency = float(re.search(r"latency average = ([0-9.]+)", printed)[1])
        # A backend's time is its parent's once it has gone.
        while self.demo.psql("select 1 from pg_stat_activity where datname = 'yardstick' limit 1"):
            pass
        spent = common.tree_cpu(self.demo.database) - before
        self.rounds.setdefault(connections, []).append(
            (rate, latency, float("nan"), 0.0, spent * 1e6 / (rate * max(1, round(seconds))))
        )

    medians = common.Target.medians


def targets(demo, folder, only):
    tokens = json.loads(demo.token("--refresh"))
    told = claims(tokens["access_token"])
    copies = Copies(demo, told["grant"], folder)
    redirect_uri = demo.psql(f"select redirect_uri from oauth_grants where id = '{told['grant']}'")
    form = urllib.parse.urlencode
    public = {"client_id": told["client_id"]}
    exchange = {"grant_type": "authorization_code", "code_verifier": VERIFIER, "redirect_uri": redirect_uri}

    def target(name, path, body, expected, values="-"):
        listen, pid, database = demo.listen, demo.pid, demo.database
        return common.Target(name, listen, path, body, expected, FORM, pid, database, values)

    found = [
        target("code exchange", "/oauth/token", form({**public, **exchange}) + "&code={}", "refresh_token", copies.codes),
        target("refresh", "/oauth/token", form({**public, "grant_type": "refresh_token"}) + "&refresh_token={}",
               "refresh_token", copies.refresh_tokens),
    ]
    if any(only in name for name in ("client credentials", "introspection")):
        private = service_client(demo, told["tenant"])
        credentials = form({**private, "grant_type": "client_credentials"})
        introspection = form({**private, "token": tokens["access_token"]})
        found.append(target("client credentials", "/oauth/token", credentials, "access_token"))
        found.append(target("introspection", "/oauth/introspect", introspection, '"active":true'))
    return [kind for kind in found if only in kind.name]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="measure kinds whose name holds this")
    options = common.options(parser)
    with common.demonstration() as (demo, peers):
        folder = demo.folder / "values"
        folder.mkdir()
        kinds = targets(demo, folder, options.only)
        kinds.append(Yardstick(demo))
        common.rounds(kinds, peers / "load", options.levels, options.seconds, options.rounds)
        common.table(kinds, options.levels)
        most = max(options.levels)
        *_, yardstick = kinds[-1].medians(most)
        print("\n| request | per second and core of the server | with Postgres on it | yardsticks |")
        print("|---|---|---|---|")
        for kind in kinds[:-1]:
            _, _, _, own, postgres = kind.medians(most)
            print(f"| {kind.name} | {1e6 / own:,.0f} | {1e6 / (own + postgres):,.0f} | {(own + postgres) / yardstick:.2f} |")


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"took {time.monotonic() - started:.0f} s")
