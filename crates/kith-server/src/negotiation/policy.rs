//! Which codecs, extensions and feedback Kith takes and gives.
//!
//! A publisher is answered with the codec that it announced, alone: some browsers do not follow the order of an answer.
//! Where it announced none, the order of its offer counts. A subscriber is sent the codecs that the track is published
//! in, and for audio RED and Opus both, since one is unwrapped to the other.

use kith_rtp::{Codec, ExtensionKind, MediaKind};
use kith_sdp::{AudioTweaks, CodecPreference, Feedback, MediaSection, ReceivePolicy, SenderSpec};

use super::mapping::{StreamNames, sdp_kind};

/// Bit rate that a stereo publisher may use (the most that Opus has).
const STEREO_MAX_AVERAGE_BITRATE: u32 = 510_000;

/// What a publisher announced about a section, as far as the answer depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReceiveWish {
    /// The codec that it named.
    pub(crate) codec: Option<Codec>,
    /// Redundant audio may be used.
    pub(crate) red: bool,
    /// Stereo audio.
    pub(crate) stereo: bool,
    /// Discontinuous transmission.
    pub(crate) dtx: bool,
}

/// A codec of a track, as a subscriber's section is made for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SendFormat {
    /// The codec.
    pub(crate) codec: Codec,
    /// Its parameters at the publisher.
    pub(crate) fmtp: String,
}

fn uris(kinds: &[ExtensionKind]) -> Vec<String> {
    kinds.iter().map(|kind| kind.uri().to_owned()).collect()
}

/// How a section that the client sends in is received.
pub(crate) fn receive(
    kind: MediaKind,
    offered: &MediaSection,
    wish: Option<ReceiveWish>,
    is_enabled: impl Fn(Codec) -> bool,
) -> ReceivePolicy {
    let mut known: Vec<Codec> = Vec::new();
    for codec in offered
        .codecs
        .iter()
        .filter_map(|codec| Codec::from_name(&codec.name))
        .filter(|codec| codec.kind() == kind && is_enabled(*codec))
    {
        if !known.contains(&codec) {
            known.push(codec);
        }
    }
    let codecs = match kind {
        MediaKind::Video => match wish.and_then(|wish| wish.codec) {
            Some(codec) if known.contains(&codec) => vec![codec],
            _ => known,
        },
        MediaKind::Audio => audio_codecs(&known, wish),
    };
    let wish = wish.unwrap_or_default();
    ReceivePolicy {
        codecs: codecs
            .into_iter()
            .map(|codec| CodecPreference::any(codec.mime()))
            .collect(),
        extensions: match kind {
            MediaKind::Audio => uris(&[
                ExtensionKind::Mid,
                ExtensionKind::AudioLevel,
                ExtensionKind::TransportWideCc,
                ExtensionKind::AbsCaptureTime,
            ]),
            MediaKind::Video => uris(&[
                ExtensionKind::Mid,
                ExtensionKind::Rid,
                ExtensionKind::RepairedRid,
                ExtensionKind::TransportWideCc,
                ExtensionKind::AbsCaptureTime,
                ExtensionKind::DependencyDescriptor,
            ]),
        },
        feedback: match kind {
            MediaKind::Audio => Feedback::AUDIO,
            // We report arrival times; an estimate of our own beside them would only contradict.
            MediaKind::Video => Feedback {
                remb: false,
                ..Feedback::ALL
            },
        },
        simulcast: true,
        audio: AudioTweaks {
            stereo: wish.stereo,
            usedtx: wish.dtx,
            max_average_bitrate: wish.stereo.then_some(STEREO_MAX_AVERAGE_BITRATE),
        },
    }
}

fn audio_codecs(known: &[Codec], wish: Option<ReceiveWish>) -> Vec<Codec> {
    let has = |codec| known.contains(&codec);
    if let Some(codec @ (Codec::Pcmu | Codec::Pcma)) = wish.and_then(|wish| wish.codec)
        && has(codec)
    {
        return vec![codec];
    }
    if !has(Codec::Opus) {
        return known
            .iter()
            .copied()
            .filter(|codec| *codec != Codec::Red)
            .collect();
    }
    // Without an announcement RED may be unwanted (an encrypted track): Opus is always right.
    match wish {
        Some(wish) if wish.red && has(Codec::Red) => vec![Codec::Red, Codec::Opus],
        _ => vec![Codec::Opus],
    }
}

/// What we send in a section. Its codecs are added by [`preferences`].
pub(crate) fn send(
    kind: MediaKind,
    stream_id: String,
    track_id: String,
    cname: String,
    names: StreamNames,
    stereo: bool,
) -> SenderSpec {
    let codecs = kith_sdp::standard_codecs(sdp_kind(kind));
    SenderSpec {
        stream_id,
        track_id,
        ssrc: names.ssrc,
        rtx_ssrc: names.rtx_ssrc,
        cname,
        codecs: Vec::new(),
        extensions: kith_sdp::standard_extensions(sdp_kind(kind))
            .into_iter()
            .map(|(_, uri)| uri)
            .collect(),
        feedback: codecs
            .first()
            .map_or(Feedback::NONE, |codec| codec.feedback),
        stereo,
    }
}

/// The codecs of a track as preferences: the publisher's variant first, then any of the same codec.
pub(crate) fn preferences(formats: &[SendFormat]) -> Vec<CodecPreference> {
    let mut preferences = Vec::new();
    for format in formats {
        match format.codec {
            Codec::Red | Codec::Opus => {
                for codec in [Codec::Red, Codec::Opus] {
                    let preference = CodecPreference::any(codec.mime());
                    if !preferences.contains(&preference) {
                        preferences.push(preference);
                    }
                }
            }
            codec => {
                if !format.fmtp.is_empty() {
                    preferences.push(CodecPreference::variant(codec.mime(), format.fmtp.clone()));
                }
                preferences.push(CodecPreference::any(codec.mime()));
            }
        }
    }
    preferences
}

/// Whether a section that the client receives in takes one of `codec`'s forms.
pub(crate) fn supports(section: &MediaSection, codec: Codec) -> bool {
    section
        .codecs
        .iter()
        .filter_map(|offered| Codec::from_name(&offered.name))
        .any(|offered| match codec {
            // RED is unwrapped for who has only Opus, and Opus goes unwrapped to who has RED.
            Codec::Red | Codec::Opus => offered == Codec::Opus,
            codec => offered == codec,
        })
}
