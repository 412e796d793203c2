//! Enums that count: every variant has a number for its counter and a name for reports.

/// Defines an enum of unit variants with `ALL`, `COUNT` and `name()`.
macro_rules! named {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident,)+ }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// All of them, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name that reports print.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }
        }
    };
}

pub(crate) use named;

/// An array with a place for each of them, as a message has it: its length comes first.
pub(crate) mod array {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Serialize, S: Serializer, const N: usize>(
        array: &[T; N],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        array.as_slice().serialize(to)
    }

    pub(crate) fn deserialize<'a, T: Deserialize<'a>, D: Deserializer<'a>, const N: usize>(
        from: D,
    ) -> Result<[T; N], D::Error> {
        let places = Vec::<T>::deserialize(from)?;
        places
            .try_into()
            .map_err(|places: Vec<T>| D::Error::invalid_length(places.len(), &"another"))
    }
}
