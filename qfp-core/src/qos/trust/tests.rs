use super::*;

/// How a frame came in.
struct Ingress {
    name: &'static str,
    attachment: Attachment,
    pcp: &'static [u8],
    exp: &'static [u8],
    dscp: u8,
    /// A label that is popped cannot be swapped.
    explicit_null: bool,
}

/// The fields as the table writes them.
fn list(fields: &[u8]) -> String {
    fields.iter().map(u8::to_string).collect::<Vec<_>>().join(",")
}

/// Rows: ingress, internal class, and the nine ways out.
///
/// E1 routed, untagged; E2 dot1q; E3 QinQ; E4 bridged, no new tag; E5 one tag put in front; E6 one
/// label, untagged core; E7 two labels, dot1q core; E8 label swapped, dot1q core; E9 swapped, and
/// one put in front.
const TABLE: [(Ingress, u8, [&str; 9]); 10] = {
    const fn frame(
        name: &'static str,
        attachment: Attachment,
        pcp: &'static [u8],
        exp: &'static [u8],
        dscp: u8,
    ) -> Ingress {
        Ingress { name, attachment, pcp, exp, dscp, explicit_null: false }
    }
    use Attachment::{Layer2, Layer3};
    [
        (
            frame("I1 bridged, tagged", Layer2, &[5], &[], 18),
            5,
            [
                "DSCP 18",
                "PCP 5; DSCP 18",
                "PCP 5,5; DSCP 18",
                "PCP 5; DSCP 18",
                "PCP 5,5; DSCP 18",
                "EXP 5; DSCP 18",
                "EXP 5,5; PCP 5; DSCP 18",
                "n/a",
                "n/a",
            ],
        ),
        (
            frame("I2 bridged, QinQ", Layer2, &[5, 1], &[], 18),
            5,
            [
                "DSCP 18",
                "PCP 5; DSCP 18",
                "PCP 5,5; DSCP 18",
                "PCP 5,1; DSCP 18",
                "PCP 5,5,1; DSCP 18",
                "EXP 5; DSCP 18",
                "EXP 5,5; PCP 5; DSCP 18",
                "n/a",
                "n/a",
            ],
        ),
        (
            frame("I3 bridged, untagged", Layer2, &[], &[], 18),
            0,
            [
                "DSCP 18",
                "PCP 0; DSCP 18",
                "PCP 0,0; DSCP 18",
                "DSCP 18",
                "PCP 0; DSCP 18",
                "EXP 0; DSCP 18",
                "EXP 0,0; PCP 0; DSCP 18",
                "n/a",
                "n/a",
            ],
        ),
        (
            frame("I4 routed, untagged", Layer3, &[], &[], 26),
            3,
            [
                "DSCP 26",
                "PCP 3; DSCP 26",
                "PCP 3,3; DSCP 26",
                "DSCP 26",
                "PCP 3; DSCP 26",
                "EXP 3; DSCP 26",
                "EXP 3,3; PCP 3; DSCP 26",
                "n/a",
                "n/a",
            ],
        ),
        (
            frame("I5 routed, tagged", Layer3, &[5], &[], 26),
            3,
            [
                "DSCP 26",
                "PCP 3; DSCP 26",
                "PCP 3,3; DSCP 26",
                "DSCP 26",
                "PCP 3; DSCP 26",
                "EXP 3; DSCP 26",
                "EXP 3,3; PCP 3; DSCP 26",
                "n/a",
                "n/a",
            ],
        ),
        (
            frame("I6 labelled", Layer3, &[], &[4, 1], 10),
            4,
            [
                "DSCP 10",
                "PCP 4; DSCP 10",
                "PCP 4,4; DSCP 10",
                "DSCP 10",
                "PCP 4; DSCP 10",
                "EXP 4; DSCP 10",
                "EXP 4,4; PCP 4; DSCP 10",
                "EXP 4,1; PCP 4; DSCP 10",
                "EXP 4,4,1; PCP 4; DSCP 10",
            ],
        ),
        (
            frame("I7 labelled and tagged", Layer3, &[6], &[4], 10),
            4,
            [
                "DSCP 10",
                "PCP 4; DSCP 10",
                "PCP 4,4; DSCP 10",
                "DSCP 10",
                "PCP 4; DSCP 10",
                "EXP 4; DSCP 10",
                "EXP 4,4; PCP 4; DSCP 10",
                "EXP 4; PCP 4; DSCP 10",
                "EXP 4,4; PCP 4; DSCP 10",
            ],
        ),
        (
            Ingress { explicit_null: true, ..frame("I8 IPv4 null", Layer3, &[], &[6], 10) },
            6,
            [
                "DSCP 10",
                "PCP 6; DSCP 10",
                "PCP 6,6; DSCP 10",
                "DSCP 10",
                "PCP 6; DSCP 10",
                "EXP 6; DSCP 10",
                "EXP 6,6; PCP 6; DSCP 10",
                "n/a",
                "n/a",
            ],
        ),
        (
            Ingress { explicit_null: true, ..frame("I9 IPv6 null", Layer3, &[], &[6], 10) },
            6,
            [
                "DSCP 10",
                "PCP 6; DSCP 10",
                "PCP 6,6; DSCP 10",
                "DSCP 10",
                "PCP 6; DSCP 10",
                "EXP 6; DSCP 10",
                "EXP 6,6; PCP 6; DSCP 10",
                "n/a",
                "n/a",
            ],
        ),
        (
            frame("I10 routed, IPv6", Layer3, &[], &[], 46),
            5,
            [
                "DSCP 46",
                "PCP 5; DSCP 46",
                "PCP 5,5; DSCP 46",
                "DSCP 46",
                "PCP 5; DSCP 46",
                "EXP 5; DSCP 46",
                "EXP 5,5; PCP 5; DSCP 46",
                "n/a",
                "n/a",
            ],
        ),
    ]
};

impl Ingress {
    fn fields(&self) -> ClassFields {
        ClassFields { pcp: Stack::new(self.pcp), exp: Stack::new(self.exp), dscp: Some(self.dscp) }
    }

    /// Whether tags that came with the frame stay on it.
    fn keeps_tags(&self) -> bool {
        self.attachment == Attachment::Layer2
    }

    /// What happens on the way out by `egress`, 1 to 9; none where there is no such way.
    fn towards(&self, egress: usize) -> Option<Encapsulation> {
        let [tags, labels] = [self.pcp, self.exp].map(|stack| u8::try_from(stack.len()).unwrap());
        let off = Encapsulation { pop_tags: tags, pop_labels: labels, ..Default::default() };
        let bridged = Encapsulation { pop_tags: if self.keeps_tags() { 0 } else { tags }, ..off };
        let swapped = Encapsulation { pop_labels: 0, push_tags: 1, ..off };
        let can_swap = labels > 0 && !self.explicit_null;
        match egress {
            1 => Some(off),
            2 => Some(Encapsulation { push_tags: 1, ..off }),
            3 => Some(Encapsulation { push_tags: 2, ..off }),
            4 => Some(bridged),
            5 => Some(Encapsulation { push_tags: 1, ..bridged }),
            6 => Some(Encapsulation { push_labels: 1, ..off }),
            7 => Some(Encapsulation { push_labels: 2, push_tags: 1, ..off }),
            8 => can_swap.then_some(swapped),
            _ => can_swap.then_some(Encapsulation { push_labels: 1, ..swapped }),
        }
    }
}

#[test]
fn every_way_through_the_router_sets_imposed_fields_only() {
    for (ingress, class, ways) in TABLE {
        let received = ingress.fields();
        let found = glean(ingress.attachment, &received);
        assert_eq!(found.get(), class, "{}", ingress.name);
        for (egress, wanted) in (1..).zip(ways) {
            let text = ingress.towards(egress).map_or("n/a".to_owned(), |change| {
                let leaving = impose(&received, found, &change, &Marks::default());
                let mut text = String::new();
                for (name, stack) in [("EXP", leaving.exp), ("PCP", leaving.pcp)] {
                    if stack.top().is_some() {
                        text += &format!("{name} {}; ", list(stack.fields()));
                    }
                }
                text + &format!("DSCP {}", leaving.dscp.unwrap())
            });
            assert_eq!(text, wanted, "{}, E{egress}", ingress.name);
        }
    }
}

#[test]
fn the_class_is_gleaned_before_the_packet_is_marked() {
    // Precedence 5 comes in, `set precedence 1`; out with a label and a tag.
    let received = ClassFields { dscp: Some(40), ..Default::default() };
    let class = glean(Attachment::Layer3, &received);
    let change = Encapsulation { push_tags: 1, push_labels: 1, ..Default::default() };
    let marked = Marks { dscp: Some(8), ..Default::default() };
    let leave = |marks| {
        let leaving = impose(&received, class, &change, &marks);
        (leaving.dscp.unwrap() >> 3, leaving.exp.top().unwrap(), leaving.pcp.top().unwrap())
    };
    assert_eq!(leave(marked), (1, 5, 5));
    assert_eq!(leave(Marks { exp_imposition: Some(3), ..marked }), (1, 3, 5));
    assert_eq!(leave(Marks { cos: Some(2), ..marked }), (1, 5, 2));
    assert_eq!(leave(Marks { exp_topmost: Some(6), ..marked }), (1, 6, 5));
}

#[test]
fn a_translated_tag_takes_the_class_and_the_inner_tag_is_left_alone() {
    let received = ClassFields { pcp: Stack::new(&[5, 1]), ..Default::default() };
    let class = glean(Attachment::Layer2, &received);
    let change = Encapsulation { pop_tags: 1, push_tags: 1, ..Default::default() };
    let leaving = impose(&received, class, &change, &Marks::default());
    assert_eq!(leaving.pcp.fields(), [5, 1]);
    let marks = Marks { cos_inner: Some(7), ..Default::default() };
    assert_eq!(impose(&received, class, &change, &marks).pcp.fields(), [5, 7]);
    // Nothing to mark: no tag appears.
    let off = Encapsulation { pop_tags: 2, ..Default::default() };
    let marks = Marks { cos: Some(7), exp_topmost: Some(7), dscp: Some(7), ..marks };
    assert_eq!(impose(&received, class, &off, &marks), ClassFields::default());
}

#[test]
fn what_is_neither_labelled_nor_ip_has_class_zero() {
    assert_eq!(glean(Attachment::Layer3, &ClassFields::default()).get(), 0);
    // A label inside a bridged frame is not the router's to read.
    let fields = ClassFields { exp: Stack::new(&[7]), dscp: Some(46), ..Default::default() };
    assert_eq!(glean(Attachment::Layer2, &fields).get(), 0);
}

#[test]
fn a_stack_that_is_full_loses_its_innermost_entries() {
    let received = ClassFields { exp: Stack::new(&[1, 2, 3, 4, 5, 6, 7, 0]), ..Default::default() };
    let change = Encapsulation { push_labels: 2, ..Default::default() };
    let leaving = impose(&received, InternalCos::new(9), &change, &Marks::default());
    assert_eq!(leaving.exp.fields(), [1, 1, 1, 2, 3, 4, 5, 6]);
}
