//! A memory for frame numbers.

/// Some of the last 128 frames, by number; numbers wrap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecentFrames {
    newest: u16,
    /// Bit n: frame `newest - n`.
    bits: u128,
}

impl RecentFrames {
    pub(super) fn note(&mut self, frame: u16) {
        let ahead = frame.wrapping_sub(self.newest) as i16;
        if ahead > 0 || self.bits == 0 {
            let ahead = if self.bits == 0 { 128 } else { ahead as u32 };
            self.bits = self.bits.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = frame;
        } else {
            self.bits |= 1u128.checked_shl(ahead.unsigned_abs().into()).unwrap_or(0);
        }
    }

    pub(super) fn has(&self, frame: u16) -> bool {
        let back = self.newest.wrapping_sub(frame);
        self.bits.checked_shr(back.into()).unwrap_or(0) & 1 != 0
    }

    /// Whether one of the frames in `before` is known; bit n is the frame n before `frame`.
    pub(super) fn has_any(&self, frame: u16, before: u128) -> bool {
        let ahead = frame.wrapping_sub(self.newest) as i16;
        let before = if ahead >= 0 {
            before.checked_shr(ahead.unsigned_abs().into())
        } else {
            before.checked_shl(ahead.unsigned_abs().into())
        };
        before.unwrap_or(0) & self.bits != 0
    }

    /// Whether `frame` is too old to be known.
    pub(super) fn has_forgotten(&self, frame: u16) -> bool {
        let back = self.newest.wrapping_sub(frame);
        (128..0x8000).contains(&back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_128_are_known_over_the_wrap() {
        let mut frames = RecentFrames::default();
        assert!(!frames.has(0));
        for frame in [65_500, 65_530, 2, 65_535] {
            frames.note(frame);
        }
        for frame in [65_500, 65_530, 2, 65_535] {
            assert!(frames.has(frame), "{frame}");
        }
        assert!(!frames.has(65_531));
        assert!(!frames.has(3));
        frames.note(120);
        assert!(!frames.has(65_500));
        assert!(frames.has_forgotten(65_500));
        assert!(!frames.has_forgotten(121));
        assert!(frames.has_any(123, 1 << 3));
        assert!(!frames.has_any(123, 1 << 2));
        assert!(frames.has_any(119, 1 << 117), "2 is 117 before 119");
        assert!(!frames.has_any(119, 1 << 116));
        frames.note(10_000);
        assert!(!frames.has(120));
    }
}
