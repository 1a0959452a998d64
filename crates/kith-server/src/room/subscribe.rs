//! Who gets what: wishes, permissions, layers, and what publishers are told of the demand.

use kith_net::{Command, DownTrackSpec, LayerTarget, PublicationId, SubscriptionSpec};
use kith_proto::livekit::{
    SubscriptionError, SubscriptionPermission, SubscriptionPermissionUpdate, SubscriptionResponse,
    TrackSubscribed, UpdateSubscription, UpdateTrackSettings, VideoLayer, VideoQuality,
    signal_response, video_layer,
};
use kith_rtp::{Codec, ExtensionKind, MediaKind};

use super::{
    ParticipantId, TrackId,
    dynacast::{self, Change, DOWNGRADE_DELAY, Demand, Demands},
    layers::{self, TrackSettings, Wanted},
    state::{Room, Timer},
    track::Track,
};
use crate::{
    negotiation::{
        policy::SendFormat,
        sending::{Placement, PublishedFormat, SendTrack},
    },
    session::{
        participant::Participant,
        permission::Audience,
        subscription::{Progress, Subscription},
    },
};

/// Tracks that one request may name. A larger list is cut.
const MAX_TRACKS_PER_REQUEST: usize = 1024;

impl Room {
    /// Brings one participant's subscription to one track in line with wishes and permissions.
    fn reconcile(&mut self, id: ParticipantId, track_id: TrackId) {
        let Some(track) = self.tracks.get(track_id) else {
            return;
        };
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        let subscribed = participant.subscriptions.contains_key(&track_id);
        let wanted = self.may_have(participant, track)
            && participant
                .wishes
                .get(track.sid())
                .unwrap_or(participant.mode.auto_subscribe);
        match (wanted, subscribed) {
            (true, false) => self.begin_subscription(id, track_id),
            (false, true) => self.end_subscription(id, track_id),
            _ => {}
        }
    }

    /// All participants and one track: it was published, or its publisher changed who may have it.
    pub(super) fn reconcile_track(&mut self, track_id: TrackId) {
        let everybody: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for id in everybody {
            self.reconcile(id, track_id);
        }
    }

    /// One participant and all tracks: it came in, or its permission changed.
    pub(super) fn reconcile_participant(&mut self, id: ParticipantId) {
        let tracks: Vec<TrackId> = self.tracks.iter().map(|track| track.id).collect();
        for track in tracks {
            self.reconcile(id, track);
        }
    }

    fn may_have(&self, participant: &Participant, track: &Track) -> bool {
        let Some(owner) = self.participants.get(&track.owner) else {
            return false;
        };
        track.published
            && owner.id != participant.id
            && participant.permission.can_subscribe
            && (participant.permission.recorder
                || owner.audience.admits(
                    &participant.who.sid,
                    &participant.who.identity,
                    track.sid(),
                ))
    }

    fn begin_subscription(&mut self, id: ParticipantId, track_id: TrackId) {
        let Some(track) = self.tracks.get_mut(track_id) else {
            return;
        };
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let settings = participant
            .settings
            .get(track.sid())
            .unwrap_or(TrackSettings::initial(participant.mode.adaptive_stream));
        participant.subscriptions.insert(
            track_id,
            Subscription {
                progress: Progress::Waiting,
                settings,
                lowest_only: false,
            },
        );
        track.subscribers.insert(id);
        self.negotiate.insert(id);
        self.demand.insert(track_id);
    }

    pub(super) fn end_subscription(&mut self, id: ParticipantId, track_id: TrackId) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let Some(subscription) = participant.subscriptions.remove(&track_id) else {
            return;
        };
        release(participant, track_id);
        if let Progress::Active { subscription, .. } = subscription.progress {
            self.command(Command::Unsubscribe { subscription });
        }
        if let Some(track) = self.tracks.get_mut(track_id) {
            track.subscribers.remove(&id);
        }
        self.negotiate.insert(id);
        self.demand.insert(track_id);
    }

    /// What subscriptions are sent from is gone, or is another codec now: they begin anew, with another stream, since a
    /// stream keeps its source and its codecs for life.
    pub(super) fn restart_subscriptions(&mut self, track_id: TrackId, source: PublicationId) {
        let Some(track) = self.tracks.get(track_id) else {
            return;
        };
        let subscribers: Vec<ParticipantId> = track.subscribers.iter().copied().collect();
        for id in subscribers {
            match self.progress(id, track_id) {
                Some(Progress::Active { publication, .. }) if publication != source => {}
                Some(Progress::Active { .. } | Progress::Offered) => self.restart(id, track_id),
                _ => {}
            }
        }
        self.demand.insert(track_id);
    }

    fn restart(&mut self, id: ParticipantId, track_id: TrackId) {
        if let Some(Progress::Active { subscription, .. }) = self.progress(id, track_id) {
            self.command(Command::Unsubscribe { subscription });
        }
        if let Some(participant) = self.participants.get_mut(&id) {
            release(participant, track_id);
        }
        self.set_progress(id, track_id, Progress::Waiting);
        self.negotiate.insert(id);
    }

    /// A track is published in another codec too: who could not take it may be able to now.
    pub(super) fn retry_subscriptions(&mut self, track_id: TrackId) {
        let Some(track) = self.tracks.get(track_id) else {
            return;
        };
        let subscribers: Vec<ParticipantId> = track.subscribers.iter().copied().collect();
        for id in subscribers {
            if let Some(Progress::NeedsCodec(_) | Progress::Unsupported) =
                self.progress(id, track_id)
            {
                self.set_progress(id, track_id, Progress::Waiting);
                self.negotiate.insert(id);
            }
        }
    }

    /// A track as negotiation sees it.
    pub(super) fn send_track(&self, track: &Track) -> Option<SendTrack> {
        let owner = self.participants.get(&track.owner)?;
        Some(SendTrack {
            id: track.id,
            sid: track.sid().to_owned(),
            publisher_sid: owner.who.sid.clone(),
            kind: track.kind(),
            stereo: track.info.stereo,
            formats: track
                .codecs
                .iter()
                .map(|codec| PublishedFormat {
                    format: SendFormat {
                        codec: codec.codec,
                        fmtp: codec.fmtp.clone(),
                    },
                    publication: codec.publication,
                })
                .collect(),
        })
    }

    /// A participant's subscriptions that have no section, the oldest track first.
    pub(super) fn waiting(&self, id: ParticipantId) -> Vec<SendTrack> {
        let Some(participant) = self.participants.get(&id) else {
            return Vec::new();
        };
        participant
            .subscriptions
            .iter()
            .filter(|(_, subscription)| subscription.progress == Progress::Waiting)
            .filter_map(|(track, _)| self.send_track(self.tracks.get(*track)?))
            .collect()
    }

    /// Does what a negotiation led to.
    pub(super) fn on_placement(&mut self, id: ParticipantId, placement: Placement) {
        match placement {
            Placement::Start {
                track,
                publication,
                down,
            } => self.start(id, track, publication, down),
            Placement::Restart { track } => self.restart(id, track),
            Placement::Unsupported { track } => {
                if let Some(Progress::Active { subscription, .. }) = self.progress(id, track) {
                    self.command(Command::Unsubscribe { subscription });
                }
                self.set_progress(id, track, Progress::Unsupported);
                self.demand.insert(track);
                let Some(sid) = self.tracks.get(track).map(|track| track.sid().to_owned()) else {
                    return;
                };
                self.tell_subscription_error(id, sid, SubscriptionError::SeCodecUnsupported);
            }
            Placement::NeedsCodec { track, codec } => {
                self.set_progress(id, track, Progress::NeedsCodec(codec));
                self.demand.insert(track);
            }
        }
    }

    fn start(
        &mut self,
        id: ParticipantId,
        track_id: TrackId,
        publication: PublicationId,
        down: DownTrackSpec,
    ) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let Some(transport) = participant.sending_transport() else {
            return;
        };
        let Some(wanted) = participant.subscriptions.get_mut(&track_id) else {
            return;
        };
        let Some(track) = self.tracks.get(track_id) else {
            return;
        };
        let owner = track.owner;
        wanted.lowest_only = needs_descriptor(track, publication)
            && down
                .extensions
                .id(ExtensionKind::DependencyDescriptor)
                .is_none();
        let target = target(track, publication, wanted);
        let subscription = self.shared.media.new_subscription_id(transport);
        self.set_progress(
            id,
            track_id,
            Progress::Active {
                subscription,
                publication,
            },
        );
        self.command(Command::Subscribe(SubscriptionSpec {
            id: subscription,
            publication,
            transport,
            down,
            target,
        }));
        self.demand.insert(track_id);
        self.tell_subscribed(id, track_id);
        self.tell_current_level(owner, id);
    }

    /// Tells a publisher once that somebody receives its track.
    pub(super) fn tell_subscribed(&mut self, id: ParticipantId, track_id: TrackId) {
        let receives = self.participants.get(&id).is_some_and(|participant| {
            participant.receives_media() && !participant.permission.hidden
        });
        let active = matches!(self.progress(id, track_id), Some(Progress::Active { .. }));
        let Some(track) = self.tracks.get_mut(track_id) else {
            return;
        };
        if !receives || !active || std::mem::replace(&mut track.told_subscribed, true) {
            return;
        }
        let owner = track.owner;
        let track_sid = track.sid().to_owned();
        self.send(
            owner,
            signal_response::Message::TrackSubscribed(TrackSubscribed { track_sid }),
        );
    }

    pub(super) fn progress(&self, id: ParticipantId, track: TrackId) -> Option<Progress> {
        self.participants
            .get(&id)?
            .subscriptions
            .get(&track)
            .map(|subscription| subscription.progress)
    }

    pub(super) fn set_progress(&mut self, id: ParticipantId, track: TrackId, progress: Progress) {
        if let Some(subscription) = self
            .participants
            .get_mut(&id)
            .and_then(|participant| participant.subscriptions.get_mut(&track))
        {
            subscription.progress = progress;
        }
    }

    fn tell_subscription_error(
        &mut self,
        id: ParticipantId,
        track_sid: String,
        error: SubscriptionError,
    ) {
        self.send(
            id,
            signal_response::Message::SubscriptionResponse(SubscriptionResponse {
                track_sid,
                err: error as i32,
            }),
        );
    }

    /// A client says which tracks it wants or does not want. Clients name one track in several ways at once.
    pub(super) fn on_subscription(&mut self, id: ParticipantId, request: UpdateSubscription) {
        let mut sids: Vec<String> = request
            .track_sids
            .into_iter()
            .chain(
                request
                    .participant_tracks
                    .into_iter()
                    .flat_map(|tracks| tracks.track_sids),
            )
            .take(MAX_TRACKS_PER_REQUEST)
            .collect();
        sids.sort();
        sids.dedup();
        for sid in sids {
            let Some(participant) = self.participants.get_mut(&id) else {
                return;
            };
            participant.wishes.set(&sid, request.subscribe);
            match self.tracks.id_of(&sid) {
                Some(track) => self.reconcile(id, track),
                // The wish is remembered: the track may be on its way.
                None if request.subscribe => {
                    self.tell_subscription_error(id, sid, SubscriptionError::SeTrackNotfound);
                }
                None => {}
            }
        }
    }

    /// A client says in which size, rate or quality it shows tracks.
    pub(super) fn on_track_settings(&mut self, id: ParticipantId, request: &UpdateTrackSettings) {
        let settings = TrackSettings::from_request(request);
        for sid in request.track_sids.iter().take(MAX_TRACKS_PER_REQUEST) {
            let track = self.tracks.id_of(sid);
            let Some(participant) = self.participants.get_mut(&id) else {
                return;
            };
            participant.settings.set(sid, settings);
            let Some(track_id) = track else { continue };
            let Some(subscription) = participant.subscriptions.get_mut(&track_id) else {
                continue;
            };
            if subscription.settings == settings {
                continue;
            }
            let before = *subscription;
            subscription.settings = settings;
            let now = *subscription;
            let Some(track) = self.tracks.get(track_id) else {
                continue;
            };
            if let Progress::Active {
                subscription,
                publication,
            } = now.progress
            {
                let target_now = target(track, publication, &now);
                if target(track, publication, &before) != target_now {
                    self.command(Command::SetTarget {
                        subscription,
                        target: target_now,
                    });
                }
            }
            self.demand.insert(track_id);
        }
    }

    /// A publisher says who may have its tracks.
    pub(super) fn on_subscription_permission(
        &mut self,
        id: ParticipantId,
        request: &SubscriptionPermission,
    ) {
        let tracks: Vec<(TrackId, String)> = self
            .own_tracks(id)
            .filter(|track| track.published)
            .map(|track| (track.id, track.sid().to_owned()))
            .collect();
        let Some(publisher) = self.participants.get_mut(&id) else {
            return;
        };
        let publisher_sid = publisher.who.sid.clone();
        let audience = Audience::from_request(request);
        let before = std::mem::replace(&mut publisher.audience, audience);
        let everybody: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for (track_id, sid) in tracks {
            for other in &everybody {
                let Some(participant) = self.participants.get(other).filter(|p| p.id != id) else {
                    continue;
                };
                if participant.permission.recorder {
                    continue;
                }
                let who = &participant.who;
                let was = before.admits(&who.sid, &who.identity, &sid);
                let is = self.participants.get(&id).is_some_and(|publisher| {
                    publisher.audience.admits(&who.sid, &who.identity, &sid)
                });
                if was == is {
                    continue;
                }
                self.send(
                    *other,
                    signal_response::Message::SubscriptionPermissionUpdate(
                        SubscriptionPermissionUpdate {
                            participant_sid: publisher_sid.clone(),
                            track_sid: sid.clone(),
                            allowed: is,
                        },
                    ),
                );
                self.reconcile(*other, track_id);
            }
        }
        self.reconcile_data_of(id);
    }

    /// Tells the publisher of a video track what is wanted of it. `settled`: the delay for stopping layers has passed.
    pub(super) fn tell_demand(&mut self, track_id: TrackId, settled: bool) {
        let Some(track) = self.tracks.get(track_id) else {
            return;
        };
        if track.kind() != MediaKind::Video || !track.published || track.info.muted {
            return;
        }
        let wanted = self.demands(track);
        let Some(track) = self.tracks.get_mut(track_id) else {
            return;
        };
        let change = track.dynacast.update(wanted.clone(), settled);
        let is_settled = track.dynacast.is_settled_on(&wanted);
        let owner = track.owner;
        let message = match &change {
            Change::Tell(demands) => Some(dynacast::message(track.sid(), demands)),
            Change::None | Change::Later => None,
        };
        if let Some(message) = message {
            self.send(
                owner,
                signal_response::Message::SubscribedQualityUpdate(message),
            );
        }
        if is_settled {
            self.timers.cancel(Timer::Dynacast(track_id));
        } else {
            self.timers
                .arm_if_idle(Timer::Dynacast(track_id), self.now + DOWNGRADE_DELAY);
        }
    }

    /// What is wanted of each codec of a track, by everybody together.
    fn demands(&self, track: &Track) -> Demands {
        let mut demands: Demands = track
            .codecs
            .iter()
            .map(|codec| Demand {
                codec: codec.codec,
                quality: None,
            })
            .collect();
        for id in &track.subscribers {
            let Some(subscription) = self
                .participants
                .get(id)
                .and_then(|participant| participant.subscriptions.get(&track.id))
            else {
                continue;
            };
            let codec = match subscription.progress {
                Progress::Waiting | Progress::Offered => Some(0),
                Progress::NeedsCodec(codec) => {
                    track.codecs.iter().position(|known| known.codec == codec)
                }
                Progress::Active { publication, .. } => track.codec_of(publication),
                Progress::Unsupported => None,
            };
            let Some(codec) = codec else { continue };
            let Some(quality) = quality(track, codec, subscription) else {
                continue;
            };
            if let Some(demand) = demands.get_mut(codec) {
                demand.quality = demand.quality.max(Some(quality));
            }
        }
        demands
    }
}

/// What one subscriber wants of a codec, in the publisher's names for its layers.
fn quality(track: &Track, codec: usize, subscription: &Subscription) -> Option<VideoQuality> {
    let layers = track.layers(codec);
    let wanted = wanted(track, layers, subscription)?;
    let count = if layers.is_empty() {
        layers::MAX_LAYERS
    } else {
        layers.len()
    };
    Some(dynacast::quality_of_layer(wanted.spatial, count))
}

/// The layers of a track that a subscription is for; `None` for a hidden one.
fn wanted(track: &Track, layers: &[VideoLayer], subscription: &Subscription) -> Option<Wanted> {
    let settings = &subscription.settings;
    let mut wanted = layers::wanted(settings, layers, track.info.width, track.info.height)?;
    if subscription.lowest_only {
        wanted.spatial = 0;
    }
    Some(wanted)
}

/// Whether a publication has spatial layers that a decoder only takes apart with the dependency descriptor: browsers show
/// nothing of AV1 with several spatial layers without it.
fn needs_descriptor(track: &Track, publication: PublicationId) -> bool {
    track
        .codec_of(publication)
        .and_then(|codec| track.codecs.get(codec))
        .is_some_and(|codec| {
            codec.codec == Codec::Av1
                && codec.mode == video_layer::Mode::MultipleSpatialLayersPerStream
        })
}

/// What the media plane is to send of a publication.
fn target(track: &Track, publication: PublicationId, subscription: &Subscription) -> LayerTarget {
    if track.kind() == MediaKind::Audio {
        return LayerTarget {
            paused: subscription.settings.disabled,
            ..LayerTarget::ALL
        };
    }
    let layers = track.layers(track.codec_of(publication).unwrap_or(0));
    match wanted(track, layers, subscription) {
        Some(wanted) => LayerTarget {
            max_spatial: wanted.spatial,
            max_temporal: wanted.temporal,
            paused: false,
        },
        None => LayerTarget {
            paused: true,
            ..LayerTarget::ALL
        },
    }
}

fn release(participant: &mut Participant, track: TrackId) {
    if participant.mode.single_pc {
        if let Some(peer) = &mut participant.publisher {
            peer.release(track);
        }
    } else if let Some(peer) = &mut participant.subscriber {
        peer.release(track);
    }
}

/// Whether a track in `codec` can be told about a codec that its media showed instead.
pub(super) fn is_other_codec(known: Codec, seen: Codec) -> bool {
    // RED and Opus come and go in one stream.
    let audio = |codec| matches!(codec, Codec::Red | Codec::Opus);
    known != seen && !(audio(known) && audio(seen))
}
