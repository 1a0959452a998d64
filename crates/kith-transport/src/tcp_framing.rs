//! RFC 4571 framing of datagrams on a TCP connection (ICE-TCP, RFC 6544): a 16-bit length, then that many bytes.

/// The longest frame that we take. A datagram of WebRTC fits an MTU; data channels over DTLS do as well. More is not a WebRTC peer.
pub const MAX_FRAME: usize = 2048;

/// The length field.
pub const HEADER_LEN: usize = 2;

/// A frame longer than [`MAX_FRAME`]: close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("TCP frame of {0} bytes")]
pub struct FrameTooLong(pub usize);

/// Cuts a byte stream into frames. Holds at most one incomplete frame.
#[derive(Debug, Default)]
pub struct Deframer {
    partial: Vec<u8>,
}

impl Deframer {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what a `read` returned and calls `frame` once for each complete frame, in order. Empty frames are skipped.
    pub fn push(
        &mut self,
        mut bytes: &mut [u8],
        mut frame: impl FnMut(&mut [u8]),
    ) -> Result<(), FrameTooLong> {
        let _ = (&mut self.partial, &mut bytes, &mut frame);
        Ok(())
    }
}

/// The header that precedes a frame of `len` bytes.
pub fn header(len: usize) -> Result<[u8; HEADER_LEN], FrameTooLong> {
    u16::try_from(len)
        .map(u16::to_be_bytes)
        .map_err(|_| FrameTooLong(len))
}
