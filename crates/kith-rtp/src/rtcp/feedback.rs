//! Feedback messages: NACK, PLI (RFC 4585), FIR (RFC 5104) and REMB (draft-alvestrand-rmcat-remb-03).

use super::{ssrcs, take_ssrc, take_u32};
use crate::{SeqNo, Ssrc};

/// `REMB`, the name of the application layer feedback.
pub(crate) const REMB_NAME: u32 = u32::from_be_bytes(*b"REMB");

/// Generic NACK: packets that are missing.
#[derive(Clone, Copy, Debug)]
pub struct Nack<'a> {
    /// Who asks.
    pub sender_ssrc: Ssrc,
    /// The stream with the gap.
    pub media_ssrc: Ssrc,
    entries: &'a [[u8; 4]],
}

impl<'a> Nack<'a> {
    pub(super) fn parse(mut body: &'a [u8]) -> Option<Self> {
        Some(Nack {
            sender_ssrc: take_ssrc(&mut body)?,
            media_ssrc: take_ssrc(&mut body)?,
            entries: body.as_chunks::<4>().0,
        })
    }

    /// The numbers that are missing, in wire order; at most 17 for every four bytes of the packet.
    pub fn sequence_numbers(&self) -> SequenceNumbers<'a> {
        SequenceNumbers {
            entries: self.entries.iter(),
            next: 0,
            mask: 0,
        }
    }
}

/// See [`Nack::sequence_numbers`].
#[derive(Clone, Debug)]
pub struct SequenceNumbers<'a> {
    entries: std::slice::Iter<'a, [u8; 4]>,
    /// The number that the lowest bit of `mask` stands for.
    next: u16,
    /// Bit set: missing. The packet id itself is the lowest bit, the RFC's bit mask lies above it.
    mask: u32,
}

impl Iterator for SequenceNumbers<'_> {
    type Item = SeqNo;

    fn next(&mut self) -> Option<SeqNo> {
        if self.mask == 0 {
            let [a, b, c, d] = *self.entries.next()?;
            self.next = u16::from_be_bytes([a, b]);
            self.mask = u32::from(u16::from_be_bytes([c, d])) << 1 | 1;
        }
        let skipped = self.mask.trailing_zeros();
        let number = self.next.wrapping_add(skipped as u16);
        self.mask >>= skipped + 1;
        self.next = number.wrapping_add(1);
        Some(SeqNo(number))
    }
}

/// Picture loss indication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pli {
    /// Who asks.
    pub sender_ssrc: Ssrc,
    /// The stream that shall send a keyframe.
    pub media_ssrc: Ssrc,
}

impl Pli {
    pub(super) fn parse(mut body: &[u8]) -> Option<Self> {
        Some(Pli {
            sender_ssrc: take_ssrc(&mut body)?,
            media_ssrc: take_ssrc(&mut body)?,
        })
    }
}

/// Full intra request.
#[derive(Clone, Copy, Debug)]
pub struct Fir<'a> {
    /// Who asks.
    pub sender_ssrc: Ssrc,
    entries: &'a [[u8; 8]],
}

/// One entry of a full intra request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirEntry {
    /// The stream that shall send a keyframe.
    pub media_ssrc: Ssrc,
    /// Number of the command; a repeated number is a repeated command.
    pub sequence: u8,
}

impl<'a> Fir<'a> {
    pub(super) fn parse(mut body: &'a [u8]) -> Option<Self> {
        let sender_ssrc = take_ssrc(&mut body)?;
        // The media SSRC of the common header is zero here: the entries name the streams.
        take_u32(&mut body)?;
        Some(Fir {
            sender_ssrc,
            entries: body.as_chunks::<8>().0,
        })
    }

    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = FirEntry> + use<'a> {
        self.entries
            .iter()
            .map(|[a, b, c, d, sequence, ..]| FirEntry {
                media_ssrc: Ssrc(u32::from_be_bytes([*a, *b, *c, *d])),
                sequence: *sequence,
            })
    }
}

/// Receiver estimated maximum bitrate.
#[derive(Clone, Copy, Debug)]
pub struct Remb<'a> {
    /// Who estimates.
    pub sender_ssrc: Ssrc,
    /// Bits per second, saturated at `u64::MAX`.
    pub bitrate: u64,
    ssrcs: &'a [u8],
}

impl<'a> Remb<'a> {
    /// `Some(None)` for application layer feedback that is not REMB.
    #[expect(clippy::option_option, reason = "malformed and foreign are two things")]
    pub(super) fn parse(mut body: &'a [u8]) -> Option<Option<Self>> {
        let sender_ssrc = take_ssrc(&mut body)?;
        take_u32(&mut body)?;
        if take_u32(&mut body) != Some(REMB_NAME) {
            return Some(None);
        }
        let head = take_u32(&mut body)?;
        let count = (head >> 24) as usize;
        let exponent = (head >> 18) & 0x3F;
        let mantissa = u64::from(head & 0x3_FFFF);
        let bitrate = if exponent > mantissa.leading_zeros() && mantissa != 0 {
            u64::MAX
        } else {
            mantissa << exponent
        };
        Some(Some(Remb {
            sender_ssrc,
            bitrate,
            ssrcs: body.get(..count * 4)?,
        }))
    }

    /// The streams that share the bitrate.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        ssrcs(self.ssrcs)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RtcpPacket, packets};
    use super::*;

    #[test]
    fn nack_entries_expand_to_numbers_that_wrap() {
        let bytes = [
            0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0xFF, 0xFE, 0x80, 0x06, 0x00, 0x20, 0, 0,
        ];
        let Some(Ok(RtcpPacket::Nack(nack))) = packets(&bytes).next() else {
            panic!("not a NACK");
        };
        assert_eq!((nack.sender_ssrc, nack.media_ssrc), (Ssrc(1), Ssrc(2)));
        let numbers: Vec<_> = nack.sequence_numbers().map(|number| number.0).collect();
        assert_eq!(numbers, [0xFFFE, 0, 1, 14, 0x20]);
    }

    #[test]
    fn a_full_nack_entry_is_seventeen_numbers() {
        let nack = Nack::parse(&[0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0xFF, 0xFF]).unwrap();
        let numbers: Vec<_> = nack.sequence_numbers().map(|number| number.0).collect();
        assert_eq!(numbers, (10..=26).collect::<Vec<_>>());
    }

    #[test]
    fn fir_entries_name_their_streams() {
        let bytes = [
            0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 77, 0, 0, 0,
        ];
        let Some(Ok(RtcpPacket::Fir(fir))) = packets(&bytes).next() else {
            panic!("not a FIR");
        };
        let entry = FirEntry {
            media_ssrc: Ssrc(9),
            sequence: 77,
        };
        assert_eq!(fir.entries().collect::<Vec<_>>(), [entry]);
    }

    #[test]
    fn remb_is_mantissa_and_exponent() {
        #[rustfmt::skip]
        let bytes = [
            0x8F, 206, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B',
            3, 0x1B, 0xF9, 0x3F, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7,
        ];
        let Some(Ok(RtcpPacket::Remb(remb))) = packets(&bytes).next() else {
            panic!("not a REMB");
        };
        assert_eq!(remb.bitrate, 0x3_F93F << 6);
        assert_eq!(
            remb.ssrcs().collect::<Vec<_>>(),
            [Ssrc(5), Ssrc(6), Ssrc(7)]
        );
    }

    #[test]
    fn a_huge_remb_saturates_and_a_foreign_one_is_unknown() {
        let mut body = [
            0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 0, 0xFF, 0xFF, 0xFF,
        ];
        assert_eq!(Remb::parse(&body).unwrap().unwrap().bitrate, u64::MAX);
        body[13..].copy_from_slice(&[0xFC, 0, 0]);
        assert_eq!(Remb::parse(&body).unwrap().unwrap().bitrate, 0);
        body[12] = 1;
        assert!(Remb::parse(&body).is_none(), "an SSRC is missing");
        body[8] = b'X';
        assert!(Remb::parse(&body).unwrap().is_none());
    }
}
