//! What a terminal shows while packets are forwarded. Shows nothing where there is no terminal.

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use qfp::hal::LinkState;
use qfp::report::RunReport;
use terminal::report::table;

/// Rates of the last second, redrawn in place, and how much of the captures has been read.
pub(crate) struct Live {
    screen: MultiProgress,
    rates: ProgressBar,
    input: Option<ProgressBar>,
    last: RunReport,
}

impl Live {
    /// `input_packets` is how many packets the ports will receive, if that is known.
    pub(crate) fn new(input_packets: Option<u64>) -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let rates = screen.add(ProgressBar::new_spinner().with_style(style("{msg}")));
        let input = input_packets.map(|total| {
            let template = "{bar:40} {human_pos} of {human_len} packets, {eta} left";
            screen.add(ProgressBar::new(total).with_style(style(template)))
        });
        Self { screen, rates, input, last: RunReport::default() }
    }

    /// Shows what happened since the last time; `now` counts from the start of the run. Returns a
    /// line for each link that has changed.
    pub(crate) fn update(&mut self, now: RunReport) -> Vec<String> {
        if !self.rates.is_hidden() {
            self.rates.set_message(rates(&now.since(&self.last)));
            self.rates.tick();
            if let Some(input) = &self.input {
                input.set_position(now.received());
            }
        }
        let changes = changed_links(&self.last, &now);
        self.last = now;
        changes
    }

    /// Removes it from the screen, for the final report.
    pub(crate) fn finish(self) {
        self.rates.finish_and_clear();
        self.input.iter().for_each(ProgressBar::finish_and_clear);
        // The screen is as it was either way; a terminal that went away needs no clearing.
        drop(self.screen.clear());
    }
}

/// Links that are not what they were; those that were never seen before count as up.
fn changed_links(before: &RunReport, now: &RunReport) -> Vec<String> {
    let earlier = before.ports.iter().map(|port| (port.link, port.link_losses));
    let earlier = earlier.chain(std::iter::repeat_with(Default::default));
    let mut lines = Vec::new();
    for (port, (link, losses)) in now.ports.iter().zip(earlier) {
        let line = match port.link {
            // Back so soon that nobody has seen it away.
            LinkState::Up if link == LinkState::Up && port.link_losses > losses => {
                "link was lost and is up again"
            }
            same if same == link => continue,
            LinkState::Up => "link is up",
            LinkState::Down => "link is down",
            LinkState::Gone => "device has vanished; what goes there is dropped until it is back",
        };
        lines.push(format!("{} ({}): {line}", port.name, port.spec));
    }
    lines
}

/// A bar for the reading of a route file, for `RouteTable::from_file`.
pub(crate) fn routes_progress() -> impl FnMut(u64, u64) {
    let template = "reading routes {bar:40} {bytes} of {total_bytes}";
    let bar = ProgressBar::no_length().with_style(style(template));
    move |done, total| {
        bar.set_length(total);
        bar.set_position(done);
        if done >= total {
            bar.finish_and_clear();
        }
    }
}

/// The style of a template, which is right: there is a test for each.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The rates of one interval as text.
fn rates(change: &RunReport) -> String {
    let mut table =
        table(["port", "rx/s", "rx bytes/s", "tx/s", "tx bytes/s", "missed/s", "tx lost/s"]);
    let packets = |count| scaled(change.per_second(count));
    let bytes = |count| HumanBytes(whole(change.per_second(count))).to_string();
    for port in &change.ports {
        table.add_row([
            port.name.clone(),
            packets(port.rx_packets),
            bytes(port.rx_bytes),
            packets(port.tx_packets),
            bytes(port.tx_bytes),
            packets(port.rx_missed),
            packets(port.tx_dropped),
        ]);
    }
    format!(
        "{}\n{:.3} Mpps   drops/s {}   punts/s {}   generation {}",
        table.trim_fmt(),
        change.mpps(),
        packets(change.dropped()),
        packets(change.punted()),
        change.generation,
    )
}

/// Three digits and a letter: `1.25 M`.
fn scaled(rate: f64) -> String {
    match rate {
        _ if rate >= 1e9 => format!("{:.2} G", rate / 1e9),
        _ if rate >= 1e6 => format!("{:.2} M", rate / 1e6),
        _ if rate >= 1e3 => format!("{:.2} k", rate / 1e3),
        _ => format!("{rate:.0}"),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, for display")]
fn whole(rate: f64) -> u64 {
    rate as u64
}

#[cfg(test)]
mod tests {
    use qfp::report::PortReport;

    use super::*;

    /// A run of two seconds.
    fn example() -> RunReport {
        let port = |name: &str| PortReport {
            name: name.to_owned(),
            spec: "sink".to_owned(),
            ..PortReport::default()
        };
        RunReport {
            elapsed_s: 2.0,
            ports: vec![port("port0"), port("port1")],
            drops: vec![("Ipv4NoRoute", 100)],
            ..RunReport::default()
        }
    }

    #[test]
    fn rates_are_those_of_the_last_interval() {
        let later = {
            let mut later = example();
            later.elapsed_s = 3.0;
            later.ports[1].tx_packets += 4_200_000;
            later.drops[0].1 += 5;
            later
        };
        let text = rates(&later.since(&example()));
        assert!(text.contains("4.20 M") && text.contains("4.200 Mpps"), "{text}");
        assert!(text.contains("drops/s 5 ") && text.contains("punts/s 0 "), "{text}");
    }

    #[test]
    fn a_link_that_changes_is_a_line() {
        let with = |link, link_losses| {
            let mut report = example();
            (report.ports[1].link, report.ports[1].link_losses) = (link, link_losses);
            report
        };
        let (up, gone) = (with(LinkState::Up, 0), with(LinkState::Gone, 1));
        assert_eq!(changed_links(&up, &up), [""; 0]);
        let lines = changed_links(&up, &gone);
        assert!(lines.len() == 1 && lines[0].starts_with("port1 (sink): device has vanished"));
        assert_eq!(changed_links(&gone, &gone), [""; 0]);
        assert_eq!(changed_links(&gone, &with(LinkState::Up, 1)), ["port1 (sink): link is up"]);
        let again = changed_links(&up, &with(LinkState::Up, 1));
        assert_eq!(again, ["port1 (sink): link was lost and is up again"]);
        let first = changed_links(&RunReport::default(), &with(LinkState::Down, 0));
        assert_eq!(first, ["port1 (sink): link is down"]);
    }

    #[test]
    fn nothing_breaks_where_there_is_no_terminal() {
        let mut live = Live::new(Some(10));
        live.update(example());
        live.update(example());
        live.finish();
        let mut progress = routes_progress();
        progress(1, 2);
        progress(2, 2);
    }

    #[test]
    fn rates_are_scaled_to_three_digits() {
        let shown = [0.0, 999.4, 1_250.0, 3e6, 1.5e10].map(scaled);
        assert_eq!(shown, ["0", "999", "1.25 k", "3.00 M", "15.00 G"]);
    }
}
