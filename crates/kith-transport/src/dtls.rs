//! The DTLS association: `dimpl`, the peer's fingerprint, and what to do when a handshake was disturbed.
//!
//! - **Nothing is handed up before the peer's certificate is the announced one.** Keys and data of an unverified peer are dropped.
//! - **A disturbed handshake begins anew.** `dimpl` gives up when handshake messages contradict each other. Before the handshake is
//!   authenticated anybody who can send from a validated address can cause that, so it costs a fresh start, a bounded number of times.

use std::time::Instant;

use aws_lc_rs::digest;
use dimpl::{Dtls, Error, Output, UnexpectedMessageError};

use crate::api::{DtlsRole, Fingerprint};
use crate::context::TransportContext;
use crate::error::FailReason;
use crate::srtp::SrtpProfile;

/// Fresh starts of the handshake until the connection has failed. Each needs a new disturbance.
const MAX_RESTARTS: u8 = 16;
/// DTLS records are longer than this only if the peer's SCTP packets are longer than an MTU; the buffer then grows up to
/// [`MAX_RECORD`].
const RECORD_BUFFER: usize = 2048;
/// RFC 8446 section 5.2, with room for the header.
const MAX_RECORD: usize = (1 << 14) + 512;

enum State {
    Handshake,
    Connected,
    Over,
}

/// See the module.
pub(crate) struct DtlsAssociation {
    engine: Dtls,
    context: TransportContext,
    role: DtlsRole,
    expected: Fingerprint,
    state: State,
    /// The engine says that the handshake is complete.
    complete: bool,
    verified: bool,
    keys: Option<(SrtpProfile, Vec<u8>)>,
    restarts: u8,
    timeout: Option<Instant>,
    buffer: Vec<u8>,
}

/// What comes out.
pub(crate) enum DtlsEvent<'a> {
    /// To be sent.
    Packet(&'a [u8]),
    /// The peer is the announced one. With keys for SRTP, unless it did not ask for any.
    Connected(Option<(SrtpProfile, Vec<u8>)>),
    /// Plaintext of a verified peer.
    Data(&'a [u8]),
    /// The peer said goodbye.
    Closed,
    Failed(FailReason),
}

impl DtlsAssociation {
    pub(crate) fn new(
        now: Instant,
        context: &TransportContext,
        role: DtlsRole,
        expected: Fingerprint,
    ) -> Self {
        Self {
            engine: engine(now, context, role),
            context: context.clone(),
            role,
            expected,
            state: State::Handshake,
            complete: false,
            verified: false,
            keys: None,
            restarts: 0,
            timeout: None,
            buffer: vec![0; RECORD_BUFFER],
        }
    }

    pub(crate) fn role(&self) -> DtlsRole {
        self.role
    }

    pub(crate) fn expected(&self) -> Fingerprint {
        self.expected
    }

    /// Takes a datagram.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        datagram: &[u8],
        sink: &mut dyn FnMut(DtlsEvent<'_>),
    ) {
        if matches!(self.state, State::Over) {
            return;
        }
        let result = self
            .engine
            .handle_timeout(now)
            .and_then(|()| self.engine.handle_packet(datagram));
        self.after(now, result, sink);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, sink: &mut dyn FnMut(DtlsEvent<'_>)) {
        if matches!(self.state, State::Over) {
            return;
        }
        let result = self.engine.handle_timeout(now);
        self.after(now, result, sink);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    /// Sends plaintext. Ignored unless connected.
    pub(crate) fn send(&mut self, now: Instant, data: &[u8], sink: &mut dyn FnMut(DtlsEvent<'_>)) {
        if matches!(self.state, State::Connected) {
            let result = self.engine.send_application_data(data).map(|_| ());
            self.after(now, result, sink);
        }
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, now: Instant, sink: &mut dyn FnMut(DtlsEvent<'_>)) {
        if matches!(self.state, State::Connected) {
            let result = self.engine.close();
            self.after(now, result, sink);
        }
        self.end();
    }

    fn after(
        &mut self,
        now: Instant,
        result: Result<(), Error>,
        sink: &mut dyn FnMut(DtlsEvent<'_>),
    ) {
        match result {
            // The engine has not taken it: the first answer to a ClientHello that is neither version's.
            Ok(())
            | Err(Error::UnexpectedMessage(
                UnexpectedMessageError::UnrecognizedAutoServerResponse,
            )) => {}
            Err(error) => {
                // What was complete before the error still counts, an alert that explains it still leaves.
                self.drain(sink);
                return self.disturbed(now, &error, sink);
            }
        }
        self.drain(sink);
    }

    fn drain(&mut self, sink: &mut dyn FnMut(DtlsEvent<'_>)) {
        loop {
            let room = self.buffer.len();
            match self.engine.poll_output(&mut self.buffer) {
                Output::Packet(packet) => sink(DtlsEvent::Packet(packet)),
                Output::BufferTooSmall { needed } if needed <= MAX_RECORD && needed > room => {
                    self.buffer.resize(needed, 0);
                }
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    break;
                }
                Output::PeerCert(certificate) => {
                    self.verified =
                        digest::digest(&digest::SHA256, certificate).as_ref() == self.expected.0;
                    if !self.verified {
                        return self.fail(FailReason::FingerprintMismatch, sink);
                    }
                }
                Output::Connected => self.complete = true,
                Output::KeyingMaterial(material, profile) => {
                    self.keys = srtp_profile(profile).map(|profile| (profile, material.to_vec()));
                }
                Output::ApplicationData(data) => {
                    // Connected is reported at the latest here, so that data never comes first.
                    if connect(&mut self.state, self.complete && self.verified) {
                        sink(DtlsEvent::Connected(self.keys.take()));
                    }
                    if matches!(self.state, State::Connected) {
                        sink(DtlsEvent::Data(data));
                    }
                }
                Output::CloseNotify => {
                    if matches!(self.state, State::Connected) {
                        sink(DtlsEvent::Closed);
                        return self.end();
                    }
                }
                // Nothing else is known to exist; an output that cannot be taken would come again for ever.
                _ => break,
            }
        }
        if self.complete && !self.verified {
            return self.fail(FailReason::FingerprintMismatch, sink);
        }
        if connect(&mut self.state, self.complete) {
            sink(DtlsEvent::Connected(self.keys.take()));
        }
    }

    fn disturbed(&mut self, now: Instant, error: &Error, sink: &mut dyn FnMut(DtlsEvent<'_>)) {
        if matches!(self.state, State::Over) {
            return;
        }
        let hopeless = matches!(error, Error::Timeout(_)) || self.restarts >= MAX_RESTARTS;
        if matches!(self.state, State::Connected) || hopeless {
            return self.fail(FailReason::Dtls(error.to_string()), sink);
        }
        tracing::debug!(%error, "DTLS handshake disturbed, beginning anew");
        self.restarts += 1;
        self.engine = engine(now, &self.context, self.role);
        self.complete = false;
        self.verified = false;
        self.keys = None;
        self.drain(sink);
    }

    fn fail(&mut self, reason: FailReason, sink: &mut dyn FnMut(DtlsEvent<'_>)) {
        self.end();
        sink(DtlsEvent::Failed(reason));
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.timeout = None;
    }
}

/// Moves on to connected. Returns whether that is new.
fn connect(state: &mut State, ready: bool) -> bool {
    let now_connected = ready && matches!(state, State::Handshake);
    if now_connected {
        *state = State::Connected;
    }
    now_connected
}

fn engine(now: Instant, context: &TransportContext, role: DtlsRole) -> Dtls {
    let mut engine = Dtls::new_auto(context.dtls.clone(), context.certificate.clone(), now);
    engine.set_active(role == DtlsRole::Client);
    // The engine draws its random values at the first timeout; a server that has none when the ClientHello comes cannot answer it.
    let _ = engine.handle_timeout(now);
    engine
}

fn srtp_profile(profile: dimpl::SrtpProfile) -> Option<SrtpProfile> {
    match profile {
        dimpl::SrtpProfile::AEAD_AES_128_GCM => Some(SrtpProfile::AeadAes128Gcm),
        dimpl::SrtpProfile::AEAD_AES_256_GCM => Some(SrtpProfile::AeadAes256Gcm),
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => Some(SrtpProfile::Aes128CmHmacSha1_80),
        _ => None,
    }
}
