//! What is printed reads back as the same, and any text is read or refused in one line.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::strategies::{CLASSES, actions, classes};
use super::*;

/// The actions, with what makes them refused taken out one by one.
fn accepted(mut actions: Actions) -> Option<Actions> {
    let passes = |actions: &Actions| {
        let mut policies = Policies::default();
        for class in CLASSES {
            policies.insert_class(ClassMap::new(name(class), Logic::Any));
        }
        for policy in ["top", "middle", "low"] {
            policies.insert_policy(PolicyMap::new(name(policy)));
        }
        let mut policy = PolicyMap::new(name("P"));
        policy.classes.push(PolicyClass { class: name("A"), actions: actions.clone() });
        policies.insert_policy(policy);
        policies.check(&Limits::default()).is_ok()
    };
    let simpler: [fn(&mut Actions); 6] = [
        |_| {},
        |actions| actions.queueing.priority = None,
        |actions| actions.queueing.shape = None,
        |actions| actions.queueing.random_detect = None,
        |actions| actions.queueing.queue_limits.clear(),
        |actions| actions.police = None,
    ];
    simpler.into_iter().find_map(|simplify| {
        simplify(&mut actions);
        passes(&actions).then(|| actions.clone())
    })
}

proptest! {
    #[test]
    fn policies_read_back_as_they_print(
        classes in classes(),
        own in vec((select(&CLASSES[..]), actions()), 0..5),
        default in actions(),
    ) {
        let mut policies = Policies::default();
        for class in classes {
            policies.insert_class(class);
        }
        for policy in ["top", "middle", "low"] {
            policies.insert_policy(PolicyMap::new(name(policy)));
        }
        let mut policy = PolicyMap::new(name("P"));
        for (class, actions) in own {
            if let Some(actions) = accepted(actions) {
                *policy.open(&name(class)) = actions;
            }
        }
        policy.default = accepted(default).unwrap_or_default();
        policies.insert_policy(policy);
        if policies.check(&Limits::default()).is_err() {
            // Shares may add up to too much.
            return Ok(());
        }
        let text = policies.to_string();
        let again = Policies::parse(&text).map_err(|error| {
            TestCaseError::fail(format!("{error}\n{text}"))
        })?;
        prop_assert_eq!(again.to_string(), text);
        prop_assert_eq!(again, policies);
    }

    #[test]
    fn any_words_are_refused_in_one_line_or_read_back(words in vec(select(WORDS), 0..60)) {
        match Policies::parse(&words.concat()) {
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
            Ok(policies) => {
                prop_assert_eq!(Policies::parse(&policies.to_string()).unwrap(), policies);
            }
        }
    }
}

const WORDS: &[&str] = &[
    "\nclass-map match-any A",
    "\nclass-map B",
    "\nmatch ",
    "\nmatch not ",
    "dscp ",
    "cos ",
    "inner ",
    "class-map A",
    "access-group name L",
    "\npolicy-map P",
    "\npolicy-map Q",
    "\nclass A",
    "\nclass B",
    "\nclass class-default",
    "\npolice ",
    "percent ",
    "10 ",
    "8000 ",
    "mbps ",
    "pps ",
    "bc ",
    "be ",
    "pir ",
    "auto ",
    "250ms ",
    "ms ",
    "packets ",
    "\nconform-action ",
    "\nexceed-action ",
    "\nviolate-action ",
    "transmit ",
    "drop ",
    "\nset ",
    "set-dscp-transmit ",
    "ef ",
    "\nconform-color A ",
    "exceed-color B",
    "\nchild-conform-aware",
    "\nservice-policy Q",
    "\npriority ",
    "level ",
    "\nbandwidth ",
    "remaining ",
    "ratio ",
    "\nshape average ",
    "\nqueue-limit ",
    "\nrandom-detect ",
    "dscp-based",
    "default",
    "ecn",
    "\nfair-queue",
    "\nexit",
    "\nno policy-map P",
    "! ",
    "\ndescription ",
    "é ",
];
