use std::io;

/// The counters of one line of `/proc/net/dev`, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the file's own columns")]
pub struct NetDevCounters {
    /// The interface's name.
    pub name: String,
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub rx_fifo: u64,
    pub rx_frame: u64,
    pub rx_compressed: u64,
    pub rx_multicast: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
    pub tx_fifo: u64,
    pub tx_collisions: u64,
    pub tx_carrier: u64,
    pub tx_compressed: u64,
}

/// Why a text is not `/proc/net/dev`. Lines count from one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcNetDevError {
    /// One of the two title lines is missing.
    #[error("line {line}: not one of the two title lines")]
    Header {
        /// The line.
        line: usize,
    },
    /// A line without `name:`.
    #[error("line {line}: no interface name")]
    Name {
        /// The line.
        line: usize,
    },
    /// A line that was cut off or has columns nobody knows.
    #[error("line {line}: {found} counters instead of 16")]
    Columns {
        /// The line.
        line: usize,
        /// Counters on it.
        found: usize,
    },
    /// A counter that is no 64-bit number.
    #[error("line {line}: {token:?} is not a counter")]
    Counter {
        /// The line.
        line: usize,
        /// What stands there.
        token: String,
    },
}

/// Why the counters cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NetDevReadError {
    /// The file cannot be read.
    #[error("cannot read /proc/thread-self/net/dev: {0}")]
    Read(#[from] io::Error),
    /// The file is not understood.
    #[error("/proc/thread-self/net/dev: {0}")]
    Parse(#[from] ProcNetDevError),
}

/// The counters of all interfaces in this thread's network namespace, without the loopback.
///
/// # Errors
/// The file cannot be read or understood.
pub fn net_dev_counters() -> Result<Vec<NetDevCounters>, NetDevReadError> {
    // Not /proc/net, which shows the namespace of the process's first thread.
    let text = std::fs::read_to_string("/proc/thread-self/net/dev")?;
    Ok(parse_proc_net_dev(&text)?)
}

/// The interfaces in a text such as `/proc/net/dev`, in its order, without the loopback `lo`.
///
/// Two title lines, then `name:` and 16 counters a line; the first counter may touch the colon.
///
/// # Errors
/// Names the first line that is not understood.
pub fn parse_proc_net_dev(text: &str) -> Result<Vec<NetDevCounters>, ProcNetDevError> {
    let mut lines = (1..).zip(text.lines());
    for line in 1..=2 {
        if lines.next().is_none_or(|(_, title)| title.matches('|').count() != 2) {
            return Err(ProcNetDevError::Header { line });
        }
    }
    lines
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(line, text)| parse_line(line, text))
        .filter(|parsed| parsed.as_ref().map_or(true, |parsed| parsed.name != "lo"))
        .collect()
}

fn parse_line(line: usize, text: &str) -> Result<NetDevCounters, ProcNetDevError> {
    // The kernel allows no colon in a name, so the first one ends it.
    let (name, counters) = text.split_once(':').ok_or(ProcNetDevError::Name { line })?;
    let name = name.trim();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(ProcNetDevError::Name { line });
    }
    let mut values = [0; 16];
    let mut found = 0;
    for token in counters.split_ascii_whitespace() {
        let counter = token
            .parse()
            .map_err(|_| ProcNetDevError::Counter { line, token: token.to_owned() })?;
        if let Some(value) = values.get_mut(found) {
            *value = counter;
        }
        found += 1;
    }
    if found != values.len() {
        return Err(ProcNetDevError::Columns { line, found });
    }
    Ok(NetDevCounters {
        name: name.to_owned(),
        rx_bytes: values[0],
        rx_packets: values[1],
        rx_errors: values[2],
        rx_dropped: values[3],
        rx_fifo: values[4],
        rx_frame: values[5],
        rx_compressed: values[6],
        rx_multicast: values[7],
        tx_bytes: values[8],
        tx_packets: values[9],
        tx_errors: values[10],
        tx_dropped: values[11],
        tx_fifo: values[12],
        tx_collisions: values[13],
        tx_carrier: values[14],
        tx_compressed: values[15],
    })
}

#[cfg(test)]
mod tests {
    use super::{NetDevCounters, ProcNetDevError, net_dev_counters, parse_proc_net_dev};
    use proptest::prelude::*;

    const TITLES: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
";

    fn parse(lines: &str) -> Result<Vec<NetDevCounters>, ProcNetDevError> {
        parse_proc_net_dev(&format!("{TITLES}{lines}"))
    }

    fn names(lines: &str) -> Vec<String> {
        parse(lines).unwrap().into_iter().map(|dev| dev.name).collect()
    }

    #[test]
    fn every_column_lands_in_its_field() {
        let parsed = parse("  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n").unwrap();
        let want = NetDevCounters {
            name: "eth0".into(),
            rx_bytes: 1,
            rx_packets: 2,
            rx_errors: 3,
            rx_dropped: 4,
            rx_fifo: 5,
            rx_frame: 6,
            rx_compressed: 7,
            rx_multicast: 8,
            tx_bytes: 9,
            tx_packets: 10,
            tx_errors: 11,
            tx_dropped: 12,
            tx_fifo: 13,
            tx_collisions: 14,
            tx_carrier: 15,
            tx_compressed: 16,
        };
        assert_eq!(parsed, [want]);
    }

    // rows: PLT-01
    #[test]
    fn names_of_all_shapes_are_read_and_the_loopback_is_left_out() {
        let zeros = "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0";
        let glued = format!("eth1:18446744073709551615 {}", &zeros[2..]);
        let lines = format!(
            "    lo: {zeros}\n{glued}\neth0.100: {zeros}\nabcdefghijklmno:{zeros}\n lo0: {zeros}\n\n"
        );
        assert_eq!(names(&lines), ["eth1", "eth0.100", "abcdefghijklmno", "lo0"]);
        assert_eq!(parse(&lines).unwrap()[0].rx_bytes, u64::MAX);
        assert!(names("").is_empty());
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        use ProcNetDevError::{Columns, Counter, Header, Name};
        let good = "a: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        let cut = format!("{good}b: 1 2 3");
        assert_eq!(parse(&cut), Err(Columns { line: 4, found: 3 }));
        assert_eq!(parse("a:"), Err(Columns { line: 3, found: 0 }));
        assert_eq!(parse(&format!("{} 17", good.trim())), Err(Columns { line: 3, found: 17 }));
        assert_eq!(parse("eth"), Err(Name { line: 3 }));
        assert_eq!(parse(": 1"), Err(Name { line: 3 }));
        assert_eq!(parse("a b: 1"), Err(Name { line: 3 }));
        assert_eq!(parse("a: 1 -2"), Err(Counter { line: 3, token: "-2".into() }));
        let huge = "18446744073709551616";
        assert_eq!(parse(&format!("a: {huge}")), Err(Counter { line: 3, token: huge.into() }));
        assert_eq!(parse_proc_net_dev(""), Err(Header { line: 1 }));
        assert_eq!(parse_proc_net_dev(&TITLES[..80]), Err(Header { line: 2 }));
        assert_eq!(parse_proc_net_dev(good), Err(Header { line: 1 }));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(lines in "[a-z0-9:. \n|-]{0,200}") {
            let _ = parse_proc_net_dev(&lines);
            let _ = parse(&lines);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "no /proc under miri")]
    fn this_machines_file_is_understood() {
        assert!(net_dev_counters().unwrap().iter().all(|dev| dev.name != "lo"));
    }
}
