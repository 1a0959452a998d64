//! [`TrackHub`]: one shard's copy of a publication.

use kith_rtp::ExtensionMap;

use super::HubSpec;
use crate::packet::{ReceivedPacket, SenderReportInfo};

/// Names a packet in a hub's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketRef {
    pub(super) layer: u8,
    pub(super) seq: u64,
}

/// One shard's copy of a publication.
#[derive(Debug)]
pub struct TrackHub {
    spec: HubSpec,
}

impl TrackHub {
    /// A hub without packets.
    pub fn new(spec: HubSpec) -> Self {
        TrackHub { spec }
    }

    /// What it was made from.
    pub fn spec(&self) -> &HubSpec {
        &self.spec
    }

    /// The publisher renegotiated the ids of header extensions.
    pub fn set_extensions(&mut self, extensions: ExtensionMap) {
        self.spec.extensions = extensions;
    }

    /// Stores a packet. `None`: it is a duplicate, older than the history, or broken.
    pub fn push(&mut self, packet: &ReceivedPacket<'_>) -> Option<PacketRef> {
        Some(PacketRef {
            layer: packet.layer,
            seq: packet.seq,
        })
    }

    /// Learns the publisher's timing of one encoding.
    pub fn on_sender_report(&mut self, _report: &SenderReportInfo) {}
}
