//! Writing compound packets.

use super::report::BLOCK_LEN;
use super::transport_cc::TransportFeedbackBuilder;
use super::{
    BYE, DlrrBlock, EXTENDED_REPORT, FMT_APPLICATION, FMT_FIR, FMT_NACK, FMT_PLI, FMT_TRANSPORT_CC,
    FirEntry, PAYLOAD_FEEDBACK, Pli, RECEIVER_REPORT, ReportBlock, SDES, SENDER_REPORT,
    TRANSPORT_FEEDBACK, feedback, sdes, xr,
};
use crate::write::put;
use crate::{SeqNo, Ssrc, WriteError};

/// Appends RTCP packets to a buffer. A packet that does not fit is an error and leaves no trace, so what was written
/// before stays a valid compound packet.
#[derive(Debug)]
pub struct RtcpWriter<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> RtcpWriter<'a> {
    /// Writes from the front of `out`.
    pub fn new(out: &'a mut [u8]) -> Self {
        RtcpWriter { out, len: 0 }
    }

    /// Bytes written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing written yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was written.
    pub fn as_bytes(&self) -> &[u8] {
        self.out.get(..self.len).unwrap_or_default()
    }

    /// Sender report with at most 31 blocks. `ntp` is seconds since 1900 in 32.32 fixed point.
    pub fn sender_report(
        &mut self,
        ssrc: Ssrc,
        ntp: u64,
        rtp_timestamp: u32,
        packet_count: u32,
        octet_count: u32,
        blocks: &[ReportBlock],
    ) -> Result<(), WriteError> {
        self.packet(SENDER_REPORT, count(blocks.len())?, |body| {
            body.word(ssrc.0)?;
            body.put(&ntp.to_be_bytes())?;
            body.word(rtp_timestamp)?;
            body.word(packet_count)?;
            body.word(octet_count)?;
            body.blocks(blocks)
        })
    }

    /// Receiver report with at most 31 blocks.
    pub fn receiver_report(
        &mut self,
        ssrc: Ssrc,
        blocks: &[ReportBlock],
    ) -> Result<(), WriteError> {
        self.packet(RECEIVER_REPORT, count(blocks.len())?, |body| {
            body.word(ssrc.0)?;
            body.blocks(blocks)
        })
    }

    /// Source description with one chunk: the canonical name, at most 255 bytes.
    pub fn sdes_cname(&mut self, ssrc: Ssrc, cname: &str) -> Result<(), WriteError> {
        let len = u8::try_from(cname.len()).map_err(|_| WriteError::OutOfRange)?;
        self.packet(SDES, 1, |body| {
            body.word(ssrc.0)?;
            body.put(&[sdes::CNAME, len])?;
            body.put(cname.as_bytes())?;
            // The zero that ends the items; filling up to the word is more zeros.
            body.put(&[0])
        })
    }

    /// Goodbye of at most 31 sources, without a reason.
    pub fn bye(&mut self, ssrcs: &[Ssrc]) -> Result<(), WriteError> {
        self.packet(BYE, count(ssrcs.len())?, |body| {
            ssrcs.iter().try_for_each(|ssrc| body.word(ssrc.0))
        })
    }

    /// Generic NACK for `missing`, numbers in ascending order (others cost an entry each). Nothing is written when
    /// there are none.
    pub fn nack(
        &mut self,
        sender_ssrc: Ssrc,
        media_ssrc: Ssrc,
        missing: impl IntoIterator<Item = SeqNo>,
    ) -> Result<(), WriteError> {
        let mut missing = missing.into_iter();
        let Some(SeqNo(mut first)) = missing.next() else {
            return Ok(());
        };
        self.packet(TRANSPORT_FEEDBACK, FMT_NACK, |body| {
            body.word(sender_ssrc.0)?;
            body.word(media_ssrc.0)?;
            let entry = |first: u16, mask: u16| u32::from(first) << 16 | u32::from(mask);
            let mut mask = 0;
            for SeqNo(number) in missing {
                match number.wrapping_sub(first) {
                    0 => {}
                    distance @ 1..=16 => mask |= 1 << (distance - 1),
                    _ => {
                        body.word(entry(first, mask))?;
                        (first, mask) = (number, 0);
                    }
                }
            }
            body.word(entry(first, mask))
        })
    }

    /// Picture loss indication.
    pub fn pli(&mut self, pli: Pli) -> Result<(), WriteError> {
        self.packet(PAYLOAD_FEEDBACK, FMT_PLI, |body| {
            body.word(pli.sender_ssrc.0)?;
            body.word(pli.media_ssrc.0)
        })
    }

    /// Full intra request.
    pub fn fir(&mut self, sender_ssrc: Ssrc, entries: &[FirEntry]) -> Result<(), WriteError> {
        self.packet(PAYLOAD_FEEDBACK, FMT_FIR, |body| {
            body.word(sender_ssrc.0)?;
            body.word(0)?;
            entries.iter().try_for_each(|entry| {
                body.word(entry.media_ssrc.0)?;
                body.put(&[entry.sequence, 0, 0, 0])
            })
        })
    }

    /// Receiver estimated maximum bitrate in bits per second, rounded down to 18 significant bits, for at most 255
    /// streams.
    pub fn remb(
        &mut self,
        sender_ssrc: Ssrc,
        bitrate: u64,
        ssrcs: &[Ssrc],
    ) -> Result<(), WriteError> {
        let count = u8::try_from(ssrcs.len()).map_err(|_| WriteError::OutOfRange)?;
        let exponent = (u64::BITS - bitrate.leading_zeros()).saturating_sub(18);
        let mantissa = (bitrate >> exponent) as u32;
        self.packet(PAYLOAD_FEEDBACK, FMT_APPLICATION, |body| {
            body.word(sender_ssrc.0)?;
            body.word(0)?;
            body.word(feedback::REMB_NAME)?;
            body.word(u32::from(count) << 24 | exponent << 18 | mantissa)?;
            ssrcs.iter().try_for_each(|ssrc| body.word(ssrc.0))
        })
    }

    /// Transport-wide congestion control feedback. Nothing is written when nothing was gathered.
    pub fn transport_feedback(
        &mut self,
        sender_ssrc: Ssrc,
        media_ssrc: Ssrc,
        feedback_count: u8,
        gathered: &TransportFeedbackBuilder,
    ) -> Result<(), WriteError> {
        if gathered.is_empty() {
            return Ok(());
        }
        let (base_sequence, status_count, reference_time) = gathered.head();
        let start = self.len;
        self.packet(TRANSPORT_FEEDBACK, FMT_TRANSPORT_CC, |body| {
            body.word(sender_ssrc.0)?;
            body.word(media_ssrc.0)?;
            body.word(u32::from(base_sequence) << 16 | u32::from(status_count))?;
            body.word(reference_time << 8 | u32::from(feedback_count))?;
            for chunk in gathered.chunks() {
                body.put(&chunk.to_be_bytes())?;
            }
            body.put(gathered.deltas())?;
            let padding = body.missing_to_word();
            if padding > 0 {
                // RTCP padding: the last byte counts, the header says so (below).
                let zeros = [0, 0, 0].get(..padding - 1).unwrap_or_default();
                body.put(zeros)?;
                body.put(&[padding as u8])?;
                body.padded = true;
            }
            Ok(())
        })?;
        debug_assert!(self.len > start);
        Ok(())
    }

    /// Extended report with the receiver's reference time: NTP time in 32.32 fixed point.
    pub fn receiver_reference_time(&mut self, ssrc: Ssrc, ntp: u64) -> Result<(), WriteError> {
        self.packet(EXTENDED_REPORT, 0, |body| {
            body.word(ssrc.0)?;
            body.put(&[xr::RRTR, 0, 0, 2])?;
            body.put(&ntp.to_be_bytes())
        })
    }

    /// Extended report that answers receivers' reference times.
    pub fn dlrr(&mut self, ssrc: Ssrc, answers: &[DlrrBlock]) -> Result<(), WriteError> {
        let words = u16::try_from(answers.len() * 3).map_err(|_| WriteError::OutOfRange)?;
        self.packet(EXTENDED_REPORT, 0, |body| {
            body.word(ssrc.0)?;
            body.put(&[xr::DLRR, 0])?;
            body.put(&words.to_be_bytes())?;
            answers
                .iter()
                .try_for_each(|answer| body.put(&answer.to_bytes()))
        })
    }

    /// Writes header and body, fills up to the word with zeros, and counts the packet only when all of it fitted.
    fn packet(
        &mut self,
        packet_type: u8,
        format: u8,
        body: impl FnOnce(&mut Body<'_>) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let (header, rest) = self
            .out
            .get_mut(self.len..)
            .and_then(|rest| rest.split_first_chunk_mut::<4>())
            .ok_or(WriteError::BufferTooSmall)?;
        let room = rest.len();
        let mut cursor = Body {
            rest,
            room,
            padded: false,
        };
        body(&mut cursor)?;
        let fill = cursor.missing_to_word();
        cursor.put([0, 0, 0].get(..fill).unwrap_or_default())?;
        let len = room - cursor.rest.len();
        let words = u16::try_from(len / 4).map_err(|_| WriteError::OutOfRange)?;
        header[0] = 0x80 | u8::from(cursor.padded) << 5 | format;
        header[1] = packet_type;
        [header[2], header[3]] = words.to_be_bytes();
        self.len += 4 + len;
        Ok(())
    }
}

/// A count of the header's five bits.
fn count(items: usize) -> Result<u8, WriteError> {
    u8::try_from(items)
        .ok()
        .filter(|count| *count < 32)
        .ok_or(WriteError::OutOfRange)
}

struct Body<'b> {
    rest: &'b mut [u8],
    room: usize,
    padded: bool,
}

impl Body<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let rest = std::mem::take(&mut self.rest);
        self.rest = put(rest, bytes)?;
        Ok(())
    }

    fn word(&mut self, word: u32) -> Result<(), WriteError> {
        self.put(&word.to_be_bytes())
    }

    fn blocks(&mut self, blocks: &[ReportBlock]) -> Result<(), WriteError> {
        const { assert!(BLOCK_LEN.is_multiple_of(4)) };
        blocks
            .iter()
            .try_for_each(|block| self.put(&block.to_bytes()))
    }

    /// Bytes up to the next multiple of four.
    fn missing_to_word(&self) -> usize {
        let len = self.room - self.rest.len();
        len.next_multiple_of(4) - len
    }
}
