//! RTCP: a walk over compound packets, and writers (RFC 3550, RFC 3611, RFC 4585, RFC 5104, RFC 5506, REMB and
//! transport-wide congestion control drafts).
//!
//! [`packets`] walks a compound packet, [`RtcpWriter`] fills one. Lists inside a packet are iterators over the bytes.

mod feedback;
mod report;
mod sdes;
mod transport_cc;
mod writer;
mod xr;

pub use feedback::{Fir, FirEntry, Nack, Pli, Remb, SequenceNumbers};
pub use report::{ReceiverReport, ReportBlock, ReportBlocks, SenderReport};
pub use sdes::{Bye, Sdes, SdesChunk, SdesItem};
pub use transport_cc::{
    PacketStatus, PacketStatuses, TransportFeedback, TransportFeedbackBuilder,
    TransportFeedbackFull,
};
pub use writer::RtcpWriter;
pub use xr::{DlrrBlock, Xr, XrBlock, XrBlocks};

use crate::Ssrc;

pub(crate) const SENDER_REPORT: u8 = 200;
pub(crate) const RECEIVER_REPORT: u8 = 201;
pub(crate) const SDES: u8 = 202;
pub(crate) const BYE: u8 = 203;
pub(crate) const TRANSPORT_FEEDBACK: u8 = 205;
pub(crate) const PAYLOAD_FEEDBACK: u8 = 206;
pub(crate) const EXTENDED_REPORT: u8 = 207;

/// Formats of transport layer feedback.
pub(crate) const FMT_NACK: u8 = 1;
pub(crate) const FMT_TRANSPORT_CC: u8 = 15;
/// Formats of payload-specific feedback.
pub(crate) const FMT_PLI: u8 = 1;
pub(crate) const FMT_FIR: u8 = 4;
pub(crate) const FMT_APPLICATION: u8 = 15;

/// Why bytes are not RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// A packet's header is cut off, or its length lies beyond the bytes. The walk ends.
    #[error("RTCP packet is truncated")]
    Truncated,
    /// The version is not 2. The walk ends.
    #[error("RTCP version is not 2")]
    Version,
    /// The padding is zero or longer than the packet. The walk goes on with the next packet.
    #[error("RTCP padding is zero or longer than the packet")]
    Padding,
    /// A packet is shorter than its type needs, or counts more than it holds. The walk goes on with the next packet.
    #[error("RTCP packet of type {0} is malformed")]
    Malformed(u8),
}

/// One packet of a compound packet.
#[derive(Clone, Copy, Debug)]
pub enum RtcpPacket<'a> {
    /// Sender report (RFC 3550 section 6.4.1).
    SenderReport(SenderReport<'a>),
    /// Receiver report (RFC 3550 section 6.4.2).
    ReceiverReport(ReceiverReport<'a>),
    /// Source description (RFC 3550 section 6.5).
    Sdes(Sdes<'a>),
    /// Goodbye (RFC 3550 section 6.6).
    Bye(Bye<'a>),
    /// Generic NACK (RFC 4585 section 6.2.1).
    Nack(Nack<'a>),
    /// Picture loss indication (RFC 4585 section 6.3.1).
    Pli(Pli),
    /// Full intra request (RFC 5104 section 4.3.1).
    Fir(Fir<'a>),
    /// Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb).
    Remb(Remb<'a>),
    /// Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportFeedback(TransportFeedback<'a>),
    /// Extended report (RFC 3611).
    Xr(Xr<'a>),
    /// Anything else; well framed, not looked into.
    Unknown(UnknownPacket<'a>),
}

/// A packet of a type or format that this crate does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPacket<'a> {
    /// Packet type.
    pub packet_type: u8,
    /// The five bits after version and padding: count or format.
    pub format: u8,
    /// What follows the four-byte header, without padding.
    pub body: &'a [u8],
}

/// Walks the packets of a compound packet. Reduced-size packets (RFC 5506) are welcome: no order is demanded.
pub fn packets(bytes: &[u8]) -> RtcpPackets<'_> {
    RtcpPackets { rest: bytes }
}

/// See [`packets`].
#[derive(Clone, Debug)]
pub struct RtcpPackets<'a> {
    rest: &'a [u8],
}

impl<'a> RtcpPackets<'a> {
    /// Cuts the next packet off: type, format and body without padding.
    fn next_frame(&mut self) -> Option<Result<UnknownPacket<'a>, RtcpError>> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((header, rest)) = self.rest.split_first_chunk::<4>() else {
            self.rest = &[];
            return Some(Err(RtcpError::Truncated));
        };
        if header[0] >> 6 != 2 {
            self.rest = &[];
            return Some(Err(RtcpError::Version));
        }
        let len = usize::from(u16::from_be_bytes([header[2], header[3]])) * 4;
        let Some((mut body, rest)) = rest.split_at_checked(len) else {
            self.rest = &[];
            return Some(Err(RtcpError::Truncated));
        };
        self.rest = rest;
        if header[0] & 0x20 != 0 {
            let padding = body.last().copied().map_or(0, usize::from);
            match body.len().checked_sub(padding).filter(|_| padding != 0) {
                Some(len) => body = body.get(..len).unwrap_or_default(),
                None => return Some(Err(RtcpError::Padding)),
            }
        }
        Some(Ok(UnknownPacket {
            packet_type: header[1],
            format: header[0] & 0x1F,
            body,
        }))
    }
}

impl<'a> Iterator for RtcpPackets<'a> {
    type Item = Result<RtcpPacket<'a>, RtcpError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(
            self.next_frame()?
                .and_then(|frame| interpret(frame).ok_or(RtcpError::Malformed(frame.packet_type))),
        )
    }
}

fn interpret(frame: UnknownPacket<'_>) -> Option<RtcpPacket<'_>> {
    let UnknownPacket {
        packet_type,
        format,
        body,
    } = frame;
    Some(match (packet_type, format) {
        (SENDER_REPORT, count) => RtcpPacket::SenderReport(SenderReport::parse(count, body)?),
        (RECEIVER_REPORT, count) => RtcpPacket::ReceiverReport(ReceiverReport::parse(count, body)?),
        (SDES, count) => RtcpPacket::Sdes(Sdes::parse(count, body)),
        (BYE, count) => RtcpPacket::Bye(Bye::parse(count, body)?),
        (TRANSPORT_FEEDBACK, FMT_NACK) => RtcpPacket::Nack(Nack::parse(body)?),
        (TRANSPORT_FEEDBACK, FMT_TRANSPORT_CC) => {
            RtcpPacket::TransportFeedback(TransportFeedback::parse(body)?)
        }
        (PAYLOAD_FEEDBACK, FMT_PLI) => RtcpPacket::Pli(Pli::parse(body)?),
        (PAYLOAD_FEEDBACK, FMT_FIR) => RtcpPacket::Fir(Fir::parse(body)?),
        (PAYLOAD_FEEDBACK, FMT_APPLICATION) => match Remb::parse(body)? {
            Some(remb) => RtcpPacket::Remb(remb),
            None => RtcpPacket::Unknown(frame),
        },
        (EXTENDED_REPORT, _) => RtcpPacket::Xr(Xr::parse(body)?),
        _ => RtcpPacket::Unknown(frame),
    })
}

/// Cuts a 32-bit number off the front of `bytes`.
#[inline]
pub(crate) fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*number))
}

/// Cuts an SSRC off the front of `bytes`.
#[inline]
pub(crate) fn take_ssrc(bytes: &mut &[u8]) -> Option<Ssrc> {
    take_u32(bytes).map(Ssrc)
}

/// A list of SSRCs, one after the other.
pub(crate) fn ssrcs(bytes: &[u8]) -> impl Iterator<Item = Ssrc> + use<'_> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|ssrc| Ssrc(u32::from_be_bytes(*ssrc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compound_packet_is_walked_to_its_end() {
        #[rustfmt::skip]
        let bytes = [
            0x80, 201, 0, 1, 0, 0, 0, 7, // empty receiver report
            0x81, 206, 0, 2, 0, 0, 0, 7, 0, 0, 0, 9, // PLI
            0x80, 204, 0, 2, 0, 0, 0, 7, b'n', b'a', b'm', b'e', // APP
        ];
        let packets: Vec<_> = packets(&bytes).collect::<Result<_, _>>().unwrap();
        assert!(matches!(packets[0], RtcpPacket::ReceiverReport(report) if report.ssrc == Ssrc(7)));
        assert!(matches!(packets[1], RtcpPacket::Pli(pli) if pli.media_ssrc == Ssrc(9)));
        assert!(matches!(packets[2], RtcpPacket::Unknown(unknown) if unknown.packet_type == 204));
        assert_eq!(packets.len(), 3);
    }

    #[test]
    fn a_malformed_body_costs_one_packet_and_a_broken_frame_ends_the_walk() {
        #[rustfmt::skip]
        let bytes = [
            0x82, 201, 0, 1, 0, 0, 0, 7, // promises two report blocks
            0x81, 206, 0, 2, 0, 0, 0, 7, 0, 0, 0, 9, // PLI
            0xA1, 206, 0, 2, 0, 0, 0, 7, 0, 0, 0, 13, // padding longer than the packet
            0x81, 206, 0, 3, 0, 0, 0, 7, 0, 0, 0, 9, // too long
        ];
        let mut walk = packets(&bytes);
        assert_eq!(walk.next().unwrap().unwrap_err(), RtcpError::Malformed(201));
        assert!(walk.next().unwrap().is_ok());
        assert_eq!(walk.next().unwrap().unwrap_err(), RtcpError::Padding);
        assert_eq!(walk.next().unwrap().unwrap_err(), RtcpError::Truncated);
        assert!(walk.next().is_none());
        assert_eq!(
            packets(&[0x40, 200, 0, 0]).next().unwrap().unwrap_err(),
            RtcpError::Version
        );
    }

    #[test]
    fn padding_is_taken_off() {
        let bytes = [0xA1, 206, 0, 3, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 4];
        assert!(matches!(
            packets(&bytes).next(),
            Some(Ok(RtcpPacket::Pli(_)))
        ));
    }
}
