#!/bin/sh
# Fuzzes every decoder of hostile bytes, one after the other: scripts/fuzz.sh SECONDS [TARGET...].
#
# Inputs that reach new code are kept in fuzz/corpus, findings in fuzz/artifacts. A finding ends the run with the
# command that repeats it.
set -u

seconds=${1:?usage: scripts/fuzz.sh SECONDS [TARGET...]}
shift
cd "$(dirname "$0")/.." || exit 1

# The release this was written with; others may name their options differently.
version=0.13.2
# Longer inputs find nothing in formats whose parts are a few hundred bytes, and are slower.
bytes_max=8192
# One input, by the clock: a machine that does much else stalls for seconds, while a decoder that does not end is told
# from one that does by any number.
input_seconds_max=30

# AddressSanitizer watches what our crates stand on; they themselves have no unsafe code to watch. `SANITIZER=none`
# is twice as fast.
sanitizer=${SANITIZER:-address}
# Sanitizers are an option of nightly compilers. Those of a stable release are the same code behind a check.
export RUSTC_BOOTSTRAP=1
# Memory is what a machine with several builds at once lacks.
export CARGO_BUILD_JOBS="${CARGO_BUILD_JOBS:-1}"

if ! command -v c++ >/dev/null; then
    echo "skipped: fuzzing, for want of a C++ compiler to build libFuzzer with"
    exit 0
fi
if ! cargo fuzz --version 2>/dev/null | grep -qF " $version"; then
    tools=$PWD/fuzz/target/tools
    [ -x "$tools/bin/cargo-fuzz" ] ||
        cargo install --quiet --locked --root "$tools" --version "$version" cargo-fuzz || exit 1
    PATH=$tools/bin:$PATH
fi
[ $# -gt 0 ] || set -- $(cargo fuzz list)

# Images are unpacked many times a second: in memory, if there is room.
place=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 1' INT TERM

found=0
for target in "$@"; do
    mkdir -p "fuzz/corpus/$target"
    log=fuzz/target/$target.log
    dictionary=fuzz/dictionaries/$target.dict
    [ -f "$dictionary" ] && dictionary=-dict=$dictionary || dictionary=
    cargo fuzz build --sanitizer "$sanitizer" "$target" >"$log" 2>&1 || { tail -n 40 "$log"; exit 1; }
    # shellcheck disable=SC2086 # an empty dictionary is no argument
    if TMPDIR=$place cargo fuzz run --sanitizer "$sanitizer" "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len="$bytes_max" -timeout="$input_seconds_max" \
        -print_final_stats=1 $dictionary >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        coverage=$(grep -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -n 1)
        echo "$target: $runs runs, ${coverage:-no coverage}"
    else
        found=$((found + 1))
        echo "$target: a finding; the whole log is in $log"
        grep -aE '^thread .* panicked|^ *(left|right): |^==[0-9]+== ERROR|^SUMMARY|cargo fuzz run' -A 2 "$log" | head -n 20
    fi
done
[ "$found" = 0 ] || { echo "$found targets with findings"; exit 1; }
