//! What is bound where: the tables by which rows find an interface's rules.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Acquire;

use crate::acl::Line;
use crate::tables::{Tables, table_kind};
use crate::uidb::UidbIndex;

/// Features that are classified for, in the order in which they are listed in a packet's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Feature {
    /// Access lists.
    Acl,
    /// Policy-based routing and flow specifications.
    Pbr,
    /// Service policies.
    Qos,
    /// Security policies (RFC 4301 §4.4.1).
    Spd,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Acl, Self::Pbr, Self::Qos, Self::Spd];
}

pal::plain_struct! {
    /// What an interface's packets of one direction and family are classified by.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Binding {
        /// Number of the object, counted from 1; 0 for none.
        pub object: u32,
        /// The features that the object has rules of, a bit each: the rules of the first of them
        /// stand as those of feature 0, and so on.
        pub features: u32,
    }

    /// What is bound to an interface. All zeroes is nothing.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Bindings {
        /// IPv4, as it comes in.
        pub in4: Binding,
        /// IPv6, as it comes in.
        pub in6: Binding,
        /// IPv4, as it leaves.
        pub out4: Binding,
        /// IPv6, as it leaves.
        pub out6: Binding,
        /// First row of the classes of the service policy for what comes in.
        pub classes_in: u32,
        /// First row of the classes of the service policy for what leaves.
        pub classes_out: u32,
    }
}

/// What an access list says about a packet: the result of its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclResult(pub u32);

impl AclResult {
    pub(super) const DENY: u32 = 1 << 31;
    pub(super) const CAPTURE: u32 = 1 << 30;
    const LOG: u32 = 1 << 29;
    const RULE: u32 = (1 << 29) - 1;

    /// Stands for the result of rules that should be there and are not, for all features: a list
    /// denies, and as the row of an action or an entry it is beyond every table.
    pub(super) const MISSING: u32 = Self::DENY | Self::RULE;

    /// The result of the rule whose counters are number `rule`, below 2^29.
    #[must_use]
    pub const fn new(rule: u32, deny: bool) -> Self {
        Self(rule & Self::RULE | if deny { Self::DENY } else { 0 })
    }

    /// The same, for another rule.
    #[must_use]
    pub const fn with_rule(self, rule: u32) -> Self {
        Self(self.0 & !Self::RULE | rule & Self::RULE)
    }

    /// The same, and packets are marked for a SPAN session (ING-03).
    #[must_use]
    pub const fn capture(self) -> Self {
        Self(self.0 | Self::CAPTURE)
    }

    /// The same, and packets are to be logged.
    #[must_use]
    pub const fn log(self) -> Self {
        Self(self.0 | Self::LOG)
    }

    /// Whether the packet is to be dropped.
    #[must_use]
    pub const fn denies(self) -> bool {
        self.0 & Self::DENY != 0
    }

    /// Whether the packet is to be captured.
    #[must_use]
    pub const fn captures(self) -> bool {
        self.0 & Self::CAPTURE != 0
    }

    /// The number of the rule's counters.
    #[must_use]
    pub const fn rule(self) -> u32 {
        self.0 & Self::RULE
    }
}

/// The bindings and images of a generation.
#[derive(Clone, Copy, Debug)]
pub struct AclTables<'a> {
    bindings: &'a [Bindings],
    objects: &'a [AtomicU32],
    /// Lines of images.
    pub lines: &'a [Line],
}

impl<'a> AclTables<'a> {
    /// Opens the generation's tables.
    #[inline]
    #[must_use]
    pub fn open(tables: &Tables<'a>) -> Self {
        Self {
            bindings: tables.view(table_kind::ACL_BINDINGS),
            objects: tables.view(table_kind::ACL_OBJECTS),
            lines: tables.view(table_kind::ACL_LINES),
        }
    }

    /// What is bound to an interface; none when the table that says so is missing.
    #[inline]
    #[must_use]
    pub fn bindings(&self, uidb: UidbIndex) -> Option<Bindings> {
        self.bindings.get(usize::from(uidb.0)).copied()
    }

    /// The line that a bound object begins at; none when there is no such object.
    #[inline]
    #[must_use]
    pub fn object(&self, binding: Binding) -> Option<u32> {
        let number = binding.object.checked_sub(1)?;
        // Whatever this line refers to was written before the line's number.
        let line = self.objects.get(number as usize)?.load(Acquire);
        (self.lines.len() > line as usize).then_some(line)
    }
}
