//! Wire formats of the media plane, zero-copy: RTP, RTCP, header extensions, payload descriptors.
//!
//! What this crate is: parsers that borrow from the bytes they are given, and writers that fill buffers passed in.
//! Nothing here allocates, and no input makes it panic.
//! What it is not: state. Sequence unwrapping, loss, timing and forwarding live in `kith-sfu`.

mod bits;
mod codec;
mod extension;
mod nal;
mod number;
mod packet;
mod resolution;
mod write;

pub mod av1;
pub mod dependency_descriptor;
pub mod ext;
pub mod h264;
pub mod h265;
pub mod opus;
pub mod red;
pub mod rtcp;
pub mod rtx;
pub mod stun;
pub mod vp8;
pub mod vp9;

pub use codec::{Codec, MediaKind};
pub use extension::{ExtensionKind, ExtensionMap};
pub use number::{PayloadType, SeqNo, Ssrc};
pub use packet::{
    Extensions, RtpError, RtpPacket, set_marker, set_payload_type, set_sequence_number, set_ssrc,
    set_timestamp,
};
pub use resolution::{LayerId, Resolution};
pub use write::{RtpHeaderFields, WriteError, rtp_header_len, write_rtp_header};
