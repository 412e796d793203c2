//! What the kernel counts at its end of a device.
//!
//! Source: Documentation/networking/statistics.rst, proc(5).

use std::fs::File;
use std::io::{self, Read, Seek};

use crate::port::DeviceCounters;

/// Counts of the interfaces of one namespace, wherever it is read from.
pub(super) const FILE: &str = "/proc/thread-self/net/dev";

/// Columns behind a name: errors on receive, then errors and drops on transmit.
const COLUMNS: [usize; 3] = [2, 10, 11];

/// The counts of the interface called `name`; zeros while there is none.
pub(super) fn read(mut file: &File, name: &str) -> io::Result<DeviceCounters> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(of(&text, name))
}

/// What the kernel sends, the port receives, and the other way about.
fn of(text: &str, name: &str) -> DeviceCounters {
    let own = text.lines().find_map(|line| {
        let (device, counts) = line.trim_start().split_once(':')?;
        (device == name).then_some(counts)
    });
    let columns: Vec<u64> = own
        .into_iter()
        .flat_map(str::split_whitespace)
        .map(|count| count.parse().unwrap_or(0))
        .collect();
    let [tx_errors, rx_errors, missed] =
        COLUMNS.map(|column| columns.get(column).copied().unwrap_or(0));
    DeviceCounters { missed, no_buffer: 0, rx_errors, tx_errors }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_transmit_is_the_ports_receive() {
        let text = "Inter-|   Receive | Transmit\n face |bytes\n\
            q10: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n\
            \x20 q1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        let counters = DeviceCounters { missed: 12, no_buffer: 0, rx_errors: 11, tx_errors: 3 };
        assert_eq!(of(text, "q1"), counters);
        assert_eq!(of(text, "q2"), DeviceCounters::default());
    }
}
