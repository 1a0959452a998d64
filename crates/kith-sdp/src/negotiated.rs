//! What offer and answer agreed on, as plain data.

use crate::{Direction, Feedback, MediaKind, MediaSection, Msid, SsrcDescription, SsrcGroup};

/// A codec that both sides take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedCodec {
    /// Payload type on the wire.
    pub payload_type: u8,
    /// Payload type of its retransmissions.
    pub rtx: Option<u8>,
    /// MIME type, such as `video/VP8`.
    pub mime: String,
    /// RTP clock rate in Hz.
    pub clock_rate: u32,
    /// Channels.
    pub channels: u8,
    /// Parameters as the peer gave them.
    pub fmtp: String,
    /// Feedback that both sides take.
    pub feedback: Feedback,
}

/// A header extension that both sides take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedExtension {
    /// Its id on the wire.
    pub id: u8,
    /// What it is.
    pub uri: String,
    /// Whether we may write it into packets that we send.
    pub send: bool,
    /// Whether packets that we receive may have it.
    pub receive: bool,
}

/// One encoding that the peer sends in a section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerEncoding {
    /// Its rid, for simulcast by rid.
    pub rid: Option<String>,
    /// Its source where the description tells it. Encodings with a rid have none: the packets tell.
    pub ssrc: Option<u32>,
    /// The source of its retransmissions.
    pub rtx_ssrc: Option<u32>,
}

/// One section as negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedSection {
    /// Index of the `m=` line.
    pub index: usize,
    /// Its mid; empty when the peer gave none.
    pub mid: String,
    /// What it carries.
    pub kind: MediaKind,
    /// Direction seen from us.
    pub direction: Direction,
    /// Whether one side rejected it (port 0).
    pub rejected: bool,
    /// Codecs in order of preference. Empty when nothing flows.
    pub codecs: Vec<NegotiatedCodec>,
    /// Header extensions. Empty when nothing flows.
    pub extensions: Vec<NegotiatedExtension>,
    /// Rids that the peer sends and that were accepted, in the order in which it offered them.
    pub rids: Vec<String>,
    /// What the peer sends: one per rid, per source of a SIM group, or one; empty when we do not receive.
    pub encodings: Vec<PeerEncoding>,
    /// Sources of the peer.
    pub ssrcs: Vec<SsrcDescription>,
    /// Groups of sources of the peer.
    pub ssrc_groups: Vec<SsrcGroup>,
    /// Stream and track of what the peer sends.
    pub msid: Option<Msid>,
}

impl NegotiatedSection {
    /// A section in which nothing flows, with what the peer says about itself.
    pub(crate) fn rejected(index: usize, peer: &MediaSection) -> Self {
        NegotiatedSection {
            index,
            mid: peer.mid.clone(),
            kind: peer.kind,
            direction: Direction::Inactive,
            rejected: true,
            codecs: Vec::new(),
            extensions: Vec::new(),
            rids: Vec::new(),
            encodings: Vec::new(),
            ssrcs: peer.ssrcs.clone(),
            ssrc_groups: peer.ssrc_groups.clone(),
            msid: peer.msid().cloned(),
        }
    }

    /// Extensions that we may write into packets that we send here.
    pub fn send_extensions(&self) -> impl Iterator<Item = (u8, &str)> {
        self.extensions
            .iter()
            .filter(|extension| extension.send)
            .map(|e| (e.id, e.uri.as_str()))
    }

    /// Extensions that packets received here may have.
    pub fn receive_extensions(&self) -> impl Iterator<Item = (u8, &str)> {
        self.extensions
            .iter()
            .filter(|extension| extension.receive)
            .map(|e| (e.id, e.uri.as_str()))
    }
}
