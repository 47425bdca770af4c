#!/bin/sh
# Builds the Python wheel with a debug binary, installs it into an empty environment, and tests it there: the README's
# snippet, the package's types, its tests. ROLLCAGE_LONG=1 runs TRL's own trainer with the reward function, too.
set -eu
cd "$(dirname "$0")/.."

tools=target/python/tools
clean=target/python/clean
log=target/python.log
as_root=$([ "$(id -u)" = 0 ] || ! command -v sudo >/dev/null || echo "sudo -E")

skip() {
    echo "skipped: the Python package: $1"
    exit 0
}

fail() {
    echo "the Python package: $1; the end of $log:"
    tail -n 60 "$log"
    exit 1
}

mkdir -p target
python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))' 2>/dev/null ||
    skip "no Python 3.9 or later with venv"
[ -x $tools/bin/python ] || python3 -m venv $tools >"$log" 2>&1 || fail "no environment for tools"
$tools/bin/python -c 'import maturin, mypy, pytest' 2>/dev/null ||
    $tools/bin/python -m pip install --quiet maturin==1.16.0 mypy==2.4.1 pytest==9.2.0 >"$log" 2>&1 ||
    skip "maturin, mypy and pytest cannot be installed here"

rm -rf target/python/wheels
(cd python && nice ../$tools/bin/maturin build --quiet --profile dev --out ../target/python/wheels) \
    >"$log" 2>&1 || fail "the wheel cannot be built"
set -- target/python/wheels/*.whl
[ $# = 1 ] || fail "$# wheels were built"
wheel=$1

python3 -m venv --clear $clean >"$log" 2>&1 || fail "no empty environment"
$clean/bin/python -m pip install --quiet --no-index "$wheel" >"$log" 2>&1 || fail "the wheel cannot be installed"
$tools/bin/python -m pip install --quiet --no-index --no-deps --force-reinstall "$wheel" >"$log" 2>&1 ||
    fail "the wheel cannot be installed beside the tools"

(cd python && ../$tools/bin/mypy) >"$log" 2>&1 || fail "types"
export ROLLCAGE_CLEAN_PYTHON="$PWD/$clean/bin/python"
(cd python && $as_root ../$tools/bin/python -m pytest) >"$log" 2>&1 || fail "tests"
grep '^SKIPPED' "$log" | sed 's/^SKIPPED \[[0-9]*\] \([^ ]*\) /skipped: the Python package, \1 /' || true
tail -n 1 "$log"

[ -n "${ROLLCAGE_LONG:-}" ] || exit 0
trl=target/python/trl
[ -x $trl/bin/python ] || python3 -m venv $trl >"$log" 2>&1 || fail "no environment for TRL"
# PyPI's torch for Linux is the one for CUDA, several gigabytes with its libraries, and does not load without them.
$trl/bin/python -c 'import trl, torch' 2>/dev/null ||
    $trl/bin/python -m pip install --quiet trl==1.16.0 torch==2.15.0 >"$log" 2>&1 ||
    skip "TRL and torch cannot be installed here"
$trl/bin/python -m pip install --quiet --no-index --no-deps --force-reinstall "$wheel" >"$log" 2>&1 ||
    fail "the wheel cannot be installed beside TRL"
$as_root $trl/bin/python examples/trl_reward.py >"$log" 2>&1 || fail "TRL's trainer with our reward"
tail -n 1 "$log"
