//! Which part of the room answers which request.

use std::time::{SystemTime, UNIX_EPOCH};

use kith_proto::livekit::{
    DisconnectReason, Ping, Pong, SimulateScenario, SpeakerInfo, SpeakersChanged, leave_request,
    request_response::Reason, signal_request, signal_response, simulate_scenario,
};

use super::{ParticipantId, state::Room};

impl Room {
    /// Handles one request. A request that makes no sense is answered where the protocol has an answer, and changes nothing.
    pub(super) fn handle_request(&mut self, from: ParticipantId, request: signal_request::Message) {
        use signal_request::Message;
        match request {
            Message::Offer(offer) => self.on_offer(from, &offer),
            Message::Answer(answer) => self.on_answer(from, &answer),
            Message::Trickle(trickle) => self.on_trickle(from, trickle),
            Message::AddTrack(request) => self.on_add_track(from, request),
            Message::Mute(request) => self.on_mute(from, request),
            Message::Subscription(request) => self.on_subscription(from, request),
            Message::TrackSetting(request) => self.on_track_settings(from, &request),
            Message::Leave(request) => self.on_leave(from, &request),
            Message::SubscriptionPermission(request) => {
                self.on_subscription_permission(from, &request);
            }
            Message::SyncState(state) => self.on_sync_state(from, state),
            Message::Simulate(scenario) => self.on_simulate(from, &scenario),
            Message::Ping(_) => {
                self.send(from, signal_response::Message::Pong(unix_millis()));
            }
            Message::PingReq(ping) => self.on_ping(from, &ping),
            Message::UpdateMetadata(request) => self.on_update_metadata(from, request),
            Message::UpdateAudioTrack(request) => self.on_update_audio(from, request),
            Message::UpdateVideoTrack(request) => self.on_update_video(from, request),
            Message::PublishDataTrackRequest(request) => self.on_publish_data_track(from, request),
            Message::UnpublishDataTrackRequest(request) => {
                self.on_unpublish_data_track(from, request);
            }
            Message::UpdateDataSubscription(request) => self.on_data_subscription(from, request),
            Message::StoreDataBlobRequest(request) => {
                self.refuse_blob(from, request.request_id);
            }
            Message::GetDataBlobRequest(request) => self.refuse_blob(from, request.request_id),
            // Long deprecated.
            Message::UpdateLayers(_) => {}
        }
    }

    fn on_ping(&mut self, from: ParticipantId, ping: &Ping) {
        self.send(
            from,
            signal_response::Message::PongResp(Pong {
                last_ping_timestamp: ping.timestamp,
                timestamp: unix_millis(),
            }),
        );
    }

    fn refuse_blob(&mut self, from: ParticipantId, request_id: u32) {
        self.send(
            from,
            signal_response::Message::RequestResponse(kith_proto::livekit::RequestResponse {
                request_id,
                reason: Reason::NotAllowed as i32,
                message: "data blob not enabled".to_owned(),
                request: None,
            }),
        );
    }

    /// What test suites of SDKs ask for.
    fn on_simulate(&mut self, from: ParticipantId, scenario: &SimulateScenario) {
        use simulate_scenario::Scenario;
        match scenario.scenario {
            // As if the node were gone: no word to the client.
            Some(Scenario::NodeFailure(_)) => {
                self.remove(from, DisconnectReason::ServerShutdown, None);
            }
            Some(Scenario::ServerLeave(_)) => self.remove(
                from,
                DisconnectReason::ServerShutdown,
                Some(leave_request::Action::Disconnect),
            ),
            Some(
                Scenario::LeaveRequestFullReconnect(_)
                | Scenario::Migration(_)
                | Scenario::SwitchCandidateProtocol(_),
            ) => self.mismatch(from),
            Some(Scenario::SpeakerUpdate(_)) => {
                let Some(participant) = self.participants.get(&from) else {
                    return;
                };
                let speakers = vec![SpeakerInfo {
                    sid: participant.who.sid.clone(),
                    level: 0.9,
                    active: true,
                }];
                self.send(
                    from,
                    signal_response::Message::SpeakersChanged(SpeakersChanged { speakers }),
                );
            }
            Some(
                Scenario::SubscriberBandwidth(_)
                | Scenario::DisconnectSignalOnResume(_)
                | Scenario::DisconnectSignalOnResumeNoMessages(_),
            )
            | None => {}
        }
    }
}

fn unix_millis() -> i64 {
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    i64::try_from(millis).unwrap_or(i64::MAX)
}
