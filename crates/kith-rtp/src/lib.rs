//! Wire formats of the media plane, zero-copy: RTP, RTCP, header extensions, payload descriptors.
//!
//! What this crate is: parsers that borrow from the bytes they are given, and writers that fill buffers passed in.
//! What it is not: state. Sequence unwrapping, loss, timing and forwarding live in `kith-sfu`.

mod codec;
mod extension;
mod number;

pub use codec::{Codec, MediaKind};
pub use extension::{ExtensionKind, ExtensionMap};
pub use number::{PayloadType, SeqNo, Ssrc};
