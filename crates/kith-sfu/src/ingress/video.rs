//! What the first packet of a frame tells: key frame or not, and the size of the picture.

use kith_rtp::av1::Av1Descriptor;
use kith_rtp::dependency_descriptor::DependencyDescriptor;
use kith_rtp::h264::H264Descriptor;
use kith_rtp::h265::H265Descriptor;
use kith_rtp::vp8::Vp8Descriptor;
use kith_rtp::vp9::Vp9Descriptor;
use kith_rtp::{Codec, Resolution, RtpPacket};

/// What was seen of a frame's beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameStart {
    /// The packet belongs to the beginning of a key frame.
    pub(super) keyframe: bool,
    /// In pixels, where the packet says so; of the largest layer in it.
    pub(super) size: Option<(u16, u16)>,
}

/// Reads the beginning of `packet`'s payload, and of its dependency descriptor when the payload says nothing, as that of an
/// encrypted frame may.
pub(super) fn frame_start(
    codec: Codec,
    packet: &RtpPacket<'_>,
    dependency_descriptor_id: u8,
) -> FrameStart {
    let start = of_payload(codec, packet.payload());
    if start.keyframe || dependency_descriptor_id == 0 {
        return start;
    }
    packet
        .extension(dependency_descriptor_id)
        .and_then(of_descriptor)
        .unwrap_or(start)
}

fn of_payload(codec: Codec, payload: &[u8]) -> FrameStart {
    let (keyframe, resolution) = match codec {
        Codec::Vp8 => Vp8Descriptor::parse(payload).ok().map(|descriptor| {
            (
                descriptor.starts_keyframe(payload),
                descriptor.keyframe_resolution(payload),
            )
        }),
        Codec::Vp9 => Vp9Descriptor::parse(payload).ok().map(|descriptor| {
            (
                descriptor.starts_keyframe(),
                descriptor.keyframe_resolution(payload),
            )
        }),
        Codec::H264 => H264Descriptor::parse(payload).ok().map(|descriptor| {
            (
                descriptor.starts_keyframe(),
                descriptor.keyframe_resolution(payload),
            )
        }),
        Codec::H265 => H265Descriptor::parse(payload).ok().map(|descriptor| {
            (
                descriptor.starts_keyframe(),
                descriptor.keyframe_resolution(payload),
            )
        }),
        Codec::Av1 => Av1Descriptor::parse(payload).ok().map(|descriptor| {
            (
                descriptor.starts_keyframe(),
                descriptor.keyframe_resolution(payload),
            )
        }),
        Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma => None,
    }
    .unwrap_or_default();
    FrameStart {
        keyframe,
        size: resolution.map(fit),
    }
}

/// A dependency descriptor attaches its template structure to key frames, and only to them.
fn of_descriptor(element: &[u8]) -> Option<FrameStart> {
    // Three mandatory bytes, then the flag (AV1 RTP payload specification section A.8.1). All but key frames end here.
    if element.get(3)? & 0x80 == 0 {
        return None;
    }
    let descriptor = DependencyDescriptor::parse(element, None).ok()?;
    let structure = descriptor.structure?.read().ok()?;
    let highest = structure.spatial_layer_count().checked_sub(1)?;
    Some(FrameStart {
        keyframe: true,
        size: structure.resolution(highest as u8).map(fit),
    })
}

fn fit(resolution: Resolution) -> (u16, u16) {
    let fit = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
    (fit(resolution.width), fit(resolution.height))
}
