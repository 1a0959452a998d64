//! An ICE-lite agent (RFC 8445 section 2.5): it answers checks and takes the path that the peer nominates.
//!
//! - **The latest nomination wins.** A client that moves from Wi-Fi to mobile nominates the new pair and says nothing about the old.
//! - **A restart does not interrupt.** Checks of the generation before are answered until the new generation has nominated a pair.
//! - A check is answered as soon as it is authentic, which takes our own password only: before the peer's description is known, too.

use is::stun::StunMessage;

use super::stun;
use crate::api::IceCredentials;
use crate::error::Dropped;

/// The credentials of one ICE session.
struct Generation {
    local: IceCredentials,
    remote: Option<IceCredentials>,
}

/// See the module.
pub(crate) struct LiteAgent {
    current: Generation,
    /// The session before, until the current one has a nominated pair.
    previous: Option<Generation>,
    nominated: bool,
}

/// What a check asks for.
pub(crate) struct Check {
    /// To be sent where the check came from.
    pub(crate) answer: Vec<u8>,
    /// The path counts as validated.
    pub(crate) valid: bool,
    /// Media shall take this path.
    pub(crate) nominates: bool,
}

impl LiteAgent {
    pub(crate) fn new(local: IceCredentials) -> Self {
        Self {
            current: Generation {
                local,
                remote: None,
            },
            previous: None,
            nominated: false,
        }
    }

    pub(crate) fn local_credentials(&self) -> &IceCredentials {
        &self.current.local
    }

    pub(crate) fn accepts_ufrag(&self, ufrag: &str) -> bool {
        self.generation(ufrag).is_some()
    }

    pub(crate) fn set_remote(&mut self, remote: IceCredentials) {
        self.current.remote = Some(remote);
    }

    pub(crate) fn restart(&mut self, local: IceCredentials) {
        let ended = std::mem::replace(
            &mut self.current,
            Generation {
                local,
                remote: None,
            },
        );
        // Two restarts in a row: the session that carries media is the older one.
        if self.nominated || self.previous.is_none() {
            self.previous = Some(ended);
        }
        self.nominated = false;
    }

    pub(crate) fn handle(
        &mut self,
        source: std::net::SocketAddr,
        message: &StunMessage<'_>,
    ) -> Result<Check, Dropped> {
        // Indications keep NAT bindings alive and want no answer; responses we never ask for.
        if !message.is_binding_request() {
            return Err(Dropped::Stun);
        }
        let (ours, theirs) = message.split_username().ok_or(Dropped::Stun)?;
        let generation = self.generation(ours).ok_or(Dropped::Stun)?;
        if generation
            .remote
            .as_ref()
            .is_some_and(|remote| remote.ufrag() != theirs)
        {
            return Err(Dropped::Stun);
        }
        let pwd = generation.local.pwd();
        if !stun::is_authentic(message, pwd) {
            return Err(Dropped::Stun);
        }
        if message.ice_controlled().is_some() {
            // A lite agent is always the controlled one (RFC 8445 section 6.1.1).
            let answer = stun::role_conflict(message.trans_id(), pwd).ok_or(Dropped::Stun)?;
            return Ok(Check {
                answer,
                valid: false,
                nominates: false,
            });
        }
        let answer = stun::success(message.trans_id(), source, pwd).ok_or(Dropped::Stun)?;
        let is_current = ours == self.current.local.ufrag();
        let nominates = message.use_candidate() && (is_current || !self.nominated);
        if message.use_candidate() && is_current {
            self.nominated = true;
            self.previous = None;
        }
        Ok(Check {
            answer,
            valid: true,
            nominates,
        })
    }

    fn generation(&self, ufrag: &str) -> Option<&Generation> {
        [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|generation| generation.local.ufrag() == ufrag)
    }
}
