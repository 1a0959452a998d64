//! The DTLS association: `dimpl`, the peer's fingerprint, and handshakes that others meddle with.
//!
//! Until the handshake has authenticated the peer, whoever knows its address can send in its name. So:
//!
//! - **Nothing is handed up before the peer's certificate is the announced one.** Keys and data of an unverified peer are dropped.
//! - **A ClientHello binds nobody.** `dimpl` stays with the first one that it sees. As a server we give each of them (there are few) an
//!   engine of its own, and stay with the first that brings its cookie back, which a forger never received.
//! - **A disturbed handshake begins anew.** `dimpl` gives up when handshake messages contradict each other. That costs a fresh start,
//!   a bounded number of times.

mod hello;

use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use dimpl::{Dtls, Error, Output, UnexpectedMessageError};

use crate::api::{DtlsRole, Fingerprint};
use crate::context::TransportContext;
use crate::error::FailReason;
use crate::srtp::SrtpProfile;
use hello::{ClientHello, MessageId};

/// Fresh starts of the handshake until the connection has failed. Each needs a new disturbance.
const MAX_RESTARTS: u8 = 16;
/// ClientHellos that wait for their cookie. The peer's is one of them; the oldest goes when there are more.
const MAX_CANDIDATES: usize = 8;
/// Another ClientHello than the last one is looked at after this long. The real client sends its own again; answers to forged ones
/// make it do so, too, and it does that a few times only.
const NEXT_CANDIDATE_AFTER: Duration = Duration::from_millis(100);
/// DTLS records are longer than this only if the peer's SCTP packets are longer than an MTU; the buffer then grows up to
/// [`MAX_RECORD`].
const RECORD_BUFFER: usize = 2048;
/// RFC 8446 section 5.2, with room for the header.
const MAX_RECORD: usize = (1 << 14) + 512;

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

type Sink<'s> = dyn FnMut(DtlsEvent<'_>) + 's;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A server that has no ClientHello with a cookie.
    Candidates,
    /// There is one engine.
    Handshake,
    Connected,
    Over,
}

/// An engine, and the handshake that it is about.
struct Candidate {
    engine: Dtls,
    /// `None` until there is a ClientHello.
    random: Option<[u8; 32]>,
    /// The ClientHello of which there is more to come.
    unfinished: Option<MessageId>,
    timeout: Option<Instant>,
}

/// See the module.
pub(crate) struct DtlsAssociation {
    context: TransportContext,
    role: DtlsRole,
    expected: Fingerprint,
    state: State,
    /// At least one until the association is over; exactly one beyond [`State::Candidates`]. The newest comes last.
    candidates: Vec<Candidate>,
    next_candidate_at: Option<Instant>,
    /// The engine says that the handshake is complete.
    complete: bool,
    verified: bool,
    keys: Option<(SrtpProfile, Vec<u8>)>,
    restarts: u8,
    buffer: Vec<u8>,
}

impl DtlsAssociation {
    pub(crate) fn new(
        now: Instant,
        context: &TransportContext,
        role: DtlsRole,
        expected: Fingerprint,
    ) -> Self {
        Self {
            context: context.clone(),
            role,
            expected,
            state: first_state(role),
            candidates: vec![Candidate::new(now, context, role)],
            next_candidate_at: None,
            complete: false,
            verified: false,
            keys: None,
            restarts: 0,
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
    pub(crate) fn handle(&mut self, now: Instant, datagram: &[u8], sink: &mut Sink<'_>) {
        match self.state {
            State::Over => {}
            State::Candidates => self.handle_hello(now, datagram, sink),
            // The engine would take a foreign one for a retransmission, answer with one of its own, and run out of them.
            State::Handshake | State::Connected if self.is_foreign_hello(datagram) => {}
            State::Handshake | State::Connected => {
                self.drive(now, 0, |engine| engine.handle_packet(datagram), sink);
            }
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, sink: &mut Sink<'_>) {
        if self.state != State::Over {
            self.drive_all(now, |_| Ok(()), sink);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.candidates
            .iter()
            .filter_map(|candidate| candidate.timeout)
            .min()
    }

    /// Sends plaintext. Ignored unless connected.
    pub(crate) fn send(&mut self, now: Instant, data: &[u8], sink: &mut Sink<'_>) {
        if self.state == State::Connected {
            self.drive(
                now,
                0,
                |engine| engine.send_application_data(data).map(|_| ()),
                sink,
            );
        }
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, now: Instant, sink: &mut Sink<'_>) {
        if self.state == State::Connected {
            self.drive(now, 0, Dtls::close, sink);
        }
        self.end();
    }

    /// Nothing but a ClientHello makes sense yet, and only the engine that it is about gets to see it.
    fn handle_hello(&mut self, now: Instant, datagram: &[u8], sink: &mut Sink<'_>) {
        let at = match hello::client_hello(datagram) {
            Some(ClientHello::First { random, unfinished }) => {
                let at = self.candidate_for(now, random);
                if let Some(candidate) = at.and_then(|at| self.candidates.get_mut(at)) {
                    candidate.random = Some(random);
                    candidate.unfinished = unfinished;
                }
                at
            }
            Some(ClientHello::Later(message)) => self
                .candidates
                .iter()
                .rposition(|candidate| candidate.unfinished == Some(message)),
            None => None,
        };
        if let Some(at) = at {
            self.drive(now, at, |engine| engine.handle_packet(datagram), sink);
        }
    }

    /// Whether a ClientHello is not the one that the handshake began with.
    fn is_foreign_hello(&self, datagram: &[u8]) -> bool {
        let ours = self
            .candidates
            .first()
            .and_then(|candidate| candidate.random);
        hello::client_hello(datagram).is_some_and(|hello| match hello {
            ClientHello::First { random, .. } => Some(random) != ours,
            ClientHello::Later(_) => false,
        })
    }

    /// The engine for the handshake with this random value: the one that has it, a fresh one, or a new one if it is time for that.
    fn candidate_for(&mut self, now: Instant, random: [u8; 32]) -> Option<usize> {
        let with = |random| {
            self.candidates
                .iter()
                .position(|candidate| candidate.random == random)
        };
        if let Some(known) = with(Some(random)) {
            return Some(known);
        }
        if self.next_candidate_at.is_some_and(|at| now < at) {
            return None;
        }
        self.next_candidate_at = Some(now + NEXT_CANDIDATE_AFTER);
        if let Some(fresh) = with(None) {
            return Some(fresh);
        }
        if self.candidates.len() >= MAX_CANDIDATES {
            self.candidates.remove(0);
        }
        self.candidates
            .push(Candidate::new(now, &self.context, self.role));
        Some(self.candidates.len() - 1)
    }

    fn drive_all(
        &mut self,
        now: Instant,
        act: impl Fn(&mut Dtls) -> Result<(), Error>,
        sink: &mut Sink<'_>,
    ) {
        // From the end, so that one that goes does not move those that are still to come.
        for at in (0..self.candidates.len()).rev() {
            self.drive(now, at, &act, sink);
        }
    }

    /// Does something with an engine and takes what comes of it.
    fn drive(
        &mut self,
        now: Instant,
        at: usize,
        act: impl FnOnce(&mut Dtls) -> Result<(), Error>,
        sink: &mut Sink<'_>,
    ) {
        let Some(candidate) = self.candidates.get_mut(at) else {
            return;
        };
        let result = candidate
            .engine
            .handle_timeout(now)
            .and_then(|()| act(&mut candidate.engine));
        // Also after an error: what was complete before it still counts, an alert that explains it still leaves.
        self.drain(at, sink);
        match result {
            // The engine has not taken it: the first answer to a ClientHello that is neither version's.
            Ok(())
            | Err(Error::UnexpectedMessage(
                UnexpectedMessageError::UnrecognizedAutoServerResponse,
            )) => {}
            Err(error) => self.disturbed(now, at, &error, sink),
        }
    }

    fn drain(&mut self, at: usize, sink: &mut Sink<'_>) {
        let Some(candidate) = self.candidates.get_mut(at) else {
            return;
        };
        let mut beyond_cookie = false;
        loop {
            let room = self.buffer.len();
            match candidate.engine.poll_output(&mut self.buffer) {
                Output::Packet(packet) => {
                    beyond_cookie |= hello::is_beyond_cookie(packet);
                    // Only a forger has a wrong cookie, and the real client would choke on the answer to it.
                    if self.state != State::Candidates || !hello::asks_again(packet) {
                        sink(DtlsEvent::Packet(packet));
                    }
                }
                Output::BufferTooSmall { needed } if needed <= MAX_RECORD && needed > room => {
                    self.buffer.resize(needed, 0)
                }
                Output::Timeout(at) => {
                    candidate.timeout = Some(at);
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
                    if self.state != State::Connected && self.complete && self.verified {
                        self.state = State::Connected;
                        sink(DtlsEvent::Connected(self.keys.take()));
                    }
                    if self.state == State::Connected {
                        sink(DtlsEvent::Data(data));
                    }
                }
                Output::CloseNotify => {
                    if self.state == State::Connected {
                        sink(DtlsEvent::Closed);
                        return self.end();
                    }
                }
                // Nothing else is known to exist; an output that cannot be taken would come again for ever.
                _ => break,
            }
        }
        if self.state == State::Candidates && beyond_cookie {
            self.state = State::Handshake;
            self.candidates.swap(0, at);
            self.candidates.truncate(1);
        }
        if self.complete && !self.verified {
            return self.fail(FailReason::FingerprintMismatch, sink);
        }
        if self.complete && self.state != State::Connected {
            self.state = State::Connected;
            sink(DtlsEvent::Connected(self.keys.take()));
        }
    }

    fn disturbed(&mut self, now: Instant, at: usize, error: &Error, sink: &mut Sink<'_>) {
        if self.state == State::Over {
            return;
        }
        if self.state == State::Candidates && self.candidates.len() > 1 {
            self.candidates.remove(at);
            return;
        }
        let hopeless = matches!(error, Error::Timeout(_)) || self.restarts >= MAX_RESTARTS;
        if self.state == State::Connected || hopeless {
            return self.fail(FailReason::Dtls(error.to_string()), sink);
        }
        tracing::debug!(%error, "DTLS handshake disturbed, beginning anew");
        self.restarts += 1;
        self.state = first_state(self.role);
        self.candidates = vec![Candidate::new(now, &self.context, self.role)];
        self.complete = false;
        self.verified = false;
        self.keys = None;
        self.drain(0, sink);
    }

    fn fail(&mut self, reason: FailReason, sink: &mut Sink<'_>) {
        self.end();
        sink(DtlsEvent::Failed(reason));
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.candidates.clear();
    }
}

impl Candidate {
    fn new(now: Instant, context: &TransportContext, role: DtlsRole) -> Self {
        let mut engine = Dtls::new_auto(context.dtls.clone(), context.certificate.clone(), now);
        engine.set_active(role == DtlsRole::Client);
        Self {
            engine,
            random: None,
            unfinished: None,
            timeout: None,
        }
    }
}

fn first_state(role: DtlsRole) -> State {
    match role {
        DtlsRole::Client => State::Handshake,
        DtlsRole::Server => State::Candidates,
    }
}

fn srtp_profile(profile: dimpl::SrtpProfile) -> Option<SrtpProfile> {
    match profile {
        dimpl::SrtpProfile::AEAD_AES_128_GCM => Some(SrtpProfile::AeadAes128Gcm),
        dimpl::SrtpProfile::AEAD_AES_256_GCM => Some(SrtpProfile::AeadAes256Gcm),
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => Some(SrtpProfile::Aes128CmHmacSha1_80),
        _ => None,
    }
}
