//! Frames of a signalling socket: binary ones are protobuf, text ones protobuf JSON; one message each.
//!
//! The caller limits a frame's bytes; here the memory that it becomes is limited too.

use prost::Message as _;

use crate::{
    bounds::{self, MAX_ELEMENTS, TooManyElements},
    json::{self, JsonError},
    livekit::SignalRequest,
};

/// Largest text frame, bytes. JSON costs many times its size to read, and no known client sends it.
pub const MAX_TEXT: usize = 512 * 1024;

/// Why a frame is no request.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The message would become too large in memory.
    #[error(transparent)]
    TooManyElements(#[from] TooManyElements),
    /// The text is longer than [`MAX_TEXT`].
    #[error("text message of more than {MAX_TEXT} bytes")]
    TextTooLarge,
    /// The text has too many objects, lists and members.
    #[error("text message of more than {MAX_ELEMENTS} elements")]
    TextTooManyElements,
    /// The text is not UTF-8.
    #[error(transparent)]
    Utf8(#[from] std::str::Utf8Error),
    /// The text is not the JSON of a request.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The bytes are no protobuf message.
    #[error(transparent)]
    Protobuf(#[from] prost::DecodeError),
}

/// Reads a binary frame.
pub fn decode_binary(payload: &[u8]) -> Result<SignalRequest, FrameError> {
    bounds::check_elements::<SignalRequest>(payload, MAX_ELEMENTS)?;
    Ok(SignalRequest::decode(payload)?)
}

/// Reads a text frame.
pub fn decode_text(payload: &[u8]) -> Result<SignalRequest, FrameError> {
    if payload.len() > MAX_TEXT {
        return Err(FrameError::TextTooLarge);
    }
    if payload
        .iter()
        .filter(|byte| matches!(byte, b',' | b'[' | b'{'))
        .count()
        > MAX_ELEMENTS
    {
        return Err(FrameError::TextTooManyElements);
    }
    Ok(json::from_str(std::str::from_utf8(payload)?)?)
}
