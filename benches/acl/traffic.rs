//! Headers to look up: from a trace, at the corners of rules, crossed between rules, and random.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::oracle::Oracle;
use crate::set::{self, Family, Header, Rule};

/// Headers of one kind.
pub(crate) struct Traffic {
    pub(crate) kind: &'static str,
    pub(crate) headers: Vec<Header>,
}

impl Traffic {
    /// Each header lies in a random rule: at one of its ends or inside, field by field.
    pub(crate) fn corners(family: Family, rules: &[Rule], count: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let headers = (0..count).map(|_| {
            let rule = &rules[rng.random_range(0..rules.len())];
            corner(family, [rule; 5], &mut rng)
        });
        Self { kind: "trace", headers: headers.collect() }
    }

    /// Each field lies in a random rule of its own: much matches in part, little as a whole.
    pub(crate) fn crossed(family: Family, rules: &[Rule], count: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(2);
        let headers = (0..count).map(|_| {
            let of = std::array::from_fn(|_| &rules[rng.random_range(0..rules.len())]);
            corner(family, of, &mut rng)
        });
        Self { kind: "cross", headers: headers.collect() }
    }

    /// Each field is uniformly random.
    pub(crate) fn random(family: Family, count: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(3);
        let headers = (0..count).map(|_| Header {
            src: rng.random::<u128>() & set::all(family),
            dst: rng.random::<u128>() & set::all(family),
            sport: rng.random(),
            dport: rng.random(),
            proto: rng.random(),
        });
        Self { kind: "random", headers: headers.collect() }
    }

    /// The first match in each of `lists` for each header, header by header.
    pub(crate) fn expected(&self, lists: &[Oracle]) -> Vec<u32> {
        let of = |header| lists.iter().map(move |list| list.first(header));
        self.headers.iter().flat_map(of).collect()
    }
}

/// A header whose fields are taken from one rule each.
fn corner(family: Family, of: [&Rule; 5], rng: &mut StdRng) -> Header {
    let [src, dst, sport, dport, proto] = of;
    let mut within = |low: u128, high: u128| match rng.random_range(0..3) {
        0 => low,
        1 => high,
        _ => rng.random_range(low..=high),
    };
    let src = within(src.src.value, src.src.last(family));
    let dst = within(dst.dst.value, dst.dst.last(family));
    let mut port = |low: &u16, high: &u16| {
        u16::try_from(within((*low).into(), (*high).into())).unwrap_or(*low)
    };
    let sport = port(sport.sport.start(), sport.sport.end());
    let dport = port(dport.dport.start(), dport.dport.end());
    let proto = proto.proto | rng.random::<u8>() & !proto.proto_mask;
    Header { src, dst, sport, dport, proto }
}
