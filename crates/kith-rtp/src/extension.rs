//! Which header extensions exist and which id each has on one transport (RFC 8285).

/// A header extension that Kith reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExtensionKind {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid` (RFC 9143).
    Mid,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id` (RFC 8852).
    Rid,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id` (RFC 8852).
    RepairedRid,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464).
    AudioLevel,
    /// Transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportWideCc,
    /// Absolute send time, 24 bits of 6.18 fixed point seconds.
    AbsSendTime,
    /// Absolute capture time.
    AbsCaptureTime,
    /// Playout delay limits.
    PlayoutDelay,
    /// AV1 dependency descriptor.
    DependencyDescriptor,
    /// Coordination of video orientation (3GPP TS 26.114).
    VideoOrientation,
}

impl ExtensionKind {
    /// Every kind, in declaration order.
    pub const ALL: [ExtensionKind; 10] = [
        ExtensionKind::Mid,
        ExtensionKind::Rid,
        ExtensionKind::RepairedRid,
        ExtensionKind::AudioLevel,
        ExtensionKind::TransportWideCc,
        ExtensionKind::AbsSendTime,
        ExtensionKind::AbsCaptureTime,
        ExtensionKind::PlayoutDelay,
        ExtensionKind::DependencyDescriptor,
        ExtensionKind::VideoOrientation,
    ];

    /// The URI that names it in SDP.
    pub const fn uri(self) -> &'static str {
        match self {
            ExtensionKind::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            ExtensionKind::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            ExtensionKind::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            ExtensionKind::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            ExtensionKind::TransportWideCc => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            ExtensionKind::AbsSendTime => {
                "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
            }
            ExtensionKind::AbsCaptureTime => {
                "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
            }
            ExtensionKind::PlayoutDelay => {
                "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
            }
            ExtensionKind::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            ExtensionKind::VideoOrientation => "urn:3gpp:video-orientation",
        }
    }

    /// Finds the kind that a URI names.
    pub fn from_uri(uri: &str) -> Option<ExtensionKind> {
        ExtensionKind::ALL
            .into_iter()
            .find(|kind| kind.uri() == uri)
    }
}

/// The ids that the extensions have on one transport. Ids are 1 to 14 with one-byte headers, up to 255 with two-byte
/// headers; absent kinds were not negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionMap {
    ids: [Option<std::num::NonZeroU8>; ExtensionKind::ALL.len()],
}

impl ExtensionMap {
    /// Nothing negotiated.
    pub const fn new() -> Self {
        ExtensionMap {
            ids: [None; ExtensionKind::ALL.len()],
        }
    }

    /// Gives `kind` the id `id`; 0 removes it.
    pub fn set(&mut self, kind: ExtensionKind, id: u8) {
        if let Some(slot) = self.ids.get_mut(kind as usize) {
            *slot = std::num::NonZeroU8::new(id);
        }
    }

    /// The id of `kind`, if negotiated.
    pub fn id(&self, kind: ExtensionKind) -> Option<u8> {
        self.ids
            .get(kind as usize)
            .copied()
            .flatten()
            .map(std::num::NonZeroU8::get)
    }

    /// The kind that has `id`.
    pub fn kind(&self, id: u8) -> Option<ExtensionKind> {
        ExtensionKind::ALL
            .into_iter()
            .find(|kind| self.id(*kind) == Some(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_map_both_ways_and_zero_removes() {
        let mut map = ExtensionMap::new();
        map.set(ExtensionKind::Mid, 4);
        assert_eq!(map.id(ExtensionKind::Mid), Some(4));
        assert_eq!(map.kind(4), Some(ExtensionKind::Mid));
        map.set(ExtensionKind::Mid, 0);
        assert_eq!(map.kind(4), None);
    }

    #[test]
    fn every_uri_names_its_kind() {
        for kind in ExtensionKind::ALL {
            assert_eq!(ExtensionKind::from_uri(kind.uri()), Some(kind));
        }
    }
}
