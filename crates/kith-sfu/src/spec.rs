//! What a transport shall receive, as the control plane says it after a negotiation.

use std::time::Duration;

use kith_rtp::{Codec, ExtensionMap, MediaKind, PayloadType, Ssrc};

use crate::ids::PublicationId;

/// Everything that one transport receives. It replaces the former one as a whole; what is in both goes on undisturbed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiveSpec {
    /// Ids of the header extensions. They are the same in all sections of a bundle (RFC 9143 section 8).
    pub extensions: ExtensionMap,
    /// One entry per section that receives media now.
    pub sections: Vec<ReceiveSection>,
    /// How audio levels are measured.
    pub audio_level: AudioLevelConfig,
    /// How often key frames are asked for.
    pub pli_throttle: PliThrottle,
}

/// One receiving m-section: one publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveSection {
    /// The section's `a=mid`.
    pub mid: String,
    /// What its packets become.
    pub publication: PublicationId,
    /// Audio or video.
    pub kind: MediaKind,
    /// The negotiated codecs; packets of other payload types are dropped.
    pub codecs: Vec<ReceiveCodec>,
    /// The encodings, lowest first: one without rid, or up to three with rids (`q`, `h`, `f`) or with declared SSRCs
    /// (`a=ssrc-group:SIM`).
    pub layers: Vec<LayerSpec>,
    /// Whether `AudioLevel` events are wanted.
    pub measure_audio_level: bool,
}

/// One codec of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveCodec {
    /// The codec.
    pub codec: Codec,
    /// Its payload type in this section.
    pub payload_type: PayloadType,
    /// The payload type of its retransmissions (`apt`).
    pub rtx: Option<PayloadType>,
    /// Whether the publisher answers NACKs. They are never sent for RED, which repairs itself.
    pub nack: bool,
}

/// One encoding of a section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerSpec {
    /// `a=rid`, when the encodings are told apart by it.
    pub rid: Option<String>,
    /// The SSRC that SDP declared.
    pub ssrc: Option<Ssrc>,
    /// The SSRC of retransmissions that SDP declared (`a=ssrc-group:FID`).
    pub rtx_ssrc: Option<Ssrc>,
}

/// How audio levels become "active speaker" (LiveKit's `audio` configuration).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevelConfig {
    /// Levels up to this are speech; −dBov, 0 is the loudest, 127 silence.
    pub active_level: u8,
    /// Per cent of a window that must be speech.
    pub min_percentile: u8,
    /// Length of a window.
    pub update_interval: Duration,
    /// Over how many windows the level is smoothed; 0 or 1 is not at all.
    pub smooth_intervals: u32,
}

impl Default for AudioLevelConfig {
    fn default() -> Self {
        AudioLevelConfig {
            active_level: 35,
            min_percentile: 40,
            update_interval: Duration::from_millis(400),
            smooth_intervals: 2,
        }
    }
}

/// Least time between two key-frame requests to one encoding (LiveKit's `rtc.pli_throttle`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PliThrottle {
    /// Lowest encoding, or the only one.
    pub low: Duration,
    /// Second encoding.
    pub mid: Duration,
    /// Third encoding.
    pub high: Duration,
}

impl Default for PliThrottle {
    fn default() -> Self {
        PliThrottle {
            low: Duration::from_millis(500),
            mid: Duration::from_secs(1),
            high: Duration::from_secs(1),
        }
    }
}
