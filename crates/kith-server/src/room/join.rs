//! Letting a participant in.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, SystemTime},
};

use kith_proto::livekit::{
    DisconnectReason, JoinResponse, ParticipantInfo, leave_request, participant_info,
    signal_request, signal_response,
};
use tokio::sync::mpsc;

use super::{
    ParticipantId,
    actor::{self, Join, JoinReply},
    random,
    settings::REPORTED_VERSION,
    state::{Room, Timer},
};
use crate::{
    auth::Claims,
    session::{participant::Participant, participant::is_dependent, signal::Signal},
    signal::{JoinError, SessionRequest, SignalChannel},
};

/// What clients are told about liveness, in seconds: how often to ping, and how long to wait.
const PING_INTERVAL: i32 = 5;
const PING_TIMEOUT: i32 = 15;

/// How often a participant gets a new token, and how long that is valid at least.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);
const REFRESH_VALIDITY: Duration = Duration::from_secs(10 * 60);

/// Tracks that may be announced in a join request; the protocol's limit of tracks that are announced at a time.
const MAX_JOIN_TRACKS: usize = super::publish::MAX_PENDING_TRACKS;

impl Room {
    pub(super) fn on_join(&mut self, join: Join) {
        if self.closed {
            join.ended();
            return;
        }
        let Join {
            request,
            channel,
            reply,
        } = join;
        let result = if request.reconnect.is_some() {
            self.resume(request, channel);
            Ok(())
        } else {
            self.admit(&request).map(|()| self.enter(request, channel))
        };
        let _ = reply.send(match result {
            Ok(()) => JoinReply::Joined,
            Err(error) => JoinReply::Refused(error),
        });
        // A room that was made for somebody who did not come in does not stay.
        if self.participants.is_empty() && !self.was_joined {
            self.arm_idle();
        }
    }

    /// Whether the participant may come in.
    fn admit(&self, request: &SessionRequest) -> Result<(), JoinError> {
        let settings = self.settings();
        let too_large = |size: usize, limit: usize| limit > 0 && size > limit;
        if too_large(request.metadata.len(), settings.max_metadata_size) {
            return Err(JoinError::Invalid(format!(
                "metadata size exceeds limits {}",
                settings.max_metadata_size
            )));
        }
        if too_large(
            super::metadata::attributes_size(&request.attributes),
            settings.max_attributes_size,
        ) {
            return Err(JoinError::Invalid(format!(
                "attribute size exceeds limits {}",
                settings.max_attributes_size
            )));
        }
        let counts = !is_dependent(request.kind, &request.grants.permission());
        let is_back = self.by_identity.contains_key(&request.identity);
        if counts && !is_back && self.max_participants > 0 {
            let (participants, _) = self.counts();
            if participants >= self.max_participants {
                return Err(JoinError::RoomFull(self.max_participants));
            }
        }
        Ok(())
    }

    fn enter(&mut self, mut request: SessionRequest, channel: SignalChannel) {
        if let Some(former) = self.by_identity.get(&request.identity).copied() {
            self.remove(
                former,
                DisconnectReason::DuplicateIdentity,
                Some(leave_request::Action::Disconnect),
            );
        }
        self.next_participant += 1;
        let id = ParticipantId(self.next_participant);
        let mut hasher = DefaultHasher::new();
        self.name.hash(&mut hasher);
        let shard = self.media().place(hasher.finish(), self.participants.len());
        let ice_lite = self.settings().ice_lite
            && !request.disable_ice_lite
            // Firefox does not find a relayed path to a lite agent.
            && !request.client_info.browser.eq_ignore_ascii_case("firefox");
        let offer = request.publisher_offer.take();
        let announced = std::mem::take(&mut request.add_track_requests);
        let mut participant = Participant::new(
            id,
            random::sid("PA_"),
            self.settings().region.clone(),
            shard,
            ice_lite,
            &request,
        );
        participant.signal = Some(self.connect(id, channel));
        let subscriber_primary = participant.mode.subscriber_primary;
        self.was_joined |= !participant.is_dependent();
        let recorded = self.is_recorded();
        self.by_identity
            .insert(participant.who.identity.clone(), id);
        self.by_sid.insert(participant.who.sid.clone(), id);
        self.participants.insert(id, participant);
        self.arm_idle();

        let welcome = self.join_response(id);
        self.send(id, signal_response::Message::Join(welcome));
        if let Some(participant) = self.participants.get_mut(&id) {
            participant.state = participant_info::State::Joined;
        }
        self.send_refresh_token(id);
        let timeout = self.settings().join_timeout;
        self.timers.arm(Timer::Join(id), self.now + timeout);
        self.changed(id);
        self.counts_changed();
        if self.is_recorded() != recorded {
            self.tell_room();
        }

        // What is there already comes into the first offer or answer.
        self.reconcile_participant(id);
        self.reconcile_data_for(id);
        if subscriber_primary {
            self.ensure_subscriber(id);
        }
        for request in announced.into_iter().take(MAX_JOIN_TRACKS) {
            self.handle_request(id, signal_request::Message::AddTrack(request));
        }
        if let Some(offer) = offer {
            self.handle_request(id, signal_request::Message::Offer(offer));
        }
    }

    /// Takes over a signalling connection.
    pub(super) fn connect(&mut self, id: ParticipantId, channel: SignalChannel) -> Signal {
        self.next_generation += 1;
        let generation = self.next_generation;
        let pump = tokio::spawn(actor::pump(
            channel.requests,
            mpsc::Sender::clone(&self.mailbox),
            id,
            generation,
        ));
        Signal::new(
            channel.responses,
            pump.abort_handle(),
            generation,
            self.signal_failed.clone(),
        )
    }

    fn join_response(&self, id: ParticipantId) -> JoinResponse {
        let settings = self.settings();
        let others: Vec<ParticipantInfo> = self
            .participants
            .values()
            .filter(|other| other.id != id && !other.permission.hidden)
            .map(|other| self.participant_info(other))
            .collect();
        let own = self.participants.get(&id);
        JoinResponse {
            room: Some(self.info()),
            participant: own.map(|own| self.participant_info(own)),
            other_participants: others,
            server_version: REPORTED_VERSION.to_owned(),
            ice_servers: settings.ice_servers.clone(),
            subscriber_primary: own.is_some_and(|own| own.mode.subscriber_primary),
            alternative_url: String::new(),
            client_configuration: Some(Default::default()),
            server_region: settings.region.clone(),
            ping_timeout: PING_TIMEOUT,
            ping_interval: PING_INTERVAL,
            server_info: Some(settings.server_info()),
            sif_trailer: self.sif_trailer.clone().into_bytes().into(),
            enabled_publish_codecs: settings.publish_codecs(),
            fast_publish: own.is_some_and(|own| own.permission.can_publish),
        }
    }

    /// Gives a participant a token with which it may come back, now and every five minutes.
    pub(super) fn send_refresh_token(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let now = SystemTime::now();
        let left = participant
            .token
            .expires_at
            .duration_since(now)
            .unwrap_or_default();
        let mut claims = Claims::new(
            participant.who.identity.clone(),
            participant.token.grants.clone(),
        );
        claims.api_key = participant.token.api_key.clone();
        claims.name = participant.who.name.clone();
        claims.kind = participant.who.kind;
        claims.metadata = participant.who.metadata.clone();
        claims.attributes = participant.who.attributes.clone();
        claims.room_config = participant.token.room_config.clone();
        claims.room_preset = participant.token.room_preset.clone();
        match self
            .shared
            .keys
            .mint(&claims, left.max(REFRESH_VALIDITY), now)
        {
            Ok(token) => participant.send(signal_response::Message::RefreshToken(token)),
            Err(error) => tracing::warn!(%error, "no refresh token"),
        }
        self.timers
            .arm(Timer::RefreshToken(id), self.now + REFRESH_INTERVAL);
    }
}
