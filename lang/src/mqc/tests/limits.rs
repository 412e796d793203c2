//! The boundaries of LIM-05 to LIM-10.

use std::fmt::Write;

use super::*;

fn fault(policies: &Policies, limits: &Limits) -> Result<(), Fault> {
    policies.check(limits).map_err(|error| error.fault)
}

fn too_many(what: &'static str, max: usize) -> Result<(), Fault> {
    Err(Fault::TooMany { what, max })
}

#[test]
fn there_are_16384_policy_maps() {
    let mut policies = Policies::default();
    for number in 0..16_384 {
        policies.insert_policy(PolicyMap::new(name(&format!("p{number}"))));
    }
    assert_eq!(fault(&policies, &Limits::default()), Ok(()));
    policies.insert_policy(PolicyMap::new(name("one-more")));
    assert_eq!(fault(&policies, &Limits::default()), too_many("policy maps", 16_384));
}

fn hierarchy(levels: usize) -> String {
    (1..levels).rev().fold("policy-map p0\n".to_owned(), |mut text, level| {
        let below = levels - level - 1;
        let own = levels - level;
        let _ =
            write!(text, "policy-map p{own}\n class class-default\n  service-policy p{below}\n");
        text
    })
}

#[test]
fn policies_go_three_levels_deep() {
    parse(&hierarchy(3));
    assert_eq!(
        refusal(&hierarchy(4)),
        "line 8, column 1: policy-map p3: more than 3 levels of policies"
    );
    let low = Limits { levels: 2, ..Limits::default() };
    assert!(Policies::default().apply(&hierarchy(3), &low).is_err());
}

#[test]
fn a_grandparent_has_class_default_alone() {
    let text = format!("class-map a\n{}", hierarchy(3));
    parse(&text);
    let divides = format!("{text} class a\n  set cos 1\n");
    let why = "line 6, column 1: policy-map p2: with two levels of policies below, class-default \
               must be the only class";
    assert_eq!(refusal(&divides), why);
}

#[test]
fn names_have_64_bytes() {
    let named = |command: &str, length| format!("{command} {}\n", "n".repeat(length));
    for command in ["class-map", "policy-map"] {
        parse(&named(command, 64));
        let error = refusal(&named(command, 65));
        assert!(error.ends_with("a name of 65 bytes; it can have 64"), "{error}");
    }
}

fn with_classes(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let _ = writeln!(text, "class-map c{number}");
    }
    text.push_str("policy-map p\n");
    for number in 0..count {
        let _ = writeln!(text, " class c{number}");
    }
    text
}

#[test]
fn a_policy_has_1024_classes_beside_the_default_one() {
    parse(&with_classes(1024));
    let error = refusal(&with_classes(1025));
    assert_eq!(error, "line 2051, column 8: more than 1024 classes");
    let mut policies = parse(&with_classes(1024));
    let mut policy = policies.remove_policy("p").unwrap();
    policy.classes.push(PolicyClass { class: name("x"), actions: Actions::default() });
    policies.insert_policy(policy);
    assert_eq!(fault(&policies, &Limits::default()), too_many("classes", 1024));
    let few = Limits { child_classes: 3, ..Limits::default() };
    let child =
        format!("{}policy-map q\n class class-default\n service-policy p\n", with_classes(4));
    let error = Policies::default().apply(&child, &few).unwrap_err().to_string();
    assert_eq!(error, "line 5, column 1: policy-map p: more than 3 classes");
    Policies::default().apply(&with_classes(4), &few).unwrap();
}

#[test]
fn a_class_has_eight_matches() {
    let text = |count| {
        (0..count).fold("class-map c\n".to_owned(), |text, n| format!("{text} match dscp {n}\n"))
    };
    parse(&text(8));
    assert_eq!(refusal(&text(9)), "line 10, column 8: more than 8 matches");
    let mut policies = parse(&text(8));
    let class = policies.remove_class("c").unwrap().matching(Match::Any);
    policies.insert_class(class);
    assert_eq!(fault(&policies, &Limits::default()), too_many("matches", 8));
}

#[test]
fn a_class_has_two_marks_and_a_policer_two_for_each_colour() {
    let both = actions("set dscp ef\nset cos 5");
    assert_eq!(both.marks.len(), 2);
    let in_class = |lines: &str| format!("class-map c\npolicy-map p\n class c\n{lines}\n");
    let why = |what| format!("line 3, column 2: policy-map p, class c: more than 2 {what}");
    assert_eq!(refusal(&in_class("set dscp ef\nset cos 5\nset qos-group 1")), why("marks"));
    let two = "police 8000\nconform-action set-dscp-transmit ef\nconform-action set-cos-transmit 1\n\
               exceed-action set-dscp-transmit 1\nexceed-action set-cos-transmit 2";
    actions(two);
    let three = format!("{two}\nexceed-action set-qos-transmit 3");
    assert_eq!(refusal(&in_class(&three)), why("police actions"));
}

#[test]
fn class_maps_name_each_other_16_deep() {
    let nested = |depth: usize| {
        (1..depth).fold("class-map c0\n".to_owned(), |text, n| {
            format!("{text}class-map c{n}\n match class-map c{}\n", n - 1)
        })
    };
    parse(&nested(16));
    assert!(refusal(&nested(17)).contains("class maps that name each other go more than 16 deep"));
    let whole = nested(40_000);
    assert!(Policies::parse(&whole).is_err());
}

#[test]
fn the_capabilities_print_as_they_are_shown() {
    let text = "\
Capability Information:
======================

Max Policy maps supported: 16384
Max policy hierarchy: 3
Max policy name length: 64
Max classes per child-policy: 1024
Max classes per policy: 1024
Max classes per grand-parent policy: 1
Max police actions per class: 2
Max marking actions per class: 2
Max matches per class: 8
Max class-map name length: 64
Max members in a bundle: 64
Max instance name length: 32
";
    assert_eq!(Limits::default().to_string(), text);
}
