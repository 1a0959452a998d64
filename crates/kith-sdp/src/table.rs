//! Payload types and extension ids of our own offers.

use crate::{Feedback, MediaKind, OfferCodec};

/// URI of the dependency descriptor.
pub const DEPENDENCY_DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/// A row of the table of codecs.
struct Row {
    payload_type: u8,
    mime: &'static str,
    clock_rate: u32,
    channels: u8,
    fmtp: &'static str,
}

const fn video(payload_type: u8, mime: &'static str, fmtp: &'static str) -> Row {
    Row {
        payload_type,
        mime,
        clock_rate: 90_000,
        channels: 1,
        fmtp,
    }
}

const fn audio(
    payload_type: u8,
    mime: &'static str,
    clock_rate: u32,
    channels: u8,
    fmtp: &'static str,
) -> Row {
    Row {
        payload_type,
        mime,
        clock_rate,
        channels,
        fmtp,
    }
}

/// Payload types of the Go server, so that whoever looks at packets finds what they know.
const AUDIO: [Row; 4] = [
    audio(111, "audio/opus", 48_000, 2, "minptime=10;useinbandfec=1"),
    audio(63, "audio/red", 48_000, 2, "111/111"),
    audio(0, "audio/PCMU", 8_000, 1, ""),
    audio(8, "audio/PCMA", 8_000, 1, ""),
];

/// As above; the retransmissions of each have the next number.
const VIDEO: [Row; 8] = [
    video(96, "video/VP8", ""),
    video(98, "video/VP9", "profile-id=0"),
    video(100, "video/VP9", "profile-id=1"),
    video(
        125,
        "video/H264",
        "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
    ),
    video(
        108,
        "video/H264",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    ),
    video(
        123,
        "video/H264",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640032",
    ),
    video(35, "video/AV1", ""),
    video(116, "video/H265", ""),
];

/// Ids that Chromium gives these extensions in its own offers: a browser that mixes sections of ours with its own in
/// one bundle refuses its own description when one id has two meanings. 9 is free there for us.
const EXTENSIONS: [(u8, &str, bool); 7] = [
    (4, "urn:ietf:params:rtp-hdrext:sdes:mid", true),
    (
        2,
        "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        true,
    ),
    (
        3,
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        true,
    ),
    (
        9,
        "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
        true,
    ),
    (
        5,
        "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
        false,
    ),
    (12, DEPENDENCY_DESCRIPTOR, false),
    (13, "urn:3gpp:video-orientation", false),
];

/// Extensions that Kith reads or writes somewhere.
const KNOWN_EXTENSIONS: [&str; 10] = [
    "urn:ietf:params:rtp-hdrext:sdes:mid",
    "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
    "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    DEPENDENCY_DESCRIPTOR,
    "urn:3gpp:video-orientation",
];

/// Whether Kith reads or writes this extension somewhere.
pub(crate) fn is_known_extension(uri: &str) -> bool {
    KNOWN_EXTENSIONS.contains(&uri)
}

/// All codecs of a kind that we offer.
pub fn standard_codecs(kind: MediaKind) -> Vec<OfferCodec> {
    let (rows, feedback, with_rtx): (&[Row], Feedback, bool) = match kind {
        MediaKind::Audio => (&AUDIO, Feedback::AUDIO, false),
        MediaKind::Video => (&VIDEO, Feedback::ALL, true),
        MediaKind::Application | MediaKind::Other => (&[], Feedback::NONE, false),
    };
    rows.iter()
        .map(|row| OfferCodec {
            payload_type: row.payload_type,
            rtx: with_rtx.then(|| row.payload_type.wrapping_add(1)),
            mime: row.mime.to_owned(),
            clock_rate: row.clock_rate,
            channels: row.channels,
            fmtp: row.fmtp.to_owned(),
            // Redundant audio repairs itself.
            feedback: Feedback {
                nack: feedback.nack && row.mime != "audio/red",
                ..feedback
            },
        })
        .collect()
}

/// The first variant of one codec of the table, found by MIME type without case.
pub fn standard_codec(mime: &str) -> Option<OfferCodec> {
    [MediaKind::Audio, MediaKind::Video]
        .into_iter()
        .flat_map(standard_codecs)
        .find(|codec| codec.mime.eq_ignore_ascii_case(mime))
}

/// Header extensions of a kind that we offer, with their ids.
pub fn standard_extensions(kind: MediaKind) -> Vec<(u8, String)> {
    EXTENSIONS
        .iter()
        .filter(|(_, _, for_audio)| match kind {
            MediaKind::Audio => *for_audio,
            MediaKind::Video => true,
            MediaKind::Application | MediaKind::Other => false,
        })
        .map(|(id, uri, _)| (*id, (*uri).to_owned()))
        .collect()
}

/// The id of one extension in our own offers.
pub fn standard_extension_id(uri: &str) -> Option<u8> {
    EXTENSIONS
        .iter()
        .find(|(_, known, _)| *known == uri)
        .map(|(id, _, _)| *id)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_payload_type_and_no_extension_id_is_used_twice() {
        let mut seen = HashSet::new();
        for codec in [MediaKind::Audio, MediaKind::Video]
            .into_iter()
            .flat_map(standard_codecs)
        {
            assert!(seen.insert(codec.payload_type), "{codec:?}");
            assert!(codec.rtx.is_none_or(|rtx| seen.insert(rtx)), "{codec:?}");
        }
        let ids: HashSet<u8> = EXTENSIONS.iter().map(|(id, _, _)| *id).collect();
        assert_eq!(ids.len(), EXTENSIONS.len());
        assert_eq!(standard_extension_id(DEPENDENCY_DESCRIPTOR), Some(12));
    }
}
