//! How much memory the machine has left.

use std::path::Path;

/// Bytes that programs can still take without others having to go, as the kernel estimates them;
/// none where it does not say. Source: proc_meminfo(5), `MemAvailable`.
#[must_use]
pub fn available_memory() -> Option<usize> {
    let text = crate::file::read(Path::new("/proc/meminfo"), 1 << 16).ok()?;
    available(std::str::from_utf8(&text).ok()?)
}

fn available(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_is_read_in_bytes() {
        let text = "MemTotal:  9 kB\nMemFree:  2 kB\nMemAvailable:   24163352 kB\n";
        assert_eq!(available(text), Some(24_163_352 << 10));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
        assert_eq!(available("MemAvailable: lots\n"), None);
        assert!(available_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
