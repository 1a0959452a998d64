//! The state machine.

use std::time::Instant;

use crate::api::{
    DataLabel, Datagram, IceCredentials, Input, Path, Protocol, RemoteDescription, Transmit,
    TransportConfig, TransportEvent,
};
use crate::context::TransportContext;
use crate::error::{
    CandidateError, DataChannelError, Dropped, SealError, SendDataError, SetRemoteError,
};

/// One peer connection.
#[derive(Debug)]
pub struct Transport {
    local_ice: IceCredentials,
}

impl Transport {
    /// The longest data channel message in either direction, bytes: what LiveKit clients send at most (64000) and the server announces
    /// (65535).
    pub const MAX_MESSAGE_SIZE: u32 = 65_536;
    /// Bytes that may wait in one data channel before [`SendDataError::Full`].
    pub const MAX_BUFFERED: usize = 1 << 20;

    /// A transport that waits for candidates and the peer's description.
    #[must_use]
    pub fn new(_now: Instant, _context: &TransportContext, config: TransportConfig) -> Self {
        Self {
            local_ice: config.local_ice,
        }
    }

    /// Our ICE credentials.
    #[must_use]
    pub fn local_ice_credentials(&self) -> &IceCredentials {
        &self.local_ice
    }

    /// Whether connectivity checks with this local ufrag are for us (before and after an ICE restart).
    #[must_use]
    pub fn accepts_ufrag(&self, ufrag: &str) -> bool {
        self.local_ice.ufrag() == ufrag
    }

    /// Applies the peer's description. Called again with other ICE credentials, it is an ICE restart by the peer: give our own new
    /// credentials with [`Self::restart_ice`] first.
    pub fn set_remote(
        &mut self,
        _now: Instant,
        _remote: RemoteDescription,
    ) -> Result<(), SetRemoteError> {
        Ok(())
    }

    /// Begins an ICE restart with new credentials of ours. Media stays on the old path until checks succeed on a new one. The
    /// peer's new description has to follow with [`Self::set_remote`].
    pub fn restart_ice(&mut self, local_ice: IceCredentials) {
        self.local_ice = local_ice;
    }

    /// Adds a host candidate of ours. Returns the value of its `a=candidate` line (`candidate:…`), to be signalled.
    pub fn add_local_candidate(
        &mut self,
        _proto: Protocol,
        _address: std::net::SocketAddr,
    ) -> Result<String, CandidateError> {
        Ok(String::new())
    }

    /// Adds a candidate of the peer's: `candidate:…` with or without `a=`. Under ICE-lite it is checked and then not needed.
    pub fn add_remote_candidate(&mut self, _line: &str) -> Result<(), CandidateError> {
        Ok(())
    }

    /// Takes a datagram. Media comes back decrypted; for the rest, poll.
    pub fn handle_input<'a>(
        &mut self,
        _now: Instant,
        _datagram: Datagram<'a>,
    ) -> Result<Input<'a>, Dropped> {
        Err(Dropped::UnknownProtocol)
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        None
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        None
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// Where media goes now. `None` before ICE connects and while it is disconnected.
    #[must_use]
    pub fn selected_path(&self) -> Option<Path> {
        None
    }

    /// Whether a datagram other than STUN from this 5-tuple would be looked at.
    #[must_use]
    pub fn is_validated(&self, _path: Path) -> bool {
        false
    }

    /// Whether media can be sealed and there is somewhere to send it.
    #[must_use]
    pub fn media_ready(&self) -> bool {
        false
    }

    /// How many bytes [`Self::seal_rtp`] adds.
    #[must_use]
    pub fn srtp_overhead(&self) -> usize {
        crate::srtp::MAX_OVERHEAD
    }

    /// Protects the RTP packet in `buf[..len]` in place. `roc` is the rollover counter: the upper 32 bits of the packet's 48-bit
    /// index. Returns the protected length; `buf` needs [`Self::srtp_overhead`] bytes more than `len`.
    pub fn seal_rtp(
        &mut self,
        _roc: u32,
        _buf: &mut [u8],
        _len: usize,
    ) -> Result<usize, SealError> {
        Err(SealError::NotKeyed)
    }

    /// Protects the compound RTCP packet in `buf[..len]` in place. Needs [`crate::srtp::MAX_OVERHEAD`] bytes more than `len`.
    pub fn seal_rtcp(&mut self, _buf: &mut [u8], _len: usize) -> Result<usize, SealError> {
        Err(SealError::NotKeyed)
    }

    /// Sends one message.
    pub fn send_data(
        &mut self,
        _now: Instant,
        _label: &DataLabel,
        _payload: &[u8],
        _binary: bool,
    ) -> Result<(), SendDataError> {
        Err(SendDataError::NotOpen)
    }

    /// Bytes handed to a channel and not yet acknowledged by the peer; 0 for a channel that is not open.
    #[must_use]
    pub fn buffered_amount(&self, _label: &DataLabel) -> usize {
        0
    }

    /// Stops delivering messages of one channel. The peer's messages fill our receive window and then wait at the peer.
    pub fn pause_reading(&mut self, _label: &DataLabel) -> Result<(), DataChannelError> {
        Ok(())
    }

    /// Delivers messages of a channel again.
    pub fn resume_reading(
        &mut self,
        _now: Instant,
        _label: &DataLabel,
    ) -> Result<(), DataChannelError> {
        Ok(())
    }

    /// Ends the connection: `close_notify` is queued for [`Self::poll_transmit`], nothing is accepted any more.
    pub fn close(&mut self, _now: Instant) {}
}
