//! Sender and receiver reports (RFC 3550 section 6.4).

use super::{take_ssrc, take_u32};
use crate::Ssrc;

/// Length of one report block.
pub(crate) const BLOCK_LEN: usize = 24;

/// Sender report.
#[derive(Clone, Copy, Debug)]
pub struct SenderReport<'a> {
    /// Who sends the report.
    pub ssrc: Ssrc,
    /// NTP time of the report: seconds since 1900 in 32.32 fixed point.
    pub ntp: u64,
    /// The same moment in units of the RTP timestamp.
    pub rtp_timestamp: u32,
    /// Packets sent so far, modulo 2³².
    pub packet_count: u32,
    /// Payload bytes sent so far, modulo 2³².
    pub octet_count: u32,
    blocks: &'a [u8],
}

impl<'a> SenderReport<'a> {
    pub(super) fn parse(count: u8, mut body: &'a [u8]) -> Option<Self> {
        let ssrc = take_ssrc(&mut body)?;
        let seconds = take_u32(&mut body)?;
        let fraction = take_u32(&mut body)?;
        Some(SenderReport {
            ssrc,
            ntp: u64::from(seconds) << 32 | u64::from(fraction),
            rtp_timestamp: take_u32(&mut body)?,
            packet_count: take_u32(&mut body)?,
            octet_count: take_u32(&mut body)?,
            blocks: body.get(..usize::from(count) * BLOCK_LEN)?,
        })
    }

    /// What the sender reports about others' streams.
    pub fn blocks(&self) -> ReportBlocks<'a> {
        ReportBlocks { rest: self.blocks }
    }
}

/// Receiver report.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverReport<'a> {
    /// Who sends the report.
    pub ssrc: Ssrc,
    blocks: &'a [u8],
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn parse(count: u8, mut body: &'a [u8]) -> Option<Self> {
        Some(ReceiverReport {
            ssrc: take_ssrc(&mut body)?,
            blocks: body.get(..usize::from(count) * BLOCK_LEN)?,
        })
    }

    /// What is reported.
    pub fn blocks(&self) -> ReportBlocks<'a> {
        ReportBlocks { rest: self.blocks }
    }
}

/// What one receiver saw of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: Ssrc,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost so far; negative when duplicates outnumber losses. 24 bits, clamped when written.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with the count of wraps in the upper half.
    pub highest_sequence: u32,
    /// Interarrival jitter in units of the RTP timestamp.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report; 0 if there was none.
    pub last_sender_report: u32,
    /// Time since the last sender report, in 1/65536 s; 0 if there was none.
    pub delay_since_last_sender_report: u32,
}

impl ReportBlock {
    fn parse(bytes: &[u8; BLOCK_LEN]) -> Self {
        let word = |at: usize| {
            bytes
                .get(at..)
                .and_then(|tail| tail.first_chunk::<4>())
                .map_or(0, |word| u32::from_be_bytes(*word))
        };
        let loss = word(4);
        ReportBlock {
            ssrc: Ssrc(word(0)),
            fraction_lost: (loss >> 24) as u8,
            // The shift to the left drops the fraction, the arithmetic one to the right extends the sign.
            cumulative_lost: (loss << 8) as i32 >> 8,
            highest_sequence: word(8),
            jitter: word(12),
            last_sender_report: word(16),
            delay_since_last_sender_report: word(20),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; BLOCK_LEN] {
        let lost = self.cumulative_lost.clamp(-0x80_0000, 0x7F_FFFF) as u32 & 0x00FF_FFFF;
        let words = [
            self.ssrc.0,
            u32::from(self.fraction_lost) << 24 | lost,
            self.highest_sequence,
            self.jitter,
            self.last_sender_report,
            self.delay_since_last_sender_report,
        ];
        let mut bytes = [0; BLOCK_LEN];
        for (slot, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *slot = word.to_be_bytes();
        }
        bytes
    }
}

/// The blocks of a report.
#[derive(Clone, Debug)]
pub struct ReportBlocks<'a> {
    rest: &'a [u8],
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.rest.split_first_chunk::<BLOCK_LEN>()?;
        self.rest = rest;
        Some(ReportBlock::parse(block))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RtcpPacket, packets};
    use super::*;

    #[test]
    fn a_sender_report_is_read_field_by_field() {
        #[rustfmt::skip]
        let bytes = [
            0x81, 200, 0, 12,
            0x90, 0x2F, 0x9E, 0x2E, // SSRC
            0xDA, 0x8B, 0xD1, 0xFC, 0xDD, 0xDD, 0xA0, 0x5A, // NTP
            0xAA, 0xF4, 0xED, 0xD5, // RTP timestamp
            0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x02, // counts
            0xBC, 0x5E, 0x9A, 0x40, // block
            0x40, 0xFF, 0xFF, 0xFE, // a quarter, −2
            0x00, 0x01, 0x46, 0xE1, 0x00, 0x00, 0x01, 0x11,
            0x09, 0xF3, 0x64, 0x32, 0x00, 0x02, 0x4A, 0x79,
        ];
        let Some(Ok(RtcpPacket::SenderReport(report))) = packets(&bytes).next() else {
            panic!("not a sender report");
        };
        assert_eq!(report.ssrc, Ssrc(0x902F_9E2E));
        assert_eq!(report.ntp, 0xDA8B_D1FC_DDDD_A05A);
        assert_eq!(report.rtp_timestamp, 0xAAF4_EDD5);
        assert_eq!((report.packet_count, report.octet_count), (1, 2));
        let block = ReportBlock {
            ssrc: Ssrc(0xBC5E_9A40),
            fraction_lost: 64,
            cumulative_lost: -2,
            highest_sequence: 0x1_46E1,
            jitter: 273,
            last_sender_report: 0x09F3_6432,
            delay_since_last_sender_report: 0x2_4A79,
        };
        assert_eq!(report.blocks().collect::<Vec<_>>(), [block]);
        assert_eq!(block.to_bytes(), bytes[28..]);
    }

    #[test]
    fn cumulative_loss_is_clamped_to_its_24_bits() {
        for (said, heard) in [(i32::MAX, 0x7F_FFFF), (i32::MIN, -0x80_0000), (-1, -1)] {
            let block = ReportBlock {
                cumulative_lost: said,
                ..ReportBlock::default()
            };
            assert_eq!(ReportBlock::parse(&block.to_bytes()).cumulative_lost, heard);
        }
    }
}
