//! Trust: the class of service that a packet has inside the router, and the fields that take it.
//!
//! The internal class is gleaned from the packet as it was received, before any marking. Fields
//! that the router puts in front of a packet, tags and labels, take it, unless a policy says
//! otherwise. Fields that came with the packet stay as they are: the DSCP, the tags that are not
//! taken off, and the EXP bits of a label that is swapped (DQ-01 to DQ-06).

#[cfg(test)]
mod tests;

/// The class of service inside the router: 0 to 7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InternalCos(u8);

impl InternalCos {
    /// The class in the low three bits.
    #[inline]
    #[must_use]
    pub const fn new(bits: u8) -> Self {
        Self(bits & 7)
    }

    /// 0 to 7.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// What an interface does with frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attachment {
    /// It bridges or cross-connects them; their tags say the class.
    Layer2,
    /// It routes packets; tags only say which interface it is.
    Layer3,
}

/// Three-bit fields of a stack of tags or labels, the outermost first; at most [`Stack::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    bits: [u8; Self::MAX],
    len: u8,
}

impl Stack {
    /// Most entries; deeper ones are not looked at, and fall off when others are put in front.
    pub const MAX: usize = 8;

    /// The fields, outermost first.
    #[must_use]
    pub fn new(fields: &[u8]) -> Self {
        let mut new = Self::default();
        fields.iter().rev().for_each(|&bits| new.push(bits));
        new
    }

    /// The fields, outermost first.
    #[must_use]
    pub fn fields(&self) -> &[u8] {
        self.bits.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// The outermost field.
    #[inline]
    #[must_use]
    pub fn top(&self) -> Option<u8> {
        self.fields().first().copied()
    }

    /// Puts an entry in front.
    fn push(&mut self, bits: u8) {
        self.bits.rotate_right(1);
        self.bits[0] = bits & 7;
        self.len = (self.len + 1).min(8);
    }

    /// Takes `count` entries off.
    fn pop(&mut self, count: u8) {
        let count = count.min(self.len);
        self.bits.rotate_left(count.into());
        self.len -= count;
        self.bits[usize::from(self.len)..].fill(0);
    }

    /// Changes entry `index`, if there is one and something to change.
    fn set(&mut self, index: usize, bits: Option<u8>) {
        if let (Some(bits), true) = (bits, index < usize::from(self.len)) {
            self.bits[index] = bits & 7;
        }
    }
}

/// The fields of a frame that say its class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassFields {
    /// Priority code points of the VLAN tags.
    pub pcp: Stack,
    /// EXP bits (traffic class, RFC 5462) of the label stack.
    pub exp: Stack,
    /// DSCP of the IP header, wherever it is: IPv4 or IPv6 (RFC 2474).
    pub dscp: Option<u8>,
}

/// What happens to tags and labels between two interfaces. A label that is swapped is neither
/// taken off nor put in front.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encapsulation {
    /// Tags taken off.
    pub pop_tags: u8,
    /// Tags put in front, after that.
    pub push_tags: u8,
    /// Labels taken off.
    pub pop_labels: u8,
    /// Labels put in front, after that.
    pub push_labels: u8,
}

/// What policies set; none leaves a field to trust.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// `set cos`: the outermost tag.
    pub cos: Option<u8>,
    /// `set cos inner`: the tag behind it.
    pub cos_inner: Option<u8>,
    /// `set mpls experimental imposition`: labels put in front.
    pub exp_imposition: Option<u8>,
    /// `set mpls experimental topmost`: the outermost label.
    pub exp_topmost: Option<u8>,
    /// `set dscp`.
    pub dscp: Option<u8>,
}

/// The internal class of a frame as it was received.
///
/// Bridged: the outermost tag, 0 without one. Routed: the topmost label, explicit null like any
/// other; without labels the precedence of the IP header, IPv4 or IPv6; 0 for the rest.
#[inline]
#[must_use]
pub fn glean(attachment: Attachment, received: &ClassFields) -> InternalCos {
    let bits = match attachment {
        Attachment::Layer2 => received.pcp.top(),
        Attachment::Layer3 => received.exp.top().or(received.dscp.map(|dscp| dscp >> 3)),
    };
    InternalCos::new(bits.unwrap_or(0))
}

/// The fields of a frame as it leaves.
///
/// What is put in front takes the internal class or what a policy sets; what was there stays.
#[must_use]
pub fn impose(
    received: &ClassFields,
    class: InternalCos,
    change: &Encapsulation,
    marks: &Marks,
) -> ClassFields {
    let mut leaving = *received;
    leaving.pcp.pop(change.pop_tags);
    leaving.exp.pop(change.pop_labels);
    for _ in 0..change.push_labels {
        leaving.exp.push(marks.exp_imposition.unwrap_or(class.0));
    }
    for _ in 0..change.push_tags {
        leaving.pcp.push(class.0);
    }
    leaving.pcp.set(0, marks.cos);
    leaving.pcp.set(1, marks.cos_inner);
    leaving.exp.set(0, marks.exp_topmost);
    leaving.dscp = received.dscp.map(|dscp| marks.dscp.unwrap_or(dscp) & 63);
    leaving
}
