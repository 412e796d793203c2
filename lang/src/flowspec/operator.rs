//! Lists of operators and values: the condition on one field (RFC 8955 §4.2.1).

/// What one operator asks of a field.
pub trait Operator: Copy + Eq + std::fmt::Debug {
    /// The operator in the low bits of its octet. Bits without a meaning are ignored.
    #[must_use]
    fn from_bits(bits: u8) -> Self;

    /// The low bits of its octet.
    #[must_use]
    fn bits(self) -> u8;

    /// Whether `data`, from the packet, passes with `value`, from the rule.
    #[must_use]
    fn holds(self, data: u64, value: u64) -> bool;
}

/// How a number of the packet compares with that of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Never, whatever the value.
    False,
    /// The same number.
    Equal,
    /// A greater one.
    Greater,
    /// The same or a greater one.
    GreaterOrEqual,
    /// A smaller one.
    Less,
    /// The same or a smaller one.
    LessOrEqual,
    /// Another one.
    NotEqual,
    /// Always, whatever the value.
    True,
}

impl Operator for Comparison {
    fn from_bits(bits: u8) -> Self {
        match bits & 7 {
            0 => Self::False,
            1 => Self::Equal,
            2 => Self::Greater,
            3 => Self::GreaterOrEqual,
            4 => Self::Less,
            5 => Self::LessOrEqual,
            6 => Self::NotEqual,
            _ => Self::True,
        }
    }

    fn bits(self) -> u8 {
        self as u8
    }

    fn holds(self, data: u64, value: u64) -> bool {
        match self {
            Self::False => false,
            Self::Equal => data == value,
            Self::Greater => data > value,
            Self::GreaterOrEqual => data >= value,
            Self::Less => data < value,
            Self::LessOrEqual => data <= value,
            Self::NotEqual => data != value,
            Self::True => true,
        }
    }
}

/// Which bits of the packet must be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BitTest {
    /// The result is turned around.
    pub not: bool,
    /// All bits of the value must be set; otherwise any of them is enough.
    pub all: bool,
}

impl Operator for BitTest {
    fn from_bits(bits: u8) -> Self {
        Self { not: bits & 2 != 0, all: bits & 1 != 0 }
    }

    fn bits(self) -> u8 {
        u8::from(self.not) << 1 | u8::from(self.all)
    }

    fn holds(self, data: u64, value: u64) -> bool {
        let plain = if self.all { data & value == value } else { data & value != 0 };
        plain != self.not
    }
}

/// How many octets a value takes in NLRI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// One octet.
    One,
    /// Two octets.
    Two,
    /// Four octets.
    Four,
    /// Eight octets.
    Eight,
}

impl Width {
    /// The least that has room for `value`.
    #[must_use]
    pub fn of(value: u64) -> Self {
        match value {
            0..=0xff => Self::One,
            0x100..=0xffff => Self::Two,
            0x1_0000..=0xffff_ffff => Self::Four,
            _ => Self::Eight,
        }
    }

    /// In octets.
    #[must_use]
    pub fn octets(self) -> usize {
        1 << self as u8
    }

    /// From the two bits of an operator's octet.
    pub(super) fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::One,
            1 => Self::Two,
            2 => Self::Four,
            _ => Self::Eight,
        }
    }
}

/// One operator with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Term<O> {
    and: bool,
    op: O,
    value: u64,
    width: Width,
}

impl<O: Operator> Term<O> {
    /// An alternative to what stands before it. The value takes as few octets as it can.
    #[must_use]
    pub fn or(op: O, value: u64) -> Self {
        Self { and: false, op, value, width: Width::of(value) }
    }

    /// A further condition on what stands before it. AND binds closer than OR.
    #[must_use]
    pub fn and(op: O, value: u64) -> Self {
        Self { and: true, ..Self::or(op, value) }
    }

    /// The same term with a value of at least `width`.
    #[must_use]
    pub fn at_least(self, width: Width) -> Self {
        Self { width: self.width.max(width), ..self }
    }

    /// The operator.
    #[must_use]
    pub fn op(&self) -> O {
        self.op
    }

    /// The rule's value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.value
    }

    /// Octets that the value takes in NLRI.
    #[must_use]
    pub fn width(&self) -> Width {
        self.width
    }

    /// Its octets in NLRI. `end` marks the last term of a list.
    fn octets(&self, end: bool) -> impl Iterator<Item = u8> + use<O> {
        let op =
            u8::from(end) << 7 | u8::from(self.and) << 6 | (self.width as u8) << 4 | self.op.bits();
        let skip = 8 - self.width.octets();
        std::iter::once(op).chain(self.value.to_be_bytes().into_iter().skip(skip))
    }
}

/// A list without terms, which says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a list of operators is empty")]
pub struct NoTerms;

/// The condition on one field: alternatives, each of conditions that hold together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terms<O>(Vec<Term<O>>);

/// A condition on a number.
pub type Numeric = Terms<Comparison>;

/// A condition on bits.
pub type Bitmask = Terms<BitTest>;

impl<O: Operator> Terms<O> {
    /// The condition of `terms`. The first has nothing before it, so it counts as an alternative.
    ///
    /// # Errors
    /// There is no term.
    pub fn new(mut terms: Vec<Term<O>>) -> Result<Self, NoTerms> {
        terms.first_mut().ok_or(NoTerms)?.and = false;
        Ok(Self(terms))
    }

    /// The condition of one term.
    #[must_use]
    pub fn one(op: O, value: u64) -> Self {
        Self(vec![Term::or(op, value)])
    }

    /// The terms, at least one.
    #[must_use]
    pub fn terms(&self) -> &[Term<O>] {
        &self.0
    }

    /// The alternatives, each a run of terms that hold together.
    pub fn alternatives(&self) -> impl Iterator<Item = &[Term<O>]> {
        self.0.chunk_by(|_, next| next.and)
    }

    /// Whether `data`, the field of a packet, passes.
    #[must_use]
    pub fn eval(&self, data: u64) -> bool {
        self.alternatives().any(|all| all.iter().all(|term| term.op.holds(data, term.value)))
    }

    /// Values without the bits that have no meaning in the field.
    pub(super) fn masked(mut self, mask: u64) -> Self {
        for term in &mut self.0 {
            term.value &= mask;
        }
        self
    }

    /// The octets in NLRI, without the type of the component.
    pub(super) fn octets(&self) -> impl Iterator<Item = u8> {
        let last = self.0.len() - 1;
        self.0.iter().enumerate().flat_map(move |(n, term)| term.octets(n == last))
    }

    /// Reads a list from the front of `bytes`, and moves behind it. `None` if it has no end.
    pub(super) fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let mut terms = Vec::new();
        loop {
            let (op, rest) = bytes.split_first()?;
            let width = Width::from_bits(op >> 4);
            let (value, rest) = rest.split_at_checked(width.octets())?;
            *bytes = rest;
            let value = value.iter().fold(0, |value, octet| value << 8 | u64::from(*octet));
            let and = op & 0x40 != 0 && !terms.is_empty();
            terms.push(Term { and, op: O::from_bits(*op), value, width });
            if op & 0x80 != 0 {
                return Some(Self(terms));
            }
        }
    }
}
