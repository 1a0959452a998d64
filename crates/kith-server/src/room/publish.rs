//! Publishing: announcements, the sections that carry them, mute, the end.
//!
//! An announced track is answered at once with everything that is known about it. The others hear of it when a section
//! carries it, which may be before or after the announcement.

use kith_proto::Message as _;
use kith_proto::livekit::{
    AddTrackRequest, MuteTrackRequest, RequestResponse, SimulcastCodec, TrackPublishedResponse,
    TrackType, UpdateLocalAudioTrack, UpdateLocalVideoTrack,
    request_response::{Reason, Request},
    signal_response, video_layer,
};
use kith_rtp::{Codec, MediaKind};

use super::{
    ParticipantId, TrackId, layers,
    state::{Room, Timer},
    track::{MAX_CODECS_PER_TRACK, Track, TrackCodec, layer_mode, request_kind},
};
use crate::{
    negotiation::{
        answerer::{Announced, Bound},
        policy::ReceiveWish,
    },
    session::permission,
};

/// Tracks of one participant that are announced and not yet sent (LiveKit's limit).
pub(super) const MAX_PENDING_TRACKS: usize = 20;

/// Tracks of one participant, announced and sent. Each costs every other participant a section.
const MAX_TRACKS: usize = 512;

/// Announcements per cid that wait for the track before them to end (LiveKit's limit).
const MAX_QUEUED_PER_CID: usize = 3;

/// Announcements that wait in all.
const MAX_QUEUED: usize = MAX_PENDING_TRACKS;

/// Bytes of an announcement: what it says is kept, and told to everybody. One with three codecs and all layers has 600.
const MAX_ANNOUNCEMENT: usize = 8192;

impl Room {
    /// A client announces a track.
    pub(super) fn on_add_track(&mut self, id: ParticipantId, request: AddTrackRequest) {
        match self.check_add_track(id, &request) {
            Ok(()) => {}
            Err((reason, text)) => {
                self.refuse_request(id, reason, text, Some(Request::AddTrack(request)));
                return;
            }
        }
        if !request.sid.is_empty() {
            self.add_codec(id, request);
            return;
        }
        if self.is_cid_in_use(id, &request.cid) {
            self.queue_add_track(id, request);
            return;
        }
        let track_id = self.tracks.next_id();
        let settings = self.settings();
        let track = Track::new(track_id, id, &request, |codec| settings.is_enabled(codec));
        let published = TrackPublishedResponse {
            cid: request.cid.clone(),
            track: Some(track.info.clone()),
        };
        self.tracks.insert(track);
        if let Some(participant) = self.participants.get_mut(&id) {
            participant.tracks.push(track_id);
        }
        self.send(id, signal_response::Message::TrackPublished(published));
        self.bind_announced(id);
    }

    fn check_add_track(
        &self,
        id: ParticipantId,
        request: &AddTrackRequest,
    ) -> Result<(), (Reason, &'static str)> {
        let Some(participant) = self.participants.get(&id) else {
            return Err((Reason::NotFound, "no such participant"));
        };
        if !permission::may_publish(&participant.permission, request.source()) {
            return Err((
                Reason::NotAllowed,
                "does not have permission to publish this source",
            ));
        }
        if !matches!(
            TrackType::try_from(request.r#type),
            Ok(TrackType::Audio | TrackType::Video)
        ) {
            return Err((
                Reason::UnsupportedType,
                "only audio and video tracks are published",
            ));
        }
        if request.encoded_len() > MAX_ANNOUNCEMENT {
            return Err((
                Reason::LimitExceeded,
                "the announcement is larger than 8192 bytes",
            ));
        }
        let pending = participant
            .tracks
            .iter()
            .filter_map(|track| self.tracks.get(*track))
            .filter(|track| !track.published)
            .count();
        if request.sid.is_empty()
            && (pending >= MAX_PENDING_TRACKS || participant.tracks.len() >= MAX_TRACKS)
        {
            return Err((Reason::LimitExceeded, "too many tracks are announced"));
        }
        Ok(())
    }

    fn is_cid_in_use(&self, id: ParticipantId, cid: &str) -> bool {
        self.own_tracks(id).any(|track| track.has_cid(cid))
    }

    /// All tracks of a participant.
    pub(super) fn own_tracks(&self, id: ParticipantId) -> impl Iterator<Item = &Track> {
        self.participants
            .get(&id)
            .into_iter()
            .flat_map(|participant| &participant.tracks)
            .filter_map(|track| self.tracks.get(*track))
    }

    /// A track of this participant by sid.
    fn own_track(&self, id: ParticipantId, sid: &str) -> Option<TrackId> {
        let track = self.tracks.id_of(sid)?;
        (self.tracks.get(track)?.owner == id).then_some(track)
    }

    /// The cid is in use: the announcement waits for the track that has it to end.
    fn queue_add_track(&mut self, id: ParticipantId, request: AddTrackRequest) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let same = participant
            .queued
            .iter()
            .filter(|queued| queued.cid == request.cid)
            .count();
        if same >= MAX_QUEUED_PER_CID || participant.queued.len() >= MAX_QUEUED {
            self.refuse_request(
                id,
                Reason::LimitExceeded,
                "too many announcements wait for this cid",
                Some(Request::AddTrack(request)),
            );
            return;
        }
        participant.queued.push_back(request.clone());
        self.refuse_request(
            id,
            Reason::Queued,
            "the cid is in use",
            Some(Request::AddTrack(request)),
        );
    }

    fn take_queued(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        for request in std::mem::take(&mut participant.queued) {
            if self.is_cid_in_use(id, &request.cid) {
                if let Some(participant) = self.participants.get_mut(&id) {
                    participant.queued.push_back(request);
                }
            } else {
                self.on_add_track(id, request);
            }
        }
    }

    /// A client adds a codec to a track that it publishes: its backup.
    fn add_codec(&mut self, id: ParticipantId, request: AddTrackRequest) {
        let added = self.own_track(id, &request.sid).and_then(|track| {
            let is_enabled: Vec<Codec> = self.settings().enabled_codecs.clone();
            let track = self.tracks.get_mut(track)?;
            let kind = track.kind();
            for wanted in request.simulcast_codecs.iter().take(MAX_CODECS_PER_TRACK) {
                let codec = Codec::from_name(&wanted.codec)
                    .filter(|codec| codec.kind() == kind && is_enabled.contains(codec))?;
                set_cid(track, codec, wanted, &request)?;
            }
            track.refresh();
            Some(track.info.clone())
        });
        match added {
            Some(info) => {
                self.send(
                    id,
                    signal_response::Message::TrackPublished(TrackPublishedResponse {
                        cid: request.cid,
                        track: Some(info),
                    }),
                );
                self.bind_announced(id);
            }
            None => self.refuse_request(
                id,
                Reason::NotFound,
                "no such track, or no such codec for it",
                Some(Request::AddTrack(request)),
            ),
        }
    }

    /// The streams of a participant that no section carries.
    pub(super) fn announced(&self, id: ParticipantId) -> Vec<Announced> {
        self.own_tracks(id)
            .flat_map(|track| {
                track
                    .codecs
                    .iter()
                    .enumerate()
                    .filter(|(_, codec)| codec.publication.is_none() && !codec.cid.is_empty())
                    .map(|(index, codec)| Announced {
                        track: track.id,
                        codec: index,
                        kind: track.kind(),
                        cid: codec.cid.clone(),
                        wish: wish(track, codec),
                        rids: track
                            .layers(index)
                            .iter()
                            .map(|layer| layer.rid.clone())
                            .filter(|rid| !rid.is_empty())
                            .collect(),
                        measure_audio_level: track.is_microphone(),
                    })
            })
            .collect()
    }

    /// Binds sections that were offered before their tracks were announced.
    fn bind_announced(&mut self, id: ParticipantId) {
        let announced = self.announced(id);
        let bound = match self.participants.get_mut(&id) {
            Some(participant) => participant
                .publisher
                .as_mut()
                .map(|peer| peer.bind(&*self.shared.media, &announced))
                .unwrap_or_default(),
            None => return,
        };
        for bound in bound {
            self.on_bound(id, bound);
        }
    }

    /// A section carries a stream: the track is published.
    pub(super) fn on_bound(&mut self, id: ParticipantId, bound: Bound) {
        let Some(track) = self.tracks.get_mut(bound.track) else {
            return;
        };
        let Some(codec) = track.codecs.get_mut(bound.codec) else {
            return;
        };
        let is_new = codec.publication != Some(bound.publication);
        let is_other = codec.codec != bound.negotiated || codec.fmtp != bound.fmtp;
        codec.codec = bound.negotiated;
        codec.fmtp = bound.fmtp;
        let mode = video_layer::Mode::try_from(codec.mode as i32).unwrap_or_default();
        codec.mode = layer_mode(
            bound.negotiated,
            if is_other {
                video_layer::Mode::Unused
            } else {
                mode
            },
        );
        if bound.codec == 0 {
            track.info.mid = bound.mid;
        }
        if !is_new && !is_other {
            return;
        }
        track.refresh();
        let was_published = std::mem::replace(&mut track.published, true);
        self.tracks
            .set_publication(bound.track, bound.codec, Some(bound.publication));
        self.changed(id);
        if was_published {
            if is_other && !is_new {
                self.restart_subscriptions(bound.track, bound.publication);
            }
            self.retry_subscriptions(bound.track);
        } else {
            self.counts_changed();
            self.reconcile_track(bound.track);
        }
        self.demand.insert(bound.track);
    }

    /// A section carries a stream no longer.
    pub(super) fn on_stream_ended(
        &mut self,
        id: ParticipantId,
        track_id: TrackId,
        publication: kith_net::PublicationId,
    ) {
        let Some(track) = self.tracks.get(track_id) else {
            return;
        };
        let Some(codec) = track.codec_of(publication) else {
            return;
        };
        if codec == 0 {
            self.unpublish(id, track_id);
            return;
        }
        // A backup codec ended; its subscribers go back to the track's own.
        self.tracks.set_publication(track_id, codec, None);
        if let Some(codec) = self
            .tracks
            .get_mut(track_id)
            .and_then(|track| track.codecs.get_mut(codec))
        {
            codec.cid.clear();
        }
        self.restart_subscriptions(track_id, publication);
    }

    /// Ends a track that the client stopped sending.
    fn unpublish(&mut self, id: ParticipantId, track: TrackId) {
        self.forget_track(track);
        self.changed(id);
        self.counts_changed();
        self.take_queued(id);
    }

    /// Removes a track and everything that hangs on it.
    pub(super) fn forget_track(&mut self, track_id: TrackId) {
        let Some(track) = self.tracks.get(track_id) else {
            return;
        };
        let owner = track.owner;
        let sid = track.sid().to_owned();
        let publications: Vec<_> = track
            .codecs
            .iter()
            .filter_map(|codec| codec.publication)
            .collect();
        let subscribers: Vec<ParticipantId> = track.subscribers.iter().copied().collect();
        for subscriber in subscribers {
            self.end_subscription(subscriber, track_id);
        }
        for publication in publications {
            if let Some(at) = self.speakers.clear(self.now, owner, &publication) {
                self.timers.arm_if_idle(Timer::Speakers, at);
            }
        }
        self.tracks.remove(track_id);
        self.timers.cancel(Timer::Dynacast(track_id));
        self.demand.remove(&track_id);
        for participant in self.participants.values_mut() {
            participant.wishes.forget(&sid);
            participant.settings.forget(&sid);
        }
        if let Some(owner) = self.participants.get_mut(&owner) {
            owner.tracks.retain(|track| *track != track_id);
        }
    }

    /// A client mutes or unmutes its track.
    pub(super) fn on_mute(&mut self, id: ParticipantId, request: MuteTrackRequest) {
        let Some(track_id) = self.own_track(id, &request.sid) else {
            self.refuse_request(
                id,
                Reason::NotFound,
                "no such track",
                Some(Request::Mute(request)),
            );
            return;
        };
        let Some(track) = self.tracks.get_mut(track_id) else {
            return;
        };
        if track.info.muted == request.muted {
            return;
        }
        track.info.muted = request.muted;
        track.refresh();
        let published = track.published;
        let publication = track.codecs.first().and_then(|codec| codec.publication);
        if request.muted {
            self.timers.cancel(Timer::Dynacast(track_id));
            if let Some(publication) = publication
                && let Some(at) = self.speakers.clear(self.now, id, &publication)
            {
                self.timers.arm_if_idle(Timer::Speakers, at);
            }
        } else {
            // A client that starts sending again starts with all layers.
            track.dynacast.reset();
            self.demand.insert(track_id);
        }
        if published {
            self.changed(id);
        }
    }

    pub(super) fn on_update_audio(&mut self, id: ParticipantId, request: UpdateLocalAudioTrack) {
        let Some(track) = self
            .own_track(id, &request.track_sid)
            .and_then(|track| self.tracks.get_mut(track))
            .filter(|track| track.kind() == MediaKind::Audio)
        else {
            self.refuse_request(
                id,
                Reason::NotFound,
                "no such track",
                Some(Request::UpdateAudioTrack(request)),
            );
            return;
        };
        track.info.audio_features = request.features;
        track
            .info
            .audio_features
            .truncate(super::track::MAX_FEATURES);
        track.refresh();
        if track.published {
            self.changed(id);
        }
    }

    pub(super) fn on_update_video(&mut self, id: ParticipantId, request: UpdateLocalVideoTrack) {
        let Some(track) = self
            .own_track(id, &request.track_sid)
            .and_then(|track| self.tracks.get_mut(track))
            .filter(|track| track.kind() == MediaKind::Video)
        else {
            self.refuse_request(
                id,
                Reason::NotFound,
                "no such track",
                Some(Request::UpdateVideoTrack(request)),
            );
            return;
        };
        track.info.width = request.width;
        track.info.height = request.height;
        track.refresh();
        if track.published {
            self.changed(id);
        }
    }

    /// Answers a request that is not carried out, or not now. The client is told by the request itself which one it was.
    pub(super) fn refuse_request(
        &mut self,
        id: ParticipantId,
        reason: Reason,
        text: &str,
        request: Option<Request>,
    ) {
        let request_id = match &request {
            Some(Request::UpdateMetadata(request)) => request.request_id,
            _ => 0,
        };
        self.send(
            id,
            signal_response::Message::RequestResponse(RequestResponse {
                request_id,
                reason: reason as i32,
                message: text.to_owned(),
                request,
            }),
        );
    }
}

/// Gives a codec of a track the cid under which it will be sent. `None`: the codec is sent already, or there are too many.
fn set_cid(
    track: &mut Track,
    codec: Codec,
    wanted: &SimulcastCodec,
    request: &AddTrackRequest,
) -> Option<()> {
    let cid = if wanted.cid.is_empty() {
        &request.cid
    } else {
        &wanted.cid
    };
    let sorted = layers::sorted(if wanted.layers.is_empty() {
        &request.layers
    } else {
        &wanted.layers
    });
    if let Some(known) = track.codecs.iter_mut().find(|known| known.codec == codec) {
        if known.publication.is_some() {
            return None;
        }
        known.cid.clone_from(cid);
        if !sorted.is_empty() {
            known.layers = sorted;
        }
        return Some(());
    }
    if track.codecs.len() >= MAX_CODECS_PER_TRACK {
        return None;
    }
    track.codecs.push(TrackCodec {
        codec,
        fmtp: String::new(),
        cid: cid.clone(),
        publication: None,
        layers: sorted,
        mode: layer_mode(codec, wanted.video_layer_mode()),
    });
    Some(())
}

/// What the answer for a stream depends on. A client that named no codec lets the order of its offer decide.
fn wish(track: &Track, codec: &TrackCodec) -> ReceiveWish {
    ReceiveWish {
        codec: track.named_codec.then_some(codec.codec),
        red: !track.info.disable_red,
        stereo: track.info.stereo,
        dtx: !track.info.disable_dtx,
    }
}

/// Whether the announcement names a codec of its kind.
pub(super) fn names_codec(request: &AddTrackRequest) -> bool {
    request.simulcast_codecs.first().is_some_and(|wanted| {
        Codec::from_name(&wanted.codec).is_some_and(|codec| codec.kind() == request_kind(request))
    })
}
