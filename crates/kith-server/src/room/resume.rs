//! A client that lost its signalling connection takes up its session with a new one.
//!
//! The first message is the `ReconnectResponse`, then everything that the client may have missed: all participants
//! (clients drop those that they do not hear of), the room, and an offer with new ICE credentials where the server offers.
//! A session that is not there any more is told to begin anew, as the first and only message.

use kith_proto::livekit::{
    DisconnectReason, ParticipantUpdate, ReconnectResponse, RoomUpdate, SyncState,
    UpdateTrackSettings, leave_request, participant_info, signal_response,
};

use super::{
    ParticipantId, TrackId,
    leave::leave_message,
    state::{Room, Timer},
};
use crate::signal::{Outbound, SessionRequest, SignalChannel};

/// Tracks whose state a client may send again.
const MAX_SYNC_TRACKS: usize = 1024;

impl Room {
    pub(super) fn resume(&mut self, request: SessionRequest, channel: SignalChannel) {
        let Some(id) = self.resumable(&request) else {
            // The channel is fresh: there is room for two messages.
            let leave = leave_message(
                DisconnectReason::StateMismatch,
                leave_request::Action::Reconnect,
            );
            let _ = channel.responses.try_send(leave.into());
            let _ = channel.responses.try_send(Outbound::Close);
            return;
        };
        // What changed up to now is in the snapshot.
        self.announce();
        let signal = self.connect(id, channel);
        let reconnect = ReconnectResponse {
            ice_servers: self.settings().ice_servers.clone(),
            client_configuration: Some(Default::default()),
            server_info: Some(self.settings().server_info()),
            last_message_seq: self
                .participants
                .get(&id)
                .map_or(0, |participant| participant.last_reliable),
        };
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        if let Some(former) = participant.signal.replace(signal) {
            former.close(None);
        }
        self.timers.cancel(Timer::Gone(id));
        self.send(id, signal_response::Message::Reconnect(reconnect));
        let participants = self.snapshot(id);
        self.send(
            id,
            signal_response::Message::Update(ParticipantUpdate { participants }),
        );
        let room = Some(self.info());
        self.send(
            id,
            signal_response::Message::RoomUpdate(RoomUpdate { room }),
        );
        self.send_refresh_token(id);
        let media = self.shared.media.clone();
        if let Some(participant) = self.participants.get_mut(&id) {
            if let Some(peer) = &mut participant.subscriber {
                peer.on_resume(&*media);
            }
            if let Some(peer) = &mut participant.publisher {
                peer.on_resume();
            }
        }
        // The publisher hears again what is wanted of its tracks.
        let tracks: Vec<TrackId> = self.own_tracks(id).map(|track| track.id).collect();
        for track_id in tracks {
            if let Some(track) = self.tracks.get_mut(track_id) {
                track.dynacast.reset();
            }
            self.demand.insert(track_id);
        }
        self.data_tracks.retell(id);
        self.negotiate.insert(id);
    }

    /// The session that `request` means, if it can go on.
    fn resumable(&self, request: &SessionRequest) -> Option<ParticipantId> {
        let id = *self.by_identity.get(&request.identity)?;
        let participant = self.participants.get(&id)?;
        let wanted = request
            .reconnect
            .as_ref()
            .map(|reconnect| reconnect.participant_sid.as_str())
            .unwrap_or_default();
        let same = wanted.is_empty() || wanted == participant.who.sid;
        let goes_on = participant.state == participant_info::State::Active
            && participant.mode.single_pc == request.single_pc;
        (same && goes_on).then_some(id)
    }

    /// A client that resumed says what it takes to be true.
    pub(super) fn on_sync_state(&mut self, id: ParticipantId, state: SyncState) {
        let known = |sid: &str| {
            self.tracks
                .id_of(sid)
                .and_then(|track| self.tracks.get(track))
                .is_some_and(|track| track.owner == id)
        };
        let fits = state
            .publish_tracks
            .iter()
            .take(MAX_SYNC_TRACKS)
            .filter_map(|published| published.track.as_ref())
            .all(|track| known(&track.sid))
            && state
                .publish_data_tracks
                .iter()
                .take(MAX_SYNC_TRACKS)
                .filter_map(|published| published.info.as_ref())
                .all(|track| self.data_tracks.has(id, &track.sid));
        if !fits {
            self.mismatch(id);
            return;
        }
        if !state.track_sids_disabled.is_empty() {
            self.on_track_settings(
                id,
                &UpdateTrackSettings {
                    track_sids: state.track_sids_disabled,
                    disabled: true,
                    ..UpdateTrackSettings::default()
                },
            );
        }
        if let Some(subscription) = state.subscription {
            self.on_subscription(id, subscription);
        }
    }
}
