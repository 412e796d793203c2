use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64};

/// A type whose values may lie in a region: every bit pattern is a value, none owns anything.
///
/// # Safety
/// The implementing type must
/// - be valid for every bit pattern, all zeroes included,
/// - hold no pointer, reference or handle, since each process maps the region elsewhere,
/// - need no `Drop`,
/// - have a layout that does not change between compilations (`#[repr(C)]`, `transparent` or a
///   primitive), if other binaries map the region.
///
/// Padding is allowed. Fields that change after publication must be atomics.
pub unsafe trait Plain: Send + Sync + 'static {}

macro_rules! plain {
    ($($t:ty),*) => { $(
        // SAFETY: an integer or a lock-free atomic integer; every bit pattern is valid.
        unsafe impl Plain for $t {}
    )* };
}

plain!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64);
plain!(AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicI64);

// SAFETY: an array adds nothing to its elements, which are plain.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// Defines `#[repr(C)]` structs of plain fields and makes them [`Plain`].
///
/// The fields' types are checked to be [`Plain`] at compile time, so using it needs no `unsafe`.
///
/// ```
/// pal::plain_struct! {
///     /// A counter pair.
///     pub struct Pair {
///         /// First.
///         pub a: u32,
///         /// Second.
///         pub b: std::sync::atomic::AtomicU32,
///     }
/// }
/// fn plain<T: pal::region::Plain>() {}
/// plain::<Pair>();
/// ```
#[macro_export]
macro_rules! plain_struct {
    ($(
        $(#[$outer:meta])*
        $vis:vis struct $name:ident { $($(#[$doc:meta])* $fvis:vis $field:ident: $t:ty,)+ }
    )+) => { $(
        $(#[$outer])*
        #[repr(C)]
        $vis struct $name { $($(#[$doc])* $fvis $field: $t,)+ }

        const _: () = {
            const fn plain<T: $crate::region::Plain>() {}
            $(plain::<$t>();)+
        };

        // SAFETY: `repr(C)` over fields that are all plain, which was just checked.
        unsafe impl $crate::region::Plain for $name {}
    )+ };
}
