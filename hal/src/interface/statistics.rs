//! What the kernel counts at an interface.
//!
//! Source: Documentation/networking/statistics.rst, proc(5).

use std::fs::File;
use std::io::{self, Read, Seek};

/// Counts of the interfaces of one namespace, wherever it is read from.
pub(super) const FILE: &str = "/proc/thread-self/net/dev";

/// Frames in the kernel's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Statistics {
    /// Errors on receive.
    pub(crate) rx_errors: u64,
    /// Errors on transmit.
    pub(crate) tx_errors: u64,
    /// Not sent, for want of room.
    pub(crate) tx_dropped: u64,
}

/// The counts of the interface called `name`; zeros while there is none.
pub(super) fn read(mut file: &File, name: &str) -> io::Result<Statistics> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(of(&text, name))
}

fn of(text: &str, name: &str) -> Statistics {
    let own = text.lines().find_map(|line| {
        let (device, counts) = line.trim_start().split_once(':')?;
        (device == name).then_some(counts)
    });
    let columns: Vec<u64> = own
        .into_iter()
        .flat_map(str::split_whitespace)
        .map(|count| count.parse().unwrap_or(0))
        .collect();
    let column = |n: usize| columns.get(n).copied().unwrap_or(0);
    Statistics { rx_errors: column(2), tx_errors: column(10), tx_dropped: column(11) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_behind_a_name_are_read() {
        let text = "Inter-|   Receive | Transmit\n face |bytes\n\
            q10: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n\
            \x20 q1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        assert_eq!(of(text, "q1"), Statistics { rx_errors: 3, tx_errors: 11, tx_dropped: 12 });
        assert_eq!(of(text, "q2"), Statistics::default());
    }
}
