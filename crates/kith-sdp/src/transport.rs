//! How to reach the author of a description.

use crate::Setup;

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
