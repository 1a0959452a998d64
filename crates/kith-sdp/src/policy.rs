//! What the server decides about the sections of a description.

use crate::{Feedback, Setup};

/// Our end of the transport, as it is written into offers and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTransport {
    /// Session id of the `o=` line: the same in every description of one peer connection.
    pub session_id: u64,
    /// Session version of the `o=` line: grows by one with every description of ours.
    pub session_version: u64,
    /// ICE user name fragment, 4 to 256 characters.
    pub ufrag: String,
    /// ICE password, 22 to 256 characters.
    pub pwd: String,
    /// Hash function and digest, such as `sha-256 AA:BB:…`.
    pub fingerprint: String,
    /// DTLS role that we want in answers: [`Setup::Active`] makes us open the handshake where the offer leaves it to us,
    /// everything else makes us wait. Offers always say `actpass`.
    pub setup: Setup,
    /// Candidates, with or without `a=` and `candidate:` in front. They are written into the first accepted section.
    pub candidates: Vec<String>,
    /// Whether we are an ICE-lite agent (RFC 8445 section 2.5).
    pub ice_lite: bool,
    /// Largest data channel message in bytes that we take; 0 is no limit.
    pub max_message_size: u32,
}

/// A codec that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecPreference {
    /// MIME type, such as `video/VP8`; compared without case.
    pub mime: String,
    /// Which variant: compared with the offered parameters by [`crate::fmtp_compatible`]. `None` takes all variants.
    pub fmtp: Option<String>,
}

impl CodecPreference {
    /// All variants of a codec.
    pub fn any(mime: impl Into<String>) -> Self {
        CodecPreference {
            mime: mime.into(),
            fmtp: None,
        }
    }

    /// One variant of a codec.
    pub fn variant(mime: impl Into<String>, fmtp: impl Into<String>) -> Self {
        CodecPreference {
            mime: mime.into(),
            fmtp: Some(fmtp.into()),
        }
    }
}

/// What we ask of an Opus sender (RFC 7587 section 6.1). RED is asked for by its place in
/// [`ReceivePolicy::codecs`]: before Opus, after it, or nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioTweaks {
    /// `stereo=1`.
    pub stereo: bool,
    /// `usedtx=1`.
    pub usedtx: bool,
    /// `maxaveragebitrate=…` in bit/s.
    pub max_average_bitrate: Option<u32>,
}

/// How a section that the peer sends in is received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivePolicy {
    /// Codecs that are taken, the most wanted first: the answer lists the offered ones in this order, and senders use
    /// the first. RED is only taken where Opus is.
    pub codecs: Vec<CodecPreference>,
    /// URIs of the header extensions that are read.
    pub extensions: Vec<String>,
    /// Feedback that we send where it is offered. Clients may offer no more in later offers than this answer took.
    pub feedback: Feedback,
    /// Whether simulcast by rid is taken. Without it the peer sends one layer.
    pub simulcast: bool,
    /// What we ask of an Opus sender.
    pub audio: AudioTweaks,
}

/// What we send in a section that the peer receives in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderSpec {
    /// Stream id of `a=msid`, such as `PA_x|TR_y`. Characters that are not allowed there are replaced.
    pub stream_id: String,
    /// Track id of `a=msid`, such as `TR_y`.
    pub track_id: String,
    /// The source.
    pub ssrc: u32,
    /// The source of its retransmissions, written when RTX is negotiated.
    pub rtx_ssrc: Option<u32>,
    /// Canonical name, the same for all sources that are to be played in sync.
    pub cname: String,
    /// Codecs that we may send, the most wanted first. In an offer of ours, empty means the section's whole table.
    pub codecs: Vec<CodecPreference>,
    /// URIs of the header extensions that we may write, for answers. Offers of ours always have the section's whole table.
    pub extensions: Vec<String>,
    /// Feedback that we understand.
    pub feedback: Feedback,
    /// Whether the source is stereo: `sprop-stereo=1` (RFC 7587).
    pub stereo: bool,
}

/// What becomes of one section of a peer's offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionDecision {
    /// Receive what the peer sends.
    Receive(ReceivePolicy),
    /// Send to the peer.
    Send(SenderSpec),
    /// Both at once, where a client reuses a section that it receives in for sending. The codecs are those of
    /// [`ReceivePolicy`] that [`SenderSpec`] also has.
    SendReceive(ReceivePolicy, SenderSpec),
    /// Keep the section without media.
    Inactive,
    /// Give the section up: port 0. The peer may recycle it.
    Reject,
    /// Data channels.
    Data,
}
