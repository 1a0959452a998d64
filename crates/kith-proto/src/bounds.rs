//! How many elements a message has, counted before it is decoded.
//!
//! Two bytes on the wire can become a struct of three hundred in memory, so a limit on bytes alone lets a client of a
//! 2 MiB socket take hundreds of megabytes. Counting fields first, with the message's descriptor, costs no memory.

use prost_reflect::{Kind, MessageDescriptor};

use crate::{
    json::{JsonMessage, descriptor},
    wire::{Fields, Value},
};

/// Elements that a request of a client may have. A resuming client that knows a thousand tracks sends some thousands.
pub const MAX_ELEMENTS: usize = 20_000;

/// Messages up to this size are not counted, bytes: they cannot have more than half as many elements.
const SMALL: usize = 4096;

/// Deeper nesting is no message of ours; the deepest one nests six levels.
const MAX_DEPTH: usize = 32;

/// A packed list's numbers are at most this much larger in memory than on the wire.
const PACKED_SHARE: usize = 8;

/// The message has more elements than allowed, or is nested too deep, or is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("message is broken or has more than {0} elements")]
pub struct TooManyElements(usize);

/// Counts the fields of an encoded message and of all messages in it.
pub fn check_elements<M: JsonMessage>(bytes: &[u8], max: usize) -> Result<(), TooManyElements> {
    if bytes.len() <= SMALL {
        return Ok(());
    }
    let mut left = max;
    descriptor::<M>()
        .ok()
        .and_then(|descriptor| count(bytes, &descriptor, MAX_DEPTH, &mut left))
        .ok_or(TooManyElements(max))
}

fn count(bytes: &[u8], message: &MessageDescriptor, depth: usize, left: &mut usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    for field in Fields(bytes) {
        let field = field.ok()?;
        *left = left.checked_sub(1)?;
        let Value::Bytes(content) = field.value else {
            continue;
        };
        match message.get_field(field.number).map(|known| known.kind()) {
            Some(Kind::Message(inner)) => count(content, &inner, depth, left)?,
            Some(Kind::String | Kind::Bytes) | None => {}
            Some(_) => *left = left.checked_sub(content.len() / PACKED_SHARE)?,
        }
    }
    Some(())
}
