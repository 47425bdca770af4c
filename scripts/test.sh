#!/bin/sh
# Runs the tests and counts what was skipped: a test that lacks something prints a line `skipped: <what>`.
set -u

log=target/test.log
mkdir -p target
if [ "$(id -u)" != 0 ] && command -v sudo >/dev/null; then
    # Cages need root; the build does not.
    export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="sudo -E"
fi

# What commands keep between runs stays here.
export ROLLCAGE_CACHE_DIR="$PWD/target/cache"

# Tests of Parquet files read what pyarrow wrote. Without it they are skipped, and say so.
pyarrow=target/pyarrow
if [ ! -d "$pyarrow" ] &&
    python3 -m pip install --quiet --target "$pyarrow.part" pyarrow==26.0.1 >target/pyarrow.log 2>&1; then
    mv "$pyarrow.part" "$pyarrow"
fi

# --show-output: what passing tests print holds the skip lines.
cargo test --workspace --no-fail-fast -- --show-output >"$log" 2>&1
status=$?

count() { grep -Eo "[0-9]+ $1" | awk '{ sum += $1 } END { print sum + 0 }'; }
passed=$(grep '^test result:' "$log" | count passed)
failed=$(grep '^test result:' "$log" | count failed)
skipped=$(grep -c '^skipped: ' "$log")

[ "$skipped" = 0 ] || { echo "what this machine lacked:"; grep '^skipped: ' "$log" | sort | uniq -c; }
if [ "$status" != 0 ]; then
    # Compiler errors, then the failures as the test runner tells them.
    grep -E '^error' -A 12 "$log" | head -n 80
    sed -n '/^failures:$/,/^test result:/p' "$log" | head -n 400
    echo "the whole log is in $log"
fi
echo "$passed passed, $failed failed, $skipped skipped"
exit "$status"
