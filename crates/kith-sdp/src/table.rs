//! Payload types and extension ids of our own offers, those of the Go server where it has them.

use crate::{MediaKind, OfferCodec};

/// URI of the dependency descriptor.
pub const DEPENDENCY_DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/// All codecs of a kind that we offer, in LiveKit's order.
pub fn standard_codecs(kind: MediaKind) -> Vec<OfferCodec> {
    let _ = kind;
    Vec::new()
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
    let _ = kind;
    Vec::new()
}

/// The id of one extension in our own offers.
pub fn standard_extension_id(uri: &str) -> Option<u8> {
    [MediaKind::Audio, MediaKind::Video]
        .into_iter()
        .flat_map(standard_extensions)
        .find(|(_, known)| known == uri)
        .map(|(id, _)| id)
}
