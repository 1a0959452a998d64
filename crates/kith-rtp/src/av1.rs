//! AV1 payloads (AV1 RTP payload specification section 4): the aggregation header and the OBUs behind it.

use crate::bits::BitReader;
use crate::{LayerId, Resolution};

const SEQUENCE_HEADER: u8 = 1;

/// No aggregation header, or an OBU element longer than the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("AV1 payload is truncated")]
pub struct Av1Error;

/// What an AV1 payload says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Av1Descriptor {
    /// Z: the first element continues an OBU of the packet before.
    pub continues: bool,
    /// Y: the last element goes on in the next packet.
    pub continued: bool,
    /// N: the packet is the first of a coded video sequence.
    pub new_sequence: bool,
    /// A sequence header begins in the packet.
    pub has_sequence_header: bool,
    /// Layer of the first OBU that begins here and tells it.
    pub layer: Option<LayerId>,
}

impl Av1Descriptor {
    /// Reads the aggregation header and the headers of the OBUs that begin in the RTP payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Av1Error> {
        let first = *payload.first().ok_or(Av1Error)?;
        let mut descriptor = Av1Descriptor {
            continues: first & 0x80 != 0,
            continued: first & 0x40 != 0,
            new_sequence: first & 0x08 != 0,
            has_sequence_header: false,
            layer: None,
        };
        let mut walk = ObuElements::new(payload);
        for element in walk.by_ref().skip(usize::from(descriptor.continues)) {
            let Some(header) = ObuHeader::read(element) else {
                continue;
            };
            descriptor.has_sequence_header |= header.kind == SEQUENCE_HEADER;
            descriptor.layer = descriptor.layer.or(header.layer);
        }
        if walk.broken {
            Err(Av1Error)
        } else {
            Ok(descriptor)
        }
    }

    /// The payload begins a keyframe. The flag alone is not trusted to be there: not every packetizer sets it, but a
    /// sequence header comes with every keyframe.
    pub fn starts_keyframe(&self) -> bool {
        (self.new_sequence && !self.continues) || self.has_sequence_header
    }

    /// Largest size of the frames to come, if `payload`, from which this was parsed, holds a sequence header.
    pub fn keyframe_resolution(&self, payload: &[u8]) -> Option<Resolution> {
        if !self.has_sequence_header {
            return None;
        }
        ObuElements::new(payload)
            .skip(usize::from(self.continues))
            .find_map(|element| {
                let header = ObuHeader::read(element)?;
                (header.kind == SEQUENCE_HEADER).then_some(header.body)
            })
            .and_then(sequence_resolution)
    }
}

/// The OBU elements of an RTP payload: whole OBUs, or fragments at the front and at the end. The walk ends at an element
/// that is cut off.
pub fn obu_elements(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    ObuElements::new(payload)
}

struct ObuElements<'a> {
    rest: &'a [u8],
    /// Elements until the one without a length; `None`: all have lengths.
    until_last: Option<u8>,
    broken: bool,
}

impl<'a> ObuElements<'a> {
    fn new(payload: &'a [u8]) -> Self {
        let (head, rest) = payload.split_first().unwrap_or((&0, &[]));
        // W counts the elements; zero means: look for yourself.
        let until_last = (head >> 4 & 0x03).checked_sub(1);
        ObuElements {
            rest,
            until_last,
            broken: false,
        }
    }
}

impl<'a> Iterator for ObuElements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            // Elements that W announced must be there.
            self.broken |= self.until_last.is_some_and(|left| left > 0);
            return None;
        }
        if self.until_last == Some(0) {
            return Some(std::mem::take(&mut self.rest));
        }
        self.until_last = self.until_last.map(|left| left - 1);
        let element = read_leb128(self.rest).and_then(|(len, rest)| {
            let len = usize::try_from(len).ok()?;
            rest.split_at_checked(len)
        });
        let Some((element, rest)) = element else {
            self.rest = &[];
            self.until_last = None;
            self.broken = true;
            return None;
        };
        self.rest = rest;
        Some(element)
    }
}

struct ObuHeader<'a> {
    kind: u8,
    layer: Option<LayerId>,
    body: &'a [u8],
}

impl<'a> ObuHeader<'a> {
    /// AV1 specification section 5.3.2.
    fn read(obu: &'a [u8]) -> Option<Self> {
        let (&head, mut body) = obu.split_first()?;
        if head & 0x80 != 0 {
            return None;
        }
        let mut layer = None;
        if head & 0x04 != 0 {
            let (&extension, rest) = body.split_first()?;
            layer = Some(LayerId {
                spatial: extension >> 3 & 0x03,
                temporal: extension >> 5,
            });
            body = rest;
        }
        if head & 0x02 != 0 {
            // The size is redundant here, senders should leave it out.
            let (len, rest) = read_leb128(body)?;
            let len = usize::try_from(len).ok()?;
            body = rest.get(..len).unwrap_or(rest);
        }
        Some(ObuHeader {
            kind: head >> 3 & 0x0F,
            layer,
            body,
        })
    }
}

/// AV1 specification section 4.10.5: at most eight bytes, at most 32 bits.
fn read_leb128(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u64;
    let mut rest = bytes;
    for shift in (0..56).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, rest));
        }
    }
    None
}

/// Largest frame size from the body of a sequence header (AV1 specification section 5.5).
fn sequence_resolution(body: &[u8]) -> Option<Resolution> {
    let mut bits = BitReader::new(body);
    bits.skip(3 + 1)?; // seq_profile, still_picture
    let reduced_still_picture_header = bits.flag()?;
    if reduced_still_picture_header {
        bits.skip(5)?; // seq_level_idx
    } else {
        skip_operating_points(&mut bits)?;
    }
    let width_bits = bits.bits(4)? + 1;
    let height_bits = bits.bits(4)? + 1;
    let width = bits.bits(width_bits)? + 1;
    let height = bits.bits(height_bits)? + 1;
    Some(Resolution { width, height })
}

fn skip_operating_points(bits: &mut BitReader<'_>) -> Option<()> {
    let mut decoder_delay_bits = None;
    if bits.flag()? {
        bits.skip(32 + 32)?; // num_units_in_display_tick, time_scale
        if bits.flag()? {
            skip_uvlc(bits)?; // num_ticks_per_picture_minus_1
        }
        if bits.flag()? {
            decoder_delay_bits = Some(bits.bits(5)? as usize + 1);
            bits.skip(32 + 5 + 5)?; // num_units_in_decoding_tick, two lengths
        }
    }
    let initial_display_delay = bits.flag()?;
    let operating_points = bits.bits(5)? + 1;
    for _ in 0..operating_points {
        bits.skip(12)?; // operating_point_idc
        if bits.bits(5)? > 7 {
            bits.skip(1)?; // seq_tier
        }
        if let Some(delay_bits) = decoder_delay_bits
            && bits.flag()?
        {
            bits.skip(delay_bits * 2 + 1)?; // two delays, low_delay_mode_flag
        }
        if initial_display_delay && bits.flag()? {
            bits.skip(4)?;
        }
    }
    Some(())
}

/// AV1 specification section 4.10.3.
fn skip_uvlc(bits: &mut BitReader<'_>) -> Option<()> {
    let mut zeros = 0;
    while !bits.flag()? {
        zeros += 1;
    }
    if zeros < 32 {
        bits.skip(zeros)
    } else {
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequence header OBU without size: main profile, level 8 with tier, 640×360.
    fn sequence_header() -> Vec<u8> {
        let mut header = vec![0x08];
        // 000 0 0 | 0 timing | 0 delay | 00000 points | 12 × 0 idc | 01000 level 8 | 0 tier
        // | 1001 | 1000 | 1001111111 (639) | 101100111 (359)
        let bits = "000000000000000000000000010000".to_owned()
            + "1001"
            + "1000"
            + "1001111111"
            + "101100111";
        for chunk in bits.as_bytes().chunks(8) {
            let text = String::from_utf8(chunk.to_vec()).unwrap();
            header.push(u8::from_str_radix(&format!("{text:0<8}"), 2).unwrap());
        }
        header
    }

    #[test]
    fn a_keyframe_packet_has_a_sequence_header_with_the_size() {
        let header = sequence_header();
        let mut payload = vec![0x28, header.len() as u8];
        payload.extend(&header);
        payload.extend([0x34, 0x28, 0xAA]); // frame OBU with extension: temporal 1, spatial 1
        let descriptor = Av1Descriptor::parse(&payload).unwrap();
        assert!(descriptor.new_sequence && descriptor.has_sequence_header);
        assert!(descriptor.starts_keyframe());
        assert_eq!(
            descriptor.layer,
            Some(LayerId {
                spatial: 1,
                temporal: 1
            })
        );
        let size = descriptor.keyframe_resolution(&payload);
        assert_eq!(
            size,
            Some(Resolution {
                width: 640,
                height: 360
            })
        );
        assert_eq!(obu_elements(&payload).count(), 2);
    }

    #[test]
    fn a_sequence_header_alone_makes_a_keyframe_also_with_sizes_everywhere() {
        let header = sequence_header();
        let mut payload = vec![0x00, header.len() as u8 + 1];
        payload.extend([0x0A, header.len() as u8 - 1]);
        payload.extend(&header[1..]);
        payload.extend([0x02, 0x30, 0xAA]);
        let descriptor = Av1Descriptor::parse(&payload).unwrap();
        assert!(!descriptor.new_sequence && descriptor.starts_keyframe());
        assert!(descriptor.keyframe_resolution(&payload).is_some());
    }

    #[test]
    fn a_continued_element_is_not_taken_for_an_obu() {
        // Z, W = 1: the first byte of the element looks like a sequence header.
        let descriptor = Av1Descriptor::parse(&[0x90, 0x08, 0x00]).unwrap();
        assert!(descriptor.continues && !descriptor.starts_keyframe());
    }

    #[test]
    fn lengths_beyond_the_end_are_errors() {
        assert_eq!(Av1Descriptor::parse(&[]), Err(Av1Error));
        assert_eq!(Av1Descriptor::parse(&[0x00, 0x05, 0x30]), Err(Av1Error));
        assert_eq!(
            Av1Descriptor::parse(&[0x30, 0x01, 0x30]),
            Err(Av1Error),
            "W says three"
        );
        assert_eq!(
            Av1Descriptor::parse(&[0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]),
            Err(Av1Error)
        );
        assert!(
            Av1Descriptor::parse(&[0x10]).is_ok(),
            "one element of nothing"
        );
    }

    #[test]
    fn leb128_has_at_most_eight_bytes_and_32_bits() {
        assert_eq!(read_leb128(&[0xE5, 0x8E, 0x26]), Some((624_485, &[][..])));
        assert_eq!(
            read_leb128(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 7]),
            Some((0, &[7][..]))
        );
        assert_eq!(read_leb128(&[0x80; 9]), None);
        assert_eq!(read_leb128(&[0xFF, 0xFF, 0xFF, 0xFF, 0x10]), None);
        assert_eq!(read_leb128(&[]), None);
    }
}
