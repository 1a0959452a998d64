//! The codecs that Kith forwards.

/// Audio or video, as the first word of an SDP media line (RFC 8866 section 5.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

/// A codec whose payload Kith knows how to forward. RTX is no codec here but a relation between two payload types
/// (RFC 4588).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Opus (RFC 7587).
    Opus,
    /// Redundant audio (RFC 2198), always around Opus.
    Red,
    /// G.711 µ-law (RFC 3551).
    Pcmu,
    /// G.711 A-law (RFC 3551).
    Pcma,
    /// VP8 (RFC 7741).
    Vp8,
    /// H.264 (RFC 6184).
    H264,
    /// VP9 (RFC 9628).
    Vp9,
    /// AV1 (AOM RTP payload specification).
    Av1,
    /// H.265 (RFC 7798).
    H265,
}

impl Codec {
    /// Every codec, in the order in which LiveKit lists them.
    pub const ALL: [Codec; 9] = [
        Codec::Vp8,
        Codec::H264,
        Codec::Vp9,
        Codec::Av1,
        Codec::H265,
        Codec::Opus,
        Codec::Red,
        Codec::Pcmu,
        Codec::Pcma,
    ];

    /// Audio or video.
    pub const fn kind(self) -> MediaKind {
        match self {
            Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma => MediaKind::Audio,
            Codec::Vp8 | Codec::H264 | Codec::Vp9 | Codec::Av1 | Codec::H265 => MediaKind::Video,
        }
    }

    /// RTP clock rate in Hz.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Codec::Opus | Codec::Red => 48_000,
            Codec::Pcmu | Codec::Pcma => 8_000,
            Codec::Vp8 | Codec::H264 | Codec::Vp9 | Codec::Av1 | Codec::H265 => 90_000,
        }
    }

    /// MIME type with LiveKit's capitalisation, such as `video/VP8` or `audio/opus`.
    pub const fn mime(self) -> &'static str {
        match self {
            Codec::Opus => "audio/opus",
            Codec::Red => "audio/red",
            Codec::Pcmu => "audio/PCMU",
            Codec::Pcma => "audio/PCMA",
            Codec::Vp8 => "video/VP8",
            Codec::H264 => "video/H264",
            Codec::Vp9 => "video/VP9",
            Codec::Av1 => "video/AV1",
            Codec::H265 => "video/H265",
        }
    }

    /// Encoding name of the `rtpmap` line, such as `VP8`.
    pub fn encoding_name(self) -> &'static str {
        self.mime().split_once('/').map_or("", |(_, name)| name)
    }

    /// Finds a codec by MIME type (`video/vp8`) or bare encoding name (`vp8`), in any case.
    pub fn from_name(name: &str) -> Option<Codec> {
        let wanted = name.split_once('/').map_or(name, |(_, name)| name);
        Codec::ALL
            .into_iter()
            .find(|codec| codec.encoding_name().eq_ignore_ascii_case(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_with_and_without_kind() {
        assert_eq!(Codec::from_name("video/vp8"), Some(Codec::Vp8));
        assert_eq!(Codec::from_name("OPUS"), Some(Codec::Opus));
        assert_eq!(Codec::from_name("audio/RED"), Some(Codec::Red));
        assert_eq!(Codec::from_name("video/rtx"), None);
    }
}
