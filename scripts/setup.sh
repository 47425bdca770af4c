#!/bin/sh
# Installs what the built-in languages and the build need and this machine lacks. Says so first.
set -eu

# command: Debian package that brings it
needed="python3:python3 node:nodejs lua5.4:lua5.4 gcc:gcc g++:g++ bash:bash ps:procps strace:strace
rustc:rustc go:golang-go javac:default-jdk-headless Rscript:r-base-core ocamlopt:ocaml-nox gfortran:gfortran perl:perl
ruby:ruby php:php-cli sqlite3:sqlite3"

# file: Debian package, for what tests given as code are compiled against
libraries="/usr/share/gocode/src/github.com/stretchr/testify/assert:golang-github-stretchr-testify-dev
/usr/include/boost/any.hpp:libboost-dev /usr/include/openssl/md5.h:libssl-dev"

# directory below Python's own packages: Debian package. Programs import these, and a warm start loads them ahead.
python_packages="numpy:python3-numpy pandas:python3-pandas scipy:python3-scipy sympy:python3-sympy
matplotlib:python3-matplotlib sklearn:python3-sklearn networkx:python3-networkx"

# npm's modules: TypeScript is a language, js-md5 is for tests given as code.
typescript="typescript@7.0.2 @types/node@20.19.0"
modules="js-md5@0.9.2"
modules_root=/usr/local/lib/rollcage
duckdb="duckdb==1.5.6 duckdb-cli==1.5.6"

# Only what lies below /usr and /bin counts: a cage sees nothing else of the host.
has() {
    [ -x "/usr/bin/$1" ] || [ -x "/bin/$1" ] || [ -x "/usr/local/bin/$1" ]
}

missing=""
for pair in $needed; do
    has "${pair%%:*}" || missing="$missing ${pair#*:}"
done
for pair in $libraries; do
    [ -e "${pair%%:*}" ] || missing="$missing ${pair#*:}"
done
for pair in $python_packages; do
    [ -e "/usr/lib/python3/dist-packages/${pair%%:*}" ] || missing="$missing ${pair#*:}"
done
[ -n "$(find /usr/lib/php -name mbstring.so 2>/dev/null)" ] || missing="$missing php-mbstring"
# gcc without the C library's headers compiles nothing.
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
[ -e /usr/local/lib/rollcage/rust/libmd5.rlib ] || [ -e /usr/share/cargo/registry/md5-0.7.0 ] ||
    missing="$missing librust-rand-dev librust-regex-dev librust-md5-dev"
needs_npm=""
has tsc && [ -e "$modules_root/node_modules/js-md5" ] || needs_npm=yes
[ -z "$needs_npm" ] || command -v npm >/dev/null || missing="$missing npm"

as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"

if [ -n "$missing" ]; then
    echo "setup: installing with apt-get:$missing"
    if ! command -v apt-get >/dev/null; then
        echo "setup: there is no apt-get here; install these by hand:$missing" >&2
        exit 1
    fi
    $as_root apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends $missing >/dev/null
fi
if [ -n "$needs_npm" ]; then
    echo "setup: installing with npm: $typescript $modules"
    # shellcheck disable=SC2086  # lists of words
    $as_root npm install --silent --no-audit --no-fund --global --prefix /usr/local $typescript
    # shellcheck disable=SC2086
    $as_root npm install --silent --no-audit --no-fund --prefix "$modules_root" $modules
fi

if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    echo "setup: installing with apt-get: postgresql"
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends postgresql-common >/dev/null
    # Cages start servers of their own; the machine needs none.
    $as_root sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends postgresql >/dev/null
fi

# Both the library, for sessions, and the command, at one version.
if ! has duckdb; then
    echo "setup: installing with pip: $duckdb"
    have_pip=$(python3 -m pip --version 2>/dev/null || true)
    [ -n "$have_pip" ] || $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-pip >/dev/null
    # shellcheck disable=SC2086  # a list of words
    $as_root python3 -m pip --python /usr/bin/python3 install --quiet --root-user-action ignore --no-compile \
        --upgrade --target "$modules_root/duckdb" $duckdb
    $as_root ln -sfn "$modules_root/duckdb/duckdb_cli/duckdb" /usr/local/bin/duckdb
fi

if [ ! -e "$modules_root/rust/libmd5.rlib" ]; then
    echo "setup: compiling rand, regex and md5 for Rust's tests"
    $as_root mkdir -p "$modules_root"
    $as_root "$(dirname "$0")/rust_test_crates.sh" "$modules_root/rust"
fi

if [ ! -d "$modules_root/go/pkg" ]; then
    echo "setup: compiling testify for Go's tests"
    $as_root mkdir -p "$modules_root/go"
    $as_root ln -sfn /usr/share/gocode/src "$modules_root/go/src"
    # As languages/go.yaml compiles: packages compiled otherwise would be compiled again.
    $as_root env CGO_ENABLED=1 GO111MODULE=off GOFLAGS=-buildvcs=false GOPATH="$modules_root/go" \
        /usr/bin/go install github.com/stretchr/testify/assert github.com/stretchr/testify/require \
        github.com/davecgh/go-spew/spew github.com/pmezard/go-difflib/difflib gopkg.in/yaml.v3
fi
