//! What the first packet of a frame tells: key frame or not, and the size of the picture.

use kith_rtp::vp8::Vp8Descriptor;
use kith_rtp::{Codec, Resolution, RtpPacket};

/// A frame whose beginning was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameStart {
    /// The packet belongs to the beginning of a key frame.
    pub(super) keyframe: bool,
    /// In pixels, where the packet says so.
    pub(super) size: Option<(u16, u16)>,
}

/// Reads the beginning of `packet`'s payload.
pub(super) fn frame_start(
    codec: Codec,
    packet: &RtpPacket<'_>,
    _dependency_descriptor_id: u8,
) -> FrameStart {
    let payload = packet.payload();
    match codec {
        Codec::Vp8 => {
            let Ok(descriptor) = Vp8Descriptor::parse(payload) else {
                return FrameStart::default();
            };
            let keyframe = descriptor.starts_keyframe(payload);
            FrameStart {
                keyframe,
                size: keyframe
                    .then(|| descriptor.keyframe_resolution(payload))
                    .flatten()
                    .map(size),
            }
        }
        _ => FrameStart::default(),
    }
}

fn size(resolution: Resolution) -> (u16, u16) {
    let fit = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
    (fit(resolution.width), fit(resolution.height))
}
