//! Commits while packets flow: policers keep their tokens and classes their counts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use qfp::client::acl::Family;
use qfp::client::config::RouteTable;
use qfp::client::flowspec::{Actions, Components, FlowSpec, FlowTable};
use qfp::client::{Capacity, Client, CommitError, PortFacts};
use qfp::core::counters::{CounterLayout, CounterTotals};
use qfp::core::fia::FiaBuilder;
use qfp::core::isa::Isa;
use qfp::core::ppe::{PolledQueue, Ppe, PpeParts, SlowWork};
use qfp::core::qos::ClassEvent;
use qfp::hal::pool::NativePool;
use qfp::hal::{Arrival, Burst, PacketMask, Pool, PoolCache, RxQueue, TxQueue};
use qfp::pal::clock::Nanos;

use super::{MILLISECOND, SECOND, from_west, ip, router, router_with, sinks, with_class};
use crate::packets::mac;

type Frames = Arc<Mutex<VecDeque<Vec<u8>>>>;

/// Frames that a test hands over.
struct Given(Frames);

impl RxQueue for Given {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let mut frames = self.0.lock().unwrap();
        while let Some(frame) = frames.front() {
            if burst.count() == 64 || !pool.append(burst, frame) {
                break;
            }
            frames.pop_front();
        }
        burst.count()
    }

    fn arrival(&mut self) -> Arrival {
        Arrival::Live
    }
}

/// Frames that leave.
struct Taken(Frames);

impl TxQueue for Taken {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _: Nanos,
    ) -> PacketMask {
        let mut frames = self.0.lock().unwrap();
        frames.extend(select.into_iter().map(|slot| burst.frame(slot).to_vec()));
        pool.free(burst, select);
        select
    }
}

/// One lcore whose client a test commits to.
pub(super) struct Live {
    pub(super) client: Client,
    totals: CounterTotals,
    lcores: Vec<(Ppe, Frames, Frames)>,
}

impl Live {
    pub(super) fn new(config: &str, lcores: usize) -> Self {
        let config = sinks(config);
        let capacity = Capacity::fitting(&config, &RouteTable::default());
        let mut client = Client::new(&capacity).unwrap();
        client.set_lcores(lcores);
        client.commit(&config, &RouteTable::default(), &facts()).unwrap();
        let rows = FiaBuilder::router().names().len();
        let layout = CounterLayout::new(rows, 2, client.uidb_limit());
        let mut totals = CounterTotals::new(layout.with_rules(capacity.counters()));
        let lcores = (0..lcores).map(|_| lcore(&mut client, &mut totals)).collect();
        Self { client, totals, lcores }
    }

    /// Commits another configuration, while no vector is under way.
    pub(super) fn commit(&mut self, config: &str) -> Result<(), CommitError> {
        let config = sinks(config);
        self.lcores.iter_mut().for_each(|(ppe, ..)| ppe.quiescent());
        self.client.commit(&config, &RouteTable::default(), &facts())?;
        for _ in 0..3 {
            self.lcores.iter_mut().for_each(|(ppe, ..)| ppe.quiescent());
            self.client.housekeeping();
        }
        Ok(())
    }

    /// What of `frames` leaves when they come at `now` to the first lcore.
    pub(super) fn send(&mut self, now: u64, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let (ppe, given, taken) = &mut self.lcores[0];
        given.lock().unwrap().extend(frames.iter().cloned());
        let mut work: Vec<SlowWork> = Vec::new();
        while ppe.poll_queue(0, Nanos(now), &mut work) > 0 {}
        std::mem::take(&mut *taken.lock().unwrap()).into()
    }

    /// The same on all lcores at once: how many leave.
    pub(super) fn send_on_all(&mut self, now: u64, frames: &[Vec<u8>]) -> usize {
        std::thread::scope(|scope| {
            for (ppe, given, _) in &mut self.lcores {
                given.lock().unwrap().extend(frames.iter().cloned());
                scope.spawn(move || {
                    let mut work: Vec<SlowWork> = Vec::new();
                    while ppe.poll_queue(0, Nanos(now), &mut work) > 0 {}
                });
            }
        });
        let taken =
            |(_, _, taken): &mut (_, _, Frames)| std::mem::take(&mut *taken.lock().unwrap());
        self.lcores.iter_mut().map(|lcore| taken(lcore).len()).sum()
    }

    /// First counters of the class of this name in the west.
    fn counters(&self, name: &str) -> u32 {
        let mut classes = self.client.service_classes().filter(|(c, _)| c.interface == "west");
        let is = |path: &[(String, String)]| path.last().is_some_and(|(_, class)| class == name);
        classes.find(|(class, _)| is(&class.path)).unwrap().1.counters
    }

    /// Packets of a class in the west: matched, conforming, exceeding, dropped.
    pub(super) fn counts(&self, name: &str) -> [u64; 4] {
        use ClassEvent::{Conform, Dropped, Exceed, Matched};
        let first = self.counters(name);
        [Matched, Conform, Exceed, Dropped].map(|event| self.totals.rule(first + event as u32).0)
    }
}

fn facts() -> [PortFacts; 2] {
    [1, 2].map(|link| PortFacts { mac: mac(link, 1), filter_mac: false })
}

fn lcore(client: &mut Client, totals: &mut CounterTotals) -> (Ppe, Frames, Frames) {
    let (given, taken) = (Frames::default(), Frames::default());
    let tables = client.attach("live").unwrap();
    let tx = || Box::new(Taken(Arc::clone(&taken))) as Box<dyn TxQueue>;
    let ppe = Ppe::new(PpeParts {
        lcore: 0,
        fia: FiaBuilder::router().build(Isa::detect()),
        rx: vec![PolledQueue::new(0, Box::new(Given(Arc::clone(&given))))],
        tx: vec![tx(), tx()],
        pool: Pool::Native(NativePool::new(1024, 2048)).cache(0),
        tables,
        counters: totals.add_lcore(),
    });
    (ppe, given, taken)
}

const IN: [(&str, &str); 1] = [("west", "service_policy_in = \"P\"")];

/// Frames that count for 1000 bytes.
fn frames(count: usize) -> Vec<Vec<u8>> {
    vec![from_west(&[], &ip(2, false, 982)); count]
}

fn police(police: &str) -> String {
    format!("policy-map P\n class class-default\n  police {police}\n")
}

#[test]
fn a_commit_of_something_else_neither_fills_buckets_nor_resets_counts() {
    let text = police("8000 bc 3000");
    let mut live = Live::new(&router(&IN, &text), 1);
    assert_eq!(live.send(0, &frames(5)).len(), 3);
    let route = "[[route]]\nprefix = \"203.0.113.0/24\"\nvia = \"10.2.0.2\"\n";
    let class = "class-map EF\n match dscp ef\n";
    let others = [
        router(&IN, &text) + route,
        router(&[IN[0], ("east", "service_policy_out = \"P\"")], &text),
        router(&IN, &format!("{class}{text}policy-map Q\n class EF\n  set dscp 1\n")),
        // Classes in front of it have numbers of their own.
        router(
            &IN,
            &format!("{class}{}", text.replace("P\n", "P\n class EF\n  police 8000 bc 2000\n")),
        ),
    ];
    let mut matched = 5;
    for other in &others {
        live.commit(other).unwrap();
        assert_eq!(live.send(0, &frames(2)).len(), 0);
        matched += 2;
        assert_eq!(live.counts("class-default")[0], matched);
    }
    // One token bucket, through all of it: a second earns one frame.
    assert_eq!(live.send(SECOND, &frames(3)).len(), 1);
}

#[test]
fn a_new_rate_feeds_the_old_tokens_and_a_smaller_burst_cuts_them() {
    let mut live = Live::new(&router(&IN, &police("8000 bc 3000")), 1);
    assert_eq!(live.send(0, &frames(5)).len(), 3);
    live.commit(&router(&IN, &police("16000 bc 3000"))).unwrap();
    assert_eq!(live.send(0, &frames(1)).len(), 0);
    assert_eq!(live.send(SECOND / 2 - 1, &frames(1)).len(), 0);
    assert_eq!(live.send(SECOND / 2, &frames(2)).len(), 1);
    live.commit(&router(&IN, &police("16000 bc 20000"))).unwrap();
    assert_eq!(live.send(SECOND / 2, &frames(1)).len(), 0, "a larger bucket is not fuller");
    // 20 seconds fill it; then a smaller one keeps what it can hold.
    assert_eq!(live.send(40 * SECOND, &frames(1)).len(), 1);
    live.commit(&router(&IN, &police("16000 bc 2000"))).unwrap();
    assert_eq!(live.send(40 * SECOND, &frames(9)).len(), 2);
    // Other units, packets instead of bytes, begin anew or clamp, and never give more than a burst.
    live.commit(&router(&IN, &police("rate 10 pps burst 4"))).unwrap();
    assert!(live.send(40 * SECOND, &frames(9)).len() <= 4);
    assert_eq!(live.send(50 * SECOND, &frames(9)).len(), 4);
    assert_eq!(live.counts("class-default")[0], 5 + 1 + 1 + 2 + 1 + 1 + 9 + 9 + 9);
}

#[test]
fn a_commit_that_is_refused_leaves_the_policies_as_they_were() {
    let text = police("8000 bc 3000");
    let mut live = Live::new(&router(&IN, &text), 1);
    assert_eq!(live.send(0, &frames(2)).len(), 2);
    let shaped = format!("{text}policy-map Q\n class class-default\n  shape average 8000\n");
    let keys = [("west", "service_policy_in = \"P\""), ("east", "service_policy_out = \"Q\"")];
    for _ in 0..1100 {
        // Numbers of classes that were taken for it come back, however often it happens.
        let error = live.commit(&router(&keys, &shaped)).unwrap_err().to_string();
        assert!(error.contains("policy-map Q, class class-default: shape"), "{error}");
    }
    assert_eq!(live.send(0, &frames(2)).len(), 1);
    assert_eq!(live.counts("class-default"), [4, 3, 1, 1]);
}

#[test]
fn a_policy_that_goes_and_comes_back_begins_anew() {
    let text = police("8000 bc 3000");
    let mut live = Live::new(&router(&IN, &text), 1);
    assert_eq!(live.client.take_new_classes().len(), 1);
    assert_eq!(live.send(0, &frames(5)).len(), 3);
    for round in 0..1100 {
        live.commit(&router(&[], &text)).unwrap();
        assert!(live.client.take_new_classes().is_empty());
        live.commit(&router(&IN, &text)).unwrap();
        let first = live.counters("class-default");
        assert_eq!(live.client.take_new_classes(), [first], "its counts so far are not its own");
        if round % 500 == 0 {
            assert_eq!(live.send(0, &frames(5)).len(), 3);
        }
    }
}

/// Colours, marks and matches change from one packet to the next, and both families at once.
#[test]
fn a_commit_changes_classes_and_marks() {
    let text = |dscp: u8, set: &str| {
        format!("class-map C\n match dscp {dscp}\npolicy-map P\n class C\n  set dscp {set}\n")
    };
    let mut live = Live::new(&router(&IN, &text(10, "ef")), 1);
    let sent = [false, true].map(|v6| from_west(&[], &with_class(ip(2, v6, 100), 10 << 2)));
    let class = |frame: &Vec<u8>| super::class_of(&frame[14..]) >> 2;
    assert_eq!(live.send(0, &sent).iter().map(class).collect::<Vec<_>>(), [46, 46]);
    live.commit(&router(&IN, &text(10, "cs3"))).unwrap();
    assert_eq!(live.send(0, &sent).iter().map(class).collect::<Vec<_>>(), [24, 24]);
    live.commit(&router(&IN, &text(12, "ef"))).unwrap();
    assert_eq!(live.send(0, &sent).iter().map(class).collect::<Vec<_>>(), [10, 10]);
    assert_eq!(live.counts("C")[0], 4);
}

#[test]
fn accounting_is_that_of_the_last_commit() {
    let text = police("8000 bc 3000");
    let mut live = Live::new(&router_with(&IN, "accounting = \"user-defined 50\"", &text), 1);
    assert_eq!(live.send(0, &frames(3)).len(), 2, "1046 bytes each");
    live.commit(&router_with(&IN, "accounting = \"iosxe\"", &text)).unwrap();
    assert_eq!(live.send(88 * MILLISECOND - 1, &frames(1)).len(), 0);
    assert_eq!(live.send(88 * MILLISECOND, &frames(2)).len(), 1, "996 bytes, and 908 were left");
}

/// Flow specifications mark before classes are looked up.
#[test]
fn a_class_matches_what_a_flow_specification_has_marked() {
    let text = "class-map EF\n match dscp ef\npolicy-map P\n class EF\n  police 8000 bc 2000\n";
    let mut live = Live::new(&router(&IN, text), 1);
    assert_eq!(live.send(0, &frames(5)).len(), 5);
    // Packets to 10.2.0.0/16, protocol 17, port 53.
    let nlri = [1, 16, 10, 2, 3, 0x81, 17, 5, 0x81, 53];
    let components = Components::decode_value(Family::V4, &nlri).unwrap();
    let actions = Actions::none().with_marking(46).unwrap();
    let mut table = FlowTable::new(16);
    table.announce(FlowSpec { components, actions }).unwrap();
    live.client.set_flow_specs(&table, |_| None).unwrap();
    live.commit(&router(&IN, text)).unwrap();
    assert_eq!(live.send(0, &frames(5)).len(), 2);
    assert_eq!(live.counts("EF"), [5, 2, 3, 3]);
}
