//! Statistics of one encoding, as values.

use std::time::Duration;

use kith_rtp::{Codec, Ssrc};

use crate::ids::PublicationId;

/// Counters of one encoding since it exists. Plain values at the time of asking.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct LayerStats {
    /// The publication.
    pub publication: PublicationId,
    /// The encoding, lowest first.
    pub layer: u8,
    /// Its SSRC, once known.
    pub ssrc: Option<Ssrc>,
    /// The codec of the latest packet.
    pub codec: Option<Codec>,
    /// Whether it carries media now.
    pub live: bool,
    /// Packets received on the primary SSRC, each once, padding included.
    pub packets: u64,
    /// Bytes of those, RTP header included.
    pub bytes: u64,
    /// Packets without payload among them.
    pub padding_packets: u64,
    /// Packets received on the RTX SSRC.
    pub rtx_packets: u64,
    /// Packets the network lost: expected less received on the primary SSRC (RFC 3550), negative never.
    pub lost: u64,
    /// Lost packets that a retransmission brought.
    pub recovered: u64,
    /// Packets that had come before.
    pub duplicates: u64,
    /// Packets dropped: too old, unknown payload type, or out of any order.
    pub dropped: u64,
    /// Interarrival jitter (RFC 3550 section 6.4.1).
    pub jitter: Duration,
    /// Round-trip time of the transport, once measured.
    pub rtt: Option<Duration>,
    /// Sequence numbers asked for again, each request counted.
    pub nacks: u64,
    /// Key-frame requests sent.
    pub plis: u64,
    /// Frames begun (new timestamps).
    pub frames: u64,
    /// Key frames begun.
    pub keyframes: u64,
    /// Latest size in pixels, 0×0 before the first key frame.
    pub width: u16,
    /// See `width`.
    pub height: u16,
}
