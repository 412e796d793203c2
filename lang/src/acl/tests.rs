use super::*;

mod dialects;
mod edit;
mod errors;
mod real;
mod resolved;
mod round_trip;
mod syntax;

/// The document of a text that must be right.
fn parse(text: &str) -> Document {
    Document::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The refusal of a text that must be wrong.
fn refusal(text: &str) -> String {
    Document::parse(text).expect_err(text).to_string()
}

/// The line as the only one of an extended list of IPv4, or of IPv6.
fn ace_of(family: Family, line: &str) -> Ace {
    let header = match family {
        Family::V4 => "ip access-list extended X",
        Family::V6 => "ipv6 access-list X",
    };
    let document = parse(&format!("{header}\n {line}\n"));
    let list = document.list(family, "X").expect("the list");
    list.aces().next().expect("an ace").1.clone()
}

fn v4(line: &str) -> Ace {
    ace_of(Family::V4, line)
}

fn v6(line: &str) -> Ace {
    ace_of(Family::V6, line)
}

fn net(text: &str) -> ipnet::IpNet {
    text.parse().expect("a prefix")
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}
