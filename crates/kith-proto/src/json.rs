//! Protobuf JSON: field names in camelCase, unset fields left out, 64-bit integers as strings, enums by name.
//!
//! LiveKit clients may speak JSON in WebSocket text frames. Reading accepts what other writers produce: snake_case names,
//! `null` for a field, numbers for enums, and unknown fields, which are ignored.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};

use crate::livekit::{JoinRequest, SignalRequest, SignalResponse};

/// The messages of this crate as a serialized `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

static POOL: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).ok());

/// Why a message could not be read from or written as JSON.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON or does not fit the message.
    #[error("not the JSON form of {message}: {source}")]
    Read {
        /// Name of the message.
        message: &'static str,
        /// What the JSON reader says.
        source: serde_json::Error,
    },
    /// The message could not be written, for example a timestamp out of range.
    #[error("cannot write {message} as JSON: {source}")]
    Write {
        /// Name of the message.
        message: &'static str,
        /// What the JSON writer says.
        source: serde_json::Error,
    },
    /// The bytes did not survive the way through the descriptors.
    #[error("cannot convert {message}: {source}")]
    Convert {
        /// Name of the message.
        message: &'static str,
        /// What the protobuf reader says.
        source: prost::DecodeError,
    },
    /// The message is not among the descriptors of this crate.
    #[error("{0} has no descriptor")]
    Unknown(&'static str),
}

/// A message that has a JSON form: its full name among [`DESCRIPTORS`].
pub trait JsonMessage: Message + Default {
    /// Full name, as `livekit.SignalRequest`.
    const FULL_NAME: &'static str;
}

impl JsonMessage for SignalRequest {
    const FULL_NAME: &'static str = "livekit.SignalRequest";
}

impl JsonMessage for SignalResponse {
    const FULL_NAME: &'static str = "livekit.SignalResponse";
}

impl JsonMessage for JoinRequest {
    const FULL_NAME: &'static str = "livekit.JoinRequest";
}

impl JsonMessage for crate::livekit::RoomConfiguration {
    const FULL_NAME: &'static str = "livekit.RoomConfiguration";
}

/// The JSON text of `message`.
pub fn to_string<M: JsonMessage>(message: &M) -> Result<String, JsonError> {
    let text = serde_json::to_string(&dynamic(message)?);
    text.map_err(|source| JsonError::Write {
        message: M::FULL_NAME,
        source,
    })
}

/// The JSON form of `message` as a value, for tokens.
pub fn to_value<M: JsonMessage>(message: &M) -> Result<serde_json::Value, JsonError> {
    let value = serde_json::to_value(dynamic(message)?);
    value.map_err(|source| JsonError::Write {
        message: M::FULL_NAME,
        source,
    })
}

/// Reads a message from its JSON text.
pub fn from_str<M: JsonMessage>(text: &str) -> Result<M, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let message = from_deserializer::<M, _>(&mut deserializer)?;
    deserializer.end().map_err(|source| JsonError::Read {
        message: M::FULL_NAME,
        source,
    })?;
    Ok(message)
}

/// Reads a message from a JSON value, as found in a token.
pub fn from_value<M: JsonMessage>(value: &serde_json::Value) -> Result<M, JsonError> {
    from_deserializer::<M, _>(value)
}

fn dynamic<M: JsonMessage>(message: &M) -> Result<DynamicMessage, JsonError> {
    let mut dynamic = DynamicMessage::new(descriptor::<M>()?);
    dynamic
        .transcode_from(message)
        .map_err(|source| JsonError::Convert {
            message: M::FULL_NAME,
            source,
        })?;
    Ok(dynamic)
}

fn from_deserializer<'de, M, D>(deserializer: D) -> Result<M, JsonError>
where
    M: JsonMessage,
    D: serde::Deserializer<'de, Error = serde_json::Error>,
{
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let dynamic =
        DynamicMessage::deserialize_with_options(descriptor::<M>()?, deserializer, &options)
            .map_err(|source| JsonError::Read {
                message: M::FULL_NAME,
                source,
            })?;
    dynamic.transcode_to().map_err(|source| JsonError::Convert {
        message: M::FULL_NAME,
        source,
    })
}

pub(crate) fn descriptor<M: JsonMessage>() -> Result<MessageDescriptor, JsonError> {
    POOL.as_ref()
        .and_then(|pool| pool.get_message_by_name(M::FULL_NAME))
        .ok_or(JsonError::Unknown(M::FULL_NAME))
}
