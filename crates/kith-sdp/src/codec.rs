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
        format!("{}/{}", kind.as_str(), canonical_name(&self.name))
    }
}

/// Encoding names as LiveKit writes them. SDP compares names without case; LiveKit's clients do not always.
const KNOWN_NAMES: [&str; 11] = [
    "opus", "red", "PCMU", "PCMA", "G722", "VP8", "VP9", "AV1", "H264", "H265", "rtx",
];

/// The known spelling of an encoding name, or the name itself.
pub(crate) fn canonical_name(name: &str) -> &str {
    KNOWN_NAMES
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(name))
        .unwrap_or(name)
}

/// Whether Kith can forward a codec of this name in a section of this kind.
pub(crate) fn is_forwardable(kind: MediaKind, name: &str) -> bool {
    let names: &[&str] = match kind {
        MediaKind::Audio => &["opus", "red", "PCMU", "PCMA"],
        MediaKind::Video => &["VP8", "VP9", "AV1", "H264", "H265"],
        MediaKind::Application | MediaKind::Other => &[],
    };
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Parameters of a `fmtp` string, names and values as written. Words without `=` have an empty value.
fn parameters(fmtp: &str) -> impl Iterator<Item = (&str, &str)> {
    fmtp.split(';')
        .map(|parameter| parameter.trim())
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| match parameter.split_once('=') {
            Some((name, value)) => (name.trim(), value.trim()),
            None => (parameter, ""),
        })
}

/// The value of one parameter of a `fmtp` string, its name compared without case.
pub fn fmtp_parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    parameters(fmtp)
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// A `fmtp` string without the named parameters.
pub(crate) fn without_parameters(fmtp: &str, names: &[&str]) -> String {
    let mut kept = String::new();
    for (name, value) in parameters(fmtp) {
        if names
            .iter()
            .any(|removed| removed.eq_ignore_ascii_case(name))
        {
            continue;
        }
        push_parameter(&mut kept, name, value);
    }
    kept
}

/// Appends a parameter to a `fmtp` string.
pub(crate) fn push_parameter(fmtp: &mut String, name: &str, value: &str) {
    if !fmtp.is_empty() {
        fmtp.push(';');
    }
    fmtp.push_str(name);
    if !value.is_empty() {
        fmtp.push('=');
        fmtp.push_str(value);
    }
}

/// Whether two `fmtp` strings of the codec `name` describe streams that one decoder takes: H.264 by packetization mode
/// and profile (RFC 6184 section 8.2.2, levels may differ), VP9 by profile id (RFC 9628), AV1 by profile, H.265 by
/// profile and tier (RFC 7798). Parameters of other codecs are wishes and always fit.
pub fn fmtp_compatible(name: &str, left: &str, right: &str) -> bool {
    let same = |parameter: &str, default: &str| {
        fmtp_parameter(left, parameter).unwrap_or(default)
            == fmtp_parameter(right, parameter).unwrap_or(default)
    };
    if name.eq_ignore_ascii_case("H264") {
        // Without profile-level-id: Baseline, level 1.
        let profile =
            |fmtp| H264Profile::parse(fmtp_parameter(fmtp, "profile-level-id").unwrap_or("42000a"));
        same("packetization-mode", "0")
            && profile(left).is_some()
            && profile(left) == profile(right)
    } else if name.eq_ignore_ascii_case("VP9") {
        same("profile-id", "0")
    } else if name.eq_ignore_ascii_case("AV1") {
        same("profile", "0")
    } else if name.eq_ignore_ascii_case("H265") {
        same("profile-id", "1") && same("tier-flag", "0") && same("tx-mode", "SRST")
    } else {
        true
    }
}

/// The profiles of `profile-level-id` that RFC 6184 table 5 tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum H264Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    Extended,
    ConstrainedHigh,
    High,
    /// `profile_idc` and the constraint flags of one that the table does not have.
    Other(u8, u8),
}

impl H264Profile {
    fn parse(profile_level_id: &str) -> Option<Self> {
        if profile_level_id.len() != 6
            || !profile_level_id
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit())
        {
            return None;
        }
        let bits = u32::from_str_radix(profile_level_id, 16).ok()?;
        let (idc, flags) = ((bits >> 16) as u8, (bits >> 8) as u8);
        Some(match (idc, flags) {
            (0x42, flags) if flags & 0x4f == 0x40 => Self::ConstrainedBaseline,
            (0x42, flags) if flags & 0x4f == 0x00 => Self::Baseline,
            (0x4d, flags) if flags & 0x8f == 0x80 => Self::ConstrainedBaseline,
            (0x4d, flags) if flags & 0xaf == 0x00 => Self::Main,
            (0x58, flags) if flags & 0xcf == 0xc0 => Self::ConstrainedBaseline,
            (0x58, flags) if flags & 0xcf == 0x80 => Self::Baseline,
            (0x58, flags) if flags & 0xcf == 0x00 => Self::Extended,
            (0x64, 0x00) => Self::High,
            (0x64, 0x0c) => Self::ConstrainedHigh,
            (idc, flags) => Self::Other(idc, flags),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h264_variants_differ_by_mode_and_profile_but_not_by_level() {
        let same = |left: &str, right: &str| fmtp_compatible("h264", left, right);
        assert!(same(
            "packetization-mode=1;profile-level-id=42e01f",
            "profile-level-id=42E034; packetization-mode=1"
        ));
        // Both are Constrained Baseline.
        assert!(same("profile-level-id=42e01f", "profile-level-id=4d801f"));
        assert!(!same("profile-level-id=42001f", "profile-level-id=42e01f"));
        assert!(!same("profile-level-id=640032", "profile-level-id=640c32"));
        assert!(!same(
            "packetization-mode=1;profile-level-id=42e01f",
            "profile-level-id=42e01f"
        ));
        assert!(same("", "profile-level-id=42001f"));
        assert!(!same(
            "profile-level-id=nonsense",
            "profile-level-id=nonsense"
        ));
        assert!(!same("profile-level-id=+2e01f", "profile-level-id=+2e01f"));
    }

    #[test]
    fn vp9_and_av1_profiles_default_to_zero() {
        assert!(fmtp_compatible("VP9", "", "profile-id=0"));
        assert!(!fmtp_compatible("VP9", "", "profile-id=2"));
        assert!(fmtp_compatible("AV1", "level-idx=5;profile=0;tier=0", ""));
        assert!(!fmtp_compatible("AV1", "profile=1", ""));
        assert!(fmtp_compatible("opus", "stereo=1", "usedtx=1"));
    }

    #[test]
    fn parameters_are_read_and_removed_without_case() {
        let fmtp = "minptime=10; useinbandfec=1;Stereo=1";
        assert_eq!(fmtp_parameter(fmtp, "stereo"), Some("1"));
        assert_eq!(
            without_parameters(fmtp, &["stereo"]),
            "minptime=10;useinbandfec=1"
        );
        assert_eq!(fmtp_parameter("111/111", "apt"), None);
    }
}
