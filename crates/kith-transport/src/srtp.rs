//! SRTP and SRTCP (RFC 3711, RFC 7714).

/// The longest tag plus SRTCP index that protection adds.
pub const MAX_OVERHEAD: usize = 20;
