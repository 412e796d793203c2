//! Capture files that one port writes and another port uses as well.

use std::path::{Path, PathBuf};

use hal::{PortError, Spec};

/// Refuses the SPEC of the first port that would write a file of another port.
///
/// # Errors
/// The number of the port, and what is wrong with its SPEC.
pub(crate) fn check(specs: &[Option<Spec>]) -> Result<(), (usize, PortError)> {
    let specs = || specs.iter().enumerate().filter_map(|(n, spec)| Some((n, spec.as_ref()?)));
    for (n, spec) in specs() {
        let Some(output) = files(spec).1.and_then(identity) else { continue };
        let clash = |(m, other): (usize, &Spec)| {
            let (input, earlier) = files(other);
            // Of two ports that write the same file, the later one is at fault.
            let earlier = earlier.filter(|_| m < n);
            m != n
                && [input, earlier].into_iter().flatten().filter_map(identity).any(|f| f == output)
        };
        if specs().any(clash) {
            let reason = "its tx file is a file of another port";
            return Err((n, PortError::BadSpec { spec: spec.to_string(), reason }));
        }
    }
    Ok(())
}

/// What a port reads from and writes to.
fn files(spec: &Spec) -> (Option<&Path>, Option<&Path>) {
    match spec {
        Spec::Pcap(pcap) => (pcap.rx.as_deref(), pcap.tx.as_deref()),
        _ => (None, None),
    }
}

/// The one name of a file, whether it exists or not; `None` for devices and pipes, which may be
/// written by many.
fn identity(path: &Path) -> Option<PathBuf> {
    if let Ok(found) = path.canonicalize() {
        return found.is_file().then_some(found);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new(".")).canonicalize().ok()?;
    Some(parent.join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clash(specs: &[&str]) -> Option<usize> {
        let specs: Vec<_> = specs.iter().map(|spec| Some(spec.parse().unwrap())).collect();
        check(&specs).err().map(|(port, _)| port)
    }

    #[test]
    fn a_file_is_written_by_one_port_and_read_by_none() {
        assert_eq!(clash(&["pcap:tx=a", "sink", "pcap:tx=./a"]), Some(2));
        assert_eq!(clash(&["pcap:tx=a", "pcap:rx=a"]), Some(0));
        assert_eq!(clash(&["pcap:rx=a", "pcap:rx=b,tx=a"]), Some(1));
        assert_eq!(clash(&["pcap:rx=a,tx=b", "pcap:rx=a,tx=c", "synth"]), None);
        assert_eq!(clash(&["pcap:tx=/dev/null", "pcap:tx=/dev/null"]), None);
    }
}
