use super::*;
use crate::acl::Name;

mod compiled;
mod errors;
mod headers;
mod limits;
mod policers;
mod round_trip;
mod strategies;
mod syntax;

/// The policies of a text that must be right.
fn parse(text: &str) -> Policies {
    Policies::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The refusal of a text that must be wrong.
fn refusal(text: &str) -> String {
    Policies::parse(text).expect_err(text).to_string()
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// The only match of a class map with this line.
fn matched(line: &str) -> Criterion {
    let policies = parse(&format!("class-map inner\nclass-map c\n {line}\n"));
    policies.class("c").expect("the class").matches.first().expect("a match").clone()
}

/// The actions of a class with these lines, in a text where `inner` is a class map and a policy.
fn actions(lines: &str) -> Actions {
    let text = format!(
        "class-map inner\npolicy-map inner\nclass-map c\npolicy-map p\n class c\n{lines}\n"
    );
    parse(&text).policy("p").expect("the policy").actions("c").expect("the class").clone()
}
