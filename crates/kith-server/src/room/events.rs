//! What the media plane reports.

use kith_net::{Event, EventKind, PublicationId, TransportId};
use kith_proto::livekit::participant_info;
use kith_rtp::Codec;

use super::{
    ParticipantId, TrackId,
    state::{Room, Timer},
    subscribe::is_other_codec,
};

impl Room {
    pub(super) fn on_event(&mut self, event: Event) {
        // Events of transports that are closed already are still under way.
        let Some(id) = self.by_transport.get(&event.transport).copied() else {
            return;
        };
        // Whatever came over a transport shows that it is connected, should that not have been reported.
        if let EventKind::Connected { .. }
        | EventKind::DataChannelOpen { .. }
        | EventKind::LayerStarted { .. }
        | EventKind::SubscriptionStarted { .. } = event.kind
        {
            self.on_connected(id, event.transport);
        }
        match event.kind {
            EventKind::IceConnected => self.on_connectivity(id),
            EventKind::IceDisconnected => self.on_connectivity_lost(id),
            EventKind::Failed { reason } => {
                tracing::info!(room = %self.name, %reason, "transport failed");
                self.on_transport_failed(id);
            }
            EventKind::Closed => self.on_peer_closed(id, event.transport),
            EventKind::Data { label, payload } => self.on_data(id, &label, &payload),
            EventKind::LayerStarted {
                publication, codec, ..
            } => self.on_codec_seen(id, publication, codec),
            EventKind::VideoSize {
                publication,
                width,
                height,
                ..
            } => self.on_video_size(id, publication, width, height),
            EventKind::AudioLevel {
                publication,
                level,
                active,
            } => self.on_audio_level(id, publication, level, active),
            EventKind::DataDropped { label, messages } => {
                tracing::warn!(room = %self.name, %label, messages, "a client takes its data too slowly");
            }
            EventKind::SubscriptionStarted { .. } => self.note_first_packet(id),
            EventKind::Connected { .. }
            | EventKind::PathChanged { .. }
            | EventKind::DataChannelOpen { .. }
            | EventKind::DataChannelClosed { .. }
            | EventKind::LayerStopped { .. }
            | EventKind::PublicationRemoved { .. }
            | EventKind::ReceiveEstimate { .. } => {}
        }
    }

    /// Logs how long a participant waited for a track's first packet since it joined; of interest right after a join.
    fn note_first_packet(&self, id: ParticipantId) {
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let since_join = now.saturating_sub(participant.who.joined_at);
        tracing::debug!(room = %self.name, participant = %participant.who.identity, ms = since_join.as_millis(), "a track's first packet left");
    }

    fn on_connected(&mut self, id: ParticipantId, transport: TransportId) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let publishes = participant
            .publisher
            .as_ref()
            .is_some_and(|peer| peer.link.transport() == transport);
        let connected = if publishes {
            &mut participant.publisher_connected
        } else {
            &mut participant.subscriber_connected
        };
        if std::mem::replace(connected, true) {
            return;
        }
        if participant.is_connected() && participant.state == participant_info::State::Joined {
            participant.state = participant_info::State::Active;
            self.timers.cancel(Timer::Join(id));
            self.changed(id);
        }
        let subscribed: Vec<TrackId> = self
            .participants
            .get(&id)
            .map(|participant| participant.subscriptions.keys().copied().collect())
            .unwrap_or_default();
        for track in subscribed {
            self.tell_subscribed(id, track);
        }
        self.on_connectivity(id);
    }

    /// The client closed a peer connection. It is about to leave, or to begin anew.
    fn on_peer_closed(&mut self, id: ParticipantId, transport: TransportId) {
        tracing::debug!(room = %self.name, ?transport, "closed by the client");
        self.on_connectivity_lost(id);
    }

    /// The track of this participant that `publication` belongs to.
    fn track_of(&self, id: ParticipantId, publication: PublicationId) -> Option<TrackId> {
        let track = self.tracks.of_publication(publication)?;
        (track.owner == id).then_some(track.id)
    }

    /// Media shows which codec the client really uses.
    fn on_codec_seen(&mut self, id: ParticipantId, publication: PublicationId, seen: Codec) {
        let Some(track_id) = self.track_of(id, publication) else {
            return;
        };
        let Some(track) = self.tracks.get_mut(track_id) else {
            return;
        };
        let index = track.codec_of(publication);
        let Some(codec) = index.and_then(|index| track.codecs.get_mut(index)) else {
            return;
        };
        if !is_other_codec(codec.codec, seen) {
            return;
        }
        codec.codec = seen;
        codec.fmtp.clear();
        track.refresh();
        self.changed(id);
        self.restart_subscriptions(track_id, publication);
        self.retry_subscriptions(track_id);
        self.demand.insert(track_id);
    }

    /// Media shows a size that the client did not announce.
    fn on_video_size(
        &mut self,
        id: ParticipantId,
        publication: PublicationId,
        width: u16,
        height: u16,
    ) {
        let Some(track) = self
            .track_of(id, publication)
            .and_then(|track| self.tracks.get_mut(track))
        else {
            return;
        };
        if track.info.width == 0 && track.info.height == 0 {
            track.info.width = width.into();
            track.info.height = height.into();
            track.refresh();
            self.changed(id);
        }
    }

    fn on_audio_level(
        &mut self,
        id: ParticipantId,
        publication: PublicationId,
        level: f32,
        active: bool,
    ) {
        let speaks = self
            .track_of(id, publication)
            .and_then(|track| self.tracks.get(track))
            .is_some_and(|track| track.is_microphone() && !track.info.muted);
        if !speaks {
            return;
        }
        if let Some(at) = self.speakers.set(self.now, id, publication, level, active) {
            self.timers.arm_if_idle(Timer::Speakers, at);
        }
    }
}
