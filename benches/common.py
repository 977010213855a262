"""What the benchmarks share: building, a demonstration of its own, measuring."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stat(pid):
    """Fields of /proc/PID/stat after the command's name."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def cpu(pid):
    """User and system seconds that a process has used, its finished children included."""
    try:
        return sum(int(field) for field in stat(pid)[11:15]) / TICK
    except FileNotFoundError:
        return 0.0


def children(pid):
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int(stat(entry.name)[1]) == pid:
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def tree_cpu(pid):
    return cpu(pid) + sum(cpu(child) for child in children(pid))


def resident_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


class Target:
    """One kind of request. `values` is what the load generator puts in the place of `{}`: a text,
    or a function that prepares a file for so many connections and seconds."""

    def __init__(self, name, address, path, body, expected, headers, pid, database=None, values="-"):
        self.name, self.address, self.path, self.body = name, address, path, body
        self.expected, self.headers, self.pid, self.database = expected, headers, pid, database
        self.values = values
        self.rounds = {}

    def measure(self, load, connections, seconds):
        values = self.values if isinstance(self.values, str) else self.values(connections, seconds)
        before = tree_cpu(self.pid), tree_cpu(self.database) if self.database else 0.0
        started = time.monotonic()
        command = [load, self.address, connections, seconds, self.path, self.expected, self.body, values]
        printed = subprocess.run(
            [str(part) for part in command + self.headers],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout.split()
        took = min(time.monotonic() - started, seconds)
        rate, p50, p99, failures = (float(value) for value in printed)
        if failures:
            sys.exit(f"{self.name}: {failures:.0f} calls failed")
        after = tree_cpu(self.pid), tree_cpu(self.database) if self.database else 0.0
        calls = max(rate * took, 1)
        micros = [(a - b) * 1e6 / calls for a, b in zip(after, before)]
        self.rounds.setdefault(connections, []).append((rate, p50, p99, *micros))

    def medians(self, connections):
        return [statistics.median(column) for column in zip(*self.rounds[connections])]


def rounds(targets, load, levels, seconds, count):
    """Warm up, then take turns."""
    for target in targets:
        target.measure(load, 1, 1)
        target.rounds.clear()
    for _ in range(count):
        for connections in levels:
            for target in targets:
                target.measure(load, connections, seconds)


def table(targets, levels):
    print("| request | connections | calls/s | p50 ms | p99 ms | CPU µs a call | Postgres CPU µs |")
    print("|---|---|---|---|---|---|---|")
    for target in targets:
        for connections in levels:
            rate, p50, p99, own, postgres = target.medians(connections)
            print(
                f"| {target.name} | {connections} | {rate:,.0f} | {p50:.2f} | {p99:.2f} "
                f"| {own:.0f} | {postgres:.0f} |"
            )


def set_up():
    """The cache's build folder and Postgres, as scripts/demo uses them."""
    script = '. scripts/lib.sh; use_cache; use_postgres; echo "$CARGO_TARGET_DIR"; echo "$CALLSLIP_POSTGRES_DIR"'
    printed = subprocess.run(
        ["bash", "-euc", script], cwd=ROOT, env={**os.environ, "REPOSITORY": str(ROOT)},
        check=True, stdout=subprocess.PIPE, text=True,
    )
    target, postgres = printed.stdout.splitlines()[-2:]
    os.environ["CALLSLIP_POSTGRES_DIR"] = postgres
    return pathlib.Path(target)


def build(target, peers=True):
    """Both packages in release mode: the product's binary, the folder of the peers' binaries.
    CALLSLIP_BIN names a binary that is built already."""
    command = ["cargo", "build", "--release", "--locked"]
    parts = [(ROOT / "benches/peers", target / "peers")] if peers else []
    binary = os.environ.pop("CALLSLIP_BIN", None)
    if not binary:
        parts.append((ROOT, target))
        binary = target / "release/callslip"
    for folder, out in parts:
        environment = {**os.environ, "SQLX_OFFLINE": "true", "CARGO_TARGET_DIR": str(out)}
        subprocess.run(command, cwd=folder, check=True, env=environment)
    return binary, target / "peers/release"


class Demo:
    """A demonstration in a folder of its own, with limits far away."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.listen = f"127.0.0.1:{free_port()}"
        self.environment = {
            **os.environ,
            "CALLSLIP_LISTEN": self.listen,
            "CALLSLIP_CONNECTIONS_PER_ADDRESS": "1000",
            "CALLSLIP_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
            "CALLSLIP_DATA_DIR": str(folder / "data"),
            "CALLSLIP_RATE_LIMIT_SCALE": "1000000",
            "CALLSLIP_CONNECTIONS_PER_ADDRESS": "10000",
            "CALLSLIP_LOG": "warn",
        }

    def start(self):
        started = time.monotonic()
        subprocess.run([self.binary, "demo", "--detach"], env=self.environment, check=True)
        print(f"demonstration ready in {time.monotonic() - started:.1f} s", flush=True)
        data = self.folder / "data"
        self.file = data / "demo.json"
        self.facts = json.loads(self.file.read_text())
        self.pid = int(next(data.glob("*.pid")).read_text().split()[0])
        self.database = int(next(data.glob("**/postmaster.pid")).read_text().split()[0])

    def stop(self):
        subprocess.run([self.binary, "demo", "--stop"], env=self.environment, check=True)

    def token(self, *options):
        """What the real dance gives: scripts/token."""
        return subprocess.run(
            [ROOT / "scripts/token", self.file, *options],
            env=self.environment, check=True, stdout=subprocess.PIPE, text=True,
        ).stdout.strip()

    def psql(self, sql):
        """Run SQL beside the server, as the private Postgres' superuser; the rows, unaligned."""
        lines = next((self.folder / "data").glob("**/postmaster.pid")).read_text().splitlines()
        password_file = next((self.folder / "data").glob("**/*.pgpass"))
        host = lines[4] or lines[5].split(",")[0]
        command = [
            pathlib.Path(os.environ["CALLSLIP_POSTGRES_DIR"]) / "bin/psql",
            "-qAtX", "-v", "ON_ERROR_STOP=1", "-h", host, "-p", lines[3], "-U", "postgres", "-d", "callslip",
        ]
        environment = {**os.environ, "PGPASSFILE": str(password_file)}
        return subprocess.run(
            command, input=sql, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()


@contextlib.contextmanager
def demonstration(peers=True):
    """Everything built, and a demonstration that is stopped in the end; and the peers' folder."""
    binary, peers = build(set_up(), peers)
    with tempfile.TemporaryDirectory(prefix="callslip-bench-") as folder:
        os.chmod(folder, 0o755)
        demo = Demo(binary, pathlib.Path(folder))
        demo.start()
        try:
            yield demo, peers
        finally:
            demo.stop()


@contextlib.contextmanager
def running(command):
    process = subprocess.Popen([str(part) for part in command])
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def options(parser):
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", default="1,16,64")
    parsed = parser.parse_args()
    parsed.levels = [int(level) for level in parsed.connections.split(",")]
    return parsed
