#!/bin/sh
# Boots a virtual machine with a kernel and control groups unlike this machine's and runs the cage's tests in it.
# usage: scripts/vm/run.sh [PROFILE], a file in scripts/vm/profiles that sets
#   release   the Debian whose kernel and tools it has; see root.sh
#   append    more kernel arguments
#   cpus      how many; some kernels do not bring up a second one by the clock that counts instructions
#   cgroups   v2; delegated: v2, with a part that belongs to the user; none
#   user      who runs the tests: root or tester
#   options   for `rollcage doctor` and `rollcage run`, which must work
#   tests     words package:test or package:test:filter, whose binaries are run; `--lib` for a library's own
#   env_vars  words NAME=value for the tests
set -eu

profile=${1:-cgroup2}
cd "$(dirname "$0")/../.."
if [ ! -f "scripts/vm/profiles/$profile" ]; then
    echo "vm: no such profile: $profile (there are: $(ls scripts/vm/profiles | xargs))" >&2
    exit 2
fi
. "scripts/vm/profiles/$profile"
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"

# Emulated in software, which works everywhere; ROLLCAGE_VM_ACCEL=kvm asks for hardware. The emulated clock counts
# instructions, so that a busy host makes no program exceed its processor time. Without cx16, because an emulated
# cmpxchg16b spoils the flags register now and then in qemu 7.2, and kernels can do without.
case ${ROLLCAGE_VM_ACCEL:-tcg} in
tcg) processor="-accel tcg -icount shift=1 -cpu max,cx16=off" ;;
*) processor="-accel $ROLLCAGE_VM_ACCEL -cpu max" ;;
esac
# Emulated tests take many times as long as real ones, and longer still on a busy host.
minutes=150

install_tools() {
    missing=""
    for pair in qemu-system-x86_64:qemu-system-x86 debootstrap:debootstrap mke2fs:e2fsprogs; do
        command -v "${pair%%:*}" >/dev/null || [ -x "/usr/sbin/${pair%%:*}" ] || missing="$missing ${pair#*:}"
    done
    [ -n "$missing" ] || return 0
    echo "vm: installing with apt-get:$missing"
    $as_root apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# A second disk: the test binaries, the command, and the profile.
make_payload() {
    rm -rf "$work/payload"
    mkdir -p "$work/payload/tests"
    cp "scripts/vm/profiles/$profile" "$work/payload/profile"
    cp scripts/vm/init "$work/payload/init"
    for words in $tests; do
        package=${words%%:*} test=${words#*:} filter=""
        case $test in *:*) filter=${test#*:} test=${test%%:*} ;; esac
        selected="--test $test"
        [ "$test" != --lib ] || selected=--lib
        # shellcheck disable=SC2086  # two words
        cargo test --no-run --quiet --message-format=json --package "$package" $selected >"$work/messages"
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' "$work/messages" >"$work/executables"
        while read -r path; do
            case $path in
            */rollcage)
                cp "$path" "$work/payload/rollcage"
                echo "$path" >"$work/payload/rollcage.path"
                ;;
            *)
                cp "$path" "$work/payload/tests/$package-${test#--}"
                echo "$package-${test#--} $filter" >>"$work/payload/list"
                ;;
            esac
        done <"$work/executables"
    done
    rm -f "$work/payload.ext4"
    mke2fs -q -t ext4 -d "$work/payload" "$work/payload.ext4" 1G >/dev/null
}

boot() {
    # shellcheck disable=SC2086  # a list of words
    timeout --kill-after=10 "${minutes}m" qemu-system-x86_64 -no-reboot -nodefaults -display none -serial stdio \
        -machine q35 $processor -smp "$cpus" -m 4096 \
        -kernel "target/vm/$release/vmlinuz" -initrd "target/vm/$release/initrd" \
        -drive "file=target/vm/$release/root.ext4,format=raw,if=virtio,snapshot=on" \
        -drive "file=$work/payload.ext4,format=raw,if=virtio,readonly=on" \
        -append "console=ttyS0 quiet panic=-1 root=/dev/vda rw init=/sbin/rollcage-vm-init $append" </dev/null
}

install_tools
PATH=$PATH:/usr/sbin
[ -e "target/vm/$release/root.ext4" ] || $as_root env "PATH=$PATH" sh scripts/vm/root.sh "$release"
work=target/vm/$profile
mkdir -p "$work"
make_payload
echo "vm: booting $release for profile $profile"
boot 2>&1 | sed -u 's|\r||g' | tee "$work/log"

count() { grep -Eo "[0-9]+ $1" | awk '{ sum += $1 } END { print sum + 0 }'; }
passed=$(grep '^test result:' "$work/log" | count passed)
failed=$(grep '^test result:' "$work/log" | count failed)
skipped=$(grep -c '^skipped: ' "$work/log" || true)
status=$(sed -n 's/^vm: status \([0-9]*\)$/\1/p' "$work/log")
[ -n "$status" ] || echo "vm: the machine did not come to an end by itself; its console is in $work/log"
echo "$passed passed, $failed failed, $skipped skipped"
exit "${status:-1}"
