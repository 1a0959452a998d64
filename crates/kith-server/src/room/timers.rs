//! The room's deadlines: one heap, cancelled by forgetting.
//!
//! A deadline is a key and a time. Arming a key again replaces its time; what is popped but no longer armed for exactly
//! that time is skipped. So cancelling costs nothing, and the heap holds at most one stale entry per arming.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    hash::Hash,
    time::Instant,
};

/// Deadlines by key.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
    armed: HashMap<K, Instant>,
}

impl<K: Copy + Eq + Hash + Ord> Timers<K> {
    /// No deadline.
    pub(crate) fn new() -> Self {
        Timers {
            heap: BinaryHeap::new(),
            armed: HashMap::new(),
        }
    }

    /// Lets `key` fire at `at`, and at no other time.
    pub(crate) fn arm(&mut self, key: K, at: Instant) {
        if self.armed.insert(key, at) != Some(at) {
            self.heap.push(Reverse((at, key)));
        }
    }

    /// Lets `key` fire at `at` unless it already will, earlier or later.
    pub(crate) fn arm_if_idle(&mut self, key: K, at: Instant) {
        if !self.armed.contains_key(&key) {
            self.arm(key, at);
        }
    }

    /// Lets `key` not fire.
    pub(crate) fn cancel(&mut self, key: K) {
        self.armed.remove(&key);
    }

    /// The next deadline.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, key))) = self.heap.peek() {
            if self.armed.get(key) == Some(at) {
                return Some(*at);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes one key whose deadline has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, key)) = self.heap.pop()?;
        self.armed.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_fires_once_at_the_time_it_was_last_armed_for() {
        let start = Instant::now();
        let ms = |n| start + Duration::from_millis(n);
        let mut timers = Timers::new();
        timers.arm('a', ms(10));
        timers.arm('b', ms(20));
        timers.arm('a', ms(30));
        assert_eq!(timers.next(), Some(ms(20)));
        assert_eq!(timers.pop_due(ms(19)), None);
        assert_eq!(timers.pop_due(ms(40)), Some('b'));
        assert_eq!(timers.pop_due(ms(40)), Some('a'));
        assert_eq!(timers.pop_due(ms(40)), None);
    }

    #[test]
    fn a_cancelled_key_does_not_fire_and_may_be_armed_again() {
        let start = Instant::now();
        let mut timers = Timers::new();
        timers.arm('a', start);
        timers.cancel('a');
        assert_eq!(timers.next(), None);
        timers.arm_if_idle('a', start);
        timers.arm_if_idle('a', start + Duration::from_secs(1));
        assert_eq!(timers.pop_due(start), Some('a'));
    }
}
