//! The state of a room, and what is done after each batch of inputs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use kith_net::{Command, EventSink, PublicationId, TransportId};
use kith_proto::livekit::{
    Codec as CodecInfo, DisconnectReason, Room as RoomInfo, RoomConfiguration, SignalRequest,
    leave_request, participant_info,
};

use super::{
    Media, ParticipantId, RoomSettings, TrackId, actor::Input, announce::Announcements,
    data::Nonces, data_tracks::DataTracks, random, speakers::Speakers, timers::Timers,
    track::Tracks,
};
use crate::{
    auth::Keys,
    session::{participant::Participant, signal::FailureFlag},
    signal::Outbound,
};

/// How often the counts of a room are told (LiveKit refreshes them every 5 s).
pub(super) const COUNTS_INTERVAL: Duration = Duration::from_secs(5);

/// What a room waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A participant's media must be connected by now.
    Join(ParticipantId),
    /// A participant without signalling and without connectivity is given up.
    Gone(ParticipantId),
    /// A participant's token is to be renewed.
    RefreshToken(ParticipantId),
    /// Layers of a track may be stopped.
    Dynacast(TrackId),
    /// Speakers changed.
    Speakers,
    /// Joins and departures of a large room are told.
    Announce,
    /// Counts are told.
    Counts,
    /// The room has been empty for long enough.
    Idle,
}

/// What rooms share.
pub(super) struct Shared {
    pub(super) settings: RoomSettings,
    pub(super) keys: Keys,
    pub(super) media: Arc<dyn Media>,
}

/// See the module.
pub(super) struct Room {
    pub(super) shared: Arc<Shared>,
    /// Where the media plane's events for this room go.
    pub(super) events: EventSink,
    /// Where requests of this room's participants go.
    pub(super) mailbox: tokio::sync::mpsc::Sender<Input>,
    /// The time of the input that is being handled.
    pub(super) now: Instant,
    pub(super) sid: String,
    pub(super) name: String,
    pub(super) metadata: String,
    pub(super) created_at: Duration,
    pub(super) empty_timeout: u32,
    pub(super) departure_timeout: u32,
    pub(super) max_participants: u32,
    pub(super) sif_trailer: String,
    /// The room has ended: no joins any more.
    pub(super) closed: bool,
    /// Somebody who counts was in it.
    pub(super) was_joined: bool,
    pub(super) participants: BTreeMap<ParticipantId, Participant>,
    pub(super) by_identity: HashMap<String, ParticipantId>,
    pub(super) by_sid: HashMap<String, ParticipantId>,
    pub(super) by_transport: HashMap<TransportId, ParticipantId>,
    pub(super) next_participant: u64,
    pub(super) next_generation: u64,
    pub(super) tracks: Tracks,
    pub(super) timers: Timers<Timer>,
    pub(super) speakers: Speakers<ParticipantId, PublicationId>,
    pub(super) nonces: Nonces,
    pub(super) data_tracks: DataTracks,
    pub(super) announcements: Announcements,
    /// Whose offers are to be looked at.
    pub(super) negotiate: BTreeSet<ParticipantId>,
    /// Tracks whose demand may have changed.
    pub(super) demand: BTreeSet<TrackId>,
    pub(super) told_counts: (u32, u32),
    pub(super) signal_failed: FailureFlag,
}

impl Room {
    pub(super) fn new(
        shared: Arc<Shared>,
        name: String,
        configuration: Option<&RoomConfiguration>,
        mailbox: tokio::sync::mpsc::Sender<Input>,
        events: EventSink,
        now: Instant,
    ) -> Self {
        let settings = &shared.settings;
        // A number of 0 in a room's configuration stands for the server's.
        let or = |own: Option<u32>, server: u32| own.filter(|own| *own > 0).unwrap_or(server);
        let mut room = Room {
            empty_timeout: or(
                configuration.map(|own| own.empty_timeout),
                settings.empty_timeout,
            ),
            departure_timeout: or(
                configuration.map(|own| own.departure_timeout),
                settings.departure_timeout,
            ),
            max_participants: or(
                configuration.map(|own| own.max_participants),
                settings.max_participants,
            ),
            metadata: configuration
                .map(|own| own.metadata.clone())
                .unwrap_or_default(),
            shared,
            events,
            mailbox,
            now,
            sid: random::sid("RM_"),
            name,
            created_at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            sif_trailer: random::sif_trailer(),
            closed: false,
            was_joined: false,
            participants: BTreeMap::new(),
            by_identity: HashMap::new(),
            by_sid: HashMap::new(),
            by_transport: HashMap::new(),
            next_participant: 0,
            next_generation: 0,
            tracks: Tracks::default(),
            timers: Timers::new(),
            speakers: Speakers::new(),
            nonces: Nonces::default(),
            data_tracks: DataTracks::default(),
            announcements: Announcements::default(),
            negotiate: BTreeSet::new(),
            demand: BTreeSet::new(),
            told_counts: (0, 0),
            signal_failed: Arc::new(AtomicBool::new(false)),
        };
        room.arm_idle();
        room
    }

    pub(super) fn settings(&self) -> &RoomSettings {
        &self.shared.settings
    }

    pub(super) fn media(&self) -> &dyn Media {
        &*self.shared.media
    }

    /// Commands the media plane. A command that it does not take has no effect but in a log: it is shutting down, or a data
    /// message is lost with thousands of others before it.
    pub(super) fn command(&self, command: Command) {
        if let Err(error) = self.shared.media.send(command) {
            tracing::debug!(room = %self.name, %error, "command not taken");
        }
    }

    /// Sends to one participant.
    pub(super) fn send(&mut self, to: ParticipantId, message: impl Into<Outbound>) {
        if let Some(participant) = self.participants.get_mut(&to) {
            participant.send(message);
        }
    }

    /// Handles one request of a participant.
    pub(super) fn on_request(
        &mut self,
        from: ParticipantId,
        generation: u64,
        request: SignalRequest,
    ) {
        // What was still under way on a connection that was replaced does not count.
        let current = self
            .participants
            .get(&from)
            .and_then(|participant| participant.signal.as_ref())
            .is_some_and(|signal| signal.generation() == generation);
        if current && let Some(message) = request.message {
            self.handle_request(from, message);
        }
    }

    /// A signalling connection ended without a word.
    pub(super) fn on_signal_closed(&mut self, from: ParticipantId, generation: u64) {
        let Some(participant) = self.participants.get_mut(&from) else {
            return;
        };
        if participant
            .signal
            .as_ref()
            .map(|signal| signal.generation())
            == Some(generation)
        {
            participant.signal = None;
            self.on_signal_lost(from);
        }
    }

    /// Acts on the deadlines that have come.
    pub(super) fn on_timers(&mut self) {
        while let Some(timer) = self.timers.pop_due(self.now) {
            match timer {
                Timer::Join(id) => {
                    tracing::info!(room = %self.name, "media was not connected in time");
                    self.remove(
                        id,
                        DisconnectReason::JoinFailure,
                        Some(leave_request::Action::Disconnect),
                    );
                }
                Timer::Gone(id) => self.remove(id, DisconnectReason::ConnectionTimeout, None),
                Timer::RefreshToken(id) => self.send_refresh_token(id),
                Timer::Dynacast(track) => self.tell_demand(track, true),
                Timer::Speakers => self.tell_speakers(),
                Timer::Announce => self.announcements.release_deferred(),
                Timer::Counts => self.tell_counts(),
                Timer::Idle => self.on_idle(),
            }
        }
    }

    /// Sends what the inputs of this batch led to.
    pub(super) fn flush(&mut self) {
        self.announce();
        self.tell_data_handles();
        self.negotiate_all();
        for track in std::mem::take(&mut self.demand) {
            self.tell_demand(track, false);
        }
        while self.signal_failed.swap(false, Ordering::Relaxed) {
            let failed: Vec<ParticipantId> = self
                .participants
                .values()
                .filter(|participant| {
                    participant
                        .signal
                        .as_ref()
                        .is_some_and(|signal| signal.has_failed())
                })
                .map(|participant| participant.id)
                .collect();
            for id in failed {
                tracing::info!(room = %self.name, "a client does not take its messages");
                if let Some(participant) = self.participants.get_mut(&id) {
                    participant.signal = None;
                }
                self.on_signal_lost(id);
            }
            self.announce();
        }
    }

    /// What is told about the room.
    pub(super) fn info(&self) -> RoomInfo {
        let (participants, publishers) = self.counts();
        RoomInfo {
            sid: self.sid.clone(),
            name: self.name.clone(),
            empty_timeout: self.empty_timeout,
            departure_timeout: self.departure_timeout,
            max_participants: self.max_participants,
            creation_time: i64::try_from(self.created_at.as_secs()).unwrap_or(i64::MAX),
            creation_time_ms: i64::try_from(self.created_at.as_millis()).unwrap_or(i64::MAX),
            enabled_codecs: self
                .settings()
                .enabled_codecs
                .iter()
                .map(|codec| CodecInfo {
                    mime: codec.mime().to_owned(),
                    fmtp_line: String::new(),
                })
                .collect(),
            metadata: self.metadata.clone(),
            num_participants: participants,
            num_publishers: publishers,
            active_recording: self.is_recorded(),
            ..RoomInfo::default()
        }
    }

    /// Participants that count, and publishers.
    pub(super) fn counts(&self) -> (u32, u32) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let participants = self
            .participants
            .values()
            .filter(|participant| !participant.is_dependent())
            .count();
        let publishers = self
            .participants
            .values()
            .filter(|participant| self.publishes(participant))
            .count();
        (count(participants), count(publishers))
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.participants
            .values()
            .any(|participant| participant.permission.recorder)
    }

    /// Whether others know a track of this participant.
    pub(super) fn publishes(&self, participant: &Participant) -> bool {
        participant
            .tracks
            .iter()
            .filter_map(|track| self.tracks.get(*track))
            .any(|track| track.published)
    }

    /// Whether somebody is there who keeps the room open.
    pub(super) fn is_in_use(&self) -> bool {
        self.participants
            .values()
            .any(|participant| !participant.is_dependent())
    }

    /// Lets the room end after its timeout, unless it is in use.
    pub(super) fn arm_idle(&mut self) {
        if self.is_in_use() {
            self.timers.cancel(Timer::Idle);
            return;
        }
        let timeout = if self.was_joined {
            self.departure_timeout
        } else {
            self.empty_timeout
        };
        let at = self.now + Duration::from_secs(timeout.into());
        self.timers.arm_if_idle(Timer::Idle, at);
    }

    fn on_idle(&mut self) {
        if !self.is_in_use() {
            self.close(DisconnectReason::RoomClosed);
        }
    }

    /// Ends the room: everybody is told to leave.
    pub(super) fn close(&mut self, reason: DisconnectReason) {
        self.closed = true;
        let everybody: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for id in everybody {
            self.remove(id, reason, Some(leave_request::Action::Disconnect));
        }
        self.announcements = Announcements::default();
    }

    /// Whether a participant has got its JoinResponse and hears of the others.
    pub(super) fn hears(participant: &Participant) -> bool {
        participant.state != participant_info::State::Joining
    }
}
