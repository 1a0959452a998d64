//! VP8 payload descriptor (RFC 7741 section 4.2).

use crate::write::put;
use crate::{Resolution, WriteError};

/// Longest descriptor in bytes: all fields, 15-bit picture id.
pub const MAX_DESCRIPTOR_LEN: usize = 6;

/// The payload is too short for the descriptor that its first bits announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("VP8 payload descriptor is truncated")]
pub struct Vp8Error;

/// A picture id and how wide its field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// The id, 0 to 127 or 0 to 32767.
    pub value: u16,
    /// The field has 15 bits, otherwise 7.
    pub wide: bool,
}

/// A VP8 payload descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// N: the frame can be dropped without harm to others.
    pub non_reference: bool,
    /// S: the payload begins a partition.
    pub start_of_partition: bool,
    /// PID: index of the partition, 0 to 7.
    pub partition_index: u8,
    /// Picture id, if present.
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX, a running count of base layer frames, if present.
    pub tl0_pic_idx: Option<u8>,
    /// TID, the temporal layer, 0 to 3, if present.
    pub temporal_id: Option<u8>,
    /// Y: the frame depends on base layer frames only. False without TID.
    pub layer_sync: bool,
    /// KEYIDX, a running count of keyframes, 0 to 31, if present.
    pub key_idx: Option<u8>,
    len: u8,
}

impl Vp8Descriptor {
    /// Reads the descriptor at the front of an RTP payload.
    #[inline]
    pub fn parse(payload: &[u8]) -> Result<Self, Vp8Error> {
        let (&first, mut rest) = payload.split_first().ok_or(Vp8Error)?;
        let mut descriptor = Vp8Descriptor {
            non_reference: first & 0x20 != 0,
            start_of_partition: first & 0x10 != 0,
            partition_index: first & 0x07,
            ..Vp8Descriptor::default()
        };
        if first & 0x80 != 0 {
            let (&extension, after) = rest.split_first().ok_or(Vp8Error)?;
            rest = after;
            if extension & 0x80 != 0 {
                let (&high, after) = rest.split_first().ok_or(Vp8Error)?;
                rest = after;
                let wide = high & 0x80 != 0;
                let mut value = u16::from(high & 0x7F);
                if wide {
                    let (&low, after) = rest.split_first().ok_or(Vp8Error)?;
                    rest = after;
                    value = value << 8 | u16::from(low);
                }
                descriptor.picture_id = Some(PictureId { value, wide });
            }
            if extension & 0x40 != 0 {
                let (&index, after) = rest.split_first().ok_or(Vp8Error)?;
                rest = after;
                descriptor.tl0_pic_idx = Some(index);
            }
            if extension & 0x30 != 0 {
                let (&layers, after) = rest.split_first().ok_or(Vp8Error)?;
                rest = after;
                if extension & 0x20 != 0 {
                    descriptor.temporal_id = Some(layers >> 6);
                    descriptor.layer_sync = layers & 0x20 != 0;
                }
                if extension & 0x10 != 0 {
                    descriptor.key_idx = Some(layers & 0x1F);
                }
            }
        }
        // At most MAX_DESCRIPTOR_LEN bytes were taken.
        descriptor.len = (payload.len() - rest.len()) as u8;
        Ok(descriptor)
    }

    /// Bytes that the descriptor took in the payload it was read from; 0 if it was made by hand.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// True if the descriptor was made by hand.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The payload begins a frame.
    #[inline]
    pub fn starts_frame(&self) -> bool {
        self.start_of_partition && self.partition_index == 0
    }

    /// The payload begins a keyframe. `payload` is what the descriptor was read from.
    #[inline]
    pub fn starts_keyframe(&self, payload: &[u8]) -> bool {
        // The lowest bit of the VP8 frame tag is zero on keyframes (RFC 6386 section 9.1).
        self.starts_frame() && payload.get(self.len()).is_some_and(|tag| tag & 1 == 0)
    }

    /// Size of the frame, if the payload begins a keyframe and reaches that far (RFC 6386 section 9.1).
    pub fn keyframe_resolution(&self, payload: &[u8]) -> Option<Resolution> {
        if !self.starts_keyframe(payload) {
            return None;
        }
        let header = payload.get(self.len()..)?.first_chunk::<10>()?;
        if header[3..6] != [0x9D, 0x01, 0x2A] {
            return None;
        }
        // The upper two bits are a scaling hint.
        let width = u32::from(u16::from_le_bytes([header[6], header[7]]) & 0x3FFF);
        let height = u32::from(u16::from_le_bytes([header[8], header[9]]) & 0x3FFF);
        (width != 0 && height != 0).then_some(Resolution { width, height })
    }

    /// Writes the descriptor to the front of `out` and returns its length. The value of a 7-bit picture id is cut to
    /// 7 bits; set `wide` to avoid it.
    #[inline]
    pub fn write(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let mut extension = 0;
        let mut bytes = [0; MAX_DESCRIPTOR_LEN];
        let mut rest = &mut bytes[2..];
        if let Some(id) = self.picture_id {
            extension |= 0x80;
            rest = if id.wide {
                put(rest, &(id.value | 0x8000).to_be_bytes())?
            } else {
                put(rest, &[id.value as u8 & 0x7F])?
            };
        }
        if let Some(index) = self.tl0_pic_idx {
            extension |= 0x40;
            rest = put(rest, &[index])?;
        }
        if self.temporal_id.is_some() || self.key_idx.is_some() {
            extension |= u8::from(self.temporal_id.is_some()) << 5;
            extension |= u8::from(self.key_idx.is_some()) << 4;
            let sync = self.layer_sync && self.temporal_id.is_some();
            let layers = (self.temporal_id.unwrap_or(0) & 0x03) << 6
                | u8::from(sync) << 5
                | self.key_idx.unwrap_or(0) & 0x1F;
            rest = put(rest, &[layers])?;
        }
        let left = rest.len();
        let mut len = MAX_DESCRIPTOR_LEN - left;
        bytes[0] = u8::from(extension != 0) << 7
            | u8::from(self.non_reference) << 5
            | u8::from(self.start_of_partition) << 4
            | self.partition_index & 0x07;
        bytes[1] = extension;
        if extension == 0 {
            len = 1;
        }
        let front = bytes.get(..len).ok_or(WriteError::OutOfRange)?;
        put(out, front)?;
        Ok(len)
    }
}

/// Overwrites fields of the descriptor at the front of `payload`, in place. A field that is absent stays absent. The
/// widths stay: a 7-bit picture id takes the low 7 bits of `picture_id`; to widen it, change the parsed descriptor and
/// [`write`](Vp8Descriptor::write) it elsewhere.
#[inline]
pub fn rewrite(
    payload: &mut [u8],
    picture_id: u16,
    tl0_pic_idx: u8,
    key_idx: u8,
) -> Result<(), Vp8Error> {
    let (&mut first, rest) = payload.split_first_mut().ok_or(Vp8Error)?;
    if first & 0x80 == 0 {
        return Ok(());
    }
    let (&mut extension, mut rest) = rest.split_first_mut().ok_or(Vp8Error)?;
    if extension & 0x80 != 0 {
        let (high, after) = rest.split_first_mut().ok_or(Vp8Error)?;
        rest = after;
        if *high & 0x80 != 0 {
            let (low, after) = rest.split_first_mut().ok_or(Vp8Error)?;
            rest = after;
            [*high, *low] = (picture_id | 0x8000).to_be_bytes();
        } else {
            *high = picture_id as u8 & 0x7F;
        }
    }
    if extension & 0x40 != 0 {
        let (index, after) = rest.split_first_mut().ok_or(Vp8Error)?;
        rest = after;
        *index = tl0_pic_idx;
    }
    if extension & 0x30 != 0 {
        let layers = rest.first_mut().ok_or(Vp8Error)?;
        if extension & 0x10 != 0 {
            *layers = *layers & 0xE0 | key_idx & 0x1F;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What libvpx and Chromium send at the start of a keyframe: X; I, L, T, K; 15-bit picture id.
    const KEYFRAME: [u8; 16] = [
        0x90, 0xF0, 0x81, 0x23, 0x44, 0x65, // descriptor
        0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x42, 0x68, 0x01, // 640 (scale 1) × 360
    ];

    #[test]
    fn every_field_of_a_full_descriptor_is_read() {
        let descriptor = Vp8Descriptor::parse(&KEYFRAME).unwrap();
        assert_eq!(descriptor.len(), 6);
        assert_eq!(
            descriptor.picture_id,
            Some(PictureId {
                value: 0x123,
                wide: true
            })
        );
        assert_eq!(descriptor.tl0_pic_idx, Some(0x44));
        assert_eq!(descriptor.temporal_id, Some(1));
        assert!(descriptor.layer_sync);
        assert_eq!(descriptor.key_idx, Some(5));
        assert!(descriptor.starts_frame());
        assert!(descriptor.starts_keyframe(&KEYFRAME));
        assert_eq!(
            descriptor.keyframe_resolution(&KEYFRAME),
            Some(Resolution {
                width: 640,
                height: 360
            })
        );
    }

    #[test]
    fn only_the_first_partition_of_a_keyframe_starts_one() {
        let mut delta = KEYFRAME;
        delta[6] |= 1;
        assert!(
            !Vp8Descriptor::parse(&delta)
                .unwrap()
                .starts_keyframe(&delta)
        );
        let mut later_partition = KEYFRAME;
        later_partition[0] = 0x91;
        assert!(
            !Vp8Descriptor::parse(&later_partition)
                .unwrap()
                .starts_keyframe(&later_partition)
        );
        let mut continuation = KEYFRAME;
        continuation[0] = 0x80;
        assert!(
            !Vp8Descriptor::parse(&continuation)
                .unwrap()
                .starts_keyframe(&continuation)
        );
        let alone = &KEYFRAME[..6];
        let descriptor = Vp8Descriptor::parse(alone).unwrap();
        assert!(!descriptor.starts_keyframe(alone));
        assert_eq!(descriptor.keyframe_resolution(&KEYFRAME[..15]), None);
    }

    #[test]
    fn a_descriptor_may_be_one_byte() {
        let descriptor = Vp8Descriptor::parse(&[0x10, 0x00]).unwrap();
        assert_eq!(descriptor.len(), 1);
        assert_eq!(descriptor.picture_id, None);
        assert!(descriptor.starts_keyframe(&[0x10, 0x00]));
    }

    #[test]
    fn truncation_anywhere_is_an_error() {
        for len in 0..6 {
            assert_eq!(Vp8Descriptor::parse(&KEYFRAME[..len]), Err(Vp8Error));
            assert_eq!(
                rewrite(&mut KEYFRAME.to_vec()[..len], 1, 2, 3),
                Err(Vp8Error)
            );
        }
    }

    #[test]
    fn rewriting_changes_the_present_fields_and_nothing_else() {
        let mut payload = KEYFRAME;
        rewrite(&mut payload, 0x7FFF, 9, 31).unwrap();
        assert_eq!(payload[..6], [0x90, 0xF0, 0xFF, 0xFF, 9, 0x7F]);
        assert_eq!(payload[6..], KEYFRAME[6..]);

        let mut narrow = [0x80, 0xA0, 0x05, 0xC3, 0xEE];
        rewrite(&mut narrow, 0x0181, 9, 31).unwrap();
        assert_eq!(
            narrow,
            [0x80, 0xA0, 0x01, 0xC3, 0xEE],
            "TID and Y stay, KEYIDX is absent"
        );

        let mut bare = [0x10, 0xAB];
        rewrite(&mut bare, 1, 2, 3).unwrap();
        assert_eq!(bare, [0x10, 0xAB]);
    }

    #[test]
    fn a_seven_bit_picture_id_can_be_widened_by_writing_anew() {
        let narrow = [0x90, 0x80, 0x05, 0xEE];
        let mut descriptor = Vp8Descriptor::parse(&narrow).unwrap();
        descriptor.picture_id = Some(PictureId {
            value: 0x1234,
            wide: true,
        });
        let mut out = [0; 8];
        assert_eq!(descriptor.write(&mut out), Ok(4));
        assert_eq!(out[..4], [0x90, 0x80, 0x92, 0x34]);
        assert_eq!(
            descriptor.write(&mut out[..3]),
            Err(WriteError::BufferTooSmall)
        );
    }
}
