//! Retransmission payload format (RFC 4588): the original sequence number in front of the original payload.

use crate::packet::{RtpError, RtpPacket, set_payload_type, set_sequence_number, set_ssrc};
use crate::{PayloadType, SeqNo, Ssrc};

/// Length of the original sequence number that precedes the payload.
pub const ORIGINAL_SEQUENCE_LEN: usize = 2;

/// Why a packet carries no retransmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtxError {
    /// The outer packet is broken.
    #[error(transparent)]
    Rtp(#[from] RtpError),
    /// Nothing but padding: a bandwidth probe.
    #[error("retransmission carries no payload")]
    Empty,
    /// One byte of payload cannot hold a sequence number.
    #[error("retransmission is truncated")]
    Truncated,
}

/// Turns the retransmission in `packet` back into the original packet, in place: the header moves two bytes towards
/// the payload and takes the original's payload type, SSRC and sequence number. Returns the original packet, a tail
/// of `packet`. On an error `packet` is unchanged.
pub fn unwrap_in_place(
    packet: &mut [u8],
    payload_type: PayloadType,
    ssrc: Ssrc,
) -> Result<&mut [u8], RtxError> {
    let view = RtpPacket::parse(packet)?;
    if view.payload().is_empty() {
        return Err(RtxError::Empty);
    }
    let original = view
        .payload()
        .first_chunk::<ORIGINAL_SEQUENCE_LEN>()
        .ok_or(RtxError::Truncated)?;
    let sequence_number = SeqNo(u16::from_be_bytes(*original));
    let header_len = view.header_len();
    packet.copy_within(..header_len, ORIGINAL_SEQUENCE_LEN);
    let original = packet
        .get_mut(ORIGINAL_SEQUENCE_LEN..)
        .ok_or(RtxError::Truncated)?;
    set_payload_type(original, payload_type);
    set_ssrc(original, ssrc);
    set_sequence_number(original, sequence_number);
    Ok(original)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_packet_comes_back_with_its_extension_and_padding() {
        #[rustfmt::skip]
        let mut bytes = [
            0xB0, 0xE1, 0x00, 0x05, 0, 0, 0, 9, 0, 0, 0, 2, 0xBE, 0xDE, 0, 1, 0x10, 0xAA, 0, 0,
            0x12, 0x34, 7, 8, 9, 0, 2,
        ];
        let original = unwrap_in_place(&mut bytes, PayloadType(96), Ssrc(1)).unwrap();
        let packet = RtpPacket::parse(original).unwrap();
        assert_eq!(packet.sequence_number(), SeqNo(0x1234));
        assert_eq!(packet.payload_type(), PayloadType(96));
        assert_eq!(packet.ssrc(), Ssrc(1));
        assert_eq!(packet.timestamp(), 9);
        assert!(packet.marker());
        assert_eq!(packet.extension(1), Some(&[0xAA][..]));
        assert_eq!(packet.payload(), [7, 8, 9]);
        assert_eq!(packet.padding_len(), 2);
    }

    #[test]
    fn probes_and_stumps_are_refused() {
        let mut probe = [0xA0, 0xE1, 0, 5, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 3];
        assert_eq!(
            unwrap_in_place(&mut probe, PayloadType(96), Ssrc(1)),
            Err(RtxError::Empty)
        );
        let mut stump = [0x80, 0xE1, 0, 5, 0, 0, 0, 9, 0, 0, 0, 2, 0x12];
        assert_eq!(
            unwrap_in_place(&mut stump, PayloadType(96), Ssrc(1)),
            Err(RtxError::Truncated)
        );
    }
}
