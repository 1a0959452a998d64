//! Telling everybody who is there, what they publish, how many they are and who speaks.
//!
//! A change is told with the batch of inputs that caused it. Only in a large room are comings and goings of participants
//! who publish nothing collected for [`LARGE_ROOM_INTERVAL`]: there, everybody would otherwise be told about everybody.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use kith_proto::livekit::{
    DisconnectReason, ParticipantInfo, ParticipantUpdate, RoomUpdate, SpeakerInfo, SpeakersChanged,
    participant_info, signal_response,
};

use super::{
    ParticipantId,
    state::{COUNTS_INTERVAL, Room, Timer},
};
use crate::{
    session::participant::Participant,
    signal::{Outbound, SharedResponse},
};

/// Participants from which on a room is large: a join then costs as many messages as there are participants.
const LARGE_ROOM: usize = 100;

/// How long joins and departures are collected in a large room.
const LARGE_ROOM_INTERVAL: Duration = Duration::from_millis(500);

/// Participants in one update; a longer one is divided. With the usual metadata this stays below LiveKit's 128 KiB.
const MAX_PARTICIPANTS_PER_UPDATE: usize = 128;

/// What is to be told.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    changed: BTreeSet<ParticipantId>,
    left: Vec<ParticipantInfo>,
    deferred_changed: BTreeSet<ParticipantId>,
    deferred_left: Vec<ParticipantInfo>,
}

impl Announcements {
    /// What was collected is told with the next batch.
    pub(super) fn release_deferred(&mut self) {
        self.left.append(&mut self.deferred_left);
        self.changed.append(&mut self.deferred_changed);
    }
}

impl Room {
    /// Something about a participant changed, and is told at once.
    pub(super) fn changed(&mut self, id: ParticipantId) {
        let large = self.participants.len() >= LARGE_ROOM;
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        participant.version = participant.version.saturating_add(1);
        let publishes = participant
            .tracks
            .iter()
            .filter_map(|track| self.tracks.get(*track))
            .any(|track| track.published);
        let first = matches!(participant.version, 1 | 2);
        if large && first && !publishes {
            self.announcements.deferred_changed.insert(id);
            self.timers
                .arm_if_idle(Timer::Announce, self.now + LARGE_ROOM_INTERVAL);
        } else {
            self.announcements.deferred_changed.remove(&id);
            self.announcements.changed.insert(id);
        }
    }

    /// A participant is gone. `published` says whether it had tracks that others knew.
    pub(super) fn left(
        &mut self,
        participant: &Participant,
        reason: DisconnectReason,
        published: bool,
    ) {
        let never_told =
            self.announcements.deferred_changed.remove(&participant.id) && participant.version <= 1;
        self.announcements.changed.remove(&participant.id);
        if participant.permission.hidden || never_told {
            return;
        }
        let info = ParticipantInfo {
            state: participant_info::State::Disconnected as i32,
            version: participant.version.saturating_add(1),
            disconnect_reason: reason as i32,
            is_publisher: published,
            ..participant.info(Vec::new(), Vec::new())
        };
        if self.participants.len() >= LARGE_ROOM && !published {
            self.announcements.deferred_left.push(info);
            self.timers
                .arm_if_idle(Timer::Announce, self.now + LARGE_ROOM_INTERVAL);
        } else {
            self.announcements.left.push(info);
        }
    }

    /// Tells what has changed so far.
    pub(super) fn announce(&mut self) {
        let changed = std::mem::take(&mut self.announcements.changed);
        let mut infos = std::mem::take(&mut self.announcements.left);
        let mut to_self: Vec<(ParticipantId, ParticipantInfo)> = Vec::new();
        for participant in changed.iter().filter_map(|id| self.participants.get(id)) {
            let info = self.participant_info(participant);
            if participant.permission.hidden {
                to_self.push((participant.id, info));
            } else {
                infos.push(info);
            }
        }
        for chunk in infos.chunks(MAX_PARTICIPANTS_PER_UPDATE) {
            let update =
                SharedResponse::from(signal_response::Message::Update(ParticipantUpdate {
                    participants: chunk.to_vec(),
                }));
            for participant in self.participants.values_mut().filter(|p| Room::hears(p)) {
                participant.send(Outbound::Shared(update.clone()));
            }
        }
        for (id, info) in to_self {
            self.send(
                id,
                signal_response::Message::Update(ParticipantUpdate {
                    participants: vec![info],
                }),
            );
        }
    }

    /// What is told about a participant: always with all its tracks.
    pub(super) fn participant_info(&self, participant: &Participant) -> ParticipantInfo {
        let tracks = participant
            .tracks
            .iter()
            .filter_map(|track| self.tracks.get(*track))
            .filter(|track| track.published)
            .map(|track| track.info.clone())
            .collect();
        participant.info(tracks, self.data_tracks.infos(participant.id))
    }

    /// Everything that one participant may know about the others and itself.
    pub(super) fn snapshot(&self, of: ParticipantId) -> Vec<ParticipantInfo> {
        self.participants
            .values()
            .filter(|participant| participant.id == of || !participant.permission.hidden)
            .map(|participant| self.participant_info(participant))
            .collect()
    }

    /// Counts may have changed; they are told a little later.
    pub(super) fn counts_changed(&mut self) {
        if self.counts() != self.told_counts {
            self.timers
                .arm_if_idle(Timer::Counts, self.now + COUNTS_INTERVAL);
        }
    }

    pub(super) fn tell_counts(&mut self) {
        if self.counts() != self.told_counts {
            self.tell_room();
        }
    }

    /// Tells everybody about the room.
    pub(super) fn tell_room(&mut self) {
        self.told_counts = self.counts();
        self.timers.cancel(Timer::Counts);
        let update = SharedResponse::from(signal_response::Message::RoomUpdate(RoomUpdate {
            room: Some(self.info()),
        }));
        for participant in self.participants.values_mut().filter(|p| Room::hears(p)) {
            participant.send(Outbound::Shared(update.clone()));
        }
    }

    /// Tells those who hear a speaker, and the speaker itself, what changed.
    pub(super) fn tell_speakers(&mut self) {
        let mut by_receiver: BTreeMap<ParticipantId, Vec<SpeakerInfo>> = BTreeMap::new();
        for (speaker, speaking) in self.speakers.changes(self.now) {
            let Some(participant) = self.participants.get(&speaker) else {
                continue;
            };
            let info = SpeakerInfo {
                sid: participant.who.sid.clone(),
                level: speaking.level,
                active: speaking.active,
            };
            let mut receivers: BTreeSet<ParticipantId> = participant
                .tracks
                .iter()
                .filter_map(|track| self.tracks.get(*track))
                .flat_map(|track| track.subscribers.iter().copied())
                .collect();
            receivers.insert(speaker);
            for receiver in receivers {
                by_receiver.entry(receiver).or_default().push(info.clone());
            }
        }
        for (receiver, speakers) in by_receiver {
            self.send(
                receiver,
                signal_response::Message::SpeakersChanged(SpeakersChanged { speakers }),
            );
        }
    }

    /// Tells a new listener that the speaker is speaking.
    pub(super) fn tell_current_level(&mut self, speaker: ParticipantId, to: ParticipantId) {
        let Some(speaking) = self.speakers.current(speaker) else {
            return;
        };
        let Some(participant) = self.participants.get(&speaker) else {
            return;
        };
        let speakers = vec![SpeakerInfo {
            sid: participant.who.sid.clone(),
            level: speaking.level,
            active: speaking.active,
        }];
        self.send(
            to,
            signal_response::Message::SpeakersChanged(SpeakersChanged { speakers }),
        );
    }
}
