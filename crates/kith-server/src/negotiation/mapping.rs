//! From what was negotiated to what the media plane is told: the only place where SDP's names become codecs and
//! extension kinds.

use kith_net::{
    DownTrackSpec, LayerSpec, PublicationId, ReceiveCodec, ReceiveSection, ReceiveSpec, SendCodec,
};
use kith_rtp::{Codec, ExtensionKind, ExtensionMap, MediaKind, PayloadType, Ssrc};
use kith_sdp::{NegotiatedCodec, NegotiatedSection, PeerEncoding};

/// Audio or video; `None` for data and what else a section may carry.
pub(crate) fn media_kind(kind: kith_sdp::MediaKind) -> Option<MediaKind> {
    match kind {
        kith_sdp::MediaKind::Audio => Some(MediaKind::Audio),
        kith_sdp::MediaKind::Video => Some(MediaKind::Video),
        kith_sdp::MediaKind::Application | kith_sdp::MediaKind::Other => None,
    }
}

/// The same kind in SDP's words.
pub(crate) fn sdp_kind(kind: MediaKind) -> kith_sdp::MediaKind {
    match kind {
        MediaKind::Audio => kith_sdp::MediaKind::Audio,
        MediaKind::Video => kith_sdp::MediaKind::Video,
    }
}

/// The ids of the extensions that Kith knows.
pub(crate) fn extension_map<'a>(extensions: impl Iterator<Item = (u8, &'a str)>) -> ExtensionMap {
    let mut map = ExtensionMap::new();
    for (id, uri) in extensions {
        if let Some(kind) = ExtensionKind::from_uri(uri) {
            map.set(kind, id);
        }
    }
    map
}

/// The codecs of a section that Kith knows, in order.
pub(crate) fn codecs(
    section: &NegotiatedSection,
) -> impl Iterator<Item = (Codec, &NegotiatedCodec)> {
    section
        .codecs
        .iter()
        .filter_map(|codec| Some((Codec::from_name(&codec.mime)?, codec)))
}

/// Place of a rid among layers, low to high: LiveKit's `q`, `h`, `f`, or `2`, `1`, `0`.
fn rid_rank(rid: &str) -> Option<u8> {
    match rid {
        "q" | "2" => Some(0),
        "h" | "1" => Some(1),
        "f" | "0" => Some(2),
        _ => None,
    }
}

/// Encodings low to high: by the order of `layer_rids` where the publisher told it, by the usual names, or as offered.
fn layers(encodings: &[PeerEncoding], layer_rids: &[&str]) -> Vec<LayerSpec> {
    let mut encodings: Vec<&PeerEncoding> = encodings.iter().collect();
    let rids = || {
        encodings
            .iter()
            .filter_map(|encoding| encoding.rid.as_deref())
    };
    if rids().count() > 0 {
        let told = rids().all(|rid| layer_rids.contains(&rid));
        let usual = rids().all(|rid| rid_rank(rid).is_some());
        encodings.sort_by_key(|encoding| {
            let rid = encoding.rid.as_deref().unwrap_or_default();
            if told {
                layer_rids.iter().position(|told| *told == rid)
            } else if usual {
                rid_rank(rid).map(usize::from)
            } else {
                None
            }
        });
    }
    encodings
        .into_iter()
        .map(|encoding| LayerSpec {
            rid: encoding.rid.clone(),
            ssrc: encoding.ssrc.map(Ssrc),
            rtx_ssrc: encoding.rtx_ssrc.map(Ssrc),
        })
        .collect()
}

/// A section in which the client sends, as the media plane receives it.
pub(crate) fn receive_section(
    section: &NegotiatedSection,
    kind: MediaKind,
    publication: PublicationId,
    layer_rids: &[&str],
    measure_audio_level: bool,
) -> ReceiveSection {
    let mut layers = layers(&section.encodings, layer_rids);
    if layers.is_empty() {
        layers.push(LayerSpec::default());
    }
    ReceiveSection {
        mid: section.mid.clone(),
        publication,
        kind,
        codecs: codecs(section)
            .map(|(codec, negotiated)| ReceiveCodec {
                codec,
                payload_type: PayloadType(negotiated.payload_type),
                rtx: negotiated.rtx.map(PayloadType),
                nack: negotiated.feedback.nack,
            })
            .collect(),
        layers,
        measure_audio_level,
    }
}

/// All that a transport receives. Extension ids are the same in all sections of a bundle.
pub(crate) fn receive_spec<'a>(
    sections: Vec<ReceiveSection>,
    negotiated: impl Iterator<Item = &'a NegotiatedSection>,
) -> ReceiveSpec {
    let extensions = extension_map(negotiated.flat_map(NegotiatedSection::receive_extensions));
    ReceiveSpec {
        extensions,
        sections,
        ..ReceiveSpec::default()
    }
}

/// The names of one outgoing stream, made once per subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamNames {
    /// SSRC of the stream.
    pub(crate) ssrc: u32,
    /// SSRC of its retransmissions; video only.
    pub(crate) rtx_ssrc: Option<u32>,
    /// Entropy of the stream's start values.
    pub(crate) seed: u64,
}

/// A section in which the client receives, as the media plane sends it. `None`: no codec is common.
pub(crate) fn down_track(
    section: &NegotiatedSection,
    names: StreamNames,
    cname: &str,
) -> Option<DownTrackSpec> {
    let mut send_codecs: Vec<SendCodec> = Vec::new();
    let mut nack = false;
    for (codec, negotiated) in codecs(section) {
        // Of several variants of a codec the first is used: the one that fits the publisher best.
        if send_codecs.iter().any(|known| known.codec == codec) {
            continue;
        }
        nack |= negotiated.feedback.nack;
        send_codecs.push(SendCodec {
            codec,
            payload_type: PayloadType(negotiated.payload_type),
            rtx: negotiated.rtx.map(PayloadType),
        });
    }
    if send_codecs.is_empty() {
        return None;
    }
    let rtx = send_codecs.iter().any(|codec| codec.rtx.is_some());
    Some(DownTrackSpec {
        ssrc: Ssrc(names.ssrc),
        rtx_ssrc: names.rtx_ssrc.filter(|_| rtx).map(Ssrc),
        codecs: send_codecs,
        extensions: extension_map(section.send_extensions()),
        mid: section.mid.clone(),
        cname: cname.to_owned(),
        nack,
        seed: names.seed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(rid: &str) -> PeerEncoding {
        PeerEncoding {
            rid: Some(rid.to_owned()),
            ..PeerEncoding::default()
        }
    }

    fn rids(layers: &[LayerSpec]) -> Vec<&str> {
        layers
            .iter()
            .filter_map(|layer| layer.rid.as_deref())
            .collect()
    }

    #[test]
    fn layers_are_ordered_by_the_publisher_then_by_name_then_as_offered() {
        let offered = [encoding("f"), encoding("q"), encoding("h")];
        assert_eq!(rids(&layers(&offered, &[])), ["q", "h", "f"]);
        assert_eq!(rids(&layers(&offered, &["f", "h", "q"])), ["f", "h", "q"]);
        let digits = [encoding("0"), encoding("1"), encoding("2")];
        assert_eq!(rids(&layers(&digits, &[])), ["2", "1", "0"]);
        let others = [encoding("b"), encoding("a")];
        assert_eq!(rids(&layers(&others, &[])), ["b", "a"]);
    }

    #[test]
    fn unknown_extensions_are_left_out() {
        let map =
            extension_map([(3, "urn:ietf:params:rtp-hdrext:sdes:mid"), (4, "urn:x")].into_iter());
        assert_eq!(map.id(ExtensionKind::Mid), Some(3));
        assert_eq!(map.kind(4), None);
    }
}
