//! Vectors of packets.

use super::super::{NO_POLICER, Policers};
use super::*;

#[test]
fn a_vector_is_metered_like_its_packets_one_by_one() {
    let mut random = Random(3);
    // Few policers, which then meet one packet after the other, and more than are always near.
    for count in [1, 7, 10_000] {
        let algorithm = Algorithm::Rfc2698 { pir: bits(12_000), be: Burst::Size(3000) };
        let two = spec(bits(8_000), 2000, algorithm);
        let configs = [
            one_rate(8_000, 1500),
            row(&PolicerSpec { aware: true, ..two }),
            row(&PolicerSpec { shared: true, ..two }),
        ];
        let config_of: Vec<u32> = (0..count).map(|_| random.below(3) as u32).collect();
        let states = || (0..count).map(|_| PolicerState::default()).collect::<Vec<_>>();
        let [one_by_one, batch] = [states(), states()];
        let policers = |states| Policers { configs: &configs, config_of: &config_of, states };
        for round in 0..200 {
            let now = Nanos(round * 100_000_000);
            // More than a vector, some without a policer or with one that does not exist.
            let packets = random.below(150);
            let indices: Vec<u32> = (0..packets)
                .map(|_| match random.below(20) {
                    0 => NO_POLICER,
                    1 => count as u32,
                    _ => random.below(count) as u32,
                })
                .collect();
            let lengths: Vec<u32> = indices.iter().map(|_| random.below(1600) as u32).collect();
            let colours: Vec<Colour> =
                indices.iter().map(|_| Colour::ALL[random.below(3) as usize]).collect();
            let mut got = colours.clone();
            policers(&batch[..]).meter_batch(now, &indices, &lengths, &mut got);
            for (i, &colour) in colours.iter().enumerate() {
                let policers = policers(&one_by_one[..]);
                let wanted = policers.meter(indices[i], now, lengths[i], colour);
                assert_eq!(got[i], wanted, "packet {i} of round {round}");
            }
        }
        for (one_by_one, batch) in one_by_one.iter().zip(&batch) {
            assert_eq!(one_by_one.snapshot(), batch.snapshot());
        }
    }
}
