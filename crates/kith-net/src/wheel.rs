//! A hierarchical timer wheel: one timer per key, set, moved and fired in constant time.

use std::time::{Duration, Instant};

/// Slots per level: one bit each in a word.
const SLOTS: usize = 64;

/// log2 of [`SLOTS`].
const SLOT_BITS: u32 = 6;

/// Four levels of 64 slots at one millisecond: 64 ms, 4 s, 4.4 min, 4.7 h. Later deadlines fire at the end of that and are set anew
/// by whoever finds them early.
const LEVELS: usize = 4;

/// Ticks that the wheel can tell apart.
const MAX_AHEAD: u64 = (1 << (SLOT_BITS * LEVELS as u32)) - 1;

/// No entry.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    previous: u32,
    next: u32,
    /// Tick at which it fires.
    deadline: u64,
    /// Level × [`SLOTS`] + slot; [`NONE`] while not set.
    place: u32,
}

const UNSET: Entry = Entry {
    previous: NONE,
    next: NONE,
    deadline: 0,
    place: NONE,
};

/// Timers by key. Keys are small integers (of a slab).
#[derive(Debug)]
pub(crate) struct Wheel {
    origin: Instant,
    /// Everything up to this tick, inclusive of none, has been looked at.
    elapsed: u64,
    entries: Vec<Entry>,
    heads: [u32; LEVELS * SLOTS],
    occupied: [u64; LEVELS],
}

impl Wheel {
    pub(crate) fn new(origin: Instant) -> Self {
        Wheel {
            origin,
            elapsed: 0,
            entries: Vec::new(),
            heads: [NONE; LEVELS * SLOTS],
            occupied: [0; LEVELS],
        }
    }

    /// Sets, moves or (with `None`) removes the timer of `key`. It fires at the first millisecond that is not before `deadline`.
    pub(crate) fn set(&mut self, key: usize, deadline: Option<Instant>) {
        let Ok(index) = u32::try_from(key) else {
            return;
        };
        if index == NONE {
            return;
        }
        if key >= self.entries.len() {
            if deadline.is_none() {
                return;
            }
            self.entries.resize(key + 1, UNSET);
        }
        let Some(deadline) = deadline else {
            self.unlink(index);
            return;
        };
        // Rounded up, so that whoever is woken finds its deadline passed.
        let after = deadline.saturating_duration_since(self.origin);
        let tick = u64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let tick = tick.clamp(self.elapsed, self.elapsed.saturating_add(MAX_AHEAD));
        if self
            .entries
            .get(key)
            .is_some_and(|entry| entry.place != NONE && entry.deadline == tick)
        {
            return;
        }
        self.unlink(index);
        self.link(index, tick);
    }

    /// The next key whose timer has passed at `now`; its timer is no longer set. Call until `None`.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<usize> {
        let tick = u64::try_from(now.saturating_duration_since(self.origin).as_millis())
            .unwrap_or(u64::MAX);
        loop {
            let Some((level, place, at)) = self.first().filter(|(_, _, at)| *at <= tick) else {
                self.elapsed = self.elapsed.max(tick);
                return None;
            };
            self.elapsed = self.elapsed.max(at);
            let head = self.heads.get(place).copied()?;
            if level == 0 {
                self.unlink(head);
                return Some(head as usize);
            }
            // The slot's time has begun: its entries are told apart on lower levels.
            let mut index = head;
            while index != NONE {
                let entry = self.entries.get(index as usize).copied()?;
                self.unlink(index);
                self.link(index, entry.deadline);
                index = entry.next;
            }
        }
    }

    /// When to call [`Self::expired`] next: not after the first deadline, possibly before it.
    pub(crate) fn next(&self) -> Option<Instant> {
        let (_, _, at) = self.first()?;
        Some(self.origin + Duration::from_millis(at))
    }

    /// The first occupied place with its level and the tick at which it is due.
    fn first(&self) -> Option<(usize, usize, u64)> {
        for (level, occupied) in self.occupied.iter().enumerate() {
            if *occupied == 0 {
                continue;
            }
            // Lower levels hold only what is due before the higher ones' next slot.
            let shift = SLOT_BITS * level as u32;
            let now_slot = (self.elapsed >> shift) % SLOTS as u64;
            let ahead = occupied.rotate_right(now_slot as u32).trailing_zeros();
            let slot = (now_slot + u64::from(ahead)) % SLOTS as u64;
            let at = ((self.elapsed >> shift) + u64::from(ahead)) << shift;
            return Some((level, level * SLOTS + slot as usize, at.max(self.elapsed)));
        }
        None
    }

    fn link(&mut self, index: u32, deadline: u64) {
        let differing = (deadline ^ self.elapsed) | (SLOTS as u64 - 1);
        let level = (((63 - differing.leading_zeros()) / SLOT_BITS) as usize).min(LEVELS - 1);
        let slot = (deadline >> (SLOT_BITS * level as u32)) % SLOTS as u64;
        let place = level * SLOTS + slot as usize;
        let Some(head) = self.heads.get_mut(place) else {
            return;
        };
        let next = std::mem::replace(head, index);
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.previous = index;
        }
        if let Some(entry) = self.entries.get_mut(index as usize) {
            *entry = Entry {
                previous: NONE,
                next,
                deadline,
                place: place as u32,
            };
        }
        if let Some(occupied) = self.occupied.get_mut(level) {
            *occupied |= 1 << slot;
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index as usize) else {
            return;
        };
        if entry.place == NONE {
            return;
        }
        let Entry {
            previous,
            next,
            place,
            ..
        } = std::mem::replace(entry, UNSET);
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.previous = previous;
        }
        if let Some(previous) = self.entries.get_mut(previous as usize) {
            previous.next = next;
        } else if let Some(head) = self.heads.get_mut(place as usize) {
            *head = next;
            if next == NONE
                && let Some(occupied) = self.occupied.get_mut(place as usize / SLOTS)
            {
                *occupied &= !(1 << (place as usize % SLOTS));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn timers_fire_in_their_millisecond_and_not_before() {
        let origin = Instant::now();
        let mut wheel = Wheel::new(origin);
        wheel.set(3, Some(origin + ms(5)));
        wheel.set(1, Some(origin + Duration::from_micros(5_001)));
        assert_eq!(wheel.expired(origin + ms(4)), None);
        assert_eq!(wheel.next(), Some(origin + ms(5)));
        assert_eq!(wheel.expired(origin + ms(5)), Some(3));
        assert_eq!(wheel.expired(origin + ms(5)), None);
        assert_eq!(wheel.expired(origin + ms(6)), Some(1));
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn a_deadline_that_has_passed_fires_at_once() {
        let origin = Instant::now();
        let mut wheel = Wheel::new(origin);
        assert_eq!(wheel.expired(origin + ms(1000)), None);
        wheel.set(0, Some(origin));
        assert!(wheel.next().unwrap() <= origin + ms(1000));
        assert_eq!(wheel.expired(origin + ms(1000)), Some(0));
    }

    #[test]
    fn a_deadline_beyond_the_wheel_does_not_fire_early_by_much() {
        let origin = Instant::now();
        let mut wheel = Wheel::new(origin);
        wheel.set(0, Some(origin + Duration::from_secs(1 << 30)));
        assert_eq!(wheel.expired(origin + ms(MAX_AHEAD - 1)), None);
        assert_eq!(wheel.expired(origin + ms(MAX_AHEAD)), Some(0));
    }

    proptest! {
        /// Against the obvious implementation.
        #[test]
        fn it_behaves_as_a_map_of_deadlines(
            steps in prop::collection::vec((0usize..20, prop::option::of(0u64..400_000), 0u64..5_000), 1..200)
        ) {
            let origin = Instant::now();
            let mut wheel = Wheel::new(origin);
            let mut model: HashMap<usize, u64> = HashMap::new();
            let mut now = 0;
            for (key, ahead, step) in steps {
                let deadline = ahead.map(|ahead| now + ahead);
                wheel.set(key, deadline.map(|at| origin + ms(at)));
                match deadline {
                    Some(at) => model.insert(key, at),
                    None => model.remove(&key),
                };
                now += step;
                if let Some(first) = model.values().min() {
                    prop_assert!(wheel.next().unwrap() <= origin + ms(*first));
                } else {
                    prop_assert_eq!(wheel.next(), None);
                }
                let mut fired = Vec::new();
                let mut last = 0;
                while let Some(key) = wheel.expired(origin + ms(now)) {
                    let at = model.remove(&key).unwrap();
                    prop_assert!(at <= now);
                    prop_assert!(at >= last, "in order");
                    last = at;
                    fired.push(key);
                }
                prop_assert!(model.values().all(|at| *at > now));
            }
        }
    }
}
