//! A feature of your own in the order of operations: drop UDP to port 53, count the rest.
//!
//! `cargo run --example custom_feature`

use qfp::Forwarder;
use qfp::client::config::Config;
use qfp::core::fia::{FiaBuilder, Gate};
use qfp::core::packet::{DropReason, FeatureCounter, PacketMask, Vector};
use qfp::core::step::{Lcore, Step};

/// The feature. There is one for each lcore, so it needs no lock for its state.
struct NoDns {
    reason: DropReason,
    other: FeatureCounter,
}

impl Step for NoDns {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let mut other = 0;
        for slot in select {
            let Some(transport) = vector.transport(slot) else { continue };
            let ports = vector.network(slot).get(usize::from(transport.offset)..);
            if transport.protocol == 17
                && let Some([_, _, 0, 53, ..]) = ports
            {
                vector.drop(slot, self.reason);
            } else {
                other += 1;
            }
        }
        lcore.counters.feature(self.other, other);
    }
}

const CONFIG: &str = r#"
    [[port]]
    device = "synth:size=64,flows=1024,count=100000"
    address = ["192.0.2.1/24"]
    [[port]]
    device = "sink"
    address = ["198.51.100.1/24"]
    [[route]]
    prefix = "198.18.0.0/15"
    via = "198.51.100.2"
    [[neighbor]]
    address = "198.51.100.2"
    mac = "02:00:00:00:00:02"
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What reports call them.
    let reason = DropReason::of_feature("NoDns")?;
    let other = FeatureCounter::named("not_dns")?;
    let make = move || Box::new(NoDns { reason, other }) as Box<dyn Step>;
    let fia = FiaBuilder::router().insert_after("acl-act-in", "no-dns", Gate::Always, make)?;
    let report = Forwarder::new(Config::parse(CONFIG, "inline")?).fia(fia).start()?.join()?;
    println!("sent {}, dropped {:?}, {:?}", report.forwarded(), report.drops, report.features);
    Ok(())
}
