//! Rules say the same of every packet as the policies they are made from.

use std::convert::Infallible;
use std::fmt::Write;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use qfp_core::acl::key::{WORDS4, WORDS6};
use qfp_core::acl::{Pattern, Pattern4, Pattern6};
use qfp_core::qos::police::{BitsPerSecond, Colour, Rate};

use super::headers::{Header, header};
use super::strategies::{CLASSES, LISTS, classes};
use super::*;
use crate::acl::{AccessList, Action, Document, Family, PlainAce};

type Permits<const W: usize> = Vec<(Pattern<W>, bool)>;
type Compiled<const W: usize> = Result<Vec<(Pattern<W>, u32)>, CompileError<Infallible>>;

/// Rules of a list that looks at addresses and protocols alone.
fn rules_of<const W: usize>(
    list: &AccessList,
    between: impl Fn(&PlainAce) -> Pattern<W>,
) -> Result<Permits<W>, Infallible> {
    let aces = list.resolved(&Default::default(), 1000).unwrap().into_iter().chain(list.implicit());
    // Neighbour discovery, which no packet of these tests is.
    let aces = aces.filter(|ace| ace.options.icmp.is_none());
    Ok(aces
        .map(|ace| {
            let pattern = between(&ace);
            let protocol = ace.protocol.map(|protocol| Pattern::any().protocol(protocol, 0xff));
            let pattern = pattern.and(&protocol.unwrap_or_default()).unwrap();
            (pattern, ace.action == Action::Permit)
        })
        .collect())
}

fn compile4(policies: &Policies, policy: &str, lists: &Document) -> Compiled<WORDS4> {
    compile(policies, policy, Family::V4, lists, |list| {
        rules_of(list, |ace| {
            let (source, destination) = (ace.source.v4().unwrap(), ace.destination.v4().unwrap());
            let pattern = Pattern4::any().source(source.value(), source.mask());
            pattern.destination(destination.value(), destination.mask())
        })
    })
}

fn compile6(policies: &Policies, policy: &str, lists: &Document) -> Compiled<WORDS6> {
    compile(policies, policy, Family::V6, lists, |list| {
        rules_of(list, |ace| {
            let (source, destination) = (ace.source.v6().unwrap(), ace.destination.v6().unwrap());
            let pattern = Pattern6::any().source(source.value(), source.mask());
            pattern.destination(destination.value(), destination.mask())
        })
    })
}

/// Lists of both families that permit and deny hosts and protocols.
fn lists() -> impl Strategy<Value = Document> {
    let ace = (any::<bool>(), 0..6_u8, any::<bool>(), 0..4_u8);
    let list = || vec(ace.clone(), 0..5);
    vec((list(), list()), LISTS.len()).prop_map(|lists| {
        let mut text = String::new();
        for (name, (v4, v6)) in LISTS.iter().zip(lists) {
            let _ = writeln!(text, "ipv4 access-list {name}");
            for (permit, host, source, octets) in v4 {
                let _ = writeln!(
                    text,
                    "{}",
                    ace_text(permit, source, octets, &format!("0.0.0.{host}"))
                );
            }
            let _ = writeln!(text, "ipv6 access-list {name}");
            for (permit, host, source, octets) in v6 {
                let _ =
                    writeln!(text, "{}", ace_text(permit, source, octets, &format!("::{host}")));
            }
        }
        Document::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    })
}

fn ace_text(permit: bool, source: bool, octets: u8, host: &str) -> String {
    let action = if permit { "permit" } else { "deny" };
    let protocol = 60 * octets + 20;
    match (source, octets) {
        (true, 0) => format!("{action} {protocol} host {host} any"),
        (true, _) => format!("{action} {protocol} any any"),
        (false, _) => format!("{action} {protocol} any host {host}"),
    }
}

/// The path that a leaf stands for, from the topmost policy down.
fn path<'a>(tree: &Tree<'a>, leaf: usize) -> Vec<(&'a str, Colour)> {
    let leaf = tree.leaves()[leaf];
    let mut classes: Vec<&str> = tree.path(leaf.node).map(|(_, node)| node.class).collect();
    classes.reverse();
    classes.into_iter().zip(leaf.colours).collect()
}

fn first<const W: usize>(rules: &[(Pattern<W>, u32)], header: &Header) -> usize {
    let key = header.key::<W>();
    rules.iter().find(|(pattern, _)| pattern.matches(&key)).expect("the last matches").1 as usize
}

/// A policy of some classes, with policers that know colours in some of them, above another.
fn policy(own: &'static str, child: Option<&'static str>) -> impl Strategy<Value = PolicyMap> {
    let colour = || proptest::option::weighted(0.2, (select(&CLASSES[..]), select(&CLASSES[..])));
    let class = (select(&CLASSES[..]), colour(), any::<bool>(), any::<bool>());
    (vec(class, 0..4), any::<bool>()).prop_map(move |(classes, below)| {
        let mut policy = PolicyMap::new(name(own));
        policy.default.child = child.filter(|_| below).map(name);
        for (class, colour, three, below) in classes {
            let actions = policy.open(&name(class));
            actions.child = child.filter(|_| below).map(name);
            actions.police = colour.map(|(conform, exceed)| Police {
                colours: Some(ColourClasses {
                    conform: name(conform),
                    exceed: three.then(|| name(exceed)),
                }),
                ..Police::new(Rate::Bits(BitsPerSecond::GIGABIT))
            });
        }
        policy
    })
}

proptest! {
    #[test]
    fn the_first_rule_that_matches_gives_the_classes_of_a_packet(
        classes in classes(),
        policies in (policy("low", None), policy("middle", Some("low")), policy("top", Some("middle"))),
        lists in lists(),
        headers in vec(header(), 40),
    ) {
        let mut all = Policies::default();
        for class in classes {
            all.insert_class(class);
        }
        for policy in [policies.0, policies.1, policies.2] {
            all.insert_policy(policy);
        }
        let tree = all.tree("top").unwrap();
        let (v4, v6) = (compile4(&all, "top", &lists), compile6(&all, "top", &lists));
        for header in &headers {
            let leaf = match (header.v6, &v4, &v6) {
                (false, Ok(rules), _) => first(rules, header),
                (true, _, Ok(rules)) => first(rules, header),
                // Random classes may be too much.
                _ => continue,
            };
            prop_assert_eq!(path(&tree, leaf), header.path("top", &all, &lists));
        }
    }

    #[test]
    fn a_class_is_what_its_matches_say(
        classes in classes(),
        lists in lists(),
        headers in vec(header(), 60),
    ) {
        let mut all = Policies::default();
        let mut policy = PolicyMap::new(name("P"));
        policy.open(&name(CLASSES[0]));
        all.insert_policy(policy);
        for class in classes {
            all.insert_class(class);
        }
        let (v4, v6) = (compile4(&all, "P", &lists), compile6(&all, "P", &lists));
        for header in &headers {
            let leaf = match (header.v6, &v4, &v6) {
                (false, Ok(rules), _) => first(rules, header),
                (true, _, Ok(rules)) => first(rules, header),
                _ => continue,
            };
            prop_assert_eq!(leaf == 0, header.is_in(CLASSES[0], &all, &lists));
        }
    }
}

fn plain(text: &str, policy: &str) -> Compiled<WORDS4> {
    compile4(&parse(text), policy, &Document::default())
}

#[test]
fn random_policies_seldom_are_too_complex() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let compiled = (0..200).filter(|_| {
        let mut all = Policies::default();
        for class in classes().new_tree(&mut runner).unwrap().current() {
            all.insert_class(class);
        }
        for policy in [policy("low", None).boxed(), policy("top", Some("low")).boxed()] {
            all.insert_policy(policy.new_tree(&mut runner).unwrap().current());
        }
        compile4(&all, "top", &lists().new_tree(&mut runner).unwrap().current()).is_ok()
    });
    let compiled = compiled.count();
    assert!(compiled > 150, "{compiled} of 200");
}

#[test]
fn a_policy_of_1024_classes_with_eight_matches_each_stays_linear() {
    let text = |classes: usize, nested: bool| {
        let mut text = String::new();
        for class in 0..classes {
            let _ = writeln!(text, "class-map match-any c{class}");
            for number in 0..8 {
                let vlan = class * 3 + 1;
                let _ = match number {
                    0..4 => writeln!(text, " match vlan {}", vlan + number),
                    _ => writeln!(text, " match dscp {}", class % 60 + number - 4),
                };
            }
        }
        text.push_str("policy-map p\n");
        for class in 0..classes {
            let _ = writeln!(text, " class c{class}\n  set cos 1");
        }
        if nested {
            text.push_str("policy-map q\n class class-default\n  service-policy p\n");
        }
        text
    };
    let start = std::time::Instant::now();
    let rules = plain(&text(1024, false), "p").unwrap();
    assert_eq!(rules.len(), 8 * 1024 + 1);
    let below = plain(&text(1024, true), "q").unwrap();
    assert_eq!(below, rules);
    eprintln!("twice 1024 classes read and compiled in {:?}", start.elapsed());
}

#[test]
fn what_is_refused_is_the_only_thing_repeated() {
    let mut text = "class-map match-any bad\n match cos 1\n match cos 2\n".to_owned();
    for class in 0..60 {
        let _ = writeln!(text, "class-map match-all c{class}");
        let _ = writeln!(text, " match not class-map bad\n match dscp {class}");
    }
    text.push_str("policy-map p\n");
    (0..60).for_each(|class| {
        let _ = writeln!(text, " class c{class}");
    });
    let rules = plain(&text, "p").unwrap();
    assert!(rules.len() < 4 * 60, "{}", rules.len());
}

#[test]
fn products_beyond_measure_are_refused_by_name() {
    let mut text = String::new();
    for class in 0..400 {
        let _ = writeln!(text, "class-map c{class}\n match vlan {}\n", class + 1);
        let _ = writeln!(text, "class-map d{class}\n match qos-group {}\n", class + 1);
    }
    text.push_str("policy-map child\n");
    for class in 0..400 {
        let _ = writeln!(text, " class d{class}");
    }
    text.push_str("policy-map parent\n");
    for class in 0..400 {
        let _ = writeln!(text, " class c{class}\n  service-policy child");
    }
    let error = plain(&text, "parent").unwrap_err();
    let why = "policy-map parent, class c163: more than 65536 rules";
    assert_eq!(error.to_string(), why);
    let error = parse(&text).tree("parent").unwrap_err();
    assert_eq!(error, TreeError::TooLarge("parent".into()));

    let mut text = "class-map match-all c\n".to_owned();
    let values = (0..32).map(|value| format!(" {}", value * 2)).collect::<String>();
    let groups = (0..200).map(|value| format!(" {}", value * 2)).collect::<String>();
    let vlans = (1..200).map(|value| format!(" {}", value * 2)).collect::<String>();
    let _ = write!(text, " match dscp{values}\n match qos-group{groups}\n match vlan{vlans}\n");
    text.push_str("policy-map p\n class c\n");
    let error = plain(&text, "p").unwrap_err();
    assert_eq!(error.to_string(), "policy-map p, class c: more than 65536 rules");
}

#[test]
fn lists_and_maps_that_are_missing_are_named() {
    let text = "class-map c\n match access-group name WEB\npolicy-map p\n class c\n";
    let error = plain(text, "p").unwrap_err().to_string();
    assert_eq!(error, "class-map c: there is no access list WEB");
    assert_eq!(plain(text, "q").unwrap_err().to_string(), "there is no policy-map q");
    // A list of the other family is enough; it permits no packet of this one.
    let lists = Document::parse("ipv6 access-list WEB\n permit ipv6 any any\n").unwrap();
    let rules = compile4(&parse(text), "p", &lists).unwrap();
    assert_eq!(rules, [(Pattern4::any(), 1)]);
    let only4 = "class-map c\n match access-group ipv4 WEB\npolicy-map p\n class c\n";
    assert!(compile4(&parse(only4), "p", &lists).is_err());

    let mut policies = Policies::default();
    let mut policy = PolicyMap::new(name("p"));
    policy.open(&name("gone"));
    policies.insert_policy(policy);
    let error = compile4(&policies, "p", &lists).unwrap_err().to_string();
    assert_eq!(error, "there is no class-map gone");
    policies
        .insert_class(ClassMap::new(name("gone"), Logic::Any).matching(Match::Class(name("gone"))));
    let error = compile4(&policies, "p", &lists).unwrap_err().to_string();
    assert_eq!(error, "class-map gone goes too deep");
}

#[test]
fn a_tree_names_each_class_under_its_parent() {
    let text = "class-map a\nclass-map b\npolicy-map low\n class b\npolicy-map top\n class a\n  \
                police 8000\n   conform-color b\n  service-policy low\n";
    let policies = parse(text);
    let tree = policies.tree("top").unwrap();
    let nodes: Vec<_> =
        tree.nodes().iter().map(|node| (node.parent, node.policy, node.class)).collect();
    let expected = [
        (None, "top", "a"),
        (Some(0), "low", "b"),
        (Some(0), "low", CLASS_DEFAULT),
        (None, "top", CLASS_DEFAULT),
    ];
    assert_eq!(nodes, expected);
    let leaves: Vec<_> = tree.leaves().iter().map(|leaf| (leaf.node, leaf.colours[0])).collect();
    let (green, yellow) = (Colour::Green, Colour::Yellow);
    assert_eq!(leaves, [(1, green), (2, green), (1, yellow), (2, yellow), (3, green)]);
    assert_eq!(tree.path(2).map(|(number, _)| number).collect::<Vec<_>>(), [2, 0]);
    assert_eq!(policies.tree("gone").unwrap_err(), TreeError::NoPolicy("gone".into()));
}
