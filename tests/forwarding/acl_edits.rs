//! Lists that change: commits and edits, seen from outside.

use std::time::{Duration, Instant};

use qfp::client::acl::{AccessList, Ace, Compare, Document, Family, Kind, Protocol};
use qfp::client::config::{Config, RouteTable};
use qfp::client::ea::CounterName;
use qfp::client::{Capacity, Client, ListEdit, PortFacts};
use qfp::{EditError, Forwarder, Running};

use crate::acl::lists;

fn config(text: &str) -> Config {
    let config = lists("acl_in = \"A\"", "acl_in = \"A\"", text);
    let mut config = Config::parse(&config, "test.toml").unwrap();
    config.ports.iter_mut().for_each(|port| port.device = Some("sink".to_owned()));
    config
}

const FACTS: [PortFacts; 2] = [PortFacts { mac: [2, 0, 0, 0, 0, 1], filter_mac: false }; 2];

fn commit(client: &mut Client, config: &Config) -> Result<(), String> {
    let committed = client.commit(config, &RouteTable::default(), &FACTS);
    committed.map(|_| ()).map_err(|error| error.to_string())
}

/// Names and numbers of all counters, in order.
fn counters(client: &Client) -> Vec<(CounterName, u32)> {
    let mut all: Vec<_> = client.rule_counters().map(|(name, n)| (name.clone(), n)).collect();
    all.sort_unstable();
    all
}

#[test]
fn interfaces_with_the_same_list_share_one_object() {
    let mut client = Client::new(&Capacity::SMALL).unwrap();
    commit(&mut client, &config("ip access-list extended A\n permit tcp any any")).unwrap();
    let usage = client.tcam_usage();
    let [(name, rules, bindings)] = &usage.objects[..] else { panic!("{usage:?}") };
    assert_eq!((name.to_string().as_str(), *rules, *bindings), ("IPv4 access list A", 2, 2));
    assert_eq!(usage.counters, (Capacity::SMALL.rules, 2));
}

#[test]
fn a_commit_that_finds_no_room_changes_nothing() {
    let capacity = Capacity { acl_lines: 64, ..Capacity::SMALL };
    let mut client = Client::new(&capacity).unwrap();
    commit(&mut client, &config("ip access-list extended A\n permit tcp any any")).unwrap();
    let before = (client.tcam_usage(), counters(&client), client.generation());
    let many: Vec<String> = (0..4000)
        .map(|n| format!(" permit tcp any host 10.0.{}.{} eq {n}\n", n / 256, n % 256))
        .collect();
    let large = config(&format!("ip access-list extended A\n{}", many.concat()));
    let error = commit(&mut client, &large).unwrap_err();
    assert!(error.starts_with("test.toml:4: IPv4 access list A: "), "{error}");
    let after = client.tcam_usage();
    assert_eq!((&after.objects, after.counters), (&before.0.objects, before.0.counters));
    assert_eq!((counters(&client), client.generation()), (before.1, before.2));
    // As much room as before: it can still do what it could.
    commit(&mut client, &config("ip access-list extended A\n permit udp any any")).unwrap();
}

#[test]
fn rules_that_stay_keep_their_counters_whatever_else_a_commit_changes() {
    let mut client = Client::new(&Capacity::SMALL).unwrap();
    let one = "ip access-list extended A\n 10 permit tcp any any eq 80\n 20 deny ip any any";
    commit(&mut client, &config(one)).unwrap();
    let before = counters(&client);
    let other = "ip access-list extended A\n 5 deny udp any any\n 10 permit tcp any any eq 80\n \
                 20 deny ip any any";
    commit(&mut client, &config(other)).unwrap();
    let after = counters(&client);
    assert!(before.iter().all(|counter| after.contains(counter)), "{before:?} {after:?}");
    assert_eq!(after.len(), before.len() + 1);
    // Without lists there is nothing to count.
    commit(&mut client, &Config { ports: Vec::new(), ..Config::default() }).unwrap_or(());
}

/// What a packet of each kind meets after a series of edits is what the list then says.
#[test]
fn edits_are_all_done_or_none() {
    let mut client = Client::new(&Capacity::SMALL).unwrap();
    let config =
        config("ip access-list extended A\n 10 permit tcp any any\n 20 permit udp any any");
    commit(&mut client, &config).unwrap();
    let mut document: Document = config.access_lists.clone();
    let before = (counters(&client), document.clone(), client.tcam_usage().objects);
    let edits = [
        ListEdit::Add(Some(15), Ace::deny(Protocol::Any)),
        ListEdit::Delete(10),
        ListEdit::Move(20, 5),
        ListEdit::Move(15, 20),
        ListEdit::Delete(99),
    ];
    let error = client.edit_list(&mut document, Family::V4, "A", &edits).unwrap_err();
    assert_eq!(error.to_string(), "access list A: there is no entry 99");
    assert_eq!((counters(&client), document.clone(), client.tcam_usage().objects), before);
    client.edit_list(&mut document, Family::V4, "A", &edits[..4]).unwrap();
    let text = "ip access-list extended A\n 5 permit udp any any\n 20 deny ip any any\n";
    assert_eq!(document.list(Family::V4, "A").unwrap().to_string(), text);
    // The ace that moved has the counters that it had.
    let number = |counters: &[(CounterName, u32)], wanted: u32| {
        let is =
            |name: &CounterName| matches!(name, CounterName::Ace(.., r) if r.sequence == wanted);
        counters.iter().find(|(name, _)| is(name)).map(|(_, number)| *number)
    };
    let after = counters(&client);
    assert_eq!(number(&after, 5), number(&before.0, 20));
    assert_eq!((number(&after, 10), after.len()), (None, 3));
    assert_ne!(number(&after, 20), number(&before.0, 20));
    let error = client.edit_list(&mut document, Family::V4, "B", &[]).unwrap_err();
    assert_eq!(error.to_string(), "there is no access list B");
}

/// A list that nobody uses is edited as well; it has no counters.
#[test]
fn a_list_that_is_not_bound_is_edited_for_the_next_commit() {
    let mut client = Client::new(&Capacity::SMALL).unwrap();
    let mut config = config("ip access-list extended A\n permit ip any any");
    let free = AccessList::new("FREE".parse().unwrap(), Family::V4, Kind::Extended).unwrap();
    config.access_lists.insert(free);
    commit(&mut client, &config).unwrap();
    let before = counters(&client);
    let edit = [ListEdit::Add(None, Ace::deny(Protocol::Any))];
    client.edit_list(&mut config.access_lists, Family::V4, "FREE", &edit).unwrap();
    assert_eq!(counters(&client), before);
    assert_eq!(config.access_lists.list(Family::V4, "FREE").unwrap().aces().count(), 1);
}

/// A generator of UDP packets in the machine's time, and a list in their way.
fn run(text: &str) -> Running {
    let mut config = config(text);
    config.ports[0].device = Some("synth:flows=64".to_owned());
    config.routes.clear();
    let route = "[[route]]\nprefix = \"0.0.0.0/0\"\nvia = \"10.2.0.2\"\n";
    config.routes = Config::parse(route, "r.toml").unwrap().routes;
    Forwarder::new(config).buffers(4096).start().unwrap()
}

/// Packets of every rule of the list, by sequence number, and those that were denied.
fn seen(running: &Running) -> (Vec<(u32, u64)>, u64) {
    let report = running.report();
    let rules = &report.access_lists[0].rules;
    let denied = report.drops.iter().find(|(name, _)| *name == "Ipv4Acl").map_or(0, |(_, n)| *n);
    (rules.iter().map(|rule| (rule.sequence, rule.packets)).collect(), denied)
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "it does not happen that {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn edits_take_effect_while_packets_flow_and_counters_are_those_of_their_rules() {
    let running = run("ip access-list extended A\n 10 permit ip any any");
    let edit = |edits: &[ListEdit]| running.edit_list(Family::V4, "A", edits);
    let permitted = || seen(&running).0.iter().find(|(n, _)| *n == 10).map_or(0, |(_, n)| *n);
    until("packets pass", || permitted() > 1000);
    assert_eq!(seen(&running).1, 0);

    edit(&[ListEdit::Add(Some(5), Ace::deny(Protocol::UDP))]).unwrap();
    until("packets are denied", || seen(&running).1 > 1000);
    edit(&[ListEdit::Move(5, 20)]).unwrap();
    let before = permitted();
    until("packets pass again", || permitted() > before + 1000);
    let (rules, denied) = seen(&running);
    assert_eq!(rules.iter().find(|(n, _)| *n == 20), Some(&(20, denied)), "it has moved");

    edit(&[ListEdit::Delete(20)]).unwrap();
    // Once no lcore looks at the old list any more its number is free for others.
    std::thread::sleep(Duration::from_millis(200));
    let before = seen(&running).1;
    assert_eq!(before, denied);
    let other = Ace::deny(Protocol::UDP).destination_port(Compare::Range(0, 65_535));
    edit(&[ListEdit::Add(Some(7), other)]).unwrap();
    until("packets are denied again", || seen(&running).1 > before + 1000);
    edit(&[ListEdit::Replace(7, Ace::permit(Protocol::TCP))]).unwrap();
    let passed = permitted();
    until("packets pass once more", || permitted() > passed + 1000);
    let (rules, now) = seen(&running);
    assert_eq!(rules[0], (7, now - before), "a new rule begins at zero and counts all");

    let refused = edit(&[ListEdit::Delete(7), ListEdit::Delete(8)]).unwrap_err();
    assert_eq!(refused.to_string(), "access list A: there is no entry 8");
    assert_eq!(seen(&running).0.len(), 3);
    assert_eq!(running.tcam_usage().unwrap().objects[0].1, 3);
    running.stop_flag().stop();
    until("it ends", || running.is_finished());
    let ended = || matches!(edit(&[ListEdit::Delete(7)]), Err(EditError::Ended));
    until("nobody answers any more", ended);
    let report = running.join().unwrap();
    assert_eq!(report.conserved, Some(true));
    let counted: u64 = report.access_lists[0].rules.iter().map(|rule| rule.packets).sum();
    // All but those of the rule that was deleted.
    assert_eq!(counted + denied, report.received());
}

/// The first ace of a list brings what follows the last one with it, and the last takes it away.
#[test]
fn an_empty_list_permits_until_it_has_an_ace() {
    let running = run("ip access-list extended A\n 10 remark empty");
    let passed = || running.report().ports[1].tx_packets;
    until("packets pass", || passed() > 1000);
    let edit = |edit| running.edit_list(Family::V4, "A", &[edit]).unwrap();
    edit(ListEdit::Add(Some(20), Ace::permit(Protocol::TCP)));
    until("packets are denied", || seen(&running).1 > 1000);
    // Rules and drops are not counted at one instant: they agree once nothing is denied any more.
    edit(ListEdit::Add(Some(30), Ace::permit(Protocol::Any)));
    let denied_by_the_last = || {
        let (rules, denied) = seen(&running);
        assert_eq!(rules.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [20, 30, 0]);
        rules[2].1 == denied && rules[1].1 > 1000
    };
    until("all that was denied was denied by the last line", denied_by_the_last);
    edit(ListEdit::Delete(30));
    let denied = seen(&running).1;
    until("packets are denied again", || seen(&running).1 > denied + 1000);
    edit(ListEdit::Delete(20));
    let before = passed();
    until("packets pass again", || passed() > before + 1000);
    assert_eq!(running.stop().unwrap().conserved, Some(true));
}

/// Thousands of edits one behind another: nothing runs out, and no packet meets half a list.
#[test]
fn many_edits_leave_no_packet_uncounted() {
    let running = run("ip access-list extended A\n 10 permit ip any any");
    let deny = |port: u16| Ace::deny(Protocol::UDP).destination_port(Compare::eq(port));
    for n in 0..3000_u32 {
        let port = u16::try_from(n % 1000).unwrap();
        running.edit_list(Family::V4, "A", &[ListEdit::Add(Some(1), deny(port))]).unwrap();
        let moved = [ListEdit::Move(1, 2), ListEdit::Replace(2, deny(port + 1))];
        running.edit_list(Family::V4, "A", &moved).unwrap();
        running.edit_list(Family::V4, "A", &[ListEdit::Delete(2)]).unwrap();
    }
    let report = running.stop().unwrap();
    assert_eq!(report.conserved, Some(true));
    let usage = report.tcam.as_ref().unwrap();
    assert_eq!(usage.objects[0].1, 2);
    let denied = report.drops.iter().find(|(name, _)| *name == "Ipv4Acl").map_or(0, |(_, n)| *n);
    let permitted = &report.access_lists[0].rules[0];
    assert_eq!((permitted.sequence, permitted.packets + denied), (10, report.received()));
}
