//! The seam between the receive side and the send side: what one hands to the other.

use std::time::Instant;

use kith_rtp::Codec;

use crate::ids::PublicationId;

/// One media packet of a publication, as it goes from the receive side to whoever has subscribers.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedPacket<'a> {
    /// The publication it belongs to.
    pub publication: PublicationId,
    /// The encoding (simulcast layer) it belongs to, lowest first; 0 when there is one encoding (SVC included).
    pub layer: u8,
    /// Counts the streams that this encoding has been: it changes when the publisher changed the SSRC or restarted the
    /// stream. **Neither sequence numbers nor timestamps of two epochs relate to each other**, except that `seq` is
    /// higher in the later one.
    pub epoch: u32,
    /// Extended sequence number within the encoding. **Gapless for what the receive side dropped on purpose** (padding,
    /// unknown payload types), so it may differ from the number in the header by more than the upper bits; a gap is a
    /// packet that is lost or late. Late and retransmitted packets come with their own, lower number. Starts above 2¹⁶,
    /// and a new epoch starts at least 2¹⁶ higher than the one before ended.
    pub seq: u64,
    /// When it came from the network.
    pub arrival: Instant,
    /// The codec of its payload type.
    pub codec: Codec,
    /// Plaintext RTP, checked once by `RtpPacket::parse`, with a payload that is not empty. A retransmission is already
    /// unwrapped to the original payload type, sequence number and SSRC (its header extensions are those of the RTX
    /// packet).
    pub packet: &'a [u8],
}

/// What a sender report of the publisher says about one encoding (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReportInfo {
    /// The publication.
    pub publication: PublicationId,
    /// The encoding.
    pub layer: u8,
    /// The stream of that encoding to which `rtp_timestamp` belongs, see [`ReceivedPacket::epoch`].
    pub epoch: u32,
    /// The publisher's wall clock, 32.32 bits fixed point seconds.
    pub ntp: u64,
    /// The RTP timestamp at that time.
    pub rtp_timestamp: u32,
    /// When the report arrived.
    pub arrival: Instant,
}
