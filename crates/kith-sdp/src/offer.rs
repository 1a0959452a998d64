//! Offers of ours, for the peer connection on which the server offers.

use crate::write::{self, SectionStart, TransportLines, Writer};
use crate::{
    CodecDescription, Direction, Feedback, LocalTransport, MediaKind, NegotiationError, SenderSpec,
    SessionDescription, Setup, codec, select,
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
///
/// The DTLS role is always left to the peer (`actpass`, RFC 9429 section 5.2.1). A section whose narrowed table has no
/// codec left is written as inactive with the whole table, so that its place stays.
pub fn offer(
    local: &LocalTransport,
    sections: &[OfferSection],
) -> Result<SessionDescription, NegotiationError> {
    let mut writer = Writer::default();
    let mids: Vec<&str> = sections
        .iter()
        .map(|section| section.mid.as_str())
        .collect();
    writer.session(local, &mids, true);
    for (index, section) in sections.iter().enumerate() {
        let transport = TransportLines {
            local,
            setup: Setup::ActPass,
            with_candidates: index == 0,
        };
        match (&section.state, section.kind) {
            (OfferState::Data, MediaKind::Application) => {
                let start = SectionStart {
                    media: section.kind.as_str(),
                    protocol: write::DATA_PROTOCOL,
                    formats: write::DATA_FORMAT,
                    mid: &section.mid,
                };
                writer.section_start(&start, &transport);
                writer.data(local);
            }
            (OfferState::Send(_) | OfferState::Inactive, MediaKind::Audio | MediaKind::Video) => {
                write_media(&mut writer, &transport, section);
            }
            _ => return Err(NegotiationError::DecisionKind { index }),
        }
    }
    writer.finish()
}

fn write_media(writer: &mut Writer, transport: &TransportLines<'_>, section: &OfferSection) {
    let sender = match &section.state {
        OfferState::Send(sender) => Some(sender),
        OfferState::Inactive | OfferState::Data => None,
    };
    let narrowed = sender
        .map(|sender| narrow(section, sender))
        .filter(|codecs| !codecs.is_empty());
    let sender = sender.filter(|_| narrowed.is_some());
    let codecs = narrowed.as_deref().unwrap_or(&section.codecs);
    let start = SectionStart {
        media: section.kind.as_str(),
        protocol: write::RTP_PROTOCOL,
        formats: &write::formats(codecs),
        mid: &section.mid,
    };
    writer.section_start(&start, transport);
    // All of them in every offer: what one leaves out may never come back.
    for (id, uri) in &section.extensions {
        writer.extension(*id, Direction::SendRecv, uri);
    }
    let direction = Direction::new(sender.is_some(), false);
    writer.media_flow(direction, sender, true);
    for codec in codecs {
        writer.codec(codec);
    }
    if let Some(sender) = sender {
        writer.sources(sender, codecs.iter().any(|codec| codec.rtx.is_some()));
    }
}

/// The codecs of the section's table that the sender has, in the sender's order.
fn narrow(section: &OfferSection, sender: &SenderSpec) -> Vec<OfferCodec> {
    let table: Vec<CodecDescription> = section.codecs.iter().map(OfferCodec::description).collect();
    let mut codecs: Vec<OfferCodec> = if sender.codecs.is_empty() {
        section.codecs.clone()
    } else {
        select::codecs(&table, section.kind, &sender.codecs)
            .into_iter()
            .filter_map(|chosen| {
                section
                    .codecs
                    .iter()
                    .find(|codec| codec.payload_type == chosen.payload_type)
            })
            .cloned()
            .collect()
    };
    for codec in &mut codecs {
        codec.feedback = codec.feedback.intersection(sender.feedback);
        if sender.stereo && codec.mime.eq_ignore_ascii_case("audio/opus") {
            codec::push_parameter(&mut codec.fmtp, "sprop-stereo", "1");
        }
    }
    codecs
}

impl OfferCodec {
    fn description(&self) -> CodecDescription {
        CodecDescription {
            payload_type: self.payload_type,
            name: self
                .mime
                .split_once('/')
                .map_or_else(String::new, |(_, name)| name.to_owned()),
            clock_rate: self.clock_rate,
            channels: self.channels,
            fmtp: self.fmtp.clone(),
            feedback: self.feedback,
            rtx: self.rtx,
        }
    }
}
