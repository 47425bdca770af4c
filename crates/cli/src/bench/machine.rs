//! The machine in words, for whoever compares numbers.

use std::fs;

/// Processor, count, memory and kernel, and how busy it is: numbers from a busy machine say little.
pub(crate) fn describe() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = value(&cpuinfo, "model name").unwrap_or("unknown processor").to_owned();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory_kb =
        value(&meminfo, "MemTotal").and_then(|value| value.split(' ').next()?.parse::<u64>().ok());
    let memory = memory_kb.map_or_else(|| "unknown memory".to_owned(), |kb| format!("{} MiB", kb / 1024));
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    format!("{model}, {processors} processors, {memory}, Linux {}, load {load}", release.trim())
}

/// The value of `key` in lines like `key : value`.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_key() {
        let text = "model\t\t: 1\nmodel name\t: A: B\n\nMemTotal:   2048 kB\n";
        for (key, expected) in [("model name", Some("A: B")), ("MemTotal", Some("2048 kB")), ("x", None)] {
            assert_eq!(value(text, key), expected, "{key}");
        }
    }
}
