//! What became of traced packets, for people to read.

use std::fmt::Write;

use qfp::core::fia::{TraceOutcome, TracedPacket};
use qfp::core::uidb::UidbIndex;
use qfp::pal::clock::TscClock;

/// Bytes of a frame that are shown.
const SHOWN: usize = 64;

/// One walk of a packet: how it came in, each row it went through, and how it ended.
pub(crate) fn render(packet: &TracedPacket) -> String {
    // One calibration for all packets: it takes some milliseconds.
    static CLOCK: std::sync::OnceLock<TscClock> = std::sync::OnceLock::new();
    let clock = CLOCK.get_or_init(TscClock::calibrate);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "packet {} at {} on uidb {}, {} bytes",
        packet.number,
        packet.at,
        packet.input.0,
        packet.before.len()
    );
    let _ = writeln!(text, "  in   {}", hex(&packet.before));
    for step in &packet.steps {
        let ns = clock.cycles_to_nanos(step.cycles);
        let _ = writeln!(text, "  {:18} {ns:6} ns for {} packets", step.row, step.packets);
    }
    let _ = match packet.outcome {
        TraceOutcome::Sent => writeln!(text, "  sent on uidb {}", packet.output.0),
        TraceOutcome::Dropped(reason) => writeln!(text, "  dropped: {}", reason.label()),
        TraceOutcome::Punted(cause) => writeln!(text, "  punted: {}", cause.name()),
        TraceOutcome::Consumed => writeln!(text, "  consumed"),
        TraceOutcome::Again => writeln!(text, "  walks again"),
    };
    debug_assert!(packet.outcome != TraceOutcome::Sent || packet.output != UidbIndex::NONE);
    if !packet.after.is_empty() {
        let _ = writeln!(text, "  out  {}", hex(&packet.after));
    }
    text
}

fn hex(frame: &[u8]) -> String {
    let mut text = String::new();
    for (n, byte) in frame.iter().take(SHOWN).enumerate() {
        let gap = if n > 0 && n % 2 == 0 { " " } else { "" };
        let _ = write!(text, "{gap}{byte:02x}");
    }
    if frame.len() > SHOWN {
        text.push_str(" ...");
    }
    text
}
