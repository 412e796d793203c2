//! What a policy writes into packets, and notes about them.

use crate::acl::Family;

/// Which IP packets a statement is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ip {
    /// Those of both versions.
    #[default]
    Both,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Ip {
    /// Whether packets of the family are among them.
    #[must_use]
    pub const fn has(self, family: Family) -> bool {
        matches!((self, family), (Self::Both, _) | (Self::V4, Family::V4) | (Self::V6, Family::V6))
    }
}

/// One `set`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// DSCP: the upper six bits of the traffic class. 0 to 63.
    Dscp(Ip, u8),
    /// Precedence: the upper three bits of the traffic class; the others stay. 0 to 7.
    Precedence(Ip, u8),
    /// Class of service of the outer tag. 0 to 7.
    Cos(u8),
    /// Class of service of the inner tag. 0 to 7.
    InnerCos(u8),
    /// Drop eligible indicator of the outer tag.
    Dei(bool),
    /// EXP of labels that are pushed. 0 to 7.
    ImposedExp(u8),
    /// EXP of the topmost label as the packet comes. 0 to 7.
    TopmostExp(u8),
    /// QoS group, which no packet carries: 0 to [`MAX_QOS_GROUP`](super::MAX_QOS_GROUP).
    QosGroup(u16),
    /// Discard class, likewise. 0 to 7.
    DiscardClass(u8),
}

impl Mark {
    /// What is set.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Dscp(..) => "DSCP",
            Self::Precedence(..) => "precedence",
            Self::Cos(_) => "cos",
            Self::InnerCos(_) => "inner cos",
            Self::Dei(_) => "dei",
            Self::ImposedExp(_) => "imposed experimental bits",
            Self::TopmostExp(_) => "topmost experimental bits",
            Self::QosGroup(_) => "qos-group",
            Self::DiscardClass(_) => "discard-class",
        }
    }

    /// How the command begins.
    pub(super) const fn command(self) -> &'static str {
        match self {
            Self::Dscp(Ip::Both, _) => "set dscp",
            Self::Dscp(Ip::V4, _) => "set ip dscp",
            Self::Dscp(Ip::V6, _) => "set ipv6 dscp",
            Self::Precedence(Ip::Both, _) => "set precedence",
            Self::Precedence(Ip::V4, _) => "set ip precedence",
            Self::Precedence(Ip::V6, _) => "set ipv6 precedence",
            _ => self.field(),
        }
    }

    /// The value, and the greatest that the field can have.
    pub(super) fn value(self) -> (u16, u16) {
        match self {
            Self::Dscp(_, value) => (value.into(), 63),
            Self::Precedence(_, value)
            | Self::Cos(value)
            | Self::InnerCos(value)
            | Self::ImposedExp(value)
            | Self::TopmostExp(value)
            | Self::DiscardClass(value) => (value.into(), 7),
            Self::Dei(value) => (value.into(), 1),
            Self::QosGroup(value) => (value, super::MAX_QOS_GROUP),
        }
    }

    /// Whether both write the same bits of some packet: a precedence is part of a DSCP.
    #[must_use]
    pub fn collides(self, other: Self) -> bool {
        let code_point = |mark: Self| match mark {
            Self::Dscp(ip, _) | Self::Precedence(ip, _) => Some(ip),
            _ => None,
        };
        match (code_point(self), code_point(other)) {
            (Some(a), Some(b)) => a == b || a == Ip::Both || b == Ip::Both,
            _ => self.field() == other.field(),
        }
    }
}
