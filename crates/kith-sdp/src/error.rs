//! What can go wrong, one enum per operation.

/// Why a text is no description that we take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Longer than [`crate::MAX_DESCRIPTION_BYTES`].
    #[error("description of {bytes} bytes, MAX_DESCRIPTION_BYTES is {limit}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// More lines than [`crate::MAX_LINES`].
    #[error("more than MAX_LINES = {limit} lines")]
    TooManyLines {
        /// The limit.
        limit: usize,
    },
    /// A line longer than [`crate::MAX_LINE_BYTES`].
    #[error("line {line} is longer than MAX_LINE_BYTES = {limit}")]
    LineTooLong {
        /// Number of the line, from 1.
        line: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// More media sections than [`crate::MAX_SECTIONS`].
    #[error("more than MAX_SECTIONS = {limit} media sections")]
    TooManySections {
        /// The limit.
        limit: usize,
    },
    /// More lines than [`crate::MAX_LINES_PER_SECTION`] in one section.
    #[error("more than MAX_LINES_PER_SECTION = {limit} lines in one section")]
    TooManyLinesInSection {
        /// The limit.
        limit: usize,
    },
    /// Not the syntax of RFC 8866.
    #[error("not SDP: {0}")]
    Syntax(String),
    /// A mid that is no token of at most 32 bytes.
    #[error("section {index}: malformed mid")]
    BadMid {
        /// Index of the section.
        index: usize,
    },
    /// Two sections with the same mid.
    #[error("two sections have the mid {mid}")]
    DuplicateMid {
        /// The mid.
        mid: String,
    },
}

/// Why a description does not say how to reach its author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No `ice-ufrag`/`ice-pwd`, or none that fit RFC 8839.
    #[error("no valid ICE credentials")]
    NoIceCredentials,
    /// No SHA-256 fingerprint.
    #[error("no sha-256 fingerprint")]
    NoFingerprint,
}

/// Why an offer or answer cannot be negotiated. A section that does not fit is no error: it is answered as inactive or
/// rejected, and its [`crate::NegotiatedSection`] says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// Not exactly one decision per section.
    #[error("{decisions} decisions for {sections} sections")]
    DecisionCount {
        /// Sections of the offer.
        sections: usize,
        /// Decisions given.
        decisions: usize,
    },
    /// A decision about media for a data section, or the reverse.
    #[error("section {index} is of another kind than its decision")]
    DecisionKind {
        /// Index of the section.
        index: usize,
    },
    /// The answer has another number of sections than the offer.
    #[error("answer has {answered} sections, the offer {offered}")]
    SectionCount {
        /// Sections of the offer.
        offered: usize,
        /// Sections of the answer.
        answered: usize,
    },
    /// A section of the answer has another kind or mid than that of the offer.
    #[error("section {index} of the answer is not that of the offer")]
    SectionMismatch {
        /// Index of the section.
        index: usize,
    },
    /// The peer chose DTLS roles that leave nobody, or both, to open the handshake.
    #[error("no DTLS role is left for one side")]
    SetupRole,
    /// Two sources of ours have the same number. A client that demultiplexes by it refuses the whole description.
    #[error("two of our sources have the SSRC {ssrc}")]
    DuplicateSsrc {
        /// The number.
        ssrc: u32,
    },
    /// What we wrote does not parse. Given names or candidates were not fit for SDP.
    #[error("description cannot be written: {0}")]
    Unwritable(#[from] SdpError),
}
