//! What the control plane says about a publication on a shard and about a subscription to it.

use std::time::Duration;

use kith_rtp::{Codec, ExtensionMap, MediaKind, PayloadType, Ssrc};

use crate::ids::PublicationId;

/// What a [`super::TrackHub`] is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubSpec {
    /// The publication it is a copy of.
    pub publication: PublicationId,
    /// Audio or video.
    pub kind: MediaKind,
    /// How many encodings arrive, 1 to 3. With one encoding, [`LayerTarget::max_spatial`] selects among the spatial
    /// layers inside of it, otherwise among the encodings.
    pub layer_count: u8,
    /// The ids of the header extensions on the publisher's transport.
    pub extensions: ExtensionMap,
}

/// What a [`super::DownTrack`] is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownTrackSpec {
    /// SSRC of the stream that the subscriber gets. **Never give the same SSRC twice on one transport**: its packets
    /// would be encrypted with nonces that were used already.
    pub ssrc: Ssrc,
    /// SSRC of retransmissions, if RTX was negotiated. As for `ssrc`, never reused.
    pub rtx_ssrc: Option<Ssrc>,
    /// What the subscriber can receive. Packets of other codecs are not forwarded, except that RED is unwrapped to Opus.
    pub codecs: Vec<SendCodec>,
    /// The ids of the header extensions on the subscriber's transport.
    pub extensions: ExtensionMap,
    /// The `a=mid` of the section, sent until the subscriber reported that it receives the stream. Cut after 16 bytes.
    pub mid: String,
    /// CNAME of sender reports: the same for all tracks of one publisher, whose clock they share. Cut after 255 bytes.
    pub cname: String,
    /// Whether the subscriber's NACKs are answered.
    pub nack: bool,
    /// Entropy: start values of sequence numbers, picture ids and report times are drawn from it.
    pub seed: u64,
}

/// One codec that a subscriber can receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendCodec {
    /// The codec.
    pub codec: Codec,
    /// Its payload type at the subscriber.
    pub payload_type: PayloadType,
    /// Payload type of its retransmissions. Without it, or without an RTX SSRC, packets are repeated as they were.
    pub rtx: Option<PayloadType>,
}

/// What a subscriber wants of a video track; audio only looks at `paused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerTarget {
    /// Highest spatial layer, 0 to 2 (simulcast encoding, or spatial layer of an SVC stream).
    pub max_spatial: u8,
    /// Highest temporal layer, 0 to 3.
    pub max_temporal: u8,
    /// Nothing is to be sent.
    pub paused: bool,
}

impl LayerTarget {
    /// Everything the publisher sends.
    pub const ALL: LayerTarget = LayerTarget {
        max_spatial: 2,
        max_temporal: 3,
        paused: false,
    };
}

impl Default for LayerTarget {
    fn default() -> Self {
        LayerTarget::ALL
    }
}

/// Counters of a down-track since it was made, and what its receiver last reported.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DownTrackStats {
    /// Packets sent the first time.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Packets sent again.
    pub retransmitted_packets: u64,
    /// Their payload bytes.
    pub retransmitted_bytes: u64,
    /// Sequence numbers that the subscriber asked for again.
    pub nacks: u64,
    /// Of these, those that are no longer (or were never) in the history, or were answered often enough.
    pub nacks_unanswered: u64,
    /// Key frames that the subscriber asked for.
    pub plis: u64,
    /// The encoding or spatial layer that is being sent; `None` before the first key frame and when paused.
    pub current_spatial: Option<u8>,
    /// Highest temporal layer that is being sent.
    pub current_temporal: u8,
    /// Round trip time to the subscriber.
    pub rtt: Option<Duration>,
    /// Loss that the subscriber last reported, 0 to 1.
    pub fraction_lost: f32,
    /// Jitter that the subscriber last reported.
    pub jitter: Duration,
}
