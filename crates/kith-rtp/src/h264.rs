//! H.264 payloads (RFC 6184): single NAL units, STAP-A and FU-A, as WebRTC uses them (RFC 7742 section 6.2). Other
//! aggregates and FU-B belong to the interleaved mode, which nobody negotiates; their content is not looked at.

use crate::Resolution;
use crate::bits::BitReader;
use crate::nal::{ParameterSet, cropped};

const IDR_SLICE: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const INTERLEAVED: [u8; 4] = [25, 26, 27, 29];

/// Why bytes are no H.264 payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum H264Error {
    /// No NAL unit header, or no fragment header.
    #[error("H.264 payload is truncated")]
    Truncated,
    /// The forbidden bit is set, or the type is reserved.
    #[error("H.264 payload has NAL unit type {0}, which is reserved")]
    Reserved(u8),
}

/// What an H.264 payload holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct H264Descriptor {
    /// A sequence parameter set begins here.
    pub has_sps: bool,
    /// A picture parameter set begins here.
    pub has_pps: bool,
    /// The first slice of an IDR picture begins here.
    pub starts_idr: bool,
    /// The payload begins at the border of a NAL unit, so at least it is no continuation.
    pub starts_nal_unit: bool,
}

impl H264Descriptor {
    /// Looks at the NAL units of an RTP payload.
    pub fn parse(payload: &[u8]) -> Result<Self, H264Error> {
        let first = *payload.first().ok_or(H264Error::Truncated)?;
        let kind = first & 0x1F;
        if first & 0x80 != 0 || kind == 0 || kind > 29 {
            return Err(H264Error::Reserved(kind));
        }
        if kind == FU_A && payload.len() < 2 {
            return Err(H264Error::Truncated);
        }
        let mut descriptor = H264Descriptor::default();
        if INTERLEAVED.contains(&kind) {
            return Ok(descriptor);
        }
        for unit in nal_units(payload) {
            descriptor.starts_nal_unit |= unit.starts;
            descriptor.has_sps |= unit.starts && unit.kind == SPS;
            descriptor.has_pps |= unit.starts && unit.kind == PPS;
            // A slice header begins with first_mb_in_slice; zero is the single bit 1.
            let first_slice = unit.body.first().is_some_and(|byte| byte & 0x80 != 0);
            descriptor.starts_idr |= unit.starts && unit.kind == IDR_SLICE && first_slice;
        }
        Ok(descriptor)
    }

    /// The payload begins a keyframe: with its parameter sets or with its first slice. Encoders send the sets right
    /// before the slice, often in a packet of their own, so both count.
    pub fn starts_keyframe(&self) -> bool {
        self.has_sps || self.starts_idr
    }

    /// Size of the frames to come, if `payload`, from which this was parsed, holds a sequence parameter set.
    pub fn keyframe_resolution(&self, payload: &[u8]) -> Option<Resolution> {
        if !self.has_sps {
            return None;
        }
        nal_units(payload)
            .find(|unit| unit.starts && unit.kind == SPS)
            .and_then(|unit| sps_resolution(unit.body))
    }
}

/// A NAL unit or a fragment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NalUnit<'a> {
    /// `nal_unit_type`, 1 to 23 in a proper stream.
    pub kind: u8,
    /// The unit begins here.
    pub starts: bool,
    /// The unit ends here.
    pub ends: bool,
    /// What follows the NAL unit header (or the fragment header).
    pub body: &'a [u8],
}

/// The NAL units in an RTP payload: one for single units and fragments, several for STAP-A, none for what this module
/// does not read. The walk ends at a unit that is cut off.
pub fn nal_units(payload: &[u8]) -> NalUnits<'_> {
    NalUnits(match payload.split_first() {
        Some((head, rest)) => match head & 0x1F {
            STAP_A => Walk::Aggregate(rest),
            FU_A => match rest.split_first() {
                Some((fragment, body)) => Walk::Single(NalUnit {
                    kind: fragment & 0x1F,
                    starts: fragment & 0x80 != 0,
                    ends: fragment & 0x40 != 0,
                    body,
                }),
                None => Walk::Done,
            },
            kind @ 1..=23 => Walk::Single(NalUnit {
                kind,
                starts: true,
                ends: true,
                body: rest,
            }),
            _ => Walk::Done,
        },
        None => Walk::Done,
    })
}

/// See [`nal_units`].
#[derive(Clone, Debug)]
pub struct NalUnits<'a>(Walk<'a>);

#[derive(Clone, Debug)]
enum Walk<'a> {
    Single(NalUnit<'a>),
    Aggregate(&'a [u8]),
    Done,
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = NalUnit<'a>;

    fn next(&mut self) -> Option<NalUnit<'a>> {
        match std::mem::replace(&mut self.0, Walk::Done) {
            Walk::Single(unit) => Some(unit),
            Walk::Aggregate(rest) => {
                let (len, rest) = rest.split_first_chunk::<2>()?;
                let (unit, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
                let (head, body) = unit.split_first()?;
                self.0 = Walk::Aggregate(rest);
                Some(NalUnit {
                    kind: head & 0x1F,
                    starts: true,
                    ends: true,
                    body,
                })
            }
            Walk::Done => None,
        }
    }
}

/// Profiles whose parameter sets tell the chroma format (H.264 section 7.3.2.1.1).
const HIGH_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
/// H.264 section 7.4.2.1.1.
const MAX_FRAMES_IN_ORDER_CYCLE: u32 = 255;

/// Frame size from what follows the NAL unit header of a sequence parameter set (H.264 section 7.3.2.1.1).
pub fn sps_resolution(sps: &[u8]) -> Option<Resolution> {
    let set = ParameterSet::unescape(sps);
    let mut bits = BitReader::new(set.as_bytes());
    let profile = bits.bits(8)?;
    bits.skip(16)?; // constraints, level
    bits.exp_golomb()?; // seq_parameter_set_id
    let mut chroma_format = 1;
    let mut separate_planes = false;
    if HIGH_PROFILES.contains(&profile) {
        chroma_format = bits.exp_golomb()?;
        if chroma_format == 3 {
            separate_planes = bits.flag()?;
        }
        bits.exp_golomb()?; // bit_depth_luma_minus8
        bits.exp_golomb()?; // bit_depth_chroma_minus8
        bits.skip(1)?; // qpprime_y_zero_transform_bypass_flag
        if bits.flag()? {
            let lists = if chroma_format == 3 { 12 } else { 8 };
            for list in 0..lists {
                if bits.flag()? {
                    skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.exp_golomb()?; // log2_max_frame_num_minus4
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            bits.skip(1)?; // delta_pic_order_always_zero_flag
            bits.signed_exp_golomb()?; // offset_for_non_ref_pic
            bits.signed_exp_golomb()?; // offset_for_top_to_bottom_field
            let frames = bits.exp_golomb()?;
            if frames > MAX_FRAMES_IN_ORDER_CYCLE {
                return None;
            }
            for _ in 0..frames {
                bits.signed_exp_golomb()?; // offset_for_ref_frame
            }
        }
        _ => {}
    }
    bits.exp_golomb()?; // max_num_ref_frames
    bits.skip(1)?; // gaps_in_frame_num_value_allowed_flag
    let width = (u64::from(bits.exp_golomb()?) + 1) * 16;
    let map_units = u64::from(bits.exp_golomb()?) + 1;
    let frames_only = bits.flag()?;
    if !frames_only {
        bits.skip(1)?; // mb_adaptive_frame_field_flag
    }
    bits.skip(1)?; // direct_8x8_inference_flag
    let fields = if frames_only { 1 } else { 2 };
    let height = map_units * 16 * fields;
    let (mut horizontal, mut vertical) = (0, 0);
    if bits.flag()? {
        let mut edge = || bits.exp_golomb().map(u64::from);
        let (left, right, top, bottom) = (edge()?, edge()?, edge()?, edge()?);
        // Cropping counts in chroma samples (table 6-1), vertically in field lines.
        let (unit_x, unit_y) = match chroma_format {
            1 if !separate_planes => (2, 2),
            2 if !separate_planes => (2, 1),
            _ => (1, 1),
        };
        horizontal = (left + right) * unit_x;
        vertical = (top + bottom) * unit_y * fields;
    }
    cropped(width, height, horizontal, vertical)
}

/// H.264 section 7.3.2.1.1.1.
fn skip_scaling_list(bits: &mut BitReader<'_>, len: usize) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..len {
        if next != 0 {
            next = (last + i64::from(bits.signed_exp_golomb()?)).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Constrained baseline, 640×480, as libx264 and OpenH264 write it.
    const SPS_640X480: [u8; 12] = [
        0x67, 0x42, 0xC0, 0x1E, 0xDA, 0x02, 0x80, 0xF6, 0x84, 0x00, 0x00, 0x03,
    ];

    #[test]
    fn a_single_parameter_set_starts_a_keyframe_and_tells_its_size() {
        let descriptor = H264Descriptor::parse(&SPS_640X480).unwrap();
        assert!(descriptor.has_sps && descriptor.starts_keyframe() && !descriptor.starts_idr);
        let size = descriptor.keyframe_resolution(&SPS_640X480);
        assert_eq!(
            size,
            Some(Resolution {
                width: 640,
                height: 480
            })
        );
    }

    #[test]
    fn an_aggregate_is_searched() {
        let mut payload = vec![0x78, 0, 12];
        payload.extend(SPS_640X480);
        payload.extend([0, 2, 0x68, 0xCE, 0, 3, 0x65, 0x88, 0x84]);
        let descriptor = H264Descriptor::parse(&payload).unwrap();
        assert!(descriptor.has_sps && descriptor.has_pps && descriptor.starts_idr);
        assert!(descriptor.keyframe_resolution(&payload).is_some());
        assert_eq!(nal_units(&payload).count(), 3);
        // A length beyond the end ends the walk.
        payload[14 + 2] = 9;
        assert_eq!(nal_units(&payload).count(), 1);
    }

    #[test]
    fn only_the_first_fragment_of_the_first_slice_starts_a_keyframe() {
        let starts = |payload: &[u8]| H264Descriptor::parse(payload).unwrap().starts_keyframe();
        assert!(starts(&[0x7C, 0x85, 0x88, 0x84]));
        assert!(!starts(&[0x7C, 0x05, 0x88, 0x84]), "a later fragment");
        assert!(!starts(&[0x7C, 0x85, 0x42, 0x84]), "a later slice");
        assert!(!starts(&[0x7C, 0x81, 0x88, 0x84]), "no IDR");
        assert!(!starts(&[0x41, 0x9A]), "no IDR");
        assert!(starts(&[0x65, 0x88]));
    }

    #[test]
    fn odd_payloads_are_errors() {
        assert_eq!(H264Descriptor::parse(&[]), Err(H264Error::Truncated));
        assert_eq!(H264Descriptor::parse(&[0x7C]), Err(H264Error::Truncated));
        assert_eq!(H264Descriptor::parse(&[0x80]), Err(H264Error::Reserved(0)));
        assert_eq!(H264Descriptor::parse(&[0x1F]), Err(H264Error::Reserved(31)));
        assert_eq!(
            H264Descriptor::parse(&[0x19, 7, 7]),
            Ok(H264Descriptor::default())
        );
    }

    #[test]
    fn cropping_makes_1080_lines_of_1088() {
        // High profile, 120×68 macroblocks, 8 luma lines cropped.
        #[rustfmt::skip]
        let sps = [
            0x64, 0x00, 0x28, 0xAC, 0xD9, 0x40, 0x78, 0x02, 0x27, 0xE5, 0xC0, 0x5A, 0x80, 0x80, 0x80, 0xA0,
        ];
        assert_eq!(
            sps_resolution(&sps),
            Some(Resolution {
                width: 1920,
                height: 1080
            })
        );
    }
}
