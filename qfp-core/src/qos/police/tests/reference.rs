//! The RFCs word by word, slow and exact: tokens as fractions of a byte over 8 * 10^9.

use super::{Colour, Plan};

/// A policer as the RFCs describe it.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    plan: Plan,
    /// Bits or packets of 10^-9, and of 8 * 10^-9 where bytes count.
    tokens: [u128; 2],
    last: u64,
}

impl Reference {
    pub(super) fn new(plan: Plan) -> Self {
        let mut new = Self { plan, tokens: [0; 2], last: 0 };
        new.tokens = [new.full(0), new.full(1)];
        new
    }

    /// The denominator.
    fn one(&self) -> u128 {
        if self.plan.packets { 1_000_000_000 } else { 8_000_000_000 }
    }

    fn full(&self, bucket: usize) -> u128 {
        u128::from(self.plan.burst[bucket]) * self.one()
    }

    pub(super) fn meter(&mut self, now: u64, length: u32, colour: Colour) -> Colour {
        use Colour::{Green, Red, Yellow};
        let elapsed = u128::from(now.saturating_sub(self.last));
        self.last = self.last.max(now);
        let plan = self.plan;
        let (full_c, full_e) = (self.full(0), self.full(1));
        let [c, e] = &mut self.tokens;
        *c += elapsed * u128::from(plan.rate[0]);
        *e += elapsed * u128::from(plan.rate[1]);
        if *c > full_c {
            if plan.spill {
                *e += *c - full_c;
            }
            *c = full_c;
        }
        *e = (*e).min(full_e);

        let colour = if plan.aware { colour } else { Green };
        let b = if plan.packets { 1_000_000_000 } else { 8_000_000_000 * u128::from(length) };
        if plan.both {
            // RFC 2698, where the second bucket is P.
            if colour == Red || *e < b {
                Red
            } else if colour == Yellow || *c < b {
                *e -= b;
                Yellow
            } else {
                *e -= b;
                *c -= b;
                Green
            }
        } else if !plan.second {
            match colour {
                Green if *c >= b => {
                    *c -= b;
                    Green
                }
                Red => Red,
                Green | Yellow => Yellow,
            }
        } else if colour == Green && *c >= b {
            // RFC 2697 and RFC 4115.
            *c -= b;
            Green
        } else if colour != Red && *e >= b {
            *e -= b;
            Yellow
        } else {
            Red
        }
    }
}
