//! The page cache, by reading the host's files: all that is read is memory somebody is charged for.

use rollcage_types::ByteSize;
use std::time::Duration;

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Outcome(|outcome| {
        let printed = String::from_utf8_lossy(&outcome.stdout.head);
        let limit = ByteSize::mib(48);
        match (outcome.termination.is_success(), outcome.usage.memory <= limit) {
            (true, true) => Ok(format!("{} with at most {}", printed.trim(), outcome.usage.memory)),
            (is_success, _) => Err(format!("used {}, success {is_success}", outcome.usage.memory)),
        }
    }),
    // It is to come to its end, on a busy machine too.
    limits: |limits| {
        limits.memory = ByteSize::mib(48);
        limits.cpu_time = Duration::from_secs(60);
        limits.wall_time = Duration::from_secs(120);
    },
    ..Probe::new("page_cache", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import mmap

ENOUGH = 96 << 20
read, brought_in = 0, 0
resident = ctypes.create_string_buffer(ENOUGH // mmap.PAGESIZE + 1)
for directory, _, names in os.walk("/usr/lib"):
    for path in (f"{directory}/{entry}" for entry in names):
        if os.path.islink(path) or not 1 << 20 < os.stat(path).st_size < 32 << 20:
            continue
        file = os.open(path, os.O_RDONLY)
        size = os.fstat(file).st_size
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        pages = mmap.mmap(file, size, mmap.MAP_SHARED, mmap.PROT_READ)
        # Tells the truth only to those who might write to the file.
        libc.mmap.restype = ctypes.c_void_p
        address = libc.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ, mmap.MAP_SHARED, file, ctypes.c_long(0))

        def count():
            libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), resident)
            return sum(byte & 1 for byte in resident.raw[: -(-size // mmap.PAGESIZE)])

        before = count()
        while data := os.read(file, 1 << 20):
            read += len(data)
        brought_in += (count() - before) * mmap.PAGESIZE
        libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(size))
        pages.close()
        os.close(file)
        if read >= ENOUGH:
            break
    if read >= ENOUGH:
        break
if brought_in >= ENOUGH // 2:
    breached(f"{brought_in >> 20} MiB of files in memory")
print(f"read {read >> 20} MiB")
"#;
