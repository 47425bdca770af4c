#!/bin/sh
# Makes target/vm/RELEASE/{root.ext4,vmlinuz,initrd}: a small Debian with its own cloud kernel and what the tests call.
# RELEASE is a Debian release, or one with `-backports`, from which only the kernel is then taken. Kept once made.
set -eu

release=$1
out=target/vm/$release
mirror=${ROLLCAGE_VM_MIRROR:-http://deb.debian.org/debian}
# What tests and the built-in languages start, and what the guest's own script needs.
packages=python3,gcc,g++,libc6-dev,nodejs,lua5.4,procps,iproute2,uidmap,e2fsprogs
kernel=linux-image-cloud-amd64
# Much more than the packages fill; the file is sparse.
disk=4G

if [ -e "$out/root.ext4" ]; then exit 0; fi
echo "vm: making a Debian $release with its kernel in $out (some minutes, once)"
base=${release%-backports}
[ "$base" != "$release" ] || packages=$packages,$kernel
mkdir -p "$out"
rm -rf "$out/root"
if ! debootstrap --variant=minbase --include="$packages" "$base" "$out/root" "$mirror" >"$out/debootstrap.log" 2>&1; then
    tail -n 20 "$out/debootstrap.log" >&2
    exit 1
fi
if [ "$base" != "$release" ]; then
    echo "deb $mirror $release main" >>"$out/root/etc/apt/sources.list"
    {
        chroot "$out/root" apt-get update -qq
        chroot "$out/root" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends --target-release "$release" "$kernel"
    } >>"$out/debootstrap.log" 2>&1
fi
chroot "$out/root" apt-get clean
# A user without any privilege, with a range of ids of its own for user namespaces.
chroot "$out/root" useradd --create-home --shell /bin/bash --add-subids-for-system tester
# The rest comes with the tests, so that it can change without making this again.
cat >"$out/root/sbin/rollcage-vm-init" <<'END'
#!/bin/sh
mkdir -p /payload && mount -t ext4 -o ro /dev/vdb /payload && exec /payload/init
END
chmod 755 "$out/root/sbin/rollcage-vm-init"
cp "$out"/root/boot/vmlinuz-* "$out/vmlinuz"
cp "$out"/root/boot/initrd.img-* "$out/initrd"
rm -f "$out/root.ext4.part"
mke2fs -q -t ext4 -L root -d "$out/root" "$out/root.ext4.part" "$disk" >/dev/null
rm -rf "$out/root"
# The last step, so that what is there is whole.
mv "$out/root.ext4.part" "$out/root.ext4"
