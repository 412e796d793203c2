//! A client that takes over lcores of another one: names have their numbers, and these what was
//! written by them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use qfp_core::ipsec::SaState;

use super::sas::config;
use super::world::{TINY, facts};
use crate::acl::Document;
use crate::config::{Config, MacAddr, RouteTable};
use crate::ea::LastingKeys;
use crate::ipsec::Marks;
use crate::rm::Named;
use crate::{Capacity, Client, Kept, SaPlace};

/// Names and lasting keys as they were told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<(Vec<Named>, Option<LastingKeys>)>>);

impl Told {
    fn listen_to(&self, client: &mut Client) {
        let own = self.clone();
        client.tell_names_to(Box::new(move |names, keys| {
            let mut told = own.0.lock().unwrap();
            told.0.extend(names);
            told.1 = keys.or(told.1.take());
        }));
    }
}

/// Ports with a list, a policer and a VRF each, and a tunnel, as `order` has them.
fn wanted(lists: &[(usize, &str)], vrfs: &[(usize, &str)]) -> Config {
    let mut config = config();
    let text = |name: &str| format!("ip access-list extended {name}\n permit udp any any eq 9\n");
    let text: String = ["A", "B", "C"].map(text).concat();
    config.access_lists = Document::parse(&text).unwrap();
    let policy = "policy-map GATE\n class class-default\n  police cir 1000000\n";
    config.policies = crate::mqc::Policies::parse(policy).unwrap();
    for (port, list) in lists {
        config.ports[*port].layer3.acl_in = vec![(*list).to_owned()];
        config.ports[*port].layer3.service_policy_in = Some("GATE".to_owned());
    }
    for (port, vrf) in vrfs {
        config.ports[*port].layer3.vrf = Some((*vrf).to_owned());
    }
    config.ports[0].mac = Some(MacAddr([2, 0, 0, 0, 0, 9]));
    config
}

/// Numbers that what lcores write and count goes by.
fn numbers(client: &Client) -> BTreeMap<String, u32> {
    let names = client.names().into_iter();
    names.map(|named| (format!("{:?} {}", named.kind, named.name), named.number)).collect()
}

fn state(client: &Client, name: &str) -> (u64, u64) {
    let place: SaPlace = client.sa_places().find(|place| place.sa.name == name).unwrap();
    let states = client.driver().state_view(client.ipsec.states());
    let state: &SaState = &states[place.state as usize];
    (state.sequence(), state.reserved())
}

#[test]
fn names_have_their_numbers_again_and_sas_go_on_where_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let capacity = Capacity { sas: 16, ..TINY };
    let told = Told::default();
    let mut first = Client::new(&capacity).unwrap();
    told.listen_to(&mut first);
    first.keep_marks(Marks::open(dir.path()).unwrap());
    let routes = RouteTable::default();
    // What comes later has higher numbers, whatever its name.
    first.commit(&wanted(&[(2, "C")], &[(2, "z")]), &routes, &facts()).unwrap();
    let config = wanted(&[(0, "A"), (1, "B"), (2, "C")], &[(1, "a"), (2, "z")]);
    first.commit(&config, &routes, &facts()).unwrap();
    let before = numbers(&first);
    let (out, inbound) = (state(&first, "out"), state(&first, "in"));
    assert!(out.1 > 0 && inbound.1 > 0);
    let places: Vec<u32> = first.sa_places().map(|place| place.state).collect();
    let view = first.driver().state_view(first.ipsec.states());
    view[places[1] as usize].resume(out.0 + 77);
    let mut descriptors = first.driver().descriptors().unwrap();
    let state_fd = descriptors.pop().unwrap();
    let (file, keys) = first.lasting_keys().unwrap().unwrap();
    assert_eq!(told.0.lock().unwrap().1.as_ref(), Some(&keys));
    assert_eq!(keys.keys.len(), 2);
    let names = told.0.lock().unwrap().0.clone();
    drop(first);

    // The keys are still nobody else's.
    let mut other = Client::new(&capacity).unwrap();
    other.keep_marks(Marks::open(dir.path()).unwrap());
    let error = other.commit(&config, &routes, &facts()).unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");

    let counters = pal::region::Region::anonymous(4096, pal::region::HugePages::Never).unwrap();
    let counters = std::os::fd::AsFd::as_fd(&counters).try_clone_to_owned().unwrap();
    let kept = Kept { state: state_fd, counters };
    let mut next = Client::taking_over(&capacity, kept).unwrap();
    next.keep_names(names);
    next.keep_marks(Marks::adopt(dir.path(), file).unwrap());
    next.commit(&config, &routes, &facts()).unwrap();
    assert_eq!(numbers(&next), before);
    assert_eq!(state(&next, "out"), (out.0 + 77, out.1));
    // Meanwhile it was let use more.
    let places: Vec<u32> = next.sa_places().map(|place| place.state).collect();
    let view = next.driver().state_view(next.ipsec.states());
    view[places[0] as usize].reserve(inbound.1 + 5000);
    next.taken_over();
    assert_eq!(state(&next, "in"), (inbound.0, inbound.1 + 5000));
    next.close_marks(&mut Vec::new());
    drop(next);

    // What was used is not used again.
    let mut last = Client::new(&capacity).unwrap();
    last.keep_marks(Marks::open(dir.path()).unwrap());
    last.commit(&config, &routes, &facts()).unwrap();
    assert_eq!(state(&last, "out").0, out.0 + 77);
}

#[test]
fn names_that_do_not_come_back_give_their_numbers_away_and_lies_do_no_harm() {
    let capacity = Capacity { sas: 16, ..TINY };
    let told = Told::default();
    let mut first = Client::new(&capacity).unwrap();
    told.listen_to(&mut first);
    let all = wanted(&[(0, "A"), (1, "B")], &[(1, "a"), (2, "z")]);
    let routes = RouteTable::default();
    first.commit(&all, &routes, &facts()).unwrap();
    let mut names = told.0.lock().unwrap().0.clone();
    // Somebody else's numbers, and such as there are none.
    let mut more = names.clone();
    more.iter_mut().for_each(|named| named.number = named.number.wrapping_add(u32::MAX / 2));
    names.splice(..0, more);
    for kept in [names.clone(), names.split_off(names.len() / 3)] {
        let mut next = Client::new(&capacity).unwrap();
        next.keep_names(kept);
        let few = wanted(&[(1, "B")], &[(2, "z")]);
        next.commit(&few, &routes, &facts()).unwrap();
        next.taken_over();
        next.housekeeping();
        next.commit(&all, &routes, &facts()).unwrap();
        next.commit(&few, &routes, &facts()).unwrap();
        let numbers: Vec<_> = next.names().into_iter().map(|n| (n.kind, n.number)).collect();
        let distinct: std::collections::HashSet<_> =
            numbers.iter().map(|(kind, number)| format!("{kind:?} {number}")).collect();
        assert_eq!(distinct.len(), numbers.len(), "{numbers:?}");
    }
}
