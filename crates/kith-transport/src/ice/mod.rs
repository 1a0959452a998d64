//! Which 5-tuples are the peer's, which of them media takes, and whether anybody is still there.

mod full;
mod lite;
mod paths;
mod stun;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use is::Candidate;
use is::stun::StunMessage;

use crate::api::{IceCredentials, Path, Protocol, Transmit};
use crate::error::{CandidateError, Dropped, SetRemoteError};
use full::{FullAgent, FullEvent};
use lite::LiteAgent;
pub(crate) use paths::PathIndex;
use paths::Paths;

/// Silence on the selected path until the connection counts as disconnected, as LiveKit has it. Clients check every 2 to 5 s.
const DISCONNECT_AFTER: Duration = Duration::from_secs(10);
/// How long a disconnected connection waits for the peer to come back, by checks or by an ICE restart, until it has failed. As long
/// as consent lasts, and as clients take for their attempts to resume.
const FAIL_AFTER: Duration = Duration::from_secs(30);
/// How long the first check may take after the peer's description is known. Clients give up after 15 s.
const CONNECT_WITHIN: Duration = Duration::from_secs(60);
/// The USERNAME of our checks is both ufrags, and the STUN writer takes no more characters than this. It concerns full ICE only.
const MAX_USERNAME: usize = 128;

enum Agent {
    Lite(LiteAgent),
    Full(Box<FullAgent>),
}

enum Link {
    /// No pair was nominated yet. The time is when that is a failure; `None` until the peer's description is known.
    Waiting(Option<Instant>),
    Up,
    /// The time is when that is a failure.
    Down(Instant),
    Failed,
}

/// See the module.
pub(crate) struct Ice {
    agent: Agent,
    local: IceCredentials,
    paths: Paths,
    link: Link,
    answers: VecDeque<Transmit>,
    events: VecDeque<IceEvent>,
}

/// What happened to the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IceEvent {
    Connected,
    Disconnected,
    PathChanged(Path),
    Failed,
}

impl Ice {
    pub(crate) fn lite(local: IceCredentials) -> Self {
        Self::new(Agent::Lite(LiteAgent::new(local.clone())), local)
    }

    pub(crate) fn full(
        now: Instant,
        local: IceCredentials,
        controlling: bool,
        tie_breaker: u64,
    ) -> Self {
        Self::new(
            Agent::Full(Box::new(FullAgent::new(
                now,
                &local,
                controlling,
                tie_breaker,
            ))),
            local,
        )
    }

    fn new(agent: Agent, local: IceCredentials) -> Self {
        Self {
            agent,
            local,
            paths: Paths::default(),
            link: Link::Waiting(None),
            answers: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    pub(crate) fn local_credentials(&self) -> &IceCredentials {
        match &self.agent {
            Agent::Lite(agent) => agent.local_credentials(),
            Agent::Full(_) => &self.local,
        }
    }

    pub(crate) fn accepts_ufrag(&self, ufrag: &str) -> bool {
        match &self.agent {
            Agent::Lite(agent) => agent.accepts_ufrag(ufrag),
            Agent::Full(agent) => agent.accepts_ufrag(ufrag),
        }
    }

    pub(crate) fn set_remote(
        &mut self,
        now: Instant,
        remote: &IceCredentials,
    ) -> Result<(), SetRemoteError> {
        match &mut self.agent {
            Agent::Lite(agent) => agent.set_remote(remote.clone()),
            Agent::Full(agent) => {
                if remote.ufrag().len() + 1 + self.local.ufrag().len() > MAX_USERNAME {
                    return Err(SetRemoteError::UfragTooLong);
                }
                agent.set_remote(remote);
            }
        }
        match &mut self.link {
            Link::Waiting(deadline @ None) => *deadline = Some(now + CONNECT_WITHIN),
            // The peer is at it again: it gets the whole time once more.
            Link::Down(deadline) => *deadline = now + FAIL_AFTER,
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn restart(&mut self, local: IceCredentials) {
        self.local = local.clone();
        match &mut self.agent {
            Agent::Lite(agent) => agent.restart(local),
            Agent::Full(agent) => agent.restart(&local),
        }
    }

    pub(crate) fn add_local(
        &mut self,
        proto: Protocol,
        address: SocketAddr,
    ) -> Result<(), CandidateError> {
        if address.ip().is_unspecified() || address.ip().is_multicast() || address.port() == 0 {
            return Err(CandidateError::Address);
        }
        match &mut self.agent {
            // Checks are answered from wherever they arrive: the owner of the sockets receives on its candidates only.
            Agent::Lite(_) => Ok(()),
            Agent::Full(agent) => agent.add_local(proto, address),
        }
    }

    pub(crate) fn add_remote(&mut self, line: &str) -> Result<(), CandidateError> {
        let line = line.trim();
        let line = line.strip_prefix("a=").unwrap_or(line);
        if line
            .split_ascii_whitespace()
            .nth(4)
            .is_some_and(|address| address.ends_with(".local"))
        {
            return Err(CandidateError::MdnsName);
        }
        let candidate = Candidate::from_sdp_string(line).map_err(|_| CandidateError::Syntax)?;
        let address = candidate.addr();
        if address.ip().is_unspecified() || address.ip().is_multicast() {
            return Err(CandidateError::Address);
        }
        match &mut self.agent {
            Agent::Lite(_) => Ok(()),
            Agent::Full(agent) => agent.add_remote(candidate),
        }
    }

    /// Takes a STUN message.
    pub(crate) fn handle_stun(
        &mut self,
        now: Instant,
        path: Path,
        data: &[u8],
    ) -> Result<(), Dropped> {
        let message = StunMessage::parse(data).map_err(|_| Dropped::Stun)?;
        match &mut self.agent {
            Agent::Lite(agent) => {
                let check = agent.handle(path.remote, &message)?;
                let (source, destination) = (path.local, path.remote);
                self.answers.push_back(Transmit {
                    proto: path.proto,
                    source,
                    destination,
                    data: check.answer,
                });
                if check.valid {
                    self.paths.validate(path, now);
                }
                if check.nominates {
                    self.select(now, path);
                }
                if check.nominates || self.paths.selected() == Some(path) {
                    self.link_up();
                }
            }
            Agent::Full(agent) => {
                agent.handle(now, path, message)?;
                self.paths.validate(path, now);
                self.drain_full(now);
            }
        }
        Ok(())
    }

    /// Whether datagrams other than STUN are looked at when they come this way.
    #[inline]
    pub(crate) fn validated(&self, path: &Path) -> Option<PathIndex> {
        self.paths.find(path)
    }

    /// Notes that something authentic arrived.
    #[inline]
    pub(crate) fn heard(&mut self, index: PathIndex, now: Instant) {
        self.paths.heard(index, now);
    }

    /// Where to send, while there is a link.
    #[inline]
    pub(crate) fn selected(&self) -> Option<Path> {
        match self.link {
            Link::Up => self.paths.selected(),
            _ => None,
        }
    }

    /// Forgets a path that the owner of the sockets knows to be gone.
    pub(crate) fn remove_path(&mut self, now: Instant, path: &Path) {
        if self.paths.remove(path) {
            self.link_down(now);
        }
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.answers.pop_front().or_else(|| match &mut self.agent {
            Agent::Lite(_) => None,
            Agent::Full(agent) => agent.poll_transmit(),
        })
    }

    pub(crate) fn poll_event(&mut self) -> Option<IceEvent> {
        self.events.pop_front()
    }

    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        let link = match self.link {
            Link::Waiting(deadline) => deadline,
            Link::Up => self.silence_deadline(),
            Link::Down(deadline) => Some(deadline),
            Link::Failed => return None,
        };
        let agent = match &mut self.agent {
            Agent::Lite(_) => None,
            Agent::Full(agent) => agent.poll_timeout(),
        };
        [link, agent].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Agent::Full(agent) = &mut self.agent {
            agent.handle_timeout(now);
            self.drain_full(now);
        }
        match self.link {
            Link::Up
                if self
                    .silence_deadline()
                    .is_some_and(|deadline| now >= deadline) =>
            {
                self.link_down(now)
            }
            Link::Waiting(Some(deadline)) | Link::Down(deadline) if now >= deadline => {
                self.link = Link::Failed;
                self.events.push_back(IceEvent::Failed);
            }
            _ => {}
        }
        self.paths.expire(now);
    }

    /// Full ICE finds out by its own checks.
    fn silence_deadline(&self) -> Option<Instant> {
        match self.agent {
            Agent::Lite(_) => self
                .paths
                .selected_last_heard()
                .map(|heard| heard + DISCONNECT_AFTER),
            Agent::Full(_) => None,
        }
    }

    fn drain_full(&mut self, now: Instant) {
        while let Agent::Full(agent) = &mut self.agent
            && let Some(event) = agent.poll_event()
        {
            match event {
                FullEvent::Connected => self.link_up(),
                FullEvent::Disconnected => self.link_down(now),
                FullEvent::Nominated(path) => self.select(now, path),
            }
        }
    }

    fn select(&mut self, now: Instant, path: Path) {
        if self.paths.select(path, now) {
            self.events.push_back(IceEvent::PathChanged(path));
        }
    }

    fn link_up(&mut self) {
        if matches!(self.link, Link::Waiting(_) | Link::Down(_)) {
            self.link = Link::Up;
            self.events.push_back(IceEvent::Connected);
        }
    }

    fn link_down(&mut self, now: Instant) {
        if matches!(self.link, Link::Up) {
            self.link = Link::Down(now + FAIL_AFTER);
            self.events.push_back(IceEvent::Disconnected);
        }
    }
}
