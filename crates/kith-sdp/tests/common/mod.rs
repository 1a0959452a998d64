//! Fixtures and policies that the tests share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests; each test file is a crate of its own and uses a part of them"
)]

use kith_sdp::{
    AudioTweaks, CodecPreference, DEPENDENCY_DESCRIPTOR, Feedback, LocalTransport, MediaKind,
    MediaSection, ReceivePolicy, SectionDecision, SenderSpec, SessionDescription, Setup,
};

pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
pub const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
pub const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
pub const TRANSPORT_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
pub const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
pub const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

pub const CHROMIUM: &str = include_str!("../fixtures/chromium156_simulcast3_datachannels.sdp");
pub const FIREFOX: &str = include_str!("../fixtures/firefox153_datachannels.sdp");
pub const NO_MEDIA: &str =
    include_str!("../fixtures/livekit-client-2.16.1_single-pc_no-media-lines.sdp");
pub const APPLICATION_ONLY: &str =
    include_str!("../fixtures/livekit-client-2.17.0_single-pc_application-only.sdp");
pub const JS_JOIN: &str =
    include_str!("../fixtures/livekit-client-2.23.0_chromium156_single-pc_join.sdp");
pub const PYTHON_JOIN: &str = include_str!("../fixtures/python-1.2.1_single-pc_join.sdp");
pub const NODE_JOIN: &str = include_str!("../fixtures/rtc-node-1.1.0_single-pc_join.sdp");
pub const SUBSCRIBER_OFFER: &str = include_str!("../fixtures/kith_subscriber_offer.sdp");
pub const CHROMIUM_ANSWER: &str =
    include_str!("../fixtures/chromium156_answer_to_kith_subscriber_offer.sdp");

/// Every offer of a real client.
pub const OFFERS: [(&str, &str); 7] = [
    ("chromium", CHROMIUM),
    ("firefox", FIREFOX),
    ("no media", NO_MEDIA),
    ("application only", APPLICATION_ONLY),
    ("js join", JS_JOIN),
    ("python join", PYTHON_JOIN),
    ("node join", NODE_JOIN),
];

pub fn parse(text: &str) -> SessionDescription {
    SessionDescription::parse(text).unwrap()
}

pub fn local() -> LocalTransport {
    LocalTransport {
        session_id: 4611,
        session_version: 7,
        ufrag: "kithUfrag".to_owned(),
        pwd: "kithPasswordOf24Chars+/0".to_owned(),
        fingerprint: format!("sha-256 {}", ["AB"; 32].join(":")),
        setup: Setup::Passive,
        candidates: vec!["candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host".to_owned()],
        ice_lite: true,
        max_message_size: 65_536,
    }
}

pub fn codecs(mimes: &[&str]) -> Vec<CodecPreference> {
    mimes
        .iter()
        .map(|mime| CodecPreference::any(*mime))
        .collect()
}

pub fn uris(uris: &[&str]) -> Vec<String> {
    uris.iter().map(|uri| (*uri).to_owned()).collect()
}

pub fn receive_audio() -> ReceivePolicy {
    ReceivePolicy {
        codecs: codecs(&["audio/red", "audio/opus", "audio/PCMU", "audio/PCMA"]),
        extensions: uris(&[MID, AUDIO_LEVEL]),
        feedback: Feedback::AUDIO,
        simulcast: false,
        audio: AudioTweaks {
            usedtx: true,
            ..AudioTweaks::default()
        },
    }
}

pub fn receive_video() -> ReceivePolicy {
    ReceivePolicy {
        codecs: codecs(&["video/VP8", "video/H264", "video/VP9", "video/AV1"]),
        extensions: uris(&[MID, RID, REPAIRED_RID, TRANSPORT_CC, DEPENDENCY_DESCRIPTOR]),
        feedback: Feedback::ALL,
        simulcast: true,
        audio: AudioTweaks::default(),
    }
}

pub fn send_audio(number: u32) -> SenderSpec {
    SenderSpec {
        stream_id: format!("PA_a|TR_{number}"),
        track_id: format!("TR_{number}"),
        ssrc: 1000 + number,
        rtx_ssrc: None,
        cname: "PA_a".to_owned(),
        codecs: codecs(&["audio/opus"]),
        extensions: uris(&[MID]),
        feedback: Feedback::AUDIO,
        stereo: false,
    }
}

pub fn send_video(number: u32) -> SenderSpec {
    SenderSpec {
        rtx_ssrc: Some(2000 + number),
        codecs: codecs(&["video/VP8"]),
        extensions: uris(&[MID, TRANSPORT_CC, DEPENDENCY_DESCRIPTOR]),
        feedback: Feedback::ALL,
        ..send_audio(number)
    }
}

/// Receives what the client sends, sends in the first section of each kind that it receives in, takes data channels.
pub fn usual_decisions(offer: &SessionDescription) -> Vec<SectionDecision> {
    let mut sent = Vec::new();
    offer
        .media()
        .iter()
        .map(|section: &MediaSection| match section.kind {
            MediaKind::Application => SectionDecision::Data,
            MediaKind::Audio if section.direction.sends() => {
                SectionDecision::Receive(receive_audio())
            }
            MediaKind::Video if section.direction.sends() => {
                SectionDecision::Receive(receive_video())
            }
            kind if sent.contains(&kind) => SectionDecision::Inactive,
            MediaKind::Audio => {
                sent.push(section.kind);
                SectionDecision::Send(send_audio(1))
            }
            MediaKind::Video => {
                sent.push(section.kind);
                SectionDecision::Send(send_video(2))
            }
            MediaKind::Other => SectionDecision::Reject,
        })
        .collect()
}

/// The lines of one section of a description, the `m=` line first.
pub fn section_lines(description: &SessionDescription, index: usize) -> Vec<String> {
    let text = description.to_string();
    let section = text.split("\r\nm=").nth(index + 1).expect("section exists");
    format!("m={section}").lines().map(str::to_owned).collect()
}

/// Lines of a section that start with one of the prefixes.
pub fn lines_with(lines: &[String], prefixes: &[&str]) -> Vec<String> {
    lines
        .iter()
        .filter(|line| prefixes.iter().any(|prefix| line.starts_with(prefix)))
        .cloned()
        .collect()
}
