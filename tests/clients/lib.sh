# shellcheck shell=bash
# What the client suites share. Each `run` sources it after `set -euo pipefail`; scripts/test sets
#
#   CALLSLIP_BIN           the program under test
#   CALLSLIP_FIXTURES_BIN  the same with the tools of MCP's conformance suite (examples/fixtures.rs)
#   CALLSLIP_POSTGRES_DIR  the programs of its private Postgres
#   CALLSLIP_CACHE_DIR     where what a suite installs is kept, by the hash of its lock file

# shellcheck disable=SC2034 # used by those who source this
CLIENTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The exit status by which a suite says that this machine cannot run it.
NOT_RUN=77

# Kept from the server, which refuses variables that it does not know.
SUITE_BIN=${CALLSLIP_BIN:?names the program under test}
SUITE_CACHE=${CALLSLIP_CACHE_DIR:?names a folder to keep installed packages in}/clients
SUITE_SCREENSHOTS=${CALLSLIP_SCREENSHOTS:-}
SUITE_FIXTURES_BIN=${CALLSLIP_FIXTURES_BIN:-}
: "${CALLSLIP_POSTGRES_DIR:?names the programs of the private Postgres}"
unset CALLSLIP_BIN CALLSLIP_FIXTURES_BIN CALLSLIP_CACHE_DIR CALLSLIP_SCREENSHOTS
unset DATABASE_URL MIGRATION_DATABASE_URL CALLSLIP_PUBLIC_URL CALLSLIP_MASTER_KEY PGHOST PGUSER
export SUITE_BIN SUITE_SCREENSHOTS CALLSLIP_POSTGRES_DIR

not_run() {
  printf '%s\n' "$*" >&2
  exit "$NOT_RUN"
}

# Print the folder that holds what a lock file asks for; when it is new, run a command with it as
# the last argument to fill it.
#   installed NAME LOCK_FILE COMMAND...
installed() {
  local name=$1 lock=$2 hash home
  shift 2
  hash=$(sha256sum "$lock" | cut -c1-16)
  home=$SUITE_CACHE/$name-$hash
  if [ ! -d "$home" ]; then
    mkdir -p "$SUITE_CACHE"
    local draft
    draft=$(mktemp -d "$home.XXXXXX")
    "$@" "$draft" >&2 || { rm -rf "$draft"; return 1; }
    chmod 755 "$draft"
    mv "$draft" "$home" 2>/dev/null || rm -rf "$draft" # another run was quicker
  fi
  printf '%s\n' "$home"
}

# The packages of the suites in TypeScript, and a Node that is new enough for them. Sets NODE and
# NODE_PACKAGES.
use_typescript() {
  command -v npm >/dev/null || not_run "needs npm"
  command -v python3 >/dev/null || not_run "needs Python 3.10 or later, for the person at the browser"
  NODE_PACKAGES=$(
    installed typescript "$CLIENTS/typescript/package-lock.json" install_typescript
  ) || not_run "the TypeScript clients could not be installed"
  # They need Node 22, which comes with them where it is built for this machine.
  NODE=node
  local bundled
  for bundled in "$NODE_PACKAGES"/node_modules/node-linux-*/bin/node; do
    if [ -x "$bundled" ] && "$bundled" --version >/dev/null 2>&1; then NODE=$bundled; fi
  done
  "$NODE" -e 'process.exit(Number(process.versions.node.split(".")[0] < 22))' ||
    not_run "needs Node 22 or later"
}

install_typescript() {
  cp "$CLIENTS/typescript/package.json" "$CLIENTS/typescript/package-lock.json" "$1"
  (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error)
}

# Run one of the suites in TypeScript against the demonstration.
#   run_typescript NAME [PART OF A CHECK'S NAME...]
run_typescript() {
  local name=$1
  shift
  # Modules are looked up from where the importing file lies.
  cp -r "$CLIENTS/typescript" "$CLIENTS/conformance" "$CLIENTS/common" "$WORK"
  ln -s "$NODE_PACKAGES/node_modules" "$WORK/node_modules"
  export SUITE_PERSON=$WORK/common/person.py PYTHONDONTWRITEBYTECODE=1
  "$NODE" "$WORK/$name/suite.mjs" "$@"
}

# Below those that the kernel gives to outgoing connections, which would take one before we listen.
free_ports() {
  python3 - <<'PYTHON'
import random, socket
sockets = []
while len(sockets) < 2:
    one = socket.socket()
    try:
        one.bind(("127.0.0.1", random.randrange(20000, 32000)))
    except OSError:
        continue
    sockets.append(one)
print(*(one.getsockname()[1] for one in sockets))
PYTHON
}

# A folder, ports and settings of this suite's own. Everything is stopped and removed at the end.
prepare_demo() {
  WORK=$(mktemp -d /tmp/callslip-client.XXXXXX)
  chmod 711 "$WORK" # the user that runs Postgres passes through
  trap end_demo EXIT
  trap 'exit 130' INT TERM
  local port metrics
  read -r port metrics < <(free_ports)
  export SUITE_WORK=$WORK CALLSLIP_DATA_DIR=$WORK/data
  export CALLSLIP_LISTEN=127.0.0.1:$port CALLSLIP_METRICS_LISTEN=127.0.0.1:$metrics
  export CALLSLIP_RATE_LIMIT_SCALE=${CALLSLIP_RATE_LIMIT_SCALE:-100}
  export CALLSLIP_CONNECTIONS_PER_ADDRESS=${CALLSLIP_CONNECTIONS_PER_ADDRESS:-1000}
  mkdir "$WORK/home"
  cd "$WORK/home" || exit 1 # no .env of somebody else's
}

# Start the demonstration in a folder of its own.
start_demo() {
  prepare_demo
  run_demo
}

# Start it, where it is prepared, and whatever else it is to find.
run_demo() {
  local since=$SECONDS
  "$SUITE_BIN" demo --detach >"$WORK/demo.log" 2>&1 || {
    cat "$WORK/demo.log" >&2
    echo "callslip demo --detach failed" >&2
    exit 1
  }
  [ -f "$CALLSLIP_DATA_DIR/demo.json" ] || { echo "demo wrote no demo.json" >&2; exit 1; }
  echo "started the demonstration in $((SECONDS - since)) s"
}

end_demo() {
  local status=$?
  cd / || true
  "$SUITE_BIN" demo --stop >>"$WORK/demo.log" 2>&1 || true
  local left pid
  for left in "$WORK"/serve*.pid "$CALLSLIP_DATA_DIR/postgres/postmaster.pid"; do # of a broken run
    pid=$(head -n 1 "$left" 2>/dev/null) || continue
    case $(cat "/proc/$pid/comm" 2>/dev/null) in
      callslip | postgres) kill -INT "$pid" || true ;;
    esac
  done
  if [ $status != 0 ] && [ -d "$CALLSLIP_DATA_DIR" ]; then
    local log
    for log in "$CALLSLIP_DATA_DIR"/*.log "$WORK/serve.log" "$WORK/import.log"; do
      [ -s "$log" ] || continue
      printf '\n--- the end of %s\n' "${log##*/}" >&2
      tail -n 25 "$log" | cut -c1-400 >&2
    done
  fi
  rm -rf "$WORK"
}
