//! Offers, answers and candidates of a room's participants.

use kith_net::{CandidateFilter, Command, DataChannelSpec, TransportSpec};
use kith_proto::livekit::{
    MediaSectionsRequirement, SessionDescription, SignalTarget, TrickleRequest, request_response,
    signal_response,
};

use super::{ParticipantId, random, state::Room};
use crate::{
    negotiation::{
        answerer::{Answerer, OfferContext},
        candidate,
        offerer::Offerer,
        requirement::SectionCounts,
    },
    session::subscription::Progress,
};

impl Room {
    /// The client's own peer connection: made with its first offer or candidate.
    fn ensure_publisher(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        if participant.publisher.is_some() {
            return;
        }
        let transport = self.shared.media.new_transport_id(participant.shard);
        let ice = random::ice_credentials();
        let ice_lite = participant.mode.ice_lite;
        participant.publisher = Some(Answerer::new(transport, ice.clone(), ice_lite));
        self.by_transport.insert(transport, id);
        let events = self.events.clone();
        self.command(Command::CreateTransport(TransportSpec {
            id: transport,
            local_ice: ice,
            ice_lite,
            controlling: false,
            candidates: CandidateFilter::All,
            // The client opens the channels; it does not look at any that we would open here.
            data_channels: Vec::new(),
            events,
        }));
    }

    /// The peer connection on which the server offers.
    pub(super) fn ensure_subscriber(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        if participant.subscriber.is_some() || participant.mode.single_pc {
            return;
        }
        let transport = self.shared.media.new_transport_id(participant.shard);
        let ice = random::ice_credentials();
        let ice_lite = participant.mode.ice_lite;
        participant.subscriber = Some(Offerer::new(transport, ice.clone(), ice_lite));
        self.by_transport.insert(transport, id);
        let events = self.events.clone();
        self.command(Command::CreateTransport(TransportSpec {
            id: transport,
            local_ice: ice,
            ice_lite,
            controlling: !ice_lite,
            candidates: CandidateFilter::All,
            data_channels: DataChannelSpec::livekit(),
            events,
        }));
        self.negotiate.insert(id);
    }

    /// A client offers.
    pub(super) fn on_offer(&mut self, id: ParticipantId, offer: &SessionDescription) {
        self.ensure_publisher(id);
        let parsed = match kith_sdp::SessionDescription::parse(&offer.sdp) {
            Ok(parsed) => parsed,
            Err(error) => {
                tracing::info!(room = %self.name, %error, "offer not understood");
                self.mismatch(id);
                return;
            }
        };
        let announced = self.announced(id);
        let waiting = self.waiting(id);
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let single_pc = participant.mode.single_pc;
        let settings = &self.shared.settings;
        let context = OfferContext {
            announced,
            waiting: if single_pc { waiting } else { Vec::new() },
            may_publish: participant.permission.can_publish,
            is_enabled: &|codec| settings.is_enabled(codec),
        };
        let Some(peer) = participant.publisher.as_mut() else {
            return;
        };
        let answer = match peer.on_offer(&*self.shared.media, &parsed, context) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!(room = %self.name, %error, "offer cannot be answered");
                self.mismatch(id);
                return;
            }
        };
        // A track that the answer sends must be known to the client before.
        self.announce();
        self.send(
            id,
            signal_response::Message::Answer(SessionDescription {
                r#type: "answer".to_owned(),
                sdp: answer.sdp,
                id: offer.id,
                mid_to_track_id: answer.mid_to_track.into_iter().collect(),
            }),
        );
        if let Some((mid, index)) = answer.first {
            self.tell_candidates(id, SignalTarget::Publisher, &mid, index);
        }
        for (track, publication) in answer.ended {
            self.on_stream_ended(id, track, publication);
        }
        for bound in answer.bound {
            self.on_bound(id, bound);
        }
        for track in answer.displaced {
            if let Some(Progress::Active { subscription, .. }) = self.progress(id, track) {
                self.command(Command::Unsubscribe { subscription });
            }
            self.set_progress(id, track, Progress::Waiting);
        }
        for placement in answer.placements {
            self.on_placement(id, placement);
        }
        // What found no section asks for one.
        self.negotiate.insert(id);
    }

    /// A client answers our offer.
    pub(super) fn on_answer(&mut self, id: ParticipantId, answer: &SessionDescription) {
        let Some(peer) = self
            .participants
            .get_mut(&id)
            .and_then(|participant| participant.subscriber.as_mut())
        else {
            return;
        };
        match peer.on_answer(&*self.shared.media, answer.id, &answer.sdp) {
            Ok(placements) => {
                for placement in placements {
                    self.on_placement(id, placement);
                }
                self.negotiate.insert(id);
            }
            Err(error) => {
                tracing::info!(room = %self.name, %error, "answer cannot be taken");
                self.mismatch(id);
            }
        }
    }

    /// A client tells a candidate of its own.
    pub(super) fn on_trickle(&mut self, id: ParticipantId, request: TrickleRequest) {
        let candidate = match candidate::from_json(&request.candidate_init) {
            Ok(Some(candidate)) => candidate,
            Ok(None) => return,
            Err(error) => {
                self.refuse_request(
                    id,
                    request_response::Reason::UnclassifiedError,
                    &error.to_string(),
                    Some(request_response::Request::Trickle(request)),
                );
                return;
            }
        };
        let for_subscriber = request.target() == SignalTarget::Subscriber;
        let single_pc = self
            .participants
            .get(&id)
            .is_some_and(|participant| participant.mode.single_pc);
        if single_pc || !for_subscriber {
            self.ensure_publisher(id);
        }
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let link = if single_pc || !for_subscriber {
            participant.publisher.as_mut().map(|peer| &mut peer.link)
        } else {
            participant.subscriber.as_mut().map(|peer| &mut peer.link)
        };
        if let Some(link) = link {
            link.add_candidate(&*self.shared.media, candidate);
        }
    }

    /// Tells our candidates, once for each set of credentials. They are in the description too; this is for clients that
    /// only look at one of the two.
    fn tell_candidates(&mut self, id: ParticipantId, target: SignalTarget, mid: &str, index: u16) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let link = match target {
            SignalTarget::Publisher => participant.publisher.as_mut().map(|peer| &mut peer.link),
            SignalTarget::Subscriber => participant.subscriber.as_mut().map(|peer| &mut peer.link),
        };
        let Some(link) = link else { return };
        let candidates = link.untold_candidates(&*self.shared.media, mid, index);
        let last = candidates.len().saturating_sub(1);
        for (index, candidate_init) in candidates.into_iter().enumerate() {
            participant.send(signal_response::Message::Trickle(TrickleRequest {
                candidate_init,
                target: target as i32,
                r#final: index == last,
            }));
        }
    }

    /// Sends the offers and requests for sections that are due.
    pub(super) fn negotiate_all(&mut self) {
        // A negotiation may free what another track waits for, on the same peer connection only: one more look suffices.
        for _ in 0..2 {
            for id in std::mem::take(&mut self.negotiate) {
                self.negotiate(id);
            }
        }
    }

    fn negotiate(&mut self, id: ParticipantId) {
        let waiting = self.waiting(id);
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        if participant.mode.single_pc {
            let Some(peer) = participant.publisher.as_mut() else {
                return;
            };
            let mut counts = SectionCounts::default();
            for track in &waiting {
                *counts.get_mut(track.kind) += 1;
            }
            if let Some(more) = peer.requirement(counts) {
                participant.send(signal_response::Message::MediaSectionsRequirement(
                    MediaSectionsRequirement {
                        num_audios: more.audio,
                        num_videos: more.video,
                    },
                ));
            }
            return;
        }
        if !waiting.is_empty() {
            self.ensure_subscriber(id);
            self.negotiate.remove(&id);
        }
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let Some(peer) = participant.subscriber.as_mut() else {
            return;
        };
        match peer.offer(&*self.shared.media, &waiting) {
            Ok(Some(offer)) => {
                participant.send(signal_response::Message::Offer(SessionDescription {
                    r#type: "offer".to_owned(),
                    sdp: offer.sdp,
                    id: offer.id,
                    mid_to_track_id: offer.mid_to_track.into_iter().collect(),
                }));
                for track in offer.placed {
                    self.set_progress(id, track, Progress::Offered);
                }
                if let Some((mid, index)) = offer.first {
                    self.tell_candidates(id, SignalTarget::Subscriber, &mid, index);
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(room = %self.name, %error, "no offer can be written");
                self.mismatch(id);
            }
        }
    }
}
