//! Bounded rings between lcores: bursts in, bursts out, never a wait.
//!
//! A full ring refuses; what it refuses goes straight back to the caller, who counts and frees it.

use crossbeam_queue::ArrayQueue;
use std::sync::Arc;

/// A bounded first-in first-out queue for any number of producers and consumers.
#[derive(Debug)]
pub struct Ring<T>(ArrayQueue<T>);

impl<T> Ring<T> {
    /// A ring for `capacity` items, at least one. Allocates now and never again.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(ArrayQueue::new(capacity.max(1)))
    }

    /// Pushes items until one does not fit; returns how many went in.
    ///
    /// That one and all behind it go to `refused`, in order: nothing is lost, nothing overtakes.
    /// O(items), no allocation, no wait.
    #[inline]
    pub fn push_burst(
        &self,
        items: impl IntoIterator<Item = T>,
        mut refused: impl FnMut(T),
    ) -> usize {
        let mut items = items.into_iter();
        let mut pushed = 0;
        while let Some(item) = items.next() {
            if let Err(item) = self.0.push(item) {
                refused(item);
                items.by_ref().for_each(&mut refused);
                break;
            }
            pushed += 1;
        }
        pushed
    }

    /// Hands at most `max` items to `take`, oldest first; returns how many.
    #[inline]
    pub fn pop_burst(&self, max: usize, mut take: impl FnMut(T)) -> usize {
        let mut popped = 0;
        while popped < max {
            let Some(item) = self.0.pop() else { break };
            take(item);
            popped += 1;
        }
        popped
    }

    /// Items inside at some moment during the call.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it was empty at some moment during the call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Items it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// The two ends as separate handles. Producers may be cloned, the consumer may not.
    #[must_use]
    pub fn split(self) -> (Producer<T>, Consumer<T>) {
        let ring = Arc::new(self);
        (Producer(Arc::clone(&ring)), Consumer(ring))
    }
}

/// The end that pushes.
#[derive(Debug)]
pub struct Producer<T>(Arc<Ring<T>>);

/// The end that pops.
#[derive(Debug)]
pub struct Consumer<T>(Arc<Ring<T>>);

impl<T> Clone for Producer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Producer<T> {
    /// See [`Ring::push_burst`].
    #[inline]
    pub fn push_burst(&self, items: impl IntoIterator<Item = T>, refused: impl FnMut(T)) -> usize {
        self.0.push_burst(items, refused)
    }

    /// Pushes one item.
    ///
    /// # Errors
    /// Gives the item back when the ring is full.
    #[inline]
    pub fn push(&self, item: T) -> Result<(), T> {
        self.0.0.push(item)
    }

    /// Takes the oldest item back, for one who does himself what nobody has come to yet.
    #[inline]
    #[must_use]
    pub fn take_back(&self) -> Option<T> {
        self.0.0.pop()
    }

    /// See [`Ring::len`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// See [`Ring::is_empty`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// See [`Ring::capacity`].
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<T> Consumer<T> {
    /// See [`Ring::pop_burst`].
    #[inline]
    pub fn pop_burst(&mut self, max: usize, take: impl FnMut(T)) -> usize {
        self.0.pop_burst(max, take)
    }

    /// Pops the oldest item.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.0.0.pop()
    }

    /// See [`Ring::len`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// See [`Ring::is_empty`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// See [`Ring::capacity`].
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::Ring;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn what_does_not_fit_comes_back_in_order() {
        let ring = Ring::new(3);
        let mut back = Vec::new();
        assert_eq!(ring.push_burst(0..5, |item| back.push(item)), 3);
        assert_eq!(back, [3, 4]);
        let mut got = Vec::new();
        assert_eq!(ring.pop_burst(2, |item| got.push(item)), 2);
        assert_eq!(ring.pop_burst(9, |item| got.push(item)), 1);
        assert_eq!(got, [0, 1, 2]);
    }

    #[test]
    fn a_producer_takes_the_oldest_back() {
        let (producer, mut consumer) = Ring::new(3).split();
        producer.push_burst(0..3, |_| ());
        assert_eq!(producer.take_back(), Some(0));
        assert_eq!(producer.push(3), Ok(()));
        let mut got = Vec::new();
        consumer.pop_burst(9, |item| got.push(item));
        assert_eq!((got, producer.take_back()), (vec![1, 2, 3], None));
    }

    proptest! {
        #[test]
        fn agrees_with_a_bounded_deque(
            capacity in 1_usize..9,
            bursts in proptest::collection::vec((0_usize..12, 0_usize..12), 0..40),
        ) {
            let (producer, mut consumer) = Ring::new(capacity).split();
            let mut oracle = VecDeque::new();
            let mut next = 0_u32;
            for (push, pop) in bursts {
                let items: Vec<u32> = (0..push).map(|_| { next += 1; next }).collect();
                let room = capacity - oracle.len();
                oracle.extend(items.iter().copied().take(room));
                let mut back = Vec::new();
                let pushed = producer.push_burst(items.iter().copied(), |item| back.push(item));
                prop_assert_eq!(pushed, push.min(room));
                prop_assert_eq!(&back[..], &items[pushed..]);
                let mut got = Vec::new();
                let popped = consumer.pop_burst(pop, |item| got.push(item));
                let want: Vec<_> = oracle.drain(..pop.min(oracle.len())).collect();
                prop_assert_eq!(popped, want.len());
                prop_assert_eq!(got, want);
                prop_assert_eq!(consumer.len(), oracle.len());
            }
        }
    }

    #[test]
    fn two_threads_lose_and_reorder_nothing() {
        let total: u32 = if cfg!(miri) { 200 } else { 200_000 };
        let (producer, mut consumer) = Ring::new(64).split();
        let sender = std::thread::spawn(move || {
            let mut burst: Vec<u32> = Vec::with_capacity(64);
            let mut next = 0;
            while next < total || !burst.is_empty() {
                while burst.len() < 48 && next < total {
                    burst.push(next);
                    next += 1;
                }
                let mut back = Vec::with_capacity(64);
                producer.push_burst(burst.drain(..), |item| back.push(item));
                burst = back;
                std::thread::yield_now();
            }
        });
        let mut expected = 0;
        while expected < total {
            let popped = consumer.pop_burst(32, |item| {
                assert_eq!(item, expected);
                expected += 1;
            });
            if popped == 0 {
                std::thread::yield_now();
            }
        }
        sender.join().unwrap();
        assert!(consumer.is_empty());
    }
}
