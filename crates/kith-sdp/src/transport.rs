//! How to reach the author of a description.

use crate::{SessionDescription, Setup, TransportError, line};

/// The author's end of the bundled transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerTransport {
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 digest of its certificate.
    pub fingerprint: [u8; 32],
    /// Its DTLS role; [`Setup::ActPass`] when the description says nothing (RFC 8842 section 5.1).
    pub setup: Setup,
    /// Candidates of component 1 as `candidate:…`, without `a=`.
    pub candidates: Vec<String>,
    /// Whether no more candidates will come.
    pub end_of_candidates: bool,
    /// Whether it is an ICE-lite agent.
    pub ice_lite: bool,
    /// SCTP port of its data section.
    pub sctp_port: Option<u16>,
    /// Largest message in bytes that it takes; 0 is no limit. `None` without a data section; 65 536 where a data
    /// section does not tell (RFC 8841 section 6).
    pub max_message_size: Option<u64>,
}

/// What a data section means that has no `max-message-size` (RFC 8841 section 6.1).
const DEFAULT_MAX_MESSAGE_SIZE: u64 = 65_536;

pub(crate) fn read(
    description: &SessionDescription,
) -> Result<Option<PeerTransport>, TransportError> {
    let Some(tagged) = description.tagged_section() else {
        return Ok(None);
    };
    let (Some(ufrag), Some(pwd)) = (&tagged.ice_ufrag, &tagged.ice_pwd) else {
        return Err(TransportError::NoIceCredentials);
    };
    let fingerprint = tagged
        .fingerprints
        .iter()
        .filter(|fingerprint| fingerprint.hash == "sha-256")
        .find_map(|fingerprint| <[u8; 32]>::try_from(fingerprint.digest.as_slice()).ok())
        .ok_or(TransportError::NoFingerprint)?;
    let data = description
        .media()
        .iter()
        .find(|section| section.is_usable_data() && !section.is_rejected());
    Ok(Some(PeerTransport {
        ufrag: ufrag.clone(),
        pwd: pwd.clone(),
        fingerprint,
        setup: tagged.setup.unwrap_or(Setup::ActPass),
        // With RTCP multiplexed there is no second component.
        candidates: tagged
            .candidates
            .iter()
            .filter(|candidate| line::candidate_component(candidate) == Some(1))
            .cloned()
            .collect(),
        end_of_candidates: tagged.end_of_candidates,
        ice_lite: description.ice_lite(),
        sctp_port: data.and_then(|section| section.sctp_port),
        max_message_size: data
            .map(|section| section.max_message_size.unwrap_or(DEFAULT_MAX_MESSAGE_SIZE)),
    }))
}
