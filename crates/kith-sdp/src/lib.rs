//! SDP for WebRTC: parsing, a typed view, writing, and offer/answer negotiation (RFC 8866, 3264, 9429).
//!
//! What this crate is: text in, plain data out, and back. [`SessionDescription`] is a checked description with its
//! typed media sections. Negotiation comes in three functions without state: [`answer`] takes a client's offer and one
//! [`SectionDecision`] per section, [`offer`] writes an offer of ours, [`accept_answer`] reads a client's answer to it.
//! Each returns [`NegotiatedSection`]s, the plain data from which media is configured. [`OfferPlan`] keeps the sections
//! of our own offers in order from one offer to the next.
//!
//! What it is not: it knows nothing of rooms, tracks or transports, codecs are names and header extensions are URIs,
//! and it never copies a line of an offer that it does not understand into an answer.
//!
//! **Everything that is written is parsed again**: a description of ours has passed the same checks as a peer's.
//! **One transport**: only sections of the offer's first BUNDLE group are accepted, all over one ICE/DTLS association
//! with RTCP multiplexed.

mod accept;
mod answer;
mod codec;
mod encoding;
mod error;
mod limits;
mod line;
mod media;
mod negotiated;
mod offer;
mod plan;
mod policy;
mod select;
mod session;
mod table;
mod transport;
mod view;
mod write;

pub use accept::{accept_answer, offerer_setup};
pub use answer::{answer, answer_setup};
pub use codec::{CodecDescription, Feedback, fmtp_compatible, fmtp_parameter};
pub use error::{NegotiationError, SdpError, TransportError};
pub use limits::{
    MAX_CANDIDATES, MAX_DESCRIPTION_BYTES, MAX_LINE_BYTES, MAX_LINES, MAX_LINES_PER_SECTION,
    MAX_LIST_ITEMS, MAX_SECTIONS, MAX_SIMULCAST_LAYERS,
};
pub use media::{
    Direction, Extension, Fingerprint, MediaKind, MediaSection, Msid, Rid, Setup, SsrcDescription,
    SsrcGroup,
};
pub use negotiated::{NegotiatedCodec, NegotiatedExtension, NegotiatedSection, PeerEncoding};
pub use offer::{OfferCodec, OfferSection, OfferState, offer};
pub use plan::{OfferPlan, PlanError};
pub use policy::{
    AudioTweaks, CodecPreference, LocalTransport, ReceivePolicy, SectionDecision, SenderSpec,
};
pub use session::SessionDescription;
pub use table::{
    DEPENDENCY_DESCRIPTOR, standard_codec, standard_codecs, standard_extension_id,
    standard_extensions,
};
pub use transport::PeerTransport;
