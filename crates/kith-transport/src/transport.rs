//! The state machine: what arrives goes to ICE, DTLS, SCTP or SRTP, what they say becomes datagrams and events.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use kith_rtp::stun::{DatagramKind, classify};

use crate::api::{
    DataLabel, Datagram, DtlsRole, IceCredentials, Input, Path, Protocol, RemoteDescription,
    Transmit, TransportConfig, TransportEvent,
};
use crate::context::TransportContext;
use crate::dtls::{DtlsAssociation, DtlsEvent};
use crate::error::{
    CandidateError, DataChannelError, Dropped, FailReason, SealError, SendDataError, SetRemoteError,
};
use crate::ice::{Ice, IceEvent, PathIndex};
use crate::sctp::{self, Sctp};
use crate::srtp::{self, SrtpProfile, SrtpReceiver, SrtpSender};

/// One peer connection.
///
/// After any call but the sealing ones and [`Self::handle_input`] with media, poll: [`Self::poll_event`] until `None`, then
/// [`Self::poll_transmit`] until `None`, then [`Self::poll_timeout`]. Calling [`Self::handle_timeout`] early does no harm.
pub struct Transport {
    context: TransportContext,
    ice: Ice,
    dtls: Option<DtlsAssociation>,
    sctp: Sctp,
    sender: Option<SrtpSender>,
    receiver: Option<SrtpReceiver>,
    remote: Option<RemoteDescription>,
    /// Where the DTLS handshake goes while ICE has nominated nothing: to where it came from.
    handshake_path: Option<Path>,
    /// ICE was connected once.
    was_connected: bool,
    srtp_overhead: usize,
    outbox: VecDeque<Transmit>,
    events: VecDeque<TransportEvent>,
    now: Instant,
    over: bool,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("ufrag", &self.ice.local_credentials().ufrag())
            .field("path", &self.ice.selected())
            .field("keyed", &self.sender.is_some())
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// The longest data channel message in either direction, bytes. Clients send 64000 at most.
    pub const MAX_MESSAGE_SIZE: u32 = 65_536;
    /// Bytes that may wait in a reliable data channel before [`SendDataError::Full`].
    pub const MAX_BUFFERED_RELIABLE: usize = sctp::MAX_BUFFERED_RELIABLE;
    /// Bytes that may wait in a data channel whose messages may get lost before [`SendDataError::Full`].
    pub const MAX_BUFFERED_LOSSY: usize = sctp::MAX_BUFFERED_LOSSY;
    /// Data channels of one connection, ours and the peer's; further ones are reset.
    pub const MAX_DATA_CHANNELS: usize = sctp::MAX_CHANNELS;

    /// A transport that waits for the peer's description and its checks.
    #[must_use]
    pub fn new(now: Instant, context: &TransportContext, config: TransportConfig) -> Self {
        let TransportConfig {
            local_ice,
            ice_lite,
            controlling,
            entropy,
            data_channels,
            max_message_size,
        } = config;
        let ice = if ice_lite {
            Ice::lite(local_ice)
        } else {
            Ice::full(now, local_ice, controlling, tie_breaker(entropy))
        };
        Self {
            context: context.clone(),
            ice,
            dtls: None,
            sctp: Sctp::new(data_channels, max_message_size.min(Self::MAX_MESSAGE_SIZE)),
            sender: None,
            receiver: None,
            remote: None,
            handshake_path: None,
            was_connected: false,
            srtp_overhead: SrtpProfile::AeadAes128Gcm.rtp_overhead(),
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            now,
            over: false,
        }
    }

    /// Our ICE credentials.
    #[must_use]
    pub fn local_ice_credentials(&self) -> &IceCredentials {
        self.ice.local_credentials()
    }

    /// Whether connectivity checks with this ufrag of ours are answered: the current one and, during an ICE restart, the one before.
    #[must_use]
    pub fn accepts_ufrag(&self, ufrag: &str) -> bool {
        !self.over && self.ice.accepts_ufrag(ufrag)
    }

    /// Applies the peer's description. Called again with other ICE credentials, it is an ICE restart: give our own new credentials
    /// with [`Self::restart_ice`] first.
    pub fn set_remote(
        &mut self,
        now: Instant,
        remote: RemoteDescription,
    ) -> Result<(), SetRemoteError> {
        if self.over {
            return Err(SetRemoteError::Closed);
        }
        self.tick(now);
        if let Some(dtls) = &self.dtls {
            if dtls.expected() != remote.fingerprint {
                return Err(SetRemoteError::FingerprintChanged);
            }
            if dtls.role() != remote.dtls_role {
                return Err(SetRemoteError::RoleChanged);
            }
        }
        self.ice.set_remote(now, &remote.ice)?;
        self.sctp.set_peer_max_message_size(remote.max_message_size);
        self.remote = Some(remote);
        self.begin_dtls();
        Ok(())
    }

    /// Begins an ICE restart with new credentials of ours. Media stays on the old path until the peer nominates one with the new
    /// credentials. The peer's new description has to follow with [`Self::set_remote`].
    pub fn restart_ice(&mut self, local_ice: IceCredentials) {
        self.ice.restart(local_ice);
    }

    /// Adds a host candidate of ours: an address at which the owner of the sockets receives.
    pub fn add_local_candidate(
        &mut self,
        proto: Protocol,
        address: SocketAddr,
    ) -> Result<(), CandidateError> {
        self.ice.add_local(proto, address)
    }

    /// Adds a candidate of the peer's: `candidate:…`, with or without `a=`. ICE-lite has no use for it beyond looking at it.
    pub fn add_remote_candidate(&mut self, line: &str) -> Result<(), CandidateError> {
        self.ice.add_remote(line)
    }

    /// Forgets a 5-tuple, because its TCP connection is closed.
    pub fn remove_path(&mut self, now: Instant, path: Path) {
        self.tick(now);
        self.ice.remove_path(now, &path);
        self.after_ice();
    }

    /// Takes a datagram. Media comes back decrypted, in place; for the rest, poll. Media costs no allocation and no search.
    #[inline]
    pub fn handle_input<'a>(
        &mut self,
        now: Instant,
        datagram: Datagram<'a>,
    ) -> Result<Input<'a>, Dropped> {
        let Datagram {
            proto,
            source,
            destination,
            data,
        } = datagram;
        let path = Path {
            proto,
            local: destination,
            remote: source,
        };
        match classify(data) {
            DatagramKind::Rtp => {
                let (index, receiver) = self.media_input(&path)?;
                let len = receiver.open_rtp(now, data)?;
                self.ice.heard(index, now);
                Ok(Input::Rtp(data.get_mut(..len).ok_or(Dropped::Malformed)?))
            }
            DatagramKind::Rtcp => {
                let (index, receiver) = self.media_input(&path)?;
                let len = receiver.open_rtcp(now, data)?;
                self.ice.heard(index, now);
                Ok(Input::Rtcp(data.get(..len).ok_or(Dropped::Malformed)?))
            }
            _ if self.over => Err(Dropped::Closed),
            DatagramKind::Stun => {
                self.tick(now);
                self.ice.handle_stun(now, path, data)?;
                self.after_ice();
                Ok(Input::None)
            }
            DatagramKind::Dtls => self.handle_dtls(now, path, data).map(|()| Input::None),
            DatagramKind::Turn | DatagramKind::Unknown => Err(Dropped::UnknownProtocol),
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        loop {
            if let Some(transmit) = self.ice.poll_transmit().or_else(|| self.outbox.pop_front()) {
                return Some(transmit);
            }
            let packets = self.sctp.poll_transmit(self.now)?;
            for packet in packets {
                self.drive_dtls(|dtls, now, sink| dtls.send(now, &packet, sink));
            }
        }
    }

    /// The next event. Messages of data channels are read out of the receive window one by one, as they are asked for.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events
            .pop_front()
            .or_else(|| self.sctp.poll_event(self.now))
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let dtls = self.dtls.as_ref().and_then(DtlsAssociation::poll_timeout);
        [self.ice.poll_timeout(), dtls, self.sctp.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.over {
            return;
        }
        self.tick(now);
        self.ice.handle_timeout(now);
        self.after_ice();
        if self
            .dtls
            .as_ref()
            .and_then(DtlsAssociation::poll_timeout)
            .is_some_and(|at| now >= at)
        {
            self.drive_dtls(|dtls, now, sink| dtls.handle_timeout(now, sink));
        }
        if self.sctp.poll_timeout().is_some_and(|at| now >= at) {
            self.sctp.handle_timeout(now);
        }
    }

    /// Where media goes now. `None` before ICE connects and while it is disconnected.
    #[must_use]
    #[inline]
    pub fn selected_path(&self) -> Option<Path> {
        if self.over { None } else { self.ice.selected() }
    }

    /// Whether datagrams other than STUN that come this way are looked at.
    #[must_use]
    pub fn is_validated(&self, path: Path) -> bool {
        self.ice.validated(&path).is_some()
    }

    /// Whether media can be sealed and there is somewhere to send it.
    #[must_use]
    #[inline]
    pub fn media_ready(&self) -> bool {
        self.sender.is_some() && self.selected_path().is_some()
    }

    /// How many bytes [`Self::seal_rtp`] adds.
    #[must_use]
    pub fn srtp_overhead(&self) -> usize {
        self.srtp_overhead
    }

    /// Protects the RTP packet in `buf[..len]` in place. `roc` is the rollover counter: the upper 32 bits of the packet's 48-bit
    /// index. Returns the protected length; `buf` needs [`Self::srtp_overhead`] bytes more than `len`.
    ///
    /// **Two different packets must never be sealed under one SSRC and index**: retransmit as RTX, or seal the same bytes again.
    #[inline]
    pub fn seal_rtp(&self, roc: u32, buf: &mut [u8], len: usize) -> Result<usize, SealError> {
        self.sender
            .as_ref()
            .ok_or(SealError::NotKeyed)?
            .seal_rtp(roc, buf, len)
    }

    /// Protects the compound RTCP packet in `buf[..len]` in place. `buf` needs [`crate::srtp::MAX_OVERHEAD`] bytes more than `len`.
    pub fn seal_rtcp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, SealError> {
        self.sender
            .as_mut()
            .ok_or(SealError::NotKeyed)?
            .seal_rtcp(buf, len)
    }

    /// Sends one message. Where the peer has opened a channel with this label, it goes there, else to ours.
    pub fn send_data(
        &mut self,
        now: Instant,
        label: &DataLabel,
        payload: &[u8],
        binary: bool,
    ) -> Result<(), SendDataError> {
        self.tick(now);
        self.sctp.send(label, payload, binary)
    }

    /// Bytes handed to a channel and not yet acknowledged by the peer; 0 for a channel that is not open.
    #[must_use]
    pub fn buffered_amount(&mut self, label: &DataLabel) -> usize {
        self.sctp.buffered_amount(label)
    }

    /// Stops delivering messages with this label, now and on channels that will be opened. The peer's messages fill the receive
    /// window, which all channels share, and then wait at the peer.
    pub fn pause_reading(&mut self, label: &DataLabel) -> Result<(), DataChannelError> {
        self.sctp.pause_reading(label)
    }

    /// Delivers messages with this label again.
    pub fn resume_reading(&mut self, now: Instant, label: &DataLabel) {
        self.tick(now);
        self.sctp.resume_reading(label);
    }

    /// Ends the connection: a `close_notify` waits for [`Self::poll_transmit`], nothing is accepted any more.
    pub fn close(&mut self, now: Instant) {
        if self.over {
            return;
        }
        self.tick(now);
        self.drive_dtls(|dtls, now, sink| dtls.close(now, sink));
        self.end();
    }

    #[inline]
    fn media_input(&mut self, path: &Path) -> Result<(PathIndex, &mut SrtpReceiver), Dropped> {
        let index = self.ice.validated(path).ok_or(Dropped::NotValidated)?;
        Ok((index, self.receiver.as_mut().ok_or(Dropped::NotKeyed)?))
    }

    fn handle_dtls(&mut self, now: Instant, path: Path, data: &[u8]) -> Result<(), Dropped> {
        self.ice.validated(&path).ok_or(Dropped::NotValidated)?;
        if self.dtls.is_none() {
            return Err(Dropped::DtlsNotExpected);
        }
        self.tick(now);
        if !self.was_connected {
            self.handshake_path = Some(path);
        }
        self.drive_dtls(|dtls, now, sink| dtls.handle(now, data, sink));
        Ok(())
    }

    fn after_ice(&mut self) {
        while let Some(event) = self.ice.poll_event() {
            match event {
                IceEvent::Connected => {
                    self.was_connected = true;
                    self.handshake_path = None;
                    self.events.push_back(TransportEvent::IceConnected);
                }
                IceEvent::Disconnected => self.events.push_back(TransportEvent::IceDisconnected),
                IceEvent::PathChanged(path) => {
                    self.events.push_back(TransportEvent::PathChanged(path))
                }
                IceEvent::Failed => self.fail(FailReason::IceTimeout),
            }
        }
        self.begin_dtls();
    }

    /// A server can answer as soon as it knows whom to believe; a client begins when there is a path.
    fn begin_dtls(&mut self) {
        let Some(remote) = &self.remote else { return };
        let ready = remote.dtls_role == DtlsRole::Server || self.ice.selected().is_some();
        if self.dtls.is_none() && ready && !self.over {
            self.dtls = Some(DtlsAssociation::new(
                self.now,
                &self.context,
                remote.dtls_role,
                remote.fingerprint,
            ));
            self.drive_dtls(|dtls, now, sink| dtls.handle_timeout(now, sink));
        }
    }

    /// Does something with DTLS and takes what comes of it.
    fn drive_dtls(
        &mut self,
        act: impl FnOnce(&mut DtlsAssociation, Instant, &mut dyn FnMut(DtlsEvent<'_>)),
    ) {
        let Some(dtls) = &mut self.dtls else { return };
        let role = dtls.role();
        let path = self.ice.selected().or(self.handshake_path);
        let (now, outbox, sctp, events) =
            (self.now, &mut self.outbox, &mut self.sctp, &mut self.events);
        let (sender, receiver) = (&mut self.sender, &mut self.receiver);
        let mut overhead = None;
        let mut end = None;
        act(dtls, now, &mut |event| match event {
            DtlsEvent::Packet(packet) => {
                // Without a path it is lost; the timers of DTLS and SCTP send it again.
                if let Some(Path {
                    proto,
                    local,
                    remote,
                }) = path
                {
                    outbox.push_back(Transmit {
                        proto,
                        source: local,
                        destination: remote,
                        data: packet.to_vec(),
                    });
                }
            }
            DtlsEvent::Connected(keys) => {
                if let Some((profile, material)) = keys
                    && let Ok((seal, open)) =
                        srtp::from_dtls(profile, &material, role == DtlsRole::Client)
                {
                    (*sender, *receiver) = (Some(seal), Some(open));
                    overhead = Some(profile.rtp_overhead());
                }
                sctp.start(now, role);
                events.push_back(TransportEvent::Connected);
            }
            DtlsEvent::Data(data) => sctp.handle(now, Bytes::copy_from_slice(data)),
            DtlsEvent::Closed => end = Some(TransportEvent::Closed),
            DtlsEvent::Failed(reason) => end = Some(TransportEvent::Failed(reason)),
        });
        self.srtp_overhead = overhead.unwrap_or(self.srtp_overhead);
        if let Some(event) = end {
            self.events.push_back(event);
            self.end();
        }
    }

    /// Time does not go back, whatever a caller remembers.
    fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn fail(&mut self, reason: FailReason) {
        self.events.push_back(TransportEvent::Failed(reason));
        self.end();
    }

    fn end(&mut self) {
        self.over = true;
        self.sender = None;
        self.receiver = None;
    }
}

fn tie_breaker(entropy: [u8; 32]) -> u64 {
    entropy.first_chunk().copied().map_or(0, u64::from_ne_bytes)
}
