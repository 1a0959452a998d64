//! Temporal layers by the id in each packet: VP8, H.265, and inside of VP9's selection.

use super::super::stored::{Flags, StoredPacket};

/// After so many frames that were wanted but could not be decoded, a key frame is the way on: one or two seconds.
/// Encoders that mark switching points have one every few frames.
const STUCK_FRAMES: u8 = 30;

/// Which temporal layers the subscriber can decode. **A layer is open while all its frames since a key frame or a
/// switching point were forwarded, and so for all layers below it.**
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TemporalSelector {
    /// One bit for each open layer, the base layer lowest.
    open: u16,
    stuck: u8,
}

impl TemporalSelector {
    /// All layers open, as after a key frame.
    pub(super) fn all() -> Self {
        TemporalSelector {
            open: u16::MAX,
            stuck: 0,
        }
    }

    /// Chooses for the frame that begins with `packet`.
    #[inline]
    pub(super) fn choose(&mut self, packet: &StoredPacket, max: u8) -> bool {
        let layer = packet.temporal & 7;
        let keyframe = packet.flags.has(Flags::KEYFRAME_START);
        if keyframe {
            self.open = u16::MAX;
            self.stuck = 0;
        }
        if layer > max {
            self.open &= below(layer);
            return false;
        }
        let up_to = below(layer + 1);
        if self.open & up_to == up_to {
            return true;
        }
        if layer == 0 || packet.flags.has(Flags::SYNC) {
            self.open |= 1 << layer;
            self.stuck = 0;
            return true;
        }
        self.open &= below(layer);
        self.stuck = self.stuck.saturating_add(1);
        false
    }

    /// Layers above `layer` can be added from here on.
    pub(super) fn open_above(&mut self, layer: u8) {
        self.open |= !below(layer + 1);
        self.stuck = 0;
    }

    /// Whether frames of `layer` are being forwarded.
    pub(super) fn is_open(&self, layer: u8, max: u8) -> bool {
        layer <= max && self.open & below(layer + 1) == below(layer + 1)
    }

    /// The highest layer that is being forwarded.
    pub(super) fn highest(&self, max: u8) -> u8 {
        (self.open.trailing_ones() as u8).saturating_sub(1).min(max)
    }

    /// Whether layers are wanted that no switching point opened.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck >= STUCK_FRAMES
    }
}

/// The bits of all layers below `layer`.
#[inline]
fn below(layer: u8) -> u16 {
    (1u16 << (layer & 15)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(temporal: u8, sync: bool) -> StoredPacket {
        let mut packet = StoredPacket {
            temporal,
            ..StoredPacket::EMPTY
        };
        packet.flags.set(Flags::SYNC, sync);
        packet
    }

    #[test]
    fn a_layer_that_was_left_out_returns_at_a_switching_point_only() {
        let mut selector = TemporalSelector::all();
        assert!(selector.choose(&frame(0, false), 2));
        assert!(selector.choose(&frame(2, false), 2));
        assert!(!selector.choose(&frame(2, false), 1));
        assert!(selector.choose(&frame(1, false), 1));
        assert!(!selector.choose(&frame(1, false), 0));
        assert!(
            !selector.choose(&frame(1, false), 2),
            "its reference is missing"
        );
        assert!(
            selector.choose(&frame(2, true), 2),
            "refers to the base layer only"
        );
        assert!(
            !selector.choose(&frame(2, false), 2),
            "may refer to layer 1"
        );
        assert!(selector.choose(&frame(1, true), 2));
        assert!(selector.choose(&frame(2, true), 2));
        assert!(selector.choose(&frame(2, false), 2));
        assert_eq!(selector.highest(2), 2);
    }

    #[test]
    fn without_switching_points_a_key_frame_is_needed() {
        let mut selector = TemporalSelector::all();
        assert!(!selector.choose(&frame(1, false), 0));
        for _ in 0..STUCK_FRAMES {
            assert!(!selector.is_stuck());
            assert!(selector.choose(&frame(0, false), 1));
            assert!(!selector.choose(&frame(1, false), 1));
        }
        assert!(selector.is_stuck());
    }
}
