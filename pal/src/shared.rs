//! One value that several handles point to, wherever it lives.
#![allow(unsafe_code, reason = "a pointer kept valid by whatever owns its memory")]

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

/// A shared reference with its own keep-alive: on the heap or inside a mapped region.
///
/// Reading through it costs one pointer, without the reference count in the way.
pub(crate) struct Shared<T: ?Sized> {
    value: NonNull<T>,
    keep: Arc<dyn Any + Send + Sync>,
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// A value on the heap.
    pub(crate) fn on_heap(value: T) -> Self {
        let keep = Arc::new(value);
        Self { value: NonNull::from(&*keep), keep }
    }
}

impl<T: Send + Sync + 'static> Shared<[T]> {
    /// Values on the heap.
    pub(crate) fn slice_on_heap(values: Vec<T>) -> Self {
        let keep: Arc<Vec<T>> = Arc::new(values);
        Self { value: NonNull::from(keep.as_slice()), keep }
    }
}

impl<T: ?Sized> Shared<T> {
    /// A value inside memory that `keep` owns.
    ///
    /// # Safety
    /// As long as `keep` lives, `value` must be valid for `&T` and never be borrowed mutably.
    pub(crate) const unsafe fn inside(value: NonNull<T>, keep: Arc<dyn Any + Send + Sync>) -> Self {
        Self { value, keep }
    }
}

impl<T: ?Sized> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `keep` owns the value and lives as long as `self`; all constructors see to it
        // that it is only ever borrowed shared.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { value: self.value, keep: Arc::clone(&self.keep) }
    }
}

impl<T: ?Sized> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.value).finish()
    }
}

// SAFETY: it is a `&T` with an owner that may itself go to any thread.
unsafe impl<T: ?Sized + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for Shared<T> {}
