#!/bin/sh
# Installs what the built-in languages and the build need and this machine lacks. Says so first.
set -eu

# command: Debian package that brings it
needed="python3:python3 node:nodejs lua5.4:lua5.4 gcc:gcc g++:g++ bash:bash ps:procps strace:strace"

missing=""
for pair in $needed; do
    # Only what lies below /usr and /bin counts: a cage sees nothing else of the host.
    command=${pair%%:*}
    [ -x "/usr/bin/$command" ] || [ -x "/bin/$command" ] || [ -x "/usr/local/bin/$command" ] ||
        missing="$missing ${pair#*:}"
done
# gcc without the C library's headers compiles nothing.
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"

[ -n "$missing" ] || exit 0
echo "setup: installing with apt-get:$missing"
if ! command -v apt-get >/dev/null; then
    echo "setup: there is no apt-get here; install these by hand:$missing" >&2
    exit 1
fi
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086  # a list of words
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
