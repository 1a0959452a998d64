//! Reading a peer's answer to an offer of ours.

use crate::select::{self, ExtensionIds};
use crate::{
    CodecDescription, Direction, Extension, MediaKind, MediaSection, NegotiatedCodec,
    NegotiatedExtension, NegotiatedSection, NegotiationError, SessionDescription, Setup, encoding,
    fmtp_compatible,
};

/// Reads a peer's answer to our offer: one [`NegotiatedSection`] per section.
///
/// Codecs come in the order of the answer, with the payload types of the answer, which are those to send with. What the
/// answer takes that was not offered is passed over.
pub fn accept_answer(
    offer: &SessionDescription,
    answer: &SessionDescription,
) -> Result<Vec<NegotiatedSection>, NegotiationError> {
    let (offered, answered) = (offer.media(), answer.media());
    if offered.len() != answered.len() {
        return Err(NegotiationError::SectionCount {
            offered: offered.len(),
            answered: answered.len(),
        });
    }
    // An answer must choose; one that says nothing is told apart by its transport (RFC 8842 section 5.3).
    let setup = answer.tagged_section().and_then(|tagged| tagged.setup);
    if matches!(setup, Some(Setup::ActPass | Setup::HoldConn)) {
        return Err(NegotiationError::SetupRole);
    }
    let mut ids = ExtensionIds::default();
    offered
        .iter()
        .zip(answered)
        .enumerate()
        .map(|(index, (ours, theirs))| accept_section(index, ours, theirs, &mut ids))
        .collect()
}

/// The DTLS role that is left to us as the offerer when the answer chose `answered`.
pub fn offerer_setup(answered: Setup) -> Result<Setup, NegotiationError> {
    match answered {
        Setup::Active => Ok(Setup::Passive),
        Setup::Passive => Ok(Setup::Active),
        Setup::ActPass | Setup::HoldConn => Err(NegotiationError::SetupRole),
    }
}

fn accept_section<'a>(
    index: usize,
    ours: &MediaSection,
    theirs: &'a MediaSection,
    ids: &mut ExtensionIds<'a>,
) -> Result<NegotiatedSection, NegotiationError> {
    if ours.media != theirs.media || (!theirs.mid.is_empty() && theirs.mid != ours.mid) {
        return Err(NegotiationError::SectionMismatch { index });
    }
    let mut negotiated = NegotiatedSection::rejected(index, theirs);
    negotiated.mid.clone_from(&ours.mid);
    // `bundle-only` belongs to offers: port 0 in an answer rejects.
    if ours.is_rejected() || theirs.port == 0 {
        return Ok(negotiated);
    }
    match ours.kind {
        MediaKind::Application => {
            negotiated.rejected = !theirs.is_usable_data();
            if !negotiated.rejected {
                negotiated.direction = Direction::SendRecv;
            }
        }
        MediaKind::Audio | MediaKind::Video if theirs.is_usable_rtp() => {
            negotiated.rejected = false;
            accept_media(&mut negotiated, ours, theirs, ids);
        }
        MediaKind::Audio | MediaKind::Video | MediaKind::Other => {}
    }
    Ok(negotiated)
}

fn accept_media<'a>(
    negotiated: &mut NegotiatedSection,
    ours: &MediaSection,
    theirs: &'a MediaSection,
    ids: &mut ExtensionIds<'a>,
) {
    let direction = ours.direction.intersection(theirs.direction.reversed());
    if direction == Direction::Inactive {
        return;
    }
    let mut codecs: Vec<(&CodecDescription, &CodecDescription)> = theirs
        .codecs
        .iter()
        .filter_map(|taken| Some((taken, offered_codec(ours, taken)?)))
        .collect();
    select::drop_lone_red(ours.kind, &mut codecs, |(taken, _)| taken);
    if codecs.is_empty() {
        return;
    }
    negotiated.direction = direction;
    negotiated.codecs = codecs
        .into_iter()
        .map(|(taken, offered)| NegotiatedCodec {
            payload_type: taken.payload_type,
            rtx: taken.rtx.filter(|_| offered.rtx.is_some()),
            mime: taken.mime(ours.kind),
            clock_rate: taken.clock_rate,
            channels: taken.channels,
            fmtp: taken.fmtp.clone(),
            feedback: taken.feedback.intersection(offered.feedback),
        })
        .collect();
    negotiated.extensions = theirs
        .extensions
        .iter()
        .filter_map(|taken| accept_extension(direction, ours, taken, ids))
        .collect();
    if direction.receives() {
        negotiated.encodings = encoding::encodings(theirs, &[], false);
    }
}

/// The codec of our offer that the answer takes: the one with its payload type, or another variant that fits, since an
/// answerer may number its own payload types (RFC 3264 section 6.1).
fn offered_codec<'a>(
    ours: &'a MediaSection,
    taken: &CodecDescription,
) -> Option<&'a CodecDescription> {
    let fits = |offered: &&CodecDescription| {
        offered.name.eq_ignore_ascii_case(&taken.name)
            && offered.clock_rate == taken.clock_rate
            && offered.channels == taken.channels
            && fmtp_compatible(&offered.name, &offered.fmtp, &taken.fmtp)
    };
    ours.codecs
        .iter()
        .filter(fits)
        .find(|offered| offered.payload_type == taken.payload_type)
        .or_else(|| ours.codecs.iter().find(fits))
}

fn accept_extension<'a>(
    direction: Direction,
    ours: &MediaSection,
    taken: &'a Extension,
    ids: &mut ExtensionIds<'a>,
) -> Option<NegotiatedExtension> {
    let offered = ours
        .extensions
        .iter()
        .find(|offered| offered.id == taken.id && offered.uri == taken.uri)?;
    let usable = direction
        .intersection(offered.direction)
        .intersection(taken.direction.reversed());
    if usable == Direction::Inactive || !ids.claim(taken.id, &taken.uri) {
        return None;
    }
    Some(NegotiatedExtension {
        id: taken.id,
        uri: taken.uri.clone(),
        send: usable.sends(),
        receive: usable.receives(),
    })
}
