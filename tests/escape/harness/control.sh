# Builds a throw-away machine around the control: every file system is new or an overlay whose changes are in memory.
# Runs as PID 1 of its own pid, mount, network, IPC, UTS and cgroup namespaces; $1 is an empty directory.
set -eu
mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=0755 tmpfs dev
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p ws old-root
mount -t tmpfs -o mode=1777 tmpfs ws
mkdir -m 1777 ws/work ws/tmp
hostname control
pivot_root . old-root
umount -l old-root
cd /ws/work
exec python3 -c "$2"
