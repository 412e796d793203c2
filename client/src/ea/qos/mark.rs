//! Marks of a policy as the data plane has them.

use qfp_core::qos::Mark;
use qfp_core::uidb::Direction;

use super::{BoundClass, QosError};
use crate::acl::Family;
use crate::mqc::{self, Ip};

/// A class as messages name it.
pub(super) fn label(class: &BoundClass) -> String {
    let names: Vec<&str> = class.path.iter().map(|(_, class)| class.as_str()).collect();
    names.join("/")
}

/// The row of some marks.
pub(super) fn marks(class: &BoundClass, marks: &[mqc::Mark]) -> Result<Mark, QosError> {
    let mut row = Mark::default();
    for mark in marks {
        let refused = || QosError::Mark {
            interface: class.interface.clone(),
            class: label(class),
            field: mark.field(),
            direction: class.direction,
        };
        match *mark {
            mqc::Mark::Dscp(ip, dscp) => {
                set_class(&mut row, ip, dscp << 2, Mark::DSCP);
            }
            mqc::Mark::Precedence(ip, precedence) => {
                set_class(&mut row, ip, precedence << 5, Mark::PRECEDENCE);
            }
            // What comes in loses its tags; those it gets are the egress policy's to mark.
            mqc::Mark::Cos(cos) if class.direction == Direction::Out => {
                row.cos = cos;
                row.fields |= Mark::COS;
            }
            mqc::Mark::InnerCos(cos) if class.direction == Direction::Out => {
                row.inner_cos = cos;
                row.fields |= Mark::INNER_COS;
            }
            mqc::Mark::QosGroup(group) => {
                row.group = group;
                row.fields |= Mark::GROUP;
            }
            mqc::Mark::DiscardClass(discard) => {
                row.discard = discard;
                row.fields |= Mark::DISCARD;
            }
            _ => return Err(refused()),
        }
    }
    Ok(row)
}

/// Sets DSCP or precedence in packets of the versions that `ip` is about.
fn set_class(row: &mut Mark, ip: Ip, class: u8, fields: [u8; 2]) {
    let versions = [ip.has(Family::V4), ip.has(Family::V6)];
    for (version, _) in versions.into_iter().enumerate().filter(|(_, has)| *has) {
        row.class[version] = class;
        row.fields |= fields[version];
    }
}
