//! Row `l3-parse`.

use hal::PacketMask;

use crate::isa::Isa;
use crate::l3::book::by_the_book;
use crate::l3::source::Own;
use crate::packet::Vector;
use crate::step::{Lcore, Step};

/// Row `l3-parse`: checks every network header and fills the vector's header fields.
#[derive(Debug)]
pub struct L3Parse {
    isa: Isa,
}

impl L3Parse {
    /// The row with the kernels of `isa`.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self { isa: isa.or_lower() }
    }
}

impl Step for L3Parse {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let own = Own::open(&lcore.tables, vector);
        let Plain { plain, maybe_own } = plain(self.isa, vector, select, &own);
        let others = select - plain;
        if !(others | maybe_own).is_empty() {
            by_the_book(lcore, vector, others, maybe_own, &own);
        }
    }
}

/// What the kernel has taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plain {
    /// The packets that need no other look.
    pub(super) plain: PacketMask,
    /// Those of them whose source may be the router's own.
    pub(super) maybe_own: PacketMask,
}

/// Takes the plain unicast packets of `select` through the kernel; returns which those were.
#[inline]
fn plain(isa: Isa, vector: &mut Vector, select: PacketMask, own: &Own<'_>) -> Plain {
    #[cfg(target_arch = "x86_64")]
    if isa == Isa::Avx512 {
        return super::simd::parse(vector, select, own);
    }
    let _ = (isa, vector, select, own);
    Plain::default()
}
