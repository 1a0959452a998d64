//! Small errors, one enum per operation.

/// The process-wide certificate could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// No certificate.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
    /// DTLS configuration refused.
    #[error("DTLS configuration refused: {0}")]
    Dtls(String),
}

/// Not ICE credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// RFC 8839: 4 to 256 characters.
    #[error("ICE ufrag of {0} characters, 4 to 256 are allowed")]
    UfragLength(usize),
    /// RFC 8839: 22 to 256 characters.
    #[error("ICE password of {0} characters, 22 to 256 are allowed")]
    PwdLength(usize),
    /// Something else than letters, digits and `+/-_=`.
    #[error("ICE credentials with a character that is not allowed")]
    Alphabet,
}

/// A remote description that cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetRemoteError {
    /// Another certificate means another connection.
    #[error("the fingerprint cannot change once DTLS has begun")]
    FingerprintChanged,
    /// Another role means another connection.
    #[error("the DTLS role cannot change once DTLS has begun")]
    RoleChanged,
    /// Both ufrags together are longer than full ICE can send.
    #[error("the ICE ufrag is too long")]
    UfragTooLong,
    /// The transport has failed or was closed.
    #[error("the transport is closed")]
    Closed,
}

/// A candidate that is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CandidateError {
    /// Not an `a=candidate` value.
    #[error("not a candidate line")]
    Syntax,
    /// A `.local` name; this crate resolves no names. The peer's checks make it known as peer-reflexive.
    #[error("an mDNS name instead of an address")]
    MdnsName,
    /// See the limit's own documentation.
    #[error("more than {0} candidates")]
    TooMany(usize),
    /// Unspecified or multicast, or without a port.
    #[error("an address that cannot be used")]
    Address,
}

/// Why a datagram was not used. Counted, never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Dropped {
    /// First byte belongs to no protocol of ours (RFC 7983).
    #[error("unknown protocol")]
    UnknownProtocol,
    /// STUN that is malformed, not ours, or not authentic.
    #[error("STUN not accepted")]
    Stun,
    /// Not STUN, and from a 5-tuple that no connectivity check has validated.
    #[error("5-tuple not validated by ICE")]
    NotValidated,
    /// DTLS has not begun or is over.
    #[error("DTLS not expected")]
    DtlsNotExpected,
    /// Media before SRTP has keys.
    #[error("no SRTP keys yet")]
    NotKeyed,
    /// SRTP: too short or not RTP/RTCP.
    #[error("malformed media packet")]
    Malformed,
    /// SRTP: authentication failed.
    #[error("media packet not authentic")]
    NotAuthentic,
    /// SRTP: seen before or older than the replay window.
    #[error("media packet replayed or too old")]
    Replayed,
    /// SRTP: the SSRC table is full.
    #[error("too many SSRCs")]
    TooManySsrcs,
    /// More sources than one peer needs.
    #[error("too many 5-tuples")]
    TooManyPaths,
    /// The transport has failed or was closed.
    #[error("the transport is closed")]
    Closed,
}

/// Why a packet could not be protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No keys yet.
    #[error("no SRTP keys yet")]
    NotKeyed,
    /// Not an RTP or RTCP packet.
    #[error("not a media packet")]
    Malformed,
    /// `buf` has no room for the tag.
    #[error("no room for the authentication tag")]
    NoRoom,
    /// 2^31 SRTCP packets were sent under one key (RFC 3711 section 9.2).
    #[error("SRTCP index exhausted")]
    KeyExhausted,
}

/// Why a message was not taken for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendDataError {
    /// No open channel with this label.
    #[error("the data channel is not open")]
    NotOpen,
    /// The channel's buffer is full; [`crate::TransportEvent::BufferedLow`] follows when it is not any more.
    #[error("the data channel's buffer is full")]
    Full,
    /// Longer than the peer (or we) allow.
    #[error("message of {len} bytes, the peer takes {max}")]
    TooLong {
        /// The message's length.
        len: usize,
        /// The limit.
        max: usize,
    },
}

/// A data channel operation that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataChannelError {
    /// See the limit's own documentation.
    #[error("more than {0} data channels")]
    TooMany(usize),
}

/// Why a connection can no longer work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FailReason {
    /// The peer's certificate is not the announced one.
    #[error("the peer's certificate does not match its fingerprint")]
    FingerprintMismatch,
    /// The handshake did not finish.
    #[error("DTLS failed: {0}")]
    Dtls(String),
    /// Disconnected for longer than the failure timeout.
    #[error("no connectivity")]
    IceTimeout,
}
