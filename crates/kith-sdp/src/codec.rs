//! Codecs as SDP describes them, and which descriptions mean the same codec.

use crate::MediaKind;

/// RTCP feedback of one codec (RFC 4585, RFC 5104).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Feedback {
    /// `nack`: lost packets are asked for.
    pub nack: bool,
    /// `nack pli`: a keyframe is asked for.
    pub pli: bool,
    /// `ccm fir`: a keyframe is asked for, the older way.
    pub fir: bool,
    /// `transport-cc`: arrival times of all packets are reported.
    pub transport_cc: bool,
    /// `goog-remb`: the receiver's bandwidth estimate.
    pub remb: bool,
}

impl Feedback {
    /// None.
    pub const NONE: Feedback = Feedback {
        nack: false,
        pli: false,
        fir: false,
        transport_cc: false,
        remb: false,
    };

    /// All kinds: what we can use for video.
    pub const ALL: Feedback = Feedback {
        nack: true,
        pli: true,
        fir: true,
        transport_cc: true,
        remb: true,
    };

    /// What is used for audio: lost packets and arrival times.
    pub const AUDIO: Feedback = Feedback {
        nack: true,
        pli: false,
        fir: false,
        transport_cc: true,
        remb: false,
    };

    /// What both have.
    pub const fn intersection(self, other: Feedback) -> Feedback {
        Feedback {
            nack: self.nack && other.nack,
            pli: self.pli && other.pli,
            fir: self.fir && other.fir,
            transport_cc: self.transport_cc && other.transport_cc,
            remb: self.remb && other.remb,
        }
    }
}

/// A codec of a media section: `rtpmap`, `fmtp`, `rtcp-fb` and its RTX payload type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecDescription {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Encoding name as written, such as `VP8` or `opus`.
    pub name: String,
    /// RTP clock rate in Hz.
    pub clock_rate: u32,
    /// Channels; 1 unless written.
    pub channels: u8,
    /// Format parameters as written; empty when there are none.
    pub fmtp: String,
    /// Feedback.
    pub feedback: Feedback,
    /// Payload type of the retransmissions (RFC 4588).
    pub rtx: Option<u8>,
}

impl CodecDescription {
    /// MIME type with LiveKit's capitalisation where the codec is known, such as `video/VP8` or `audio/opus`.
    pub fn mime(&self, kind: MediaKind) -> String {
        format!("{}/{}", kind.as_str(), self.name)
    }
}

/// The value of one parameter of a `fmtp` string, its name compared without case.
pub fn fmtp_parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    let _ = (fmtp, name);
    None
}

/// Whether two `fmtp` strings of the codec `name` describe streams that one decoder takes.
pub fn fmtp_compatible(name: &str, left: &str, right: &str) -> bool {
    let _ = (name, left, right);
    true
}
