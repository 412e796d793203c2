//! The RIB against a list of routes that is looked through from end to end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

const TABLES: [TableId; 2] = [TableId(0), TableId(5)];
const LINKS: [UidbIndex; 2] = [UidbIndex(3), UidbIndex(4)];

/// Routes by table, prefix and source.
type Routes = BTreeMap<(TableId, IpNet, Source), Vec<Path>>;

fn links() -> HashMap<UidbIndex, TableId> {
    HashMap::from([(LINKS[0], TABLES[0]), (LINKS[1], TABLES[1])])
}

fn router(n: u8) -> IpAddr {
    Ipv4Addr::new(10, n / 16, n % 16, 1).into()
}

fn hop() -> impl Strategy<Value = NextHop> {
    prop_oneof![
        6 => (0..48u8).prop_map(|n| NextHop::Via { address: router(n), interface: None }),
        1 => (0..48u8, 0..3usize).prop_map(|(n, link)| NextHop::Via {
            address: router(n),
            interface: Some(LINKS.get(link).copied().unwrap_or(UidbIndex(9))),
        }),
        1 => (0..2usize).prop_map(|link| NextHop::OnLink(LINKS[link])),
        1 => Just(NextHop::Drop),
    ]
}

fn prefix() -> impl Strategy<Value = IpNet> {
    let lens = prop::sample::select(&[0u8, 8, 12, 16, 20, 24, 32][..]);
    (0..48u8, lens).prop_map(|(n, len)| IpNet::new(router(n), len).unwrap().trunc())
}

/// A change: table, prefix, source, paths or none.
type Step = (TableId, IpNet, Source, Option<Vec<Path>>);

fn step() -> impl Strategy<Value = Step> {
    let paths = prop::collection::vec((hop(), 1..4u8), 1..4).prop_map(|list| {
        let paths = list.into_iter().map(|(hop, weight)| Path { hop, weight });
        paths.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    });
    let source = prop::sample::select(&[Source::CONNECTED, Source::STATIC, Source::FPM][..]);
    let table = prop::sample::select(&TABLES[..]);
    (table, prefix(), source, prop::option::weighted(0.8, paths)).prop_map(
        |(t, p, source, paths)| {
            // Connected networks are on a link.
            let paths = match source {
                Source::CONNECTED => paths.map(|_| {
                    let link = NextHop::OnLink(LINKS[usize::from(t != TABLES[0])]);
                    vec![Path { hop: link, weight: 1 }]
                }),
                _ => paths,
            };
            // One connected network is enough to begin with.
            let p = if source == Source::CONNECTED {
                IpNet::new(router(1), 24).unwrap().trunc()
            } else {
                p
            };
            (t, p, source, paths)
        },
    )
}

/// The adjacencies that a next hop leads to.
fn follow(
    routes: &Routes,
    table: TableId,
    hop: IpAddr,
    way: &mut Vec<IpAddr>,
) -> BTreeSet<AdjacencyKey> {
    if way.contains(&hop) || way.len() >= 8 {
        return BTreeSet::new();
    }
    way.push(hop);
    let mut covering: Vec<_> =
        routes.iter().filter(|((t, p, _), _)| *t == table && p.contains(&hop)).collect();
    covering.sort_by_key(|((_, p, source), _)| (std::cmp::Reverse(p.prefix_len()), *source));
    if let Some(connected) = covering.iter().find(|((_, _, s), _)| *s == Source::CONNECTED) {
        covering = vec![*connected];
    }
    let mut found = BTreeSet::new();
    for (_, paths) in covering {
        if paths.iter().any(|p| p.hop == NextHop::Via { address: hop, interface: None }) {
            continue;
        }
        for path in paths {
            found.extend(lead(routes, table, path.hop, Some(hop), way));
        }
        if !found.is_empty() {
            break;
        }
    }
    way.pop();
    discards_last(found)
}

fn lead(
    routes: &Routes,
    table: TableId,
    hop: NextHop,
    to: Option<IpAddr>,
    way: &mut Vec<IpAddr>,
) -> BTreeSet<AdjacencyKey> {
    let up = |uidb: &UidbIndex| LINKS.contains(uidb);
    let one = |key| BTreeSet::from([key]);
    match (hop, to) {
        (NextHop::Via { address, interface: None }, _) => follow(routes, table, address, way),
        (NextHop::Via { address, interface: Some(link) }, _) if up(&link) => {
            one(AdjacencyKey::Neighbour(link, address))
        }
        (NextHop::OnLink(link), Some(to)) => one(AdjacencyKey::Neighbour(link, to)),
        (NextHop::OnLink(link), None) => one(AdjacencyKey::Glean(link)),
        (NextHop::Drop, _) => one(AdjacencyKey::Null0),
        _ => BTreeSet::new(),
    }
}

fn discards_last(mut found: BTreeSet<AdjacencyKey>) -> BTreeSet<AdjacencyKey> {
    if found.len() > 1 {
        found.remove(&AdjacencyKey::Null0);
    }
    found
}

/// Where each prefix ought to lead.
fn wanted(routes: &Routes) -> BTreeMap<(TableId, IpNet), BTreeSet<AdjacencyKey>> {
    let mut wanted = BTreeMap::new();
    for ((table, prefix, _), paths) in routes {
        let leads = paths.iter().flat_map(|p| lead(routes, *table, p.hop, None, &mut Vec::new()));
        let leads = discards_last(leads.collect());
        if !leads.is_empty() {
            wanted.entry((*table, *prefix)).or_insert(leads);
        }
    }
    wanted
}

/// What the changes so far have made of the forwarding tables.
#[derive(Default)]
struct Fib(BTreeMap<(TableId, IpNet), SetId>);

impl Fib {
    fn take(&mut self, delta: &Delta) {
        for Change { table, prefix, old, new } in &delta.changes {
            let before = match *new {
                SetId::NONE => self.0.remove(&(*table, *prefix)),
                new => self.0.insert((*table, *prefix), new),
            };
            assert_eq!(before.unwrap_or(SetId::NONE), *old);
        }
    }

    fn check(&self, rib: &Rib, routes: &Routes) {
        let leads = |set: &SetId| rib.members(*set).iter().map(|(key, _)| *key).collect();
        let is: BTreeMap<_, BTreeSet<_>> = self.0.iter().map(|(p, set)| (*p, leads(set))).collect();
        assert_eq!(is, wanted(routes));
    }
}

fn play(rib: &mut Rib, steps: &[Step]) {
    for (table, prefix, source, paths) in steps {
        match paths {
            Some(paths) => {
                let set = rib.set(*table, paths);
                rib.replace(*table, *prefix, *source, set);
            }
            None => rib.withdraw(*table, *prefix, *source),
        }
    }
}

fn note(routes: &mut Routes, steps: &[Step]) {
    for (table, prefix, source, paths) in steps {
        match paths {
            Some(paths) => drop(routes.insert((*table, *prefix, *source), paths.clone())),
            None => drop(routes.remove(&(*table, *prefix, *source))),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn every_prefix_leads_where_a_search_of_all_routes_says(
        batches in prop::collection::vec(
            (prop::collection::vec(step(), 1..10), prop::bool::weighted(0.7)), 1..8),
    ) {
        let mut rib = Rib::default();
        rib.next_configuration(links());
        rib.settle();
        rib.keep();
        let (mut routes, mut fib) = (Routes::new(), Fib::default());
        for (batch, kept) in batches {
            play(&mut rib, &batch);
            let delta = rib.settle();
            if kept {
                note(&mut routes, &batch);
                fib.take(&delta);
                let unused = rib.keep();
                prop_assert!(fib.0.values().all(|set| !unused.contains(set)));
            } else {
                rib.undo(&delta);
            }
            fib.check(&rib, &routes);
        }
        // And nothing is left in the end.
        let all: Vec<Step> = routes.keys().map(|(t, p, s)| (*t, *p, *s, None)).collect();
        play(&mut rib, &all);
        fib.take(&rib.settle());
        rib.keep();
        prop_assert!(fib.0.is_empty() && rib.hops.is_empty() && rib.sets.all().next().is_none());
    }
}

#[test]
fn weights_are_multiplied_out_over_recursive_next_hops() {
    let mut rib = Rib::default();
    rib.next_configuration(links());
    let via = |n: u8, interface| NextHop::Via { address: router(n), interface };
    let (a, b, c) = (via(1, Some(LINKS[0])), via(2, Some(LINKS[0])), via(3, Some(LINKS[0])));
    let far = IpNet::new(router(40), 32).unwrap();
    let set = rib.set(TABLES[0], &[Path { hop: a, weight: 1 }, Path { hop: b, weight: 2 }]);
    rib.replace(TABLES[0], far, Source::STATIC, set);
    let paths = [Path { hop: via(40, None), weight: 1 }, Path { hop: c, weight: 1 }];
    let set = rib.set(TABLES[0], &paths);
    rib.replace(TABLES[0], IpNet::new(router(20), 24).unwrap().trunc(), Source::FPM, set);
    rib.settle();
    let weights: Vec<u32> = rib.members(set).iter().map(|(_, weight)| *weight).collect();
    assert_eq!(weights, [1, 2, 3]);
}
