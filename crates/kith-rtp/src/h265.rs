//! H.265 payloads (RFC 7798) without decoding order numbers, as WebRTC uses them. PACI packets are not looked into.

use crate::bits::BitReader;
use crate::nal::{ParameterSet, cropped};
use crate::{LayerId, Resolution};

const IRAP: std::ops::RangeInclusive<u8> = 16..=23;
const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;
const AGGREGATE: u8 = 48;
const FRAGMENT: u8 = 49;
const PACI: u8 = 50;

/// Length of a NAL unit header and of the payload header in its form.
const HEADER_LEN: usize = 2;

/// Why bytes are no H.265 payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum H265Error {
    /// No payload header, or no fragment header.
    #[error("H.265 payload is truncated")]
    Truncated,
    /// The forbidden bit is set, the type is reserved, or the temporal id is the forbidden zero.
    #[error("H.265 payload header is invalid")]
    Header,
}

/// What an H.265 payload holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct H265Descriptor {
    /// Layer of the payload: `nuh_layer_id` and `nuh_temporal_id_plus1` − 1.
    pub layer: LayerId,
    /// A video parameter set begins here.
    pub has_vps: bool,
    /// A sequence parameter set begins here.
    pub has_sps: bool,
    /// A picture parameter set begins here.
    pub has_pps: bool,
    /// The first slice of a random access picture (BLA, IDR, CRA) begins here.
    pub starts_irap: bool,
    /// The payload begins at the border of a NAL unit.
    pub starts_nal_unit: bool,
}

impl H265Descriptor {
    /// Looks at the NAL units of an RTP payload.
    pub fn parse(payload: &[u8]) -> Result<Self, H265Error> {
        let header = payload
            .first_chunk::<HEADER_LEN>()
            .ok_or(H265Error::Truncated)?;
        let (kind, layer) = read_header(*header).ok_or(H265Error::Header)?;
        if kind > PACI {
            return Err(H265Error::Header);
        }
        if kind == FRAGMENT && payload.len() <= HEADER_LEN {
            return Err(H265Error::Truncated);
        }
        let mut descriptor = H265Descriptor {
            layer,
            ..H265Descriptor::default()
        };
        for unit in nal_units(payload) {
            descriptor.starts_nal_unit |= unit.starts;
            descriptor.has_vps |= unit.starts && unit.kind == VPS;
            descriptor.has_sps |= unit.starts && unit.kind == SPS;
            descriptor.has_pps |= unit.starts && unit.kind == PPS;
            // A slice header begins with first_slice_segment_in_pic_flag.
            let first_slice = unit.body.first().is_some_and(|byte| byte & 0x80 != 0);
            descriptor.starts_irap |= unit.starts && IRAP.contains(&unit.kind) && first_slice;
        }
        Ok(descriptor)
    }

    /// The payload begins a keyframe: with its parameter sets or with its first slice.
    pub fn starts_keyframe(&self) -> bool {
        self.has_vps || self.has_sps || self.starts_irap
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

/// Type and layer of a NAL unit header (RFC 7798 section 1.1.4).
fn read_header([first, second]: [u8; HEADER_LEN]) -> Option<(u8, LayerId)> {
    let temporal = (second & 0x07).checked_sub(1)?;
    let spatial = (first & 0x01) << 5 | second >> 3;
    (first & 0x80 == 0).then_some((first >> 1 & 0x3F, LayerId { spatial, temporal }))
}

/// A NAL unit or a fragment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NalUnit<'a> {
    /// `nal_unit_type`, 0 to 63.
    pub kind: u8,
    /// The unit begins here.
    pub starts: bool,
    /// The unit ends here.
    pub ends: bool,
    /// What follows the NAL unit header (or the fragment header).
    pub body: &'a [u8],
}

/// The NAL units in an RTP payload: one for single units and fragments, several for aggregates. The walk ends at a unit
/// that is cut off.
pub fn nal_units(payload: &[u8]) -> NalUnits<'_> {
    NalUnits(match payload.split_first_chunk::<HEADER_LEN>() {
        Some((head, rest)) => match head[0] >> 1 & 0x3F {
            AGGREGATE => Walk::Aggregate(rest),
            FRAGMENT => match rest.split_first() {
                Some((fragment, body)) => Walk::Single(NalUnit {
                    kind: fragment & 0x3F,
                    starts: fragment & 0x80 != 0,
                    ends: fragment & 0x40 != 0,
                    body,
                }),
                None => Walk::Done,
            },
            kind if kind < AGGREGATE => Walk::Single(NalUnit {
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
                let (head, body) = unit.split_first_chunk::<HEADER_LEN>()?;
                self.0 = Walk::Aggregate(rest);
                let kind = head[0] >> 1 & 0x3F;
                Some(NalUnit {
                    kind,
                    starts: true,
                    ends: true,
                    body,
                })
            }
            Walk::Done => None,
        }
    }
}

/// Bits of profile and tier of one layer, the level not included (H.265 section 7.3.3).
const PROFILE_BITS: usize = 88;
const LEVEL_BITS: usize = 8;

/// Frame size from what follows the NAL unit header of a sequence parameter set (H.265 section 7.3.2.2).
pub fn sps_resolution(sps: &[u8]) -> Option<Resolution> {
    let set = ParameterSet::unescape(sps);
    let mut bits = BitReader::new(set.as_bytes());
    bits.skip(4)?; // sps_video_parameter_set_id
    let sub_layers = bits.bits(3)?; // sps_max_sub_layers_minus1
    bits.skip(1)?; // sps_temporal_id_nesting_flag
    bits.skip(PROFILE_BITS + LEVEL_BITS)?;
    let mut sub_layer_bits = 0;
    for _ in 0..sub_layers {
        sub_layer_bits += if bits.flag()? { PROFILE_BITS } else { 0 };
        sub_layer_bits += if bits.flag()? { LEVEL_BITS } else { 0 };
    }
    if sub_layers > 0 {
        // The flags are filled up to eight sub-layers.
        bits.skip(2 * (8 - sub_layers as usize))?;
    }
    bits.skip(sub_layer_bits)?;
    bits.exp_golomb()?; // sps_seq_parameter_set_id
    let chroma_format = bits.exp_golomb()?;
    let separate_planes = chroma_format == 3 && bits.flag()?;
    let width = u64::from(bits.exp_golomb()?);
    let height = u64::from(bits.exp_golomb()?);
    let (mut horizontal, mut vertical) = (0, 0);
    if bits.flag()? {
        let mut edge = || bits.exp_golomb().map(u64::from);
        let (left, right, top, bottom) = (edge()?, edge()?, edge()?, edge()?);
        let (unit_x, unit_y) = match chroma_format {
            1 if !separate_planes => (2, 2),
            2 if !separate_planes => (2, 1),
            _ => (1, 1),
        };
        horizontal = (left + right) * unit_x;
        vertical = (top + bottom) * unit_y;
    }
    cropped(width, height, horizontal, vertical)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Main profile, 1280×720, as x265 writes it.
    const SPS_720P: [u8; 42] = [
        0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00,
        0x03, 0x00, 0x5D, 0xA0, 0x02, 0x80, 0x80, 0x2D, 0x16, 0x59, 0x59, 0xA4, 0x93, 0x2B, 0xC0,
        0x5A, 0x70, 0x80, 0x00, 0x01, 0xF4, 0x80, 0x00, 0x3A, 0x98, 0x04, 0x00,
    ];

    #[test]
    fn a_parameter_set_starts_a_keyframe_and_tells_its_size() {
        let descriptor = H265Descriptor::parse(&SPS_720P).unwrap();
        assert!(descriptor.has_sps && descriptor.starts_keyframe());
        let size = descriptor.keyframe_resolution(&SPS_720P);
        assert_eq!(
            size,
            Some(Resolution {
                width: 1280,
                height: 720
            })
        );
    }

    #[test]
    fn an_aggregate_is_searched() {
        let mut payload = vec![0x60, 0x01, 0, 3, 0x40, 0x01, 0x0C, 0, 42];
        payload.extend(SPS_720P);
        payload.extend([0, 3, 0x44, 0x01, 0xC1, 0, 3, 0x26, 0x01, 0xAF]);
        let descriptor = H265Descriptor::parse(&payload).unwrap();
        assert!(descriptor.has_vps && descriptor.has_sps && descriptor.has_pps);
        assert!(descriptor.starts_irap);
        assert!(descriptor.keyframe_resolution(&payload).is_some());
    }

    #[test]
    fn only_the_first_fragment_of_the_first_slice_starts_a_keyframe() {
        let starts = |payload: &[u8]| H265Descriptor::parse(payload).unwrap().starts_keyframe();
        assert!(starts(&[0x62, 0x01, 0x93, 0xAF]));
        assert!(!starts(&[0x62, 0x01, 0x13, 0xAF]), "a later fragment");
        assert!(!starts(&[0x62, 0x01, 0x93, 0x2F]), "a later slice");
        assert!(!starts(&[0x62, 0x01, 0x81, 0xAF]), "a trailing picture");
        assert!(starts(&[0x26, 0x01, 0xAF]));
        assert!(!starts(&[0x02, 0x01, 0xAF]));
    }

    #[test]
    fn the_layers_are_in_the_header() {
        let descriptor = H265Descriptor::parse(&[0x02, 0x0B, 0x00]).unwrap();
        assert_eq!(
            descriptor.layer,
            LayerId {
                spatial: 1,
                temporal: 2
            }
        );
    }

    #[test]
    fn odd_payloads_are_errors() {
        assert_eq!(H265Descriptor::parse(&[0x26]), Err(H265Error::Truncated));
        assert_eq!(
            H265Descriptor::parse(&[0x62, 0x01]),
            Err(H265Error::Truncated)
        );
        assert_eq!(H265Descriptor::parse(&[0xA6, 0x01]), Err(H265Error::Header));
        assert_eq!(H265Descriptor::parse(&[0x26, 0x00]), Err(H265Error::Header));
        assert_eq!(H265Descriptor::parse(&[0x66, 0x01]), Err(H265Error::Header));
        assert!(H265Descriptor::parse(&[0x64, 0x01]).is_ok(), "PACI");
    }
}
