//! Which of two rules is looked at first (RFC 8955 §5.1, RFC 8956 §4).

use std::cmp::Ordering;

use super::{Component, Components, Prefix};

/// The lesser rule is looked at first; rules of IPv4 stand before those of IPv6.
impl Ord for Components {
    fn cmp(&self, other: &Self) -> Ordering {
        let mut pairs = self.list().iter().zip(other.list()).map(|(a, b)| precedence(a, b));
        self.family()
            .cmp(&other.family())
            .then_with(|| pairs.find(|order| order.is_ne()).unwrap_or(Ordering::Equal))
            // A rule that has a component goes before one that lacks it.
            .then_with(|| other.list().len().cmp(&self.list().len()))
    }
}

impl PartialOrd for Components {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The lower type first; of one type, what is compared is the value.
fn precedence(a: &Component, b: &Component) -> Ordering {
    a.number().cmp(&b.number()).then_with(|| match (a, b) {
        (Component::Destination(a), Component::Destination(b))
        | (Component::Source(a), Component::Source(b)) => prefixes(a, b),
        _ => octets(a.octets(), b.octets()),
    })
}

/// The longer of two where one holds the other, else the lower address. In IPv6, the lower offset
/// goes before all that.
fn prefixes(a: &Prefix, b: &Prefix) -> Ordering {
    match (a, b) {
        (Prefix::V4(a), Prefix::V4(b)) => {
            let common = (a.netmask() & b.netmask()).to_bits();
            let (value_a, value_b) = (a.network().to_bits(), b.network().to_bits());
            (value_a & common).cmp(&(value_b & common)).then(b.prefix_len().cmp(&a.prefix_len()))
        }
        (Prefix::V6(a), Prefix::V6(b)) => a.offset().cmp(&b.offset()).then_with(|| {
            let (bits_a, bits_b) = (a.ternary(), b.ternary());
            let common = bits_a.mask() & bits_b.mask();
            (bits_a.value() & common)
                .cmp(&(bits_b.value() & common))
                .then(b.length().cmp(&a.length()))
        }),
        // Rules of two families never meet here.
        (Prefix::V4(_), Prefix::V6(_)) => Ordering::Less,
        (Prefix::V6(_), Prefix::V4(_)) => Ordering::Greater,
    }
}

/// The lower string first; the longer one if it starts with the other.
fn octets(mut a: impl Iterator<Item = u8>, mut b: impl Iterator<Item = u8>) -> Ordering {
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Greater,
            (Some(_), None) => return Ordering::Less,
            (Some(a), Some(b)) if a != b => return a.cmp(&b),
            _ => {}
        }
    }
}
