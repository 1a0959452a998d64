//! Extended reports (RFC 3611): receiver reference time and its answer, which give receivers the round-trip time.

use super::{take_ssrc, take_u32};
use crate::Ssrc;

pub(crate) const RRTR: u8 = 4;
pub(crate) const DLRR: u8 = 5;
/// Length of one entry of a DLRR block.
const DLRR_ENTRY_LEN: usize = 12;

/// Extended report.
#[derive(Clone, Copy, Debug)]
pub struct Xr<'a> {
    /// Who sends the report.
    pub ssrc: Ssrc,
    blocks: &'a [u8],
}

impl<'a> Xr<'a> {
    pub(super) fn parse(mut body: &'a [u8]) -> Option<Self> {
        Some(Xr {
            ssrc: take_ssrc(&mut body)?,
            blocks: body,
        })
    }

    /// The blocks. The walk ends at a block that is cut off.
    pub fn blocks(&self) -> XrBlocks<'a> {
        XrBlocks { rest: self.blocks }
    }
}

/// A block of an extended report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XrBlock<'a> {
    /// Receiver reference time (section 4.4): NTP time, seconds since 1900 in 32.32 fixed point.
    ReceiverReferenceTime(u64),
    /// Delay since last receiver reference time (section 4.5).
    Dlrr(DlrrEntries<'a>),
    /// A block of another type, or malformed.
    Unknown(u8),
}

/// The entries of a DLRR block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DlrrEntries<'a> {
    entries: &'a [[u8; DLRR_ENTRY_LEN]],
}

impl<'a> DlrrEntries<'a> {
    /// The entries.
    pub fn iter(&self) -> impl Iterator<Item = DlrrBlock> + use<'a> {
        self.entries
            .iter()
            .map(|[a, b, c, d, e, f, g, h, i, j, k, l]| DlrrBlock {
                ssrc: Ssrc(u32::from_be_bytes([*a, *b, *c, *d])),
                last_receiver_report: u32::from_be_bytes([*e, *f, *g, *h]),
                delay_since_last_receiver_report: u32::from_be_bytes([*i, *j, *k, *l]),
            })
    }
}

/// An answer to one receiver's reference time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DlrrBlock {
    /// The receiver.
    pub ssrc: Ssrc,
    /// Middle 32 bits of the NTP time of its last reference time block; 0 if there was none.
    pub last_receiver_report: u32,
    /// Time since that block arrived, in 1/65536 s; 0 if there was none.
    pub delay_since_last_receiver_report: u32,
}

impl DlrrBlock {
    pub(super) fn to_bytes(self) -> [u8; DLRR_ENTRY_LEN] {
        let mut bytes = [0; DLRR_ENTRY_LEN];
        let words = [
            self.ssrc.0,
            self.last_receiver_report,
            self.delay_since_last_receiver_report,
        ];
        for (slot, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *slot = word.to_be_bytes();
        }
        bytes
    }
}

/// See [`Xr::blocks`].
#[derive(Clone, Debug)]
pub struct XrBlocks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for XrBlocks<'a> {
    type Item = XrBlock<'a>;

    fn next(&mut self) -> Option<XrBlock<'a>> {
        let (&[kind, _, high, low], rest) = self.rest.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes([high, low])) * 4;
        let Some((mut body, rest)) = rest.split_at_checked(len) else {
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        Some(match kind {
            RRTR => match (take_u32(&mut body), take_u32(&mut body)) {
                (Some(seconds), Some(fraction)) => {
                    XrBlock::ReceiverReferenceTime(u64::from(seconds) << 32 | u64::from(fraction))
                }
                _ => XrBlock::Unknown(kind),
            },
            DLRR => XrBlock::Dlrr(DlrrEntries {
                entries: body.as_chunks().0,
            }),
            _ => XrBlock::Unknown(kind),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RtcpPacket, packets};
    use super::*;

    #[test]
    fn reference_times_and_delays_are_read_and_other_blocks_stepped_over() {
        #[rustfmt::skip]
        let bytes = [
            0x80, 207, 0, 10, 0, 0, 0, 1,
            42, 0, 0, 1, 9, 9, 9, 9, // unknown
            4, 0, 0, 2, 0, 0, 0, 5, 0x80, 0, 0, 0, // RRTR
            5, 0, 0, 3, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9, // DLRR
        ];
        let Some(Ok(RtcpPacket::Xr(xr))) = packets(&bytes).next() else {
            panic!("not an extended report");
        };
        let blocks: Vec<_> = xr.blocks().collect();
        assert_eq!(blocks[0], XrBlock::Unknown(42));
        assert_eq!(blocks[1], XrBlock::ReceiverReferenceTime(0x5_8000_0000));
        let XrBlock::Dlrr(entries) = blocks[2] else {
            panic!("not a DLRR block");
        };
        let entry = DlrrBlock {
            ssrc: Ssrc(7),
            last_receiver_report: 8,
            delay_since_last_receiver_report: 9,
        };
        assert_eq!(entries.iter().collect::<Vec<_>>(), [entry]);
        assert_eq!(blocks.len(), 3);
    }

    #[test]
    fn a_block_that_is_cut_off_ends_the_walk() {
        let xr = Xr::parse(&[0, 0, 0, 1, 4, 0, 0, 2, 0, 0, 0, 5]).unwrap();
        assert_eq!(xr.blocks().count(), 0);
    }
}
