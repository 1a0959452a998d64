//! A full ICE agent: `is`, with its inputs bounded.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Instant;

use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceCreds};

use super::stun::AwsLcHmac;
use crate::api::{IceCredentials, Path, Protocol, Transmit};
use crate::error::{CandidateError, Dropped};

/// Remote candidates per ICE session: a client has one per interface, address family and TURN server.
pub(crate) const MAX_REMOTE_CANDIDATES: usize = 64;
/// Addresses per ICE session from which authentic checks may come. The agent remembers each of them, a client has a dozen.
const MAX_SOURCES: usize = 256;
/// Checks without an answer until a pair fails. With the agent's delays (0.5, 1, 2, 3, 3 s) that is 9.5 s, what LiveKit takes for
/// disconnected.
const MAX_CHECKS: usize = 5;

/// See the module.
pub(crate) struct FullAgent {
    agent: IceAgent,
    sources: HashSet<(Protocol, SocketAddr)>,
    remote_candidates: usize,
}

/// What the agent has to say.
pub(crate) enum FullEvent {
    Connected,
    Disconnected,
    Nominated(Path),
}

impl FullAgent {
    pub(crate) fn new(
        now: Instant,
        local: &IceCredentials,
        controlling: bool,
        tie_breaker: u64,
    ) -> Self {
        let mut agent = IceAgent::with_hmac(creds(local), &AwsLcHmac);
        agent.set_controlling(controlling);
        agent.set_control_tie_breaker(tie_breaker);
        agent.set_max_stun_retransmits(MAX_CHECKS);
        agent.handle_timeout(now);
        Self {
            agent,
            sources: HashSet::new(),
            remote_candidates: 0,
        }
    }

    pub(crate) fn accepts_ufrag(&self, ufrag: &str) -> bool {
        self.agent.local_credentials().ufrag == ufrag
    }

    pub(crate) fn set_remote(&mut self, remote: &IceCredentials) {
        self.agent.set_remote_credentials(creds(remote));
    }

    pub(crate) fn restart(&mut self, local: &IceCredentials) {
        self.sources.clear();
        self.remote_candidates = 0;
        self.agent.ice_restart(creds(local), true);
    }

    pub(crate) fn add_local(
        &mut self,
        proto: Protocol,
        address: SocketAddr,
    ) -> Result<(), CandidateError> {
        let proto = match proto {
            Protocol::Udp => is::Protocol::Udp,
            Protocol::Tcp => is::Protocol::Tcp,
        };
        let candidate = Candidate::host(address, proto).map_err(|_| CandidateError::Address)?;
        self.agent.add_local_candidate(candidate);
        Ok(())
    }

    pub(crate) fn add_remote(&mut self, candidate: Candidate) -> Result<(), CandidateError> {
        // We open no TCP connections: the peer's own checks make its end known.
        if candidate.proto() != is::Protocol::Udp {
            return Ok(());
        }
        if self.remote_candidates >= MAX_REMOTE_CANDIDATES {
            return Err(CandidateError::TooMany(MAX_REMOTE_CANDIDATES));
        }
        self.remote_candidates += 1;
        self.agent.add_remote_candidate(candidate);
        Ok(())
    }

    pub(crate) fn handle(
        &mut self,
        now: Instant,
        path: Path,
        message: StunMessage<'_>,
    ) -> Result<(), Dropped> {
        if !self.agent.accepts_message(&message) {
            return Err(Dropped::Stun);
        }
        let source = (path.proto, path.remote);
        if !self.sources.contains(&source) {
            if self.sources.len() >= MAX_SOURCES {
                return Err(Dropped::TooManyPaths);
            }
            self.sources.insert(source);
        }
        let proto = match path.proto {
            Protocol::Udp => is::Protocol::Udp,
            Protocol::Tcp => is::Protocol::Tcp,
        };
        let accepted = self.agent.handle_packet(
            now,
            StunPacket {
                proto,
                source: path.remote,
                destination: path.local,
                message,
            },
        );
        self.agent.handle_timeout(now);
        if accepted { Ok(()) } else { Err(Dropped::Stun) }
    }

    pub(crate) fn poll_event(&mut self) -> Option<FullEvent> {
        loop {
            return Some(match self.agent.poll_event()? {
                IceAgentEvent::IceConnectionStateChange(state) if state.is_connected() => {
                    FullEvent::Connected
                }
                IceAgentEvent::IceConnectionStateChange(state) if state.is_disconnected() => {
                    FullEvent::Disconnected
                }
                IceAgentEvent::NominatedSend {
                    proto,
                    source,
                    destination,
                } => {
                    let Some(proto) = protocol(proto) else {
                        continue;
                    };
                    FullEvent::Nominated(Path {
                        proto,
                        local: source,
                        remote: destination,
                    })
                }
                _ => continue,
            });
        }
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        loop {
            let transmit = self.agent.poll_transmit()?;
            let Some(proto) = protocol(transmit.proto) else {
                continue;
            };
            let (source, destination) = (transmit.source, transmit.destination);
            return Some(Transmit {
                proto,
                source,
                destination,
                data: transmit.contents.into(),
            });
        }
    }

    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        self.agent.poll_timeout()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
    }
}

fn creds(credentials: &IceCredentials) -> IceCreds {
    IceCreds {
        ufrag: credentials.ufrag().to_owned(),
        pass: credentials.pwd().to_owned(),
    }
}

fn protocol(proto: is::Protocol) -> Option<Protocol> {
    match proto {
        is::Protocol::Udp => Some(Protocol::Udp),
        is::Protocol::Tcp => Some(Protocol::Tcp),
        _ => None,
    }
}
