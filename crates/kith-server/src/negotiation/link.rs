//! One peer connection as negotiation sees it: our end, the peer's end, candidates.

use kith_net::{Command, DtlsRole, Fingerprint, IceCredentials, RemoteDescription, TransportId};
use kith_sdp::{LocalTransport, PeerTransport, Setup};

use super::{candidate, mapping::StreamNames};
use crate::room::{Media, random};

/// Longest data channel message that we take, bytes: what the Go server announces and the transport bounds.
pub(crate) const MAX_MESSAGE_SIZE: u32 = 65_535;

/// Candidates of a peer that are kept until its description is known; a browser on a machine with many interfaces has
/// dozens.
const MAX_EARLY_CANDIDATES: usize = 64;

/// Candidates of a peer that are passed on between two ICE restarts. Each makes the ICE agent a pair to check.
const MAX_REMOTE_CANDIDATES: usize = 256;

/// Our end of a peer connection.
#[derive(Debug)]
pub(crate) struct Link {
    transport: TransportId,
    ice: IceCredentials,
    ice_lite: bool,
    session_id: u64,
    session_version: u64,
    remote: Option<RemoteDescription>,
    early_candidates: Vec<String>,
    remote_candidates: usize,
    /// The candidates for the current credentials were told.
    candidates_told: bool,
    next_ssrc: u32,
}

impl Link {
    /// The end that belongs to the transport `transport`.
    pub(crate) fn new(transport: TransportId, ice: IceCredentials, ice_lite: bool) -> Self {
        Link {
            transport,
            ice,
            ice_lite,
            // 62 bits: the number must fit a signed 64-bit integer (RFC 8866 section 5.2).
            session_id: random::u64() >> 2,
            session_version: 1,
            remote: None,
            early_candidates: Vec::new(),
            remote_candidates: 0,
            candidates_told: false,
            next_ssrc: random::u32(),
        }
    }

    pub(crate) fn transport(&self) -> TransportId {
        self.transport
    }

    /// Whether the peer's end is known.
    pub(crate) fn is_paired(&self) -> bool {
        self.remote.is_some()
    }

    /// Names for a stream to the peer. SSRCs are counted, not drawn: one that comes twice on a transport would be
    /// encrypted with nonces that were used already.
    pub(crate) fn stream_names(&mut self, rtx: bool) -> StreamNames {
        let ssrc = self.next_ssrc();
        StreamNames {
            ssrc,
            rtx_ssrc: rtx.then(|| self.next_ssrc()),
            seed: random::u64(),
        }
    }

    fn next_ssrc(&mut self) -> u32 {
        self.next_ssrc = match self.next_ssrc.wrapping_add(1) {
            // Zero stands for "no source" in RTCP.
            0 => 1,
            ssrc => ssrc,
        };
        self.next_ssrc
    }

    /// Our end, for the next description.
    pub(crate) fn local(&mut self, media: &dyn Media, setup: Setup) -> LocalTransport {
        self.session_version += 1;
        LocalTransport {
            session_id: self.session_id,
            session_version: self.session_version,
            ufrag: self.ice.ufrag().to_owned(),
            pwd: self.ice.pwd().to_owned(),
            fingerprint: format!("sha-256 {}", media.fingerprint()),
            setup,
            candidates: media
                .candidates(self.transport.shard())
                .iter()
                .map(|candidate| candidate.line.clone())
                .collect(),
            ice_lite: self.ice_lite,
            max_message_size: MAX_MESSAGE_SIZE,
        }
    }

    /// The DTLS role for an answer: the one that was taken, or waiting for the client's handshake.
    pub(crate) fn answer_setup(&self) -> Setup {
        match self.remote.as_ref().map(|remote| remote.dtls_role) {
            Some(DtlsRole::Client) => Setup::Active,
            Some(DtlsRole::Server) | None => Setup::Passive,
        }
    }

    /// New credentials of ours.
    pub(crate) fn restart_ice(&mut self, media: &dyn Media) {
        self.ice = random::ice_credentials();
        self.candidates_told = false;
        self.remote_candidates = 0;
        self.early_candidates.clear();
        let _ = media.send(Command::RestartIce {
            transport: self.transport,
            local_ice: self.ice.clone(),
        });
    }

    /// Whether `peer` restarts ICE.
    pub(crate) fn is_restart(&self, peer: &PeerTransport) -> bool {
        self.remote
            .as_ref()
            .is_some_and(|remote| remote.ice.ufrag() != peer.ufrag || remote.ice.pwd() != peer.pwd)
    }

    /// Takes the peer's end. `role` is ours. Answers whether the credentials are fit to be used.
    pub(crate) fn set_remote(
        &mut self,
        media: &dyn Media,
        peer: &PeerTransport,
        role: DtlsRole,
    ) -> bool {
        let Ok(ice) = IceCredentials::new(peer.ufrag.clone(), peer.pwd.clone()) else {
            return false;
        };
        let remote = RemoteDescription {
            ice,
            fingerprint: Fingerprint(peer.fingerprint),
            dtls_role: role,
            max_message_size: peer.max_message_size.map_or(MAX_MESSAGE_SIZE, |size| {
                u32::try_from(size).unwrap_or(u32::MAX)
            }),
        };
        if self.remote.as_ref() != Some(&remote) {
            let _ = media.send(Command::SetRemote {
                transport: self.transport,
                remote: remote.clone(),
            });
            self.remote = Some(remote);
        }
        for candidate in std::mem::take(&mut self.early_candidates) {
            self.add_candidate(media, candidate);
        }
        for candidate in &peer.candidates {
            self.add_candidate(media, candidate.clone());
        }
        true
    }

    /// Takes a candidate of the peer's. One that comes before the description waits for it; what is too much is dropped.
    pub(crate) fn add_candidate(&mut self, media: &dyn Media, candidate: String) {
        if self.remote.is_none() {
            if self.early_candidates.len() < MAX_EARLY_CANDIDATES {
                self.early_candidates.push(candidate);
            }
            return;
        }
        if self.remote_candidates < MAX_REMOTE_CANDIDATES {
            self.remote_candidates += 1;
            let _ = media.send(Command::AddRemoteCandidate {
                transport: self.transport,
                candidate,
            });
        }
    }

    /// Our candidates as trickle messages for the section `mid`, once for each set of credentials.
    pub(crate) fn untold_candidates(
        &mut self,
        media: &dyn Media,
        mid: &str,
        index: u16,
    ) -> Vec<String> {
        if std::mem::replace(&mut self.candidates_told, true) {
            return Vec::new();
        }
        media
            .candidates(self.transport.shard())
            .iter()
            .map(|local| candidate::to_json(&local.line, mid, index, self.ice.ufrag()))
            .collect()
    }
}
