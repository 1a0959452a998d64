//! Numbers of the RTP header that are more than integers.

use std::fmt;

/// Synchronisation source (RFC 3550 section 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Ssrc(pub u32);

impl fmt::Debug for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ssrc:{}", self.0)
    }
}

/// RTP payload type, 0 to 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PayloadType(pub u8);

/// A 16-bit sequence number that wraps (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct SeqNo(pub u16);

impl SeqNo {
    /// The signed distance from `earlier` to `self`: positive when `self` is newer, by at most half the space.
    pub const fn distance_from(self, earlier: SeqNo) -> i16 {
        self.0.wrapping_sub(earlier.0) as i16
    }

    /// Extends this number to 64 bits as the value nearest to `reference`. A number that would lie below zero is
    /// taken as one period later, so the result never underflows.
    pub const fn extend(self, reference: u64) -> u64 {
        let delta = self.0.wrapping_sub(reference as u16) as i16 as i64;
        match reference.checked_add_signed(delta) {
            Some(extended) => extended,
            None => reference.wrapping_add(self.0.wrapping_sub(reference as u16) as u64),
        }
    }
}

impl From<u64> for SeqNo {
    fn from(extended: u64) -> Self {
        SeqNo(extended as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_follows_the_nearest_period() {
        assert_eq!(SeqNo(2).extend(0x1_FFFE), 0x2_0002);
        assert_eq!(SeqNo(0xFFFE).extend(0x2_0002), 0x1_FFFE);
        assert_eq!(SeqNo(0xFFFE).extend(2), 0xFFFE);
        assert_eq!(SeqNo(2).distance_from(SeqNo(0xFFFE)), 4);
    }
}
