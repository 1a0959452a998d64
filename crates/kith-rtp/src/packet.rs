//! A checked view of one RTP packet (RFC 3550 section 5, header extensions RFC 8285).

use std::ops::Range;

use crate::{PayloadType, SeqNo, Ssrc};

/// Length of the header before CSRCs and extension.
pub(crate) const FIXED_HEADER_LEN: usize = 12;

/// Longest packet accepted: what one UDP datagram or one RFC 4571 frame can carry.
const MAX_PACKET_LEN: usize = u16::MAX as usize;

/// RFC 8285 section 4.2.
pub(crate) const ONE_BYTE_PROFILE: u16 = 0xBEDE;
/// RFC 8285 section 4.3; the low four bits are for the application.
pub(crate) const TWO_BYTE_PROFILE: u16 = 0x1000;
const TWO_BYTE_PROFILE_MASK: u16 = 0xFFF0;

/// Why bytes are not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Fewer bytes than header, CSRCs and extension need.
    #[error("RTP packet is truncated")]
    Truncated,
    /// More bytes than a datagram can have.
    #[error("RTP packet is longer than 65535 bytes")]
    TooLong,
    /// The version is not 2.
    #[error("RTP version is not 2")]
    Version,
    /// The padding count is zero or larger than the payload.
    #[error("RTP padding is zero or larger than the payload")]
    Padding,
}

/// A checked view of an RTP packet: version, CSRCs, extension and padding lie within the bytes, so no accessor can
/// fail. The elements *inside* the header extension are checked while they are walked.
#[derive(Clone, Copy, Debug)]
pub struct RtpPacket<'a> {
    bytes: &'a [u8],
    fixed: &'a [u8; FIXED_HEADER_LEN],
    payload: &'a [u8],
    /// Body of the header extension, without its four-byte head; empty if there is none or its profile is foreign.
    extension: &'a [u8],
    two_byte_extension: bool,
    padding_len: u8,
}

impl<'a> RtpPacket<'a> {
    /// Checks `buf`, which holds exactly one packet.
    #[inline]
    pub fn parse(buf: &'a [u8]) -> Result<Self, RtpError> {
        let Some((fixed, rest)) = buf.split_first_chunk::<FIXED_HEADER_LEN>() else {
            return Err(RtpError::Truncated);
        };
        if buf.len() > MAX_PACKET_LEN {
            return Err(RtpError::TooLong);
        }
        let flags = fixed[0];
        if flags >> 6 != 2 {
            return Err(RtpError::Version);
        }
        let csrc_len = usize::from(flags & 0x0F) * 4;
        let mut rest = rest.get(csrc_len..).ok_or(RtpError::Truncated)?;

        let mut extension: &[u8] = &[];
        let mut two_byte_extension = false;
        if flags & 0x10 != 0 {
            let (head, after) = rest.split_first_chunk::<4>().ok_or(RtpError::Truncated)?;
            let profile = u16::from_be_bytes([head[0], head[1]]);
            let len = usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
            let (body, after) = after.split_at_checked(len).ok_or(RtpError::Truncated)?;
            two_byte_extension = profile & TWO_BYTE_PROFILE_MASK == TWO_BYTE_PROFILE;
            if two_byte_extension || profile == ONE_BYTE_PROFILE {
                extension = body;
            }
            rest = after;
        }

        let mut padding_len = 0;
        if flags & 0x20 != 0 {
            padding_len = rest.last().copied().ok_or(RtpError::Padding)?;
            let payload_len = rest
                .len()
                .checked_sub(usize::from(padding_len))
                .filter(|_| padding_len != 0)
                .ok_or(RtpError::Padding)?;
            rest = rest.get(..payload_len).ok_or(RtpError::Padding)?;
        }

        Ok(RtpPacket {
            bytes: buf,
            fixed,
            payload: rest,
            extension,
            two_byte_extension,
            padding_len,
        })
    }

    /// The marker bit.
    #[inline]
    pub fn marker(&self) -> bool {
        self.fixed[1] & 0x80 != 0
    }

    /// The payload type, 0 to 127.
    #[inline]
    pub fn payload_type(&self) -> PayloadType {
        PayloadType(self.fixed[1] & 0x7F)
    }

    /// The sequence number.
    #[inline]
    pub fn sequence_number(&self) -> SeqNo {
        SeqNo(u16::from_be_bytes([self.fixed[2], self.fixed[3]]))
    }

    /// The timestamp, in units of the codec's clock rate.
    #[inline]
    pub fn timestamp(&self) -> u32 {
        u32::from_be_bytes([self.fixed[4], self.fixed[5], self.fixed[6], self.fixed[7]])
    }

    /// The synchronisation source.
    #[inline]
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(u32::from_be_bytes([
            self.fixed[8],
            self.fixed[9],
            self.fixed[10],
            self.fixed[11],
        ]))
    }

    /// Bytes before the payload: fixed header, CSRCs and extension.
    #[inline]
    pub fn header_len(&self) -> usize {
        self.bytes.len() - self.payload.len() - usize::from(self.padding_len)
    }

    /// The payload without padding.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Padding bytes at the end, the count byte included; 0 to 255.
    #[inline]
    pub fn padding_len(&self) -> usize {
        usize::from(self.padding_len)
    }

    /// The whole packet.
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The value of the extension element `id`; of the first one if a sender repeats it.
    #[inline]
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        self.extensions()
            .find(|(found, _)| *found == id)
            .map(|(_, value)| value)
    }

    /// Where the value of the extension element `id` lies in the packet, for overwriting it in place.
    pub fn extension_range(&self, id: u8) -> Option<Range<usize>> {
        let mut walk = self.extensions();
        let start_of_extension = self.header_len() - self.extension.len();
        while let Some((found, value)) = walk.next() {
            if found == id {
                let end = start_of_extension + self.extension.len() - walk.rest.len();
                return Some(end - value.len()..end);
            }
        }
        None
    }

    /// The extension elements in wire order. The walk ends at the first malformed element (RFC 8285 section 4.2).
    #[inline]
    pub fn extensions(&self) -> Extensions<'a> {
        Extensions {
            rest: self.extension,
            two_byte: self.two_byte_extension,
        }
    }
}

/// Walks the elements of a header extension: id and value.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    rest: &'a [u8],
    two_byte: bool,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&head, after) = self.rest.split_first()?;
            if head == 0 {
                self.rest = after;
                continue;
            }
            let (id, len, after) = if self.two_byte {
                let (&len, after) = after.split_first()?;
                (head, usize::from(len), after)
            } else {
                (head >> 4, usize::from(head & 0x0F) + 1, after)
            };
            // One-byte id 0 with a length, and id 15, end the walk: RFC 8285 section 4.2.
            let well_formed = self.two_byte || (id != 0 && id != 15);
            let Some((value, after)) = after.split_at_checked(len).filter(|_| well_formed) else {
                self.rest = &[];
                return None;
            };
            self.rest = after;
            return Some((id, value));
        }
    }
}

/// Overwrites the marker bit of the packet in `buf`. Like all `set_` functions: a buffer that is shorter than an RTP
/// header is left as it is.
#[inline]
pub fn set_marker(buf: &mut [u8], marker: bool) {
    if let Some(fixed) = buf.first_chunk_mut::<FIXED_HEADER_LEN>() {
        fixed[1] = fixed[1] & 0x7F | u8::from(marker) << 7;
    }
}

/// Overwrites the payload type; bits above the lowest seven are ignored.
#[inline]
pub fn set_payload_type(buf: &mut [u8], payload_type: PayloadType) {
    if let Some(fixed) = buf.first_chunk_mut::<FIXED_HEADER_LEN>() {
        fixed[1] = fixed[1] & 0x80 | payload_type.0 & 0x7F;
    }
}

/// Overwrites the sequence number.
#[inline]
pub fn set_sequence_number(buf: &mut [u8], number: SeqNo) {
    if let Some(fixed) = buf.first_chunk_mut::<FIXED_HEADER_LEN>() {
        [fixed[2], fixed[3]] = number.0.to_be_bytes();
    }
}

/// Overwrites the timestamp.
#[inline]
pub fn set_timestamp(buf: &mut [u8], timestamp: u32) {
    if let Some(fixed) = buf.first_chunk_mut::<FIXED_HEADER_LEN>() {
        [fixed[4], fixed[5], fixed[6], fixed[7]] = timestamp.to_be_bytes();
    }
}

/// Overwrites the synchronisation source.
#[inline]
pub fn set_ssrc(buf: &mut [u8], ssrc: Ssrc) {
    if let Some(fixed) = buf.first_chunk_mut::<FIXED_HEADER_LEN>() {
        [fixed[8], fixed[9], fixed[10], fixed[11]] = ssrc.0.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const WITH_EVERYTHING: [u8; 40] = [
        0xB1, 0xE0, 0x12, 0x34, 0x00, 0x00, 0x10, 0x00, 0xDE, 0xAD, 0xBE, 0xEF, // P, X, one CSRC; M, PT 96
        0x00, 0x00, 0x00, 0x07, // CSRC
        0xBE, 0xDE, 0x00, 0x02, 0x10, 0xFF, 0x00, 0x32, 0xAA, 0xBB, 0xCC, 0x00, // id 1 len 1, pad, id 3 len 3, pad
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, // payload
        0x00, 0x00, 0x00, 0x04, // padding
    ];

    #[test]
    fn every_part_of_the_header_is_found() {
        let packet = RtpPacket::parse(&WITH_EVERYTHING).unwrap();
        assert!(packet.marker());
        assert_eq!(packet.payload_type(), PayloadType(96));
        assert_eq!(packet.sequence_number(), SeqNo(0x1234));
        assert_eq!(packet.timestamp(), 0x1000);
        assert_eq!(packet.ssrc(), Ssrc(0xDEAD_BEEF));
        assert_eq!(packet.header_len(), 28);
        assert_eq!(packet.padding_len(), 4);
        assert_eq!(packet.payload(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(
            packet.extensions().collect::<Vec<_>>(),
            [(1, &[0xFF][..]), (3, &[0xAA, 0xBB, 0xCC][..])]
        );
        assert_eq!(packet.extension_range(3), Some(24..27));
        assert_eq!(packet.extension_range(2), None);
    }

    #[test]
    fn two_byte_elements_may_be_empty_and_have_high_ids() {
        #[rustfmt::skip]
        let bytes = [
            0x90, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1,
            0x10, 0x05, 0x00, 0x02, 0x0F, 0x00, 0xC8, 0x02, 0x11, 0x22, 0x00, 0x00,
        ];
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert_eq!(packet.extension(15), Some(&[][..]));
        assert_eq!(packet.extension(200), Some(&[0x11, 0x22][..]));
        assert_eq!(packet.extension_range(200), Some(20..22));
        assert!(packet.payload().is_empty());
    }

    #[test]
    fn a_foreign_extension_profile_is_skipped() {
        let bytes = [
            0x90, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x12, 0x34, 0, 1, 0x10, 1, 2, 3, 9,
        ];
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert_eq!(packet.extensions().count(), 0);
        assert_eq!(packet.payload(), [9]);
    }

    #[test]
    fn id_15_and_overlong_elements_end_the_walk() {
        let id_15 = [
            0x90, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xBE, 0xDE, 0, 1, 0xF0, 1, 0x10, 2,
        ];
        assert_eq!(RtpPacket::parse(&id_15).unwrap().extensions().count(), 0);
        let overlong = [
            0x90, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xBE, 0xDE, 0, 1, 0x10, 1, 0x1F, 2,
        ];
        assert_eq!(RtpPacket::parse(&overlong).unwrap().extensions().count(), 1);
    }

    #[test]
    fn truncation_anywhere_is_an_error_never_a_panic() {
        for len in 0..28 {
            assert_eq!(
                RtpPacket::parse(&WITH_EVERYTHING[..len]).unwrap_err(),
                RtpError::Truncated
            );
        }
        let mut packet = WITH_EVERYTHING;
        packet[39] = 13;
        assert_eq!(RtpPacket::parse(&packet).unwrap_err(), RtpError::Padding);
        packet[39] = 0;
        assert_eq!(RtpPacket::parse(&packet).unwrap_err(), RtpError::Padding);
        packet[39] = 12;
        assert!(RtpPacket::parse(&packet).unwrap().payload().is_empty());
        packet[0] = 0x71;
        assert_eq!(RtpPacket::parse(&packet).unwrap_err(), RtpError::Version);
    }

    #[test]
    fn setters_touch_only_their_field() {
        let mut bytes = WITH_EVERYTHING;
        set_marker(&mut bytes, false);
        set_payload_type(&mut bytes, PayloadType(111));
        set_sequence_number(&mut bytes, SeqNo(0xFFFE));
        set_timestamp(&mut bytes, 0x0102_0304);
        set_ssrc(&mut bytes, Ssrc(5));
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert!(!packet.marker());
        assert_eq!(packet.payload_type(), PayloadType(111));
        assert_eq!(packet.sequence_number(), SeqNo(0xFFFE));
        assert_eq!(packet.timestamp(), 0x0102_0304);
        assert_eq!(packet.ssrc(), Ssrc(5));
        assert_eq!(bytes[12..], WITH_EVERYTHING[12..]);
        set_ssrc(&mut bytes[..11], Ssrc(9));
        assert_eq!(bytes[8..12], [0, 0, 0, 5]);
    }
}
