//! The `join_request` parameter: base64 of a `WrappedJoinRequest` around a `JoinRequest`, possibly gzipped.
//!
//! SDKs disagree about the alphabet (standard or URL-safe), about padding, and about percent-encoding it. All of them
//! are understood.

use std::{borrow::Cow, io::Read as _};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use prost::Message as _;

use crate::{
    bounds::{self, MAX_ELEMENTS},
    livekit::{JoinRequest, WrappedJoinRequest, wrapped_join_request::Compression},
};

/// Largest join request, unpacked, bytes. LiveKit's limit; an SDP offer in one has 20 kB.
pub const MAX_JOIN_REQUEST: usize = 1024 * 1024;

/// Standard alphabet, with or without padding, whatever the unused bits at the end.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why a `join_request` is not readable. The texts are LiveKit's; the status is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRequestError {
    /// `/rtc/v1` without it.
    #[error("join_request is required")]
    Missing,
    /// Not base64 of either alphabet.
    #[error("cannot base64 decode wrapped join request")]
    Base64,
    /// The outer message is broken.
    #[error("cannot unmarshal wrapped join request")]
    Wrapped,
    /// The inner message is broken.
    #[error("cannot unmarshal join request")]
    Inner,
    /// The gzip stream is broken.
    #[error("cannot read decompressed join request")]
    Gzip,
    /// More than [`MAX_JOIN_REQUEST`] bytes.
    #[error("join request too large")]
    TooLarge,
}

/// Reads base64 in either alphabet, padded or not.
#[must_use]
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    TOLERANT.decode(standard_alphabet(text).as_bytes()).ok()
}

/// Reads the value of a `join_request` parameter, percent-decoded once.
pub fn parse_join_request(value: &str) -> Result<JoinRequest, JoinRequestError> {
    let wrapped = decode_base64(value).ok_or(JoinRequestError::Base64)?;
    let wrapped =
        WrappedJoinRequest::decode(wrapped.as_slice()).map_err(|_| JoinRequestError::Wrapped)?;
    let packed: &[u8] = &wrapped.join_request;
    let inner = match Compression::try_from(wrapped.compression) {
        Ok(Compression::None) => Cow::Borrowed(packed),
        Ok(Compression::Gzip) => {
            let mut unpacked = Vec::new();
            // One byte more than allowed tells "too large" from "just fits"; nothing beyond is unpacked.
            flate2::read::GzDecoder::new(packed)
                .take(MAX_JOIN_REQUEST as u64 + 1)
                .read_to_end(&mut unpacked)
                .map_err(|_| JoinRequestError::Gzip)?;
            Cow::Owned(unpacked)
        }
        Err(_) => return Err(JoinRequestError::Wrapped),
    };
    if inner.len() > MAX_JOIN_REQUEST {
        return Err(JoinRequestError::TooLarge);
    }
    bounds::check_elements::<JoinRequest>(&inner, MAX_ELEMENTS)
        .map_err(|_| JoinRequestError::Inner)?;
    JoinRequest::decode(&*inner).map_err(|_| JoinRequestError::Inner)
}

/// The text in the standard alphabet: URL-safe letters are replaced, a space is a `+` that nobody percent-encoded, and
/// what was percent-encoded twice is decoded once more.
fn standard_alphabet(text: &str) -> String {
    let text = if text.contains('%') {
        percent_encoding::percent_decode_str(text).decode_utf8_lossy()
    } else {
        Cow::Borrowed(text)
    };
    text.chars()
        .map(|letter| match letter {
            '-' | ' ' => '+',
            '_' => '/',
            other => other,
        })
        .collect()
}
