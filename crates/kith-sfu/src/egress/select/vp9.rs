//! VP9 layers by the payload descriptor (RFC 9628 section 4.2).

use kith_rtp::LayerId;

use super::super::stored::{Flags, StoredPacket};
use super::Choice;
use super::temporal::TemporalSelector;

/// Selects spatial layers up to one limit. All layers below the selected one are forwarded, as a receiver without
/// dependency descriptor expects them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Vp9Selector {
    spatial: u8,
    /// Whether the current picture's temporal layer is forwarded.
    forward_picture: bool,
    /// The current picture added a spatial layer, and may add more.
    rises: bool,
    /// The temporal layer of the current picture, if it is forwarded and others can be added after it.
    opens_above: Option<u8>,
}

impl Vp9Selector {
    pub(super) fn spatial(&self) -> u8 {
        self.spatial
    }

    /// Chooses for a packet in order. `new_picture`: it is the first one seen of its picture.
    pub(super) fn choose(
        &mut self,
        temporal: &mut TemporalSelector,
        packet: &StoredPacket,
        new_picture: bool,
        limit: LayerId,
    ) -> Choice {
        if new_picture {
            if let Some(layer) = self.opens_above.take() {
                temporal.open_above(layer);
            }
            self.forward_picture = temporal.choose(packet, limit.temporal);
            if self.forward_picture && packet.flags.has(Flags::SYNC) {
                self.opens_above = Some(packet.temporal);
            }
            self.spatial = self.spatial.min(limit.spatial);
            self.rises = false;
        }
        let layer = packet.spatial;
        self.rises |= packet.flags.has(Flags::KEYFRAME_START);
        let begins_anew =
            packet.flags.has(Flags::FRAME_START) && !packet.flags.has(Flags::INTER_PICTURE);
        // One step at a time: a layer is of no use without the one below it.
        if layer == self.spatial + 1 && layer <= limit.spatial && begins_anew {
            self.spatial = layer;
            self.rises = true;
        }
        let forward = self.forward_picture && layer <= self.spatial;
        let is_top = layer == self.spatial && (layer == limit.spatial || !self.rises);
        let ends_here = is_top && packet.flags.has(Flags::FRAME_END);
        Choice {
            forward,
            last_of_picture: forward && (packet.flags.has(Flags::MARKER) || ends_here),
            signal: None,
            new_frame: new_picture,
        }
    }
}
