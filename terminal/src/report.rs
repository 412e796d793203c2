//! The final report for people.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use qfp::core::counters::InterfaceCounters;
use qfp::hal::DeviceCounters;
use qfp::report::RunReport;

use crate::lists;
use crate::log::Unseen;

/// The whole report, several tables long. Rows in which nothing was counted are left out. `tcam`
/// asks for the classifier's tables too; `unseen` are messages that did not reach anybody.
pub fn render(report: &RunReport, tcam: bool, unseen: Unseen) -> String {
    let mut parts = vec![ports(report)];
    parts.extend(losses(report));
    parts.extend(interfaces(report));
    parts.extend(steps(report));
    parts.extend(counts("drops by reason", "packets", &report.drops));
    parts.extend(counts("punts by cause", "packets", &report.punts));
    parts.extend(policed(report));
    parts.extend(counts("features", "count", &report.features));
    parts.extend(counts("slow path", "count", &report.slow_path));
    parts.extend(counts("crypto engines", "packets", &report.crypto_engines));
    parts.extend(lists::access_lists(report));
    parts.extend(crate::policies::text(report));
    parts.extend(lists::route_maps(report));
    parts.extend(crate::crypto::text(report));
    parts.extend(report.tcam.as_ref().filter(|_| tcam).map(lists::tcam));
    parts.extend(lcores(report));
    parts.push(summary(report));
    parts.extend(unseen.text());
    parts.join("\n\n") + "\n"
}

/// Nothing but a line under the header.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// A table whose first column is text and whose others are numbers.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A table of texts; nothing without rows.
pub fn text_table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header).add_rows(rows);
    if table.is_empty() { String::new() } else { table.trim_fmt() + "\n" }
}

fn ports(report: &RunReport) -> String {
    let header = [
        "port",
        "rx packets",
        "rx bytes",
        "tx packets",
        "tx bytes",
        "rx missed",
        "tx dropped",
        "link",
    ];
    let mut table = table(header);
    for port in &report.ports {
        let counts = [
            port.rx_packets,
            port.rx_bytes,
            port.tx_packets,
            port.tx_bytes,
            port.rx_missed,
            port.tx_dropped,
        ];
        let name = if port.spec.is_empty() {
            port.name.clone()
        } else {
            format!("{} ({})", port.name, port.spec)
        };
        let mut link = port.link.name().to_owned();
        if port.speed > 0 {
            link += &format!(", {}", bits_per_second(port.speed));
        }
        if port.link_losses > 0 {
            link += &format!(", lost {}", grouped(port.link_losses));
        }
        table.add_row([name].into_iter().chain(counts.map(grouped)).chain([link]));
    }
    table.trim_fmt()
}

/// What devices say about frames that they have lost.
fn losses(report: &RunReport) -> Option<String> {
    let mut table = table(["device of", "missed", "no buffer", "rx errors", "tx errors"]);
    for port in report.ports.iter().filter(|port| port.device != DeviceCounters::default()) {
        let DeviceCounters { missed, no_buffer, rx_errors, tx_errors } = port.device;
        let counts = [missed, no_buffer, rx_errors, tx_errors];
        table.add_row([port.name.clone()].into_iter().chain(counts.map(grouped)));
    }
    (!table.is_empty()).then(|| table.trim_fmt())
}

fn interfaces(report: &RunReport) -> Option<String> {
    let mut table = table(["interface", "in packets", "in bytes", "out packets", "out bytes"]);
    for one in report.interfaces.iter().filter(|one| !one.counters.is_empty()) {
        let InterfaceCounters { in_packets, in_bytes, out_packets, out_bytes } = one.counters;
        let counts = [in_packets, in_bytes, out_packets, out_bytes];
        table.add_row([one.name.to_string()].into_iter().chain(counts.map(grouped)));
    }
    (!table.is_empty()).then(|| table.trim_fmt())
}

fn steps(report: &RunReport) -> Option<String> {
    let mut table = table(["step", "packets", "cycles/packet"]);
    for step in report.steps.iter().filter(|step| step.packets > 0) {
        let cycles = format!("{:.1}", step.cycles_per_packet);
        table.add_row([step.name.clone(), grouped(step.packets), cycles]);
    }
    (!table.is_empty()).then(|| table.trim_fmt())
}

fn policed(report: &RunReport) -> Option<String> {
    let mut table = table(["to the slow path", "passed", "beyond the rate"]);
    for one in &report.policed {
        let name = format!("{} from {}", one.flow, one.interface);
        table.add_row([name, grouped(one.passed), grouped(one.dropped)]);
    }
    (!table.is_empty()).then(|| table.trim_fmt())
}

fn counts(title: &str, unit: &str, counts: &[(&'static str, u64)]) -> Option<String> {
    let mut table = table([title, unit]);
    for (name, count) in counts.iter().filter(|(_, count)| *count > 0) {
        table.add_row([(*name).to_owned(), grouped(*count)]);
    }
    (!table.is_empty()).then(|| table.trim_fmt())
}

fn lcores(report: &RunReport) -> Option<String> {
    let mut table = table(["lcore", "cpu", "vectors", "packets", "packets/vector", "busy %"]);
    for lcore in &report.lcores {
        let per_vector = lcore.packets as f64 / lcore.vectors.max(1) as f64;
        table.add_row([
            lcore.id.to_string(),
            lcore.cpu.map_or("-".to_owned(), |cpu| cpu.to_string()),
            grouped(lcore.vectors),
            grouped(lcore.packets),
            format!("{per_vector:.1}"),
            format!("{:.1}", lcore.busy_percent),
        ]);
    }
    (!table.is_empty()).then(|| table.trim_fmt())
}

fn summary(report: &RunReport) -> String {
    format!(
        "{:.3} s, {:.3} Mpps: received {}, injected {}, forwarded {}, dropped {}, punted {}, \
         consumed {}, queued {}\nconserved: {}",
        report.elapsed_s,
        report.mpps(),
        grouped(report.received()),
        grouped(report.injected),
        grouped(report.forwarded()),
        grouped(report.dropped()),
        grouped(report.punted()),
        grouped(report.consumed),
        grouped(report.queued),
        match report.conserved {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "not known before the end",
        },
    )
}

/// A rate as devices have it: `10 Gb/s`.
fn bits_per_second(rate: u64) -> String {
    match rate {
        _ if rate >= 1_000_000_000 => format!("{} Gb/s", rate as f64 / 1e9),
        _ => format!("{} Mb/s", rate as f64 / 1e6),
    }
}

/// Digits in groups of three: `2 500 137`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use qfp::report::{InterfaceReport, LcoreReport, PortReport, StepReport};

    use super::*;

    /// A run of two seconds.
    pub(crate) fn example() -> RunReport {
        let port = |name: &str, rx_packets, tx_packets| PortReport {
            name: name.to_owned(),
            spec: "sink".to_owned(),
            rx_packets,
            rx_bytes: rx_packets * 60,
            tx_packets,
            tx_bytes: tx_packets * 60,
            ..PortReport::default()
        };
        let step = |name: &str, packets, cycles_per_packet| StepReport {
            name: name.to_owned(),
            packets,
            cycles_per_packet,
        };
        let device = DeviceCounters { missed: 7, no_buffer: 8, rx_errors: 9, tx_errors: 6 };
        let port0 = PortReport {
            speed: 10_000_000_000,
            device,
            xstats: vec![("late".to_owned(), 5)],
            ..port("port0", 2_500_137, 0)
        };
        let counters =
            InterfaceCounters { in_packets: 3, in_bytes: 180, ..InterfaceCounters::default() };
        RunReport {
            elapsed_s: 2.0,
            ports: vec![port0, port("port1", 0, 2_500_000)],
            interfaces: vec![InterfaceReport { name: "port0.7".into(), counters }],
            drops: vec![("Ipv4NoRoute", 100), ("Ipv4Null0", 0)],
            punts: vec![("Arp", 30)],
            consumed: 7,
            injected: 2,
            steps: vec![step("if-classify", 2_500_137, 1.5), step("acl-in", 0, 0.0)],
            slow_path: vec![("arp_replies", 2)],
            lcores: vec![LcoreReport {
                id: 0,
                cpu: Some(2),
                vectors: 100_000,
                packets: 2_500_137,
                busy_percent: 12.25,
            }],
            generation: 3,
            conserved: Some(true),
            ..RunReport::default()
        }
    }

    #[test]
    fn the_report_shows_what_was_counted_and_nothing_else() {
        let text = render(&example(), false, Unseen::default());
        for wanted in [
            "2 500 137",
            "150 000 000",
            "if-classify",
            "1.5",
            "Ipv4NoRoute",
            "Arp",
            "arp_replies",
            "1.250 Mpps",
            "conserved: yes",
            "port1 (sink)",
            "up, 10 Gb/s",
            "device of",
            "port0.7",
        ] {
            assert!(text.contains(wanted), "no {wanted:?} in\n{text}");
        }
        assert!(!text.contains("acl-in") && !text.contains("Ipv4Null0"), "{text}");
    }

    #[test]
    fn packets_that_got_lost_are_shown_loudly() {
        let unseen = Unseen { lost: 3, held_back: 0 };
        let text = render(&RunReport { conserved: Some(false), ..example() }, false, unseen);
        assert!(text.contains("conserved: NO"), "{text}");
        assert!(text.ends_with("messages: 3 could not be written, 0 held back\n"), "{text}");
    }

    #[test]
    fn digits_are_grouped_by_three() {
        let shown = [0, 999, 1_000, 12_345_678].map(grouped);
        assert_eq!(shown, ["0", "999", "1 000", "12 345 678"]);
    }
}
