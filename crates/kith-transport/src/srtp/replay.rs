//! A replay window (RFC 3711 section 3.3.2) as a ring of bits (after RFC 6479), so that moving it shifts nothing.

/// Which of the latest `64 * (BLOCKS - 1)` indices were seen.
#[derive(Debug, Clone)]
pub struct ReplayWindow<const BLOCKS: usize> {
    highest: u64,
    seen: [u64; BLOCKS],
}

impl<const BLOCKS: usize> ReplayWindow<BLOCKS> {
    /// How far behind the highest index a packet may be. One block is being overwritten while the window moves into it.
    pub const LEN: u64 = 64 * (BLOCKS as u64 - 1);

    /// A window that has seen `index` only.
    #[must_use]
    pub fn starting_at(index: u64) -> Self {
        let mut window = Self {
            highest: index,
            seen: [0; BLOCKS],
        };
        window.mark(index);
        window
    }

    /// The highest index seen.
    #[must_use]
    #[inline]
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether `index` is neither seen nor too old to tell.
    #[must_use]
    #[inline]
    pub fn is_fresh(&self, index: u64) -> bool {
        if index > self.highest {
            return true;
        }
        let bits = self.seen.get((index >> 6) as usize % BLOCKS);
        self.highest - index < Self::LEN && bits.is_some_and(|bits| bits & bit(index) == 0)
    }

    /// Records an index for which [`Self::is_fresh`] holds.
    #[inline]
    pub fn mark(&mut self, index: u64) {
        if index > self.highest {
            let (from, to) = (self.highest >> 6, index >> 6);
            for block in (from + 1..=to).take(BLOCKS) {
                if let Some(bits) = self.block(block) {
                    *bits = 0;
                }
            }
            self.highest = index;
        }
        if let Some(bits) = self.block(index >> 6) {
            *bits |= bit(index);
        }
    }

    #[inline]
    fn block(&mut self, number: u64) -> Option<&mut u64> {
        self.seen.get_mut(number as usize % BLOCKS)
    }
}

#[inline]
fn bit(index: u64) -> u64 {
    1 << (index & 63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_long_jump_forgets_everything_behind_the_window() {
        let mut window = ReplayWindow::<3>::starting_at(5);
        window.mark(1_000_000);
        assert!(!window.is_fresh(5));
        assert!(!window.is_fresh(1_000_000));
        assert!(window.is_fresh(1_000_000 - 127));
        assert!(!window.is_fresh(1_000_000 - 128));
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(start in 0u64..1000, steps in prop::collection::vec(-300i64..300, 0..2000)) {
            let mut window = ReplayWindow::<3>::starting_at(start);
            let mut seen = HashSet::from([start]);
            let mut highest = start;
            let mut at = start as i64;
            for step in steps {
                at = (at + step).max(0);
                let index = at as u64;
                let expected = index > highest || (highest - index < 128 && !seen.contains(&index));
                prop_assert_eq!(window.is_fresh(index), expected);
                if expected {
                    window.mark(index);
                    seen.insert(index);
                    highest = highest.max(index);
                }
            }
        }
    }
}
