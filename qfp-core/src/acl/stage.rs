//! Rows `acl-classify`, `pbr-classify`, `qos-classify` and `acl-act`, of either direction.
//!
//! The first classify row that is on for a packet looks its key up once, for all features bound to
//! its interface (ING-05); the others find the result there. Only the act rows end a walk.

use hal::{PacketMask, VECTOR};

use crate::acl::bind::{AclResult, AclTables, Binding, Feature};
use crate::acl::header::{keys4, keys6};
use crate::acl::key::{Keys, Keys4, Keys6};
use crate::acl::{Matches, NO_MATCH, Tcam};
use crate::isa::Isa;
use crate::packet::{DropReason, Source, Vector};
use crate::step::{Lcore, Step};
use crate::tables::Tables;
use crate::uidb::{Direction, UidbIndex};

/// A row that classifies.
pub struct Classify {
    direction: Direction,
    engine: Box<Engine>,
}

/// What a lookup needs besides the tables.
struct Engine {
    isa: Isa,
    keys4: Keys4,
    keys6: Keys6,
    found: Found,
}

impl Classify {
    /// A classify row of `direction`.
    #[must_use]
    pub fn new(direction: Direction, isa: Isa) -> Self {
        let engine = Engine {
            isa: isa.or_lower(),
            keys4: Keys4::new(),
            keys6: Keys6::new(),
            found: Found::new(),
        };
        Self { direction, engine: Box::new(engine) }
    }
}

impl Classify {
    /// Looks the packets of `select` up again for one feature, after a change of their headers;
    /// what was found for the others stays.
    pub(crate) fn again(
        &mut self,
        lcore: &Lcore<'_>,
        vector: &mut Vector,
        select: PacketMask,
        feature: Feature,
    ) {
        let before = vector.classes.found;
        self.engine.classify(&lcore.tables, vector, select, self.direction);
        for other in Feature::ALL.into_iter().filter(|other| *other != feature) {
            copy(select, &before[other as usize], &mut vector.classes.found[other as usize]);
        }
    }
}

impl Step for Classify {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let open = select - vector.is.classified[self.direction as usize];
        if !open.is_empty() {
            self.engine.classify(&lcore.tables, vector, open, self.direction);
        }
    }
}

impl Engine {
    /// Writes the first match of every feature for the packets of `select`.
    fn classify(
        &mut self,
        tables: &Tables<'_>,
        vector: &mut Vector,
        select: PacketMask,
        direction: Direction,
    ) {
        let tables = AclTables::open(tables);
        vector.is.classified[direction as usize] |= select;
        let mut rest = select;
        while let Some(slot) = rest.into_iter().next() {
            let interfaces = match direction {
                Direction::In => &vector.route.input,
                Direction::Out => &vector.route.output,
            };
            let uidb = interfaces[slot & 63];
            let same = crate::simd::same_interface(interfaces, uidb) & rest;
            rest -= same;
            self.classify_interface(&tables, vector, same, direction, uidb);
        }
    }

    fn classify_interface(
        &mut self,
        tables: &AclTables<'_>,
        vector: &mut Vector,
        select: PacketMask,
        direction: Direction,
        uidb: UidbIndex,
    ) {
        let (ipv4, ipv6) = (select & vector.is.ipv4, select & vector.is.ipv6);
        find_nothing(vector, select - ipv4 - ipv6, NO_MATCH);
        let Some(bindings) = tables.bindings(uidb) else {
            return find_nothing(vector, ipv4 | ipv6, AclResult::MISSING);
        };
        let (four, six) = match direction {
            Direction::In => (bindings.in4, bindings.in6),
            Direction::Out => (bindings.out4, bindings.out6),
        };
        let tcam = Tcam::new(tables.lines, self.isa);
        if let Some(object) = bound(tables, four, vector, ipv4) {
            keys4(vector, ipv4, tcam.columns(object), &mut self.keys4);
            look_up(&tcam, object, four, &self.keys4, &mut self.found, vector, ipv4);
        }
        if let Some(object) = bound(tables, six, vector, ipv6) {
            keys6(vector, ipv6, tcam.columns(object), &mut self.keys6);
            look_up(&tcam, object, six, &self.keys6, &mut self.found, vector, ipv6);
        }
    }
}

/// The object that packets are to be looked up in; where there is none, that is what they find.
fn bound(
    tables: &AclTables<'_>,
    binding: Binding,
    vector: &mut Vector,
    select: PacketMask,
) -> Option<u32> {
    if select.is_empty() {
        return None;
    }
    let object = tables.object(binding);
    if object.is_none() {
        let result = if binding.object == 0 { NO_MATCH } else { AclResult::MISSING };
        find_nothing(vector, select, result);
    }
    object
}

/// Writes the same for all features: there are no rules to look anything up in.
fn find_nothing(vector: &mut Vector, select: PacketMask, result: u32) {
    if !select.is_empty() {
        vector.classes.found.iter_mut().for_each(|to| copy(select, &[result; VECTOR], to));
    }
}

/// Room for what a lookup finds, by how many features there are to find.
struct Found {
    one: Matches<1>,
    two: Matches<2>,
    three: Matches<3>,
    four: Matches<4>,
}

impl Found {
    fn new() -> Self {
        Self {
            one: Matches::new(),
            two: Matches::new(),
            three: Matches::new(),
            four: Matches::new(),
        }
    }
}

/// Looks keys up and writes what was found to the vector.
fn look_up<const W: usize>(
    tcam: &Tcam<'_>,
    object: u32,
    binding: Binding,
    keys: &Keys<W>,
    found: &mut Found,
    vector: &mut Vector,
    select: PacketMask,
) {
    let features = binding.features;
    match features.count_ones() {
        0 => find_nothing(vector, select, NO_MATCH),
        1 => look_up_in(tcam, object, features, keys, &mut found.one, vector, select),
        2 => look_up_in(tcam, object, features, keys, &mut found.two, vector, select),
        3 => look_up_in(tcam, object, features, keys, &mut found.three, vector, select),
        _ => look_up_in(tcam, object, features, keys, &mut found.four, vector, select),
    }
}

fn look_up_in<const W: usize, const F: usize>(
    tcam: &Tcam<'_>,
    object: u32,
    features: u32,
    keys: &Keys<W>,
    matches: &mut Matches<F>,
    vector: &mut Vector,
    select: PacketMask,
) {
    matches.clear();
    tcam.look_up(object, keys, select, matches);
    let mut next = 0;
    for (feature, results) in vector.classes.found.iter_mut().enumerate() {
        if features >> feature & 1 != 0 && next < F {
            copy(select, &matches.results(next), results);
            next += 1;
        } else {
            copy(select, &[NO_MATCH; VECTOR], results);
        }
    }
}

/// Copies the elements of `select`.
#[inline]
fn copy(select: PacketMask, from: &[u32; VECTOR], to: &mut [u32; VECTOR]) {
    if select == PacketMask::FULL {
        *to = *from;
        return;
    }
    for (slot, (to, from)) in to.iter_mut().zip(from).enumerate() {
        *to = if select.contains(slot) { *from } else { *to };
    }
}

/// What the packet in `slot` matched first among the rules of `feature` in that direction, for a step
/// behind the classify rows: an [`AclResult`] for access lists, the row of its action for a policy.
/// None when nothing matched, or nothing was looked up.
#[must_use]
pub fn first_match(
    vector: &Vector,
    direction: Direction,
    feature: Feature,
    slot: usize,
) -> Option<u32> {
    let result = vector.class(feature as usize, slot);
    (vector.is.classified[direction as usize].contains(slot) && result != NO_MATCH)
        .then_some(result)
}

/// Row `acl-act`: counts what each rule matched, and drops what is denied (ING-12, EGR-05).
///
/// A packet that no rule matches passes: lists end with a rule that denies, unless they are empty.
#[derive(Debug)]
pub struct AclAct {
    direction: Direction,
}

impl AclAct {
    /// The row of `direction`.
    #[must_use]
    pub const fn new(direction: Direction) -> Self {
        Self { direction }
    }
}

impl Step for AclAct {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        // What this router sends itself passes its own outbound lists; what it only held meets them.
        let own = matches!(vector.walk.source, Source::Internal { uidb: UidbIndex::RP, .. });
        if own && self.direction == Direction::Out {
            return;
        }
        let select = select & vector.is.classified[self.direction as usize];
        let results = &vector.classes.found[Feature::Acl as usize];
        let matched = select - crate::simd::equal_words(results, NO_MATCH);
        for slot in matched {
            let rule = AclResult(results[slot & 63]).rule();
            lcore.counters.rule(rule, u64::from(vector.burst.lens()[slot & 63]));
        }
        let denied = crate::simd::words_with(results, AclResult::DENY) & matched;
        let captured = crate::simd::words_with(results, AclResult::CAPTURE) & matched;
        vector.is.captured |= captured;
        vector.drop_all(denied & vector.is.ipv4, DropReason::Ipv4Acl);
        vector.drop_all(denied & vector.is.ipv6, DropReason::Ipv6Acl);
    }
}
