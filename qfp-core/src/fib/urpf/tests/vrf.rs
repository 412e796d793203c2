//! Packets of several VRFs in one vector.

use super::*;

/// Sub-interfaces 3 to 6 of port 0 behind the tags 3 to 6.
fn tagged_plan() -> Plan {
    let mut plan = Plan::with_ports(4);
    plan.tags(0, &[(3, None, 3), (4, None, 4), (5, None, 5), (6, None, 6)]);
    plan
}

fn from(tag: u16, dst: &str) -> Vec<u8> {
    let src = if dst.contains(':') { "2001:db8:ffff::1" } else { "198.51.100.1" };
    frame(&[(0x8100, tag)], &ip(src.parse().unwrap(), dst.parse().unwrap()))
}

#[test]
fn the_same_prefix_leads_elsewhere_in_every_vrf() {
    let mut plan = tagged_plan();
    for prefix in ["10.0.0.0/8", "2001:db8:1::/48"] {
        plan.route(prefix, plain(3));
        plan.vrf_route(1, prefix, plain(4));
        plan.vrf_route(9, prefix, plain(5));
    }
    plan.vrf_route(9, "10.1.0.0/16", plain(6));
    join(&mut plan, 4, 1);
    join(&mut plan, 5, 9);
    // No such table.
    join(&mut plan, 6, 77);
    let frames: Vec<_> = (0..64u16)
        .map(|n| from(3 + n % 4, ["10.1.0.1", "2001:db8:1::1", "10.2.0.1"][usize::from(n % 3)]))
        .collect();
    for isa in [Isa::Portable, Isa::Avx2, Isa::Avx512] {
        let walked = walk(&plan, isa, &frames);
        for (slot, n) in (0..64u16).enumerate() {
            let output = match (n % 4, n % 3) {
                (0, _) => Ok(3),
                (1, _) => Ok(4),
                (2, 0) => Ok(6),
                (2, _) => Ok(5),
                (_, 1) => Err(DropReason::Ipv6NoRoute),
                _ => Err(DropReason::Ipv4NoRoute),
            };
            match output {
                Ok(output) => assert_eq!(walked.outputs[slot], Some(UidbIndex(output)), "{n}"),
                Err(reason) => assert_eq!(walked.ends[slot], End::Drop(reason), "{n}"),
            }
        }
    }
}

#[test]
fn a_table_number_without_the_gate_means_nothing() {
    let mut plan = tagged_plan();
    plan.route("10.0.0.0/8", plain(3));
    plan.vrf_route(1, "10.0.0.0/8", plain(4));
    plan.uidbs[5].table = 1;
    join(&mut plan, 4, 1);
    let frames = [from(5, "10.0.0.1"), from(4, "10.0.0.1")];
    let outputs = [3, 4].map(|output| Some(UidbIndex(output)));
    assert_eq!(walk(&plan, Isa::detect(), &frames).outputs, outputs);
    assert_eq!(walk(&plan, Isa::detect(), &frames[..1]).outputs, outputs[..1]);
    assert_eq!(plan.uidbs[5].routing_table(), TableId::GLOBAL);
}

#[test]
fn a_thousand_vrfs_and_more_keep_apart() {
    const VRFS: u16 = 1030;
    let mut plan = Plan::with_ports(4);
    let first = u16::try_from(plan.uidbs.len()).unwrap();
    let tags: Vec<_> = (0..VRFS).map(|n| (n + 1, None, first + n)).collect();
    plan.tags(0, &tags);
    for n in 0..VRFS {
        plan.uidbs.push(Uidb { port: 0, mtu: 1500, state: Uidb::UP, ..plan.uidbs[3] });
        join(&mut plan, first + n, n + 1);
        plan.vrf_route(n + 1, "10.0.0.0/8", plain(first + (n + 1) % VRFS));
    }
    let mut router = Router::new(&plan);
    let mut walker = Walker::new(&mut router, FiaBuilder::router().build(Isa::detect()));
    for start in (0..VRFS).step_by(64) {
        let numbers = start..VRFS.min(start + 64);
        let frames: Vec<_> = numbers.clone().map(|n| from(n + 1, "10.0.0.1")).collect();
        let walked = walker.walk(&frames, PacketMask::EMPTY, Source::Port(0));
        let outputs: Vec<_> = numbers.map(|n| Some(UidbIndex(first + (n + 1) % VRFS))).collect();
        assert_eq!(walked.outputs, outputs);
    }
}

#[test]
fn a_row_that_names_memory_outside_is_a_table_without_routes() {
    use crate::fib::Vrf;
    use crate::tables::{TableReader, table_kind};
    use pal::publication::{Publisher, TableShape};
    use pal::region::{HugePages, Region};

    let region = Region::anonymous(8 << 20, HugePages::Never).unwrap();
    let mut publisher = Publisher::new();
    let mut rows = region.alloc::<Vrf>(2).unwrap();
    let far = u32::MAX;
    rows[1] = Vrf {
        root4: far,
        first_line4: far,
        lines4: far,
        root6: 1,
        first_line6: 9,
        lines6: far,
        first_deep6: 7,
        deep6: far,
        ..Vrf::default()
    };
    let mut root = publisher.draft();
    root.set(table_kind::VRF, rows.publish());
    publisher.publish(&root).unwrap();
    static VRFS: &[TableShape] = &[TableShape::of("VRF", table_kind::VRF, 2)];
    let reader = publisher.register_reader("test").unwrap();
    let memory = region.map_read_only().unwrap();
    let mut reader = TableReader::new(reader, memory, region.share(), VRFS).unwrap();
    let tables = reader.tables();
    let (mut leaf, none) = ([9; 64], PacketMask::first(2));
    for table in [1, 2, u16::MAX].map(TableId) {
        crate::fib::Fib4::of(&tables, table, Isa::detect()).look_up(&[7; 64], none, &mut leaf);
        assert_eq!(leaf[..3], [0, 0, 9]);
        leaf = [9; 64];
        let fib = crate::fib::Fib6::of(&tables, table, Isa::detect());
        fib.look_up(&[7; 64], &[7; 64], none, &mut leaf);
        assert_eq!(leaf[..3], [0, 0, 9]);
        leaf = [9; 64];
    }
}
