//! The peer connection on which the client offers: all publishing, and with a single peer connection all subscribing too.
//!
//! An offer is answered at once, whatever it holds: no media lines, data only, sections for tracks that were not announced
//! yet. A section that the client sends in belongs to the announced track with the same cid, or else to the only announced
//! track of its kind that no section carries. A section that the client only receives in carries the next waiting
//! subscription of its kind, and is used again when that ends.

use kith_net::{Command, DtlsRole, IceCredentials, PublicationId, ReceiveSection, TransportId};
use kith_rtp::{Codec, MediaKind};
use kith_sdp::{
    MediaSection, NegotiatedSection, NegotiationError, SectionDecision, SessionDescription, Setup,
    TransportError,
};

use super::{
    link::Link,
    mapping,
    policy::{self, ReceiveWish},
    requirement::{Requirement, SectionCounts},
    sending::{Placement, SendSlot, SendTrack},
};
use crate::room::{Media, TrackId};

/// A stream that the client announced and that no section carries yet.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    pub(crate) track: TrackId,
    /// Index into the track's codecs.
    pub(crate) codec: usize,
    pub(crate) kind: MediaKind,
    pub(crate) cid: String,
    pub(crate) wish: ReceiveWish,
    /// Rids of its layers, low to high, as far as announced.
    pub(crate) rids: Vec<String>,
    /// Its loudness counts for active speakers.
    pub(crate) measure_audio_level: bool,
}

/// What an answer depends on besides the offer.
pub(crate) struct OfferContext<'a> {
    pub(crate) announced: Vec<Announced>,
    /// Subscriptions without a section, the oldest first.
    pub(crate) waiting: Vec<SendTrack>,
    pub(crate) may_publish: bool,
    pub(crate) is_enabled: &'a dyn Fn(Codec) -> bool,
}

/// A section carries a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) track: TrackId,
    pub(crate) codec: usize,
    pub(crate) publication: PublicationId,
    pub(crate) mid: String,
    /// The codec that the client sends first.
    pub(crate) negotiated: Codec,
    pub(crate) fmtp: String,
}

/// What an offer led to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) sdp: String,
    pub(crate) mid_to_track: Vec<(String, String)>,
    /// First section, for trickle; `None` without media lines.
    pub(crate) first: Option<(String, u16)>,
    pub(crate) bound: Vec<Bound>,
    /// Streams that the client stopped sending.
    pub(crate) ended: Vec<(TrackId, PublicationId)>,
    pub(crate) placements: Vec<Placement>,
    /// Subscriptions whose section the client took away: they wait again.
    pub(crate) displaced: Vec<TrackId>,
}

/// Why an offer cannot be answered. The session has to begin anew.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum OfferError {
    /// Sections disappeared.
    #[error("the offer has {offered} sections, the one before had {known}")]
    Shrunk { offered: usize, known: usize },
    /// See [`NegotiationError`].
    #[error(transparent)]
    Negotiation(#[from] NegotiationError),
    /// See [`TransportError`].
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// ICE credentials that the media plane does not take.
    #[error("the ICE credentials are not fit to be used")]
    Credentials,
}

#[derive(Debug)]
struct Binding {
    track: TrackId,
    codec: usize,
    publication: PublicationId,
    wish: ReceiveWish,
    rids: Vec<String>,
    measure_audio_level: bool,
}

/// A section that the client sends in.
#[derive(Debug)]
struct ReceiveSlot {
    cid: String,
    negotiated: NegotiatedSection,
    binding: Option<Binding>,
}

#[derive(Debug)]
struct Slot {
    mid: String,
    kind: Option<MediaKind>,
    receive: Option<ReceiveSlot>,
    send: Option<SendSlot>,
    /// The client receives in it, according to its last offer.
    receivable: bool,
    /// The client once sent in it: such a section is not used for subscriptions.
    was_published: bool,
}

impl Slot {
    fn is_free(&self, kind: MediaKind) -> bool {
        self.kind == Some(kind)
            && self.receivable
            && self.send.is_none()
            && self.receive.is_none()
            && !self.was_published
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Answerer {
    pub(crate) link: Link,
    slots: Vec<Slot>,
    requirement: Requirement,
    /// A subscription ended and the client does not know.
    stale: bool,
    offered: bool,
}

impl Answerer {
    /// Nothing offered yet.
    pub(crate) fn new(transport: TransportId, ice: IceCredentials, ice_lite: bool) -> Self {
        Answerer {
            link: Link::new(transport, ice, ice_lite),
            slots: Vec::new(),
            requirement: Requirement::default(),
            stale: false,
            offered: false,
        }
    }

    /// Answers an offer.
    pub(crate) fn on_offer(
        &mut self,
        media: &dyn Media,
        offer: &SessionDescription,
        context: OfferContext<'_>,
    ) -> Result<Answer, OfferError> {
        let sections = offer.media();
        if sections.len() < self.slots.len() {
            return Err(OfferError::Shrunk {
                offered: sections.len(),
                known: self.slots.len(),
            });
        }
        let mut answer = Answer {
            sdp: String::new(),
            mid_to_track: Vec::new(),
            first: sections.first().map(|section| (section.mid.clone(), 0)),
            bound: Vec::new(),
            ended: Vec::new(),
            placements: Vec::new(),
            displaced: Vec::new(),
        };
        self.requirement.on_offer(self.added_sections(sections));
        self.offered = true;
        self.stale = false;

        self.take_sections(sections, &context, &mut answer);
        self.match_announced(media, &context.announced);
        self.place(sections, &context.waiting, &mut answer);

        let peer = offer.transport()?;
        let setup = match &peer {
            Some(peer) => {
                if self.link.is_restart(peer) {
                    self.link.restart_ice(media);
                }
                kith_sdp::answer_setup(peer.setup, self.link.answer_setup())?
            }
            None => Setup::Passive,
        };
        let decisions: Vec<SectionDecision> = self
            .slots
            .iter()
            .zip(sections)
            .map(|(slot, section)| decide(slot, section, context.is_enabled))
            .collect();
        let local = self.link.local(media, setup);
        let (description, negotiated) = kith_sdp::answer(offer, &local, &decisions)?;
        answer.sdp = description.to_string();

        self.apply(negotiated, &mut answer);
        if let Some(peer) = &peer {
            let role = match setup {
                Setup::Active => DtlsRole::Client,
                _ => DtlsRole::Server,
            };
            if !self.link.set_remote(media, peer, role) {
                return Err(OfferError::Credentials);
            }
        }
        self.configure_receive(media);
        answer.mid_to_track = self
            .slots
            .iter()
            .filter_map(|slot| Some((slot.mid.clone(), slot.send.as_ref()?.sid.clone())))
            .collect();
        Ok(answer)
    }

    /// Receiving sections that the last offer did not have.
    fn added_sections(&self, sections: &[MediaSection]) -> SectionCounts {
        let mut added = SectionCounts::default();
        for section in sections.iter().skip(self.slots.len()) {
            if let Some(kind) = mapping::media_kind(section.kind)
                && section.direction.receives()
                && !section.direction.sends()
                && !section.is_rejected()
            {
                *added.get_mut(kind) += 1;
            }
        }
        added
    }

    /// Brings the slots in line with the offer's sections: what the client stopped ends here.
    fn take_sections(
        &mut self,
        sections: &[MediaSection],
        context: &OfferContext<'_>,
        answer: &mut Answer,
    ) {
        for (index, section) in sections.iter().enumerate() {
            let kind = mapping::media_kind(section.kind);
            let usable = kind.is_some() && !section.is_rejected();
            let fresh = Slot {
                mid: section.mid.clone(),
                kind,
                receive: None,
                send: None,
                receivable: false,
                was_published: false,
            };
            let slot = match self.slots.get_mut(index) {
                Some(slot) if slot.mid == section.mid && slot.kind == kind => slot,
                Some(slot) => {
                    // A rejected section may come back as another one (RFC 9429 section 5.2.2).
                    let old = std::mem::replace(slot, fresh);
                    end(old.receive, answer);
                    answer.displaced.extend(old.send.map(|send| send.track));
                    slot
                }
                None => {
                    self.slots.push(fresh);
                    let Some(slot) = self.slots.last_mut() else {
                        continue;
                    };
                    slot
                }
            };
            slot.receivable = usable && section.direction.receives();
            if !slot.receivable {
                answer
                    .displaced
                    .extend(slot.send.take().map(|send| send.track));
            }
            if !(usable && section.direction.sends() && context.may_publish) {
                end(slot.receive.take(), answer);
                continue;
            }
            slot.was_published = true;
            let cid = section
                .msid()
                .map(|msid| msid.track.clone())
                .unwrap_or_default();
            // The client sends another announced stream in the section that carried one.
            let replaced = slot.receive.as_ref().is_some_and(|receive| {
                receive.cid != cid
                    && context
                        .announced
                        .iter()
                        .any(|stream| Some(stream.kind) == kind && stream.cid == cid)
            });
            if replaced {
                end(slot.receive.take(), answer);
            }
            match &mut slot.receive {
                Some(receive) => receive.cid = cid,
                None => {
                    slot.receive = Some(ReceiveSlot {
                        cid,
                        negotiated: empty(section, index),
                        binding: None,
                    });
                }
            }
        }
    }

    /// Finds the announced stream of each section that the client sends in: the one with its cid, or else the only one
    /// of its kind that is left.
    fn match_announced(&mut self, media: &dyn Media, announced: &[Announced]) {
        let transport = self.link.transport();
        let mut left: Vec<&Announced> = announced.iter().collect();
        for exact in [true, false] {
            for slot in &mut self.slots {
                let Some(kind) = slot.kind else { continue };
                let Some(receive) = slot
                    .receive
                    .as_mut()
                    .filter(|receive| receive.binding.is_none())
                else {
                    continue;
                };
                let mut fitting = left.iter().enumerate().filter(|(_, stream)| {
                    stream.kind == kind && (!exact || stream.cid == receive.cid)
                });
                let found = match (fitting.next(), fitting.next()) {
                    (Some((index, _)), second) if exact || second.is_none() => index,
                    _ => continue,
                };
                let stream = left.swap_remove(found);
                receive.binding = Some(Binding {
                    track: stream.track,
                    codec: stream.codec,
                    publication: media.new_publication_id(transport),
                    wish: stream.wish,
                    rids: stream.rids.clone(),
                    measure_audio_level: stream.measure_audio_level,
                });
            }
        }
    }

    /// Gives waiting subscriptions a section.
    fn place(&mut self, sections: &[MediaSection], waiting: &[SendTrack], answer: &mut Answer) {
        for track in waiting {
            let free = self
                .slots
                .iter_mut()
                .zip(sections)
                .find(|(slot, _)| slot.is_free(track.kind));
            let Some((slot, section)) = free else {
                continue;
            };
            let takes = |codec| policy::supports(section, codec);
            let codec = track
                .formats
                .iter()
                .find(|format| takes(format.format.codec));
            match codec {
                None => answer
                    .placements
                    .push(Placement::Unsupported { track: track.id }),
                Some(format) if format.publication.is_none() => {
                    answer.placements.push(Placement::NeedsCodec {
                        track: track.id,
                        codec: format.format.codec,
                    });
                }
                Some(_) => slot.send = Some(SendSlot::new(&mut self.link, track, takes)),
            }
        }
    }

    /// Reads what was negotiated.
    fn apply(&mut self, negotiated: Vec<NegotiatedSection>, answer: &mut Answer) {
        for (slot, section) in self.slots.iter_mut().zip(negotiated) {
            if let Some(send) = &mut slot.send {
                let placement = send.agree(&section);
                if let Some(Placement::Unsupported { .. }) = placement {
                    slot.send = None;
                }
                answer.placements.extend(placement);
            }
            let Some(receive) = &mut slot.receive else {
                continue;
            };
            let first = section
                .direction
                .receives()
                .then(|| mapping::codecs(&section).next())
                .flatten()
                .map(|(codec, negotiated)| (codec, negotiated.fmtp.clone()));
            match (first, &receive.binding) {
                (Some((codec, fmtp)), Some(binding)) => answer.bound.push(Bound {
                    track: binding.track,
                    codec: binding.codec,
                    publication: binding.publication,
                    mid: slot.mid.clone(),
                    negotiated: codec,
                    fmtp,
                }),
                // No codec in common: the stream stays announced, in case the client offers another section.
                (None, Some(binding)) => {
                    answer.ended.push((binding.track, binding.publication));
                    receive.binding = None;
                }
                (_, None) => {}
            }
            receive.negotiated = section;
        }
    }

    /// Binds streams that were announced after their sections had been offered.
    pub(crate) fn bind(&mut self, media: &dyn Media, announced: &[Announced]) -> Vec<Bound> {
        let unbound: Vec<bool> = self
            .slots
            .iter()
            .map(|slot| {
                slot.receive
                    .as_ref()
                    .is_some_and(|receive| receive.binding.is_none())
            })
            .collect();
        if !unbound.contains(&true) {
            return Vec::new();
        }
        self.match_announced(media, announced);
        let mut bound = Vec::new();
        for (slot, was_unbound) in self.slots.iter_mut().zip(unbound) {
            let Some(receive) = slot.receive.as_mut().filter(|_| was_unbound) else {
                continue;
            };
            let first = mapping::codecs(&receive.negotiated).next();
            match (&receive.binding, first) {
                (Some(binding), Some((codec, negotiated))) => bound.push(Bound {
                    track: binding.track,
                    codec: binding.codec,
                    publication: binding.publication,
                    mid: slot.mid.clone(),
                    negotiated: codec,
                    fmtp: negotiated.fmtp.clone(),
                }),
                (Some(_), None) => receive.binding = None,
                (None, _) => {}
            }
        }
        if !bound.is_empty() {
            self.configure_receive(media);
        }
        bound
    }

    fn configure_receive(&self, media: &dyn Media) {
        let bound = || {
            self.slots.iter().filter_map(|slot| {
                let receive = slot.receive.as_ref()?;
                Some((slot.kind?, receive, receive.binding.as_ref()?))
            })
        };
        let sections: Vec<ReceiveSection> = bound()
            .map(|(kind, receive, binding)| {
                let rids: Vec<&str> = binding.rids.iter().map(String::as_str).collect();
                mapping::receive_section(
                    &receive.negotiated,
                    kind,
                    binding.publication,
                    &rids,
                    binding.measure_audio_level,
                )
            })
            .collect();
        let spec =
            mapping::receive_spec(sections, bound().map(|(_, receive, _)| &receive.negotiated));
        let _ = media.send(Command::SetReceive {
            transport: self.link.transport(),
            spec,
        });
    }

    /// A subscription ended: its section is free, and the client is to be told.
    pub(crate) fn release(&mut self, track: TrackId) {
        for slot in &mut self.slots {
            if slot.send.as_ref().is_some_and(|send| send.track == track) {
                slot.send = None;
                self.stale = true;
            }
        }
    }

    /// Single peer connection: what to ask the client for, given how many subscriptions wait.
    pub(crate) fn requirement(&mut self, waiting: SectionCounts) -> Option<SectionCounts> {
        if !self.offered || (waiting.is_empty() && !self.stale) {
            return None;
        }
        let free = |kind| {
            u32::try_from(self.slots.iter().filter(|slot| slot.is_free(kind)).count())
                .unwrap_or(u32::MAX)
        };
        let missing = SectionCounts {
            audio: waiting.audio.saturating_sub(free(MediaKind::Audio)),
            video: waiting.video.saturating_sub(free(MediaKind::Video)),
        };
        self.requirement.ask(missing)
    }

    /// The client starts its signalling anew.
    pub(crate) fn on_resume(&mut self) {
        self.requirement.forget();
    }
}

fn end(receive: Option<ReceiveSlot>, answer: &mut Answer) {
    if let Some(binding) = receive.and_then(|receive| receive.binding) {
        answer.ended.push((binding.track, binding.publication));
    }
}

/// A section before anything is negotiated in it.
fn empty(section: &MediaSection, index: usize) -> NegotiatedSection {
    NegotiatedSection {
        index,
        mid: section.mid.clone(),
        kind: section.kind,
        direction: kith_sdp::Direction::Inactive,
        rejected: false,
        codecs: Vec::new(),
        extensions: Vec::new(),
        rids: Vec::new(),
        encodings: Vec::new(),
        ssrcs: Vec::new(),
        ssrc_groups: Vec::new(),
        msid: None,
    }
}

fn decide(
    slot: &Slot,
    section: &MediaSection,
    is_enabled: &dyn Fn(Codec) -> bool,
) -> SectionDecision {
    let Some(kind) = slot.kind else {
        return match section.kind {
            kith_sdp::MediaKind::Application if !section.is_rejected() => SectionDecision::Data,
            _ => SectionDecision::Reject,
        };
    };
    if section.is_rejected() {
        return SectionDecision::Reject;
    }
    let receive = slot
        .receive
        .as_ref()
        .map(|receive| receive.binding.as_ref().map(|binding| binding.wish))
        .map(|wish| policy::receive(kind, section, wish, is_enabled));
    match (receive, &slot.send) {
        (Some(receive), Some(send)) => SectionDecision::SendReceive(receive, send.spec.clone()),
        (Some(receive), None) => SectionDecision::Receive(receive),
        (None, Some(send)) => SectionDecision::Send(send.spec.clone()),
        (None, None) => SectionDecision::Inactive,
    }
}
