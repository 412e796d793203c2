//! Congestion notification across a tunnel (RFC 6040).

const NOT_ECT: u8 = 0;
const ECT_0: u8 = 2;
const ECT_1: u8 = 1;
const CE: u8 = 3;
const MASK: u8 = 3;

/// The inner packet's field when the outer one arrives with `outer`; none where the packet must be
/// dropped: congestion was met, and the transport would not understand the mark (RFC 6040 §4.2).
///
/// Both are bytes whose two lowest bits count; so is what is returned.
#[inline]
pub(super) const fn decapsulated(inner: u8, outer: u8) -> Option<u8> {
    match (inner & MASK, outer & MASK) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (CE, _) | (_, CE) => Some(CE),
        (ECT_0, ECT_1) => Some(ECT_1),
        (inner, _) => Some(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6040 figure 4, row by row: inner field, then what comes of outer Not-ECT, ECT(0),
    /// ECT(1), CE.
    const FIGURE_4: [(u8, [Option<u8>; 4]); 4] = [
        (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
        (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
        (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
        (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
    ];

    #[test]
    fn fields_combine_as_in_the_figure_of_the_rfc() {
        for (inner, row) in FIGURE_4 {
            for (outer, wanted) in [NOT_ECT, ECT_0, ECT_1, CE].into_iter().zip(row) {
                assert_eq!(decapsulated(inner, outer), wanted, "{inner} in {outer}");
                assert_eq!(decapsulated(inner | 0xa8, outer | 0x54), wanted);
            }
        }
    }
}
