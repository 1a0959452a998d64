//! Letting a participant go.

use std::time::Duration;

use kith_net::Command;
use kith_proto::livekit::{
    DisconnectReason, LeaveRequest, leave_request, participant_info, signal_response,
};

use super::{
    ParticipantId,
    state::{Room, Timer},
};

/// How long a participant without signalling may also be without connectivity.
const GONE_TIMEOUT: Duration = Duration::from_secs(5);

/// The message that ends a session.
pub(super) fn leave_message(
    reason: DisconnectReason,
    action: leave_request::Action,
) -> signal_response::Message {
    signal_response::Message::Leave(LeaveRequest {
        // Read by clients from before there were actions.
        can_reconnect: action != leave_request::Action::Disconnect,
        reason: reason as i32,
        action: action as i32,
        regions: None,
    })
}

impl Room {
    /// Ends a session: its tracks and subscriptions end, the others are told. With an action the client is told too.
    pub(super) fn remove(
        &mut self,
        id: ParticipantId,
        reason: DisconnectReason,
        action: Option<leave_request::Action>,
    ) {
        let tracks = match self.participants.get(&id) {
            Some(participant) => participant.tracks.clone(),
            None => return,
        };
        let recorded = self.is_recorded();
        let published = tracks
            .iter()
            .filter_map(|track| self.tracks.get(*track))
            .any(|track| track.published);
        for track in tracks {
            self.forget_track(track);
        }
        let subscribed: Vec<_> = self
            .participants
            .get(&id)
            .map(|participant| participant.subscriptions.keys().copied().collect())
            .unwrap_or_default();
        for track in subscribed {
            self.end_subscription(id, track);
        }
        let Some(mut participant) = self.participants.remove(&id) else {
            return;
        };
        self.by_identity.remove(&participant.who.identity);
        self.by_sid.remove(&participant.who.sid);
        let transports = [
            participant
                .publisher
                .as_ref()
                .map(|peer| peer.link.transport()),
            participant
                .subscriber
                .as_ref()
                .map(|peer| peer.link.transport()),
        ];
        for transport in transports.into_iter().flatten() {
            self.by_transport.remove(&transport);
            self.command(Command::CloseTransport { transport });
        }
        for timer in [Timer::Join(id), Timer::Gone(id), Timer::RefreshToken(id)] {
            self.timers.cancel(timer);
        }
        self.negotiate.remove(&id);
        self.speakers.forget(id);
        self.forget_data_tracks(id);
        if let Some(signal) = participant.signal.take() {
            signal.close(action.map(|action| leave_message(reason, action)));
        }
        self.left(&participant, reason, published);
        tracing::info!(
            room = %self.name,
            participant = %participant.who.identity,
            reason = reason.as_str_name(),
            "participant left"
        );
        self.counts_changed();
        if self.is_recorded() != recorded {
            self.tell_room();
        }
        // The departure timeout counts from the last one who left.
        self.arm_idle();
    }

    /// A client says that it leaves.
    pub(super) fn on_leave(&mut self, id: ParticipantId, request: &LeaveRequest) {
        let reason = match request.reason() {
            reason @ (DisconnectReason::UserUnavailable
            | DisconnectReason::UserRejected
            | DisconnectReason::AgentError) => reason,
            _ => DisconnectReason::ClientInitiated,
        };
        self.remove(id, reason, Some(leave_request::Action::Disconnect));
    }

    /// The socket of a participant is gone without a word. While media flows the participant stays: it may resume.
    pub(super) fn on_signal_lost(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        if participant.state != participant_info::State::Active {
            self.remove(id, DisconnectReason::SignalClose, None);
        } else if participant.ice_down {
            self.timers
                .arm_if_idle(Timer::Gone(id), self.now + GONE_TIMEOUT);
        }
    }

    /// Connectivity is lost, for now.
    pub(super) fn on_connectivity_lost(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        participant.ice_down = true;
        if participant.signal.is_none() {
            self.timers
                .arm_if_idle(Timer::Gone(id), self.now + GONE_TIMEOUT);
        }
    }

    /// Connectivity is back.
    pub(super) fn on_connectivity(&mut self, id: ParticipantId) {
        if let Some(participant) = self.participants.get_mut(&id) {
            participant.ice_down = false;
            self.timers.cancel(Timer::Gone(id));
        }
    }

    /// A peer connection of the participant cannot be used any more: only a new session helps.
    pub(super) fn on_transport_failed(&mut self, id: ParticipantId) {
        self.remove(
            id,
            DisconnectReason::ConnectionTimeout,
            Some(leave_request::Action::Reconnect),
        );
    }

    /// The state of a participant's client and ours do not fit: it has to begin anew.
    pub(super) fn mismatch(&mut self, id: ParticipantId) {
        self.remove(
            id,
            DisconnectReason::StateMismatch,
            Some(leave_request::Action::Reconnect),
        );
    }
}
