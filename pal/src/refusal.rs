//! Refusals on purpose: tests have the n-th thing that is taken on their thread refused.
//!
//! Whoever hands out memory or numbers asks [`is_due`] first. Without feature `refusals` it is never.

#[cfg(feature = "refusals")]
thread_local! {
    /// Things that are still handed out; all when there is no number.
    static LEFT: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
    static REFUSED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether what is asked for now is to be refused.
#[must_use]
pub fn is_due() -> bool {
    #[cfg(feature = "refusals")]
    if let Some(left) = LEFT.get() {
        LEFT.set(Some(left.saturating_sub(1)));
        REFUSED.set(REFUSED.get() || left == 0);
        return left == 0;
    }
    false
}

/// Does something while the first `granted` things are handed out and all others refused. Returns
/// whether any was.
#[cfg(feature = "refusals")]
pub fn after<R>(granted: u64, act: impl FnOnce() -> R) -> (R, bool) {
    /// However it ends.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            LEFT.set(None);
        }
    }
    LEFT.set(Some(granted));
    REFUSED.set(false);
    let _end = End;
    let result = act();
    (result, REFUSED.get())
}
