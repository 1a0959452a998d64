//! VP9 payload descriptor (RFC 9628 section 4.2).

use crate::bits::BitReader;
use crate::vp8::PictureId;
use crate::{LayerId, Resolution};

/// Most spatial layers that a scalability structure can tell of.
pub const MAX_SPATIAL_LAYERS: usize = 8;
/// Most references in flexible mode.
const MAX_REFERENCES: usize = 3;

/// Why bytes are no VP9 payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Vp9Error {
    /// The payload is too short for the descriptor that its first bits announce.
    #[error("VP9 payload descriptor is truncated")]
    Truncated,
    /// More than three references.
    #[error("VP9 payload descriptor has more than three references")]
    References,
}

/// Place of a VP9 frame in a scalable stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Layer {
    /// TID and SID.
    pub id: LayerId,
    /// U: from this frame on, higher temporal layers can be switched to.
    pub switching_up: bool,
    /// D: the frame depends on the next lower spatial layer of the same picture.
    pub inter_layer: bool,
    /// TL0PICIDX, a running count of base layer pictures; absent in flexible mode.
    pub tl0_pic_idx: Option<u8>,
}

/// A VP9 payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Descriptor {
    /// Picture id, if present.
    pub picture_id: Option<PictureId>,
    /// P: the frame refers to earlier pictures. False on keyframes.
    pub inter_picture: bool,
    /// F: references are listed in each packet.
    pub flexible: bool,
    /// B: the payload begins a frame (of one spatial layer).
    pub start_of_frame: bool,
    /// E: the payload ends a frame (of one spatial layer).
    pub end_of_frame: bool,
    /// Z: no higher spatial layer refers to this frame.
    pub not_a_reference_upwards: bool,
    /// Layer, if present.
    pub layer: Option<Vp9Layer>,
    /// Scalability structure, if present.
    pub structure: Option<ScalabilityStructure>,
    references: [u8; MAX_REFERENCES],
    reference_count: u8,
    len: u16,
}

/// The part of a scalability structure that forwarding needs: the sizes. The picture group is stepped over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalabilityStructure {
    /// How many spatial layers there are, 1 to 8.
    pub spatial_layer_count: u8,
    /// Their sizes, if told; zero where a sender says zero.
    sizes: Option<[(u16, u16); MAX_SPATIAL_LAYERS]>,
    /// How many pictures the described group has; 0 if none is described.
    pub picture_group_len: u8,
}

impl ScalabilityStructure {
    /// Size of a spatial layer, if told.
    pub fn resolution(&self, spatial: u8) -> Option<Resolution> {
        if spatial >= self.spatial_layer_count {
            return None;
        }
        let (width, height) = self.sizes?.get(usize::from(spatial)).copied()?;
        (width != 0 && height != 0).then_some(Resolution {
            width: u32::from(width),
            height: u32::from(height),
        })
    }

    fn read(mut rest: &[u8]) -> Option<(Self, &[u8])> {
        let head = take(&mut rest)?;
        let spatial_layer_count = (head >> 5) + 1;
        let mut sizes = None;
        if head & 0x10 != 0 {
            let mut list = [(0, 0); MAX_SPATIAL_LAYERS];
            for slot in list.iter_mut().take(usize::from(spatial_layer_count)) {
                let width = u16::from_be_bytes([take(&mut rest)?, take(&mut rest)?]);
                let height = u16::from_be_bytes([take(&mut rest)?, take(&mut rest)?]);
                *slot = (width, height);
            }
            sizes = Some(list);
        }
        let mut picture_group_len = 0;
        if head & 0x08 != 0 {
            picture_group_len = take(&mut rest)?;
            for _ in 0..picture_group_len {
                let references = take(&mut rest)? >> 2 & 0x03;
                rest = rest.get(usize::from(references)..)?;
            }
        }
        let structure = ScalabilityStructure {
            spatial_layer_count,
            sizes,
            picture_group_len,
        };
        Some((structure, rest))
    }
}

impl Vp9Descriptor {
    /// Reads the descriptor at the front of an RTP payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Vp9Error> {
        let truncated = Vp9Error::Truncated;
        let mut rest = payload;
        let first = take(&mut rest).ok_or(truncated)?;
        let flexible = first & 0x10 != 0;
        let inter_picture = first & 0x40 != 0;
        let mut descriptor = Vp9Descriptor {
            picture_id: None,
            inter_picture,
            flexible,
            start_of_frame: first & 0x08 != 0,
            end_of_frame: first & 0x04 != 0,
            not_a_reference_upwards: first & 0x01 != 0,
            layer: None,
            structure: None,
            references: [0; MAX_REFERENCES],
            reference_count: 0,
            len: 0,
        };
        if first & 0x80 != 0 {
            let high = take(&mut rest).ok_or(truncated)?;
            let wide = high & 0x80 != 0;
            let mut value = u16::from(high & 0x7F);
            if wide {
                value = value << 8 | u16::from(take(&mut rest).ok_or(truncated)?);
            }
            descriptor.picture_id = Some(PictureId { value, wide });
        }
        if first & 0x20 != 0 {
            let indices = take(&mut rest).ok_or(truncated)?;
            let mut layer = Vp9Layer {
                id: LayerId {
                    spatial: indices >> 1 & 0x07,
                    temporal: indices >> 5,
                },
                switching_up: indices & 0x10 != 0,
                inter_layer: indices & 0x01 != 0,
                tl0_pic_idx: None,
            };
            if !flexible {
                layer.tl0_pic_idx = Some(take(&mut rest).ok_or(truncated)?);
            }
            descriptor.layer = Some(layer);
        }
        if flexible && inter_picture {
            let mut slots = descriptor.references.iter_mut();
            loop {
                let reference = take(&mut rest).ok_or(truncated)?;
                *slots.next().ok_or(Vp9Error::References)? = reference >> 1;
                descriptor.reference_count += 1;
                if reference & 0x01 == 0 {
                    break;
                }
            }
        }
        if first & 0x02 != 0 {
            let (structure, after) = ScalabilityStructure::read(rest).ok_or(truncated)?;
            descriptor.structure = Some(structure);
            rest = after;
        }
        // A structure with 255 pictures of three references is the longest: about 1100 bytes.
        descriptor.len = (payload.len() - rest.len()) as u16;
        Ok(descriptor)
    }

    /// Bytes that the descriptor took in the payload it was read from; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a descriptor is never empty")]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// In flexible mode: distances to the pictures referred to, in picture ids.
    pub fn references(&self) -> &[u8] {
        self.references
            .get(..usize::from(self.reference_count))
            .unwrap_or_default()
    }

    /// Spatial and temporal layer; the base if none is said.
    pub fn layer_id(&self) -> LayerId {
        self.layer.map_or(LayerId::default(), |layer| layer.id)
    }

    /// The payload begins a keyframe: the first packet of a picture that refers to none before it.
    pub fn starts_keyframe(&self) -> bool {
        self.start_of_frame && !self.inter_picture && self.layer_id().spatial == 0
    }

    /// Size of the highest spatial layer, from the scalability structure; otherwise, if the payload begins a keyframe,
    /// from the frame's header. `payload` is what the descriptor was read from.
    pub fn keyframe_resolution(&self, payload: &[u8]) -> Option<Resolution> {
        let from_structure = self
            .structure
            .and_then(|structure| structure.resolution(structure.spatial_layer_count - 1));
        if from_structure.is_some() {
            return from_structure;
        }
        if !self.starts_keyframe() {
            return None;
        }
        header_resolution(payload.get(self.len()..)?)
    }
}

/// Overwrites picture id and TL0PICIDX of the descriptor at the front of `payload`, in place. A field that is absent
/// stays absent; a 7-bit picture id takes the low 7 bits.
pub fn rewrite(payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8) -> Result<(), Vp9Error> {
    let truncated = Vp9Error::Truncated;
    let (&mut first, mut rest) = payload.split_first_mut().ok_or(truncated)?;
    if first & 0x80 != 0 {
        let (high, after) = rest.split_first_mut().ok_or(truncated)?;
        rest = after;
        if *high & 0x80 != 0 {
            let (low, after) = rest.split_first_mut().ok_or(truncated)?;
            rest = after;
            [*high, *low] = (picture_id | 0x8000).to_be_bytes();
        } else {
            *high = picture_id as u8 & 0x7F;
        }
    }
    if first & 0x20 != 0 && first & 0x10 == 0 {
        let [_, index, ..] = rest else {
            return Err(truncated);
        };
        *index = tl0_pic_idx;
    }
    Ok(())
}

/// Frame size from the uncompressed header of a keyframe (VP9 bitstream specification section 6.2).
fn header_resolution(frame: &[u8]) -> Option<Resolution> {
    const FRAME_MARKER: u32 = 2;
    const SYNC_CODE: u32 = 0x49_8342;
    const COLOR_SPACE_RGB: u32 = 7;
    let mut bits = BitReader::new(frame);
    if bits.bits(2)? != FRAME_MARKER {
        return None;
    }
    let profile = bits.bits(1)? | bits.bits(1)? << 1;
    if profile == 3 {
        bits.skip(1)?;
    }
    let show_existing_frame = bits.flag()?;
    let inter_frame = bits.flag()?;
    bits.skip(2)?; // show_frame, error_resilient_mode
    if show_existing_frame || inter_frame || bits.bits(24)? != SYNC_CODE {
        return None;
    }
    if profile >= 2 {
        bits.skip(1)?; // ten_or_twelve_bit
    }
    let odd_profile = profile % 2 == 1;
    if bits.bits(3)? == COLOR_SPACE_RGB {
        bits.skip(usize::from(odd_profile))?; // reserved
    } else {
        bits.skip(1)?; // color_range
        bits.skip(if odd_profile { 3 } else { 0 })?; // subsampling, reserved
    }
    let width = bits.bits(16)? + 1;
    let height = bits.bits(16)? + 1;
    Some(Resolution { width, height })
}

fn take(bytes: &mut &[u8]) -> Option<u8> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Chromium sends at the start of a keyframe in L3T3: I, L, B, V; 15-bit id; structure with three sizes and a
    /// group of four pictures.
    #[rustfmt::skip]
    const SVC_KEYFRAME: [u8; 30] = [
        0xAA, 0x92, 0x34, 0x10, 0x55, // TID 0, U, SID 0, TL0PICIDX
        0x58, 0x01, 0x40, 0x00, 0xB4, 0x02, 0x80, 0x01, 0x68, 0x05, 0x00, 0x02, 0xD0,
        0x04, 0x14, 0x04, 0x54, 0x01, 0x34, 0x02, 0x54, 0x01, // 0 ← 4; 2 ← 1; 1 ← 2; 2 ← 1
        0x00, 0x00, 0x00,
    ];

    #[test]
    fn every_field_of_a_scalable_keyframe_is_read() {
        let descriptor = Vp9Descriptor::parse(&SVC_KEYFRAME).unwrap();
        assert_eq!(descriptor.len(), 27);
        assert_eq!(
            descriptor.picture_id,
            Some(PictureId {
                value: 0x1234,
                wide: true
            })
        );
        let layer = descriptor.layer.unwrap();
        assert_eq!(
            layer.id,
            LayerId {
                spatial: 0,
                temporal: 0
            }
        );
        assert!(layer.switching_up && !layer.inter_layer);
        assert_eq!(layer.tl0_pic_idx, Some(0x55));
        assert!(descriptor.starts_keyframe() && !descriptor.end_of_frame);
        let structure = descriptor.structure.unwrap();
        assert_eq!(
            (structure.spatial_layer_count, structure.picture_group_len),
            (3, 4)
        );
        assert_eq!(
            structure.resolution(0),
            Some(Resolution {
                width: 320,
                height: 180
            })
        );
        assert_eq!(structure.resolution(3), None);
        let size = descriptor.keyframe_resolution(&SVC_KEYFRAME);
        assert_eq!(
            size,
            Some(Resolution {
                width: 1280,
                height: 720
            })
        );
    }

    #[test]
    fn higher_spatial_layers_do_not_start_a_keyframe() {
        let mut payload = SVC_KEYFRAME;
        payload[3] = 0x03;
        let descriptor = Vp9Descriptor::parse(&payload).unwrap();
        assert_eq!(
            descriptor.layer_id(),
            LayerId {
                spatial: 1,
                temporal: 0
            }
        );
        assert!(descriptor.layer.unwrap().inter_layer);
        assert!(!descriptor.starts_keyframe());
    }

    #[test]
    fn flexible_mode_lists_references() {
        let payload = [0xF9, 0x05, 0x20, 0x03, 0x04, 0xEE];
        let descriptor = Vp9Descriptor::parse(&payload).unwrap();
        assert_eq!(descriptor.references(), [1, 2]);
        assert_eq!(descriptor.layer.unwrap().tl0_pic_idx, None);
        assert_eq!(
            descriptor.layer_id(),
            LayerId {
                spatial: 0,
                temporal: 1
            }
        );
        assert!(descriptor.not_a_reference_upwards);
        assert_eq!(descriptor.len(), 5);
        let four = [0x50, 0x03, 0x03, 0x03, 0x02];
        assert_eq!(Vp9Descriptor::parse(&four), Err(Vp9Error::References));
    }

    #[test]
    fn without_a_structure_the_frame_header_tells_the_size() {
        // Profile 0, shown keyframe, BT.601, 640×360.
        let payload = [0x08, 0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xF0, 0x16, 0x70];
        let descriptor = Vp9Descriptor::parse(&payload).unwrap();
        let size = descriptor.keyframe_resolution(&payload);
        assert_eq!(
            size,
            Some(Resolution {
                width: 640,
                height: 360
            })
        );
        assert_eq!(descriptor.keyframe_resolution(&payload[..8]), None);
    }

    #[test]
    fn truncation_anywhere_is_an_error() {
        for len in 0..27 {
            assert_eq!(
                Vp9Descriptor::parse(&SVC_KEYFRAME[..len]),
                Err(Vp9Error::Truncated)
            );
        }
    }

    #[test]
    fn rewriting_changes_picture_id_and_tl0_only() {
        let mut payload = SVC_KEYFRAME;
        rewrite(&mut payload, 0x0102, 0x77).unwrap();
        assert_eq!(payload[..5], [0xAA, 0x81, 0x02, 0x10, 0x77]);
        assert_eq!(payload[5..], SVC_KEYFRAME[5..]);
        let mut flexible = [0xF9, 0x05, 0x20, 0x03, 0x04];
        rewrite(&mut flexible, 0x81, 0x77).unwrap();
        assert_eq!(flexible, [0xF9, 0x01, 0x20, 0x03, 0x04]);
        assert_eq!(rewrite(&mut [0xA0, 0x80], 1, 1), Err(Vp9Error::Truncated));
        assert_eq!(
            rewrite(&mut [0xA0, 0x00, 0x00], 1, 1),
            Err(Vp9Error::Truncated)
        );
    }
}
