//! How much a platform takes.

use std::fmt::{Display, Formatter, Result};

/// Most levels of policies that can be compiled: grand-parent, parent, child.
pub const LEVELS: usize = 3;

/// The largest policies of a platform (LIM-05 to LIM-10). Prints as `show qos capability` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Policy maps.
    pub policies: usize,
    /// Levels of policies, at most [`LEVELS`].
    pub levels: usize,
    /// Bytes of a policy map's name.
    pub policy_name: usize,
    /// Bytes of a class map's name.
    pub class_name: usize,
    /// Bytes of a policy instance's name.
    pub instance_name: usize,
    /// Classes of a policy beside `class-default`.
    pub classes: usize,
    /// Classes of a child policy beside `class-default`.
    pub child_classes: usize,
    /// Classes of a policy with two levels below, `class-default` included.
    pub grandparent_classes: usize,
    /// Marks that a policer makes in packets of one colour.
    pub police_actions: usize,
    /// Marks of a class, the policer's aside.
    pub marks: usize,
    /// Matches of a class map.
    pub matches: usize,
    /// Members of a bundle.
    pub bundle_members: usize,
}

impl Limits {
    /// Those of an ASR 9000 line card.
    pub const ASR9000: Self = Self {
        policies: 16_384,
        levels: LEVELS,
        policy_name: 64,
        class_name: 64,
        instance_name: 32,
        classes: 1_024,
        child_classes: 1_024,
        grandparent_classes: 1,
        police_actions: 2,
        marks: 2,
        matches: 8,
        bundle_members: 64,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::ASR9000
    }
}

impl Display for Limits {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let rows = [
            ("Max Policy maps supported", self.policies),
            ("Max policy hierarchy", self.levels),
            ("Max policy name length", self.policy_name),
            ("Max classes per child-policy", self.child_classes),
            ("Max classes per policy", self.classes),
            ("Max classes per grand-parent policy", self.grandparent_classes),
            ("Max police actions per class", self.police_actions),
            ("Max marking actions per class", self.marks),
            ("Max matches per class", self.matches),
            ("Max class-map name length", self.class_name),
            ("Max members in a bundle", self.bundle_members),
            ("Max instance name length", self.instance_name),
        ];
        writeln!(f, "Capability Information:\n======================\n")?;
        rows.iter().try_for_each(|(key, value)| writeln!(f, "{key}: {value}"))
    }
}
