//! The peer connection on which the server offers: the subscriber's, with two peer connections.
//!
//! One offer is out at a time. What changes meanwhile is collected and goes into the next, which leaves with the answer.
//! There are no timers.

use kith_net::{DtlsRole, IceCredentials, TransportId};
use kith_sdp::{NegotiationError, OfferPlan, SdpError, SessionDescription, Setup, TransportError};

use super::{
    link::Link,
    mapping,
    sending::{Placement, SendSlot, SendTrack},
};
use crate::room::{Media, TrackId, random};

/// First ids of offers lie between 1 and this, like the Go server's: an answer with id 0 is one without an id.
const FIRST_ID_RANGE: u32 = 256;

#[derive(Debug)]
struct Slot {
    mid: String,
    send: SendSlot,
    /// The subscription ended; the next offer says so.
    ended: bool,
}

#[derive(Debug)]
struct Outstanding {
    id: u32,
    description: SessionDescription,
}

/// An offer to send.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) id: u32,
    pub(crate) sdp: String,
    pub(crate) mid_to_track: Vec<(String, String)>,
    /// First section, for trickle.
    pub(crate) first: Option<(String, u16)>,
    /// Subscriptions that got a section.
    pub(crate) placed: Vec<TrackId>,
}

/// Why an answer cannot be taken. The session has to begin anew.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum AnswerError {
    /// See [`SdpError`].
    #[error(transparent)]
    Sdp(#[from] SdpError),
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

/// See the module.
#[derive(Debug)]
pub(crate) struct Offerer {
    pub(crate) link: Link,
    plan: OfferPlan,
    slots: Vec<Slot>,
    next_id: u32,
    outstanding: Option<Outstanding>,
    /// The next offer differs from the last one.
    stale: bool,
}

impl Offerer {
    /// Nothing offered yet; the first offer is due, with the data section at least.
    pub(crate) fn new(transport: TransportId, ice: IceCredentials, ice_lite: bool) -> Self {
        Offerer {
            link: Link::new(transport, ice, ice_lite),
            plan: OfferPlan::new(true),
            slots: Vec::new(),
            next_id: 1 + random::u32() % FIRST_ID_RANGE,
            outstanding: None,
            stale: true,
        }
    }

    /// The next offer, if one is due and none is out. `waiting` are the subscriptions without a section.
    pub(crate) fn offer(
        &mut self,
        media: &dyn Media,
        waiting: &[SendTrack],
    ) -> Result<Option<Offer>, NegotiationError> {
        let due = self.stale
            || waiting
                .iter()
                .any(|track| track.published().next().is_some());
        if self.outstanding.is_some() || !due {
            return Ok(None);
        }
        let id = self.next_id;
        let plan = &mut self.plan;
        self.slots.retain(|slot| {
            if slot.ended {
                plan.remove(&slot.mid);
            }
            !slot.ended
        });
        let mut placed = Vec::new();
        for track in waiting {
            if track.published().next().is_none() {
                continue;
            }
            let send = SendSlot::new(&mut self.link, track, |_| true);
            // Without a free section it waits until one is.
            let Ok(mid) = self
                .plan
                .add(mapping::sdp_kind(track.kind), send.spec.clone())
            else {
                continue;
            };
            placed.push(track.id);
            self.slots.push(Slot {
                mid,
                send,
                ended: false,
            });
        }
        let local = self.link.local(media, Setup::ActPass);
        let description = kith_sdp::offer(&local, self.plan.sections())?;
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.stale = false;
        let offer = Offer {
            id,
            sdp: description.to_string(),
            mid_to_track: self
                .slots
                .iter()
                .map(|slot| (slot.mid.clone(), slot.send.sid.clone()))
                .collect(),
            first: description
                .media()
                .first()
                .map(|section| (section.mid.clone(), 0)),
            placed,
        };
        self.outstanding = Some(Outstanding { id, description });
        Ok(Some(offer))
    }

    /// Takes an answer. One that answers no offer that is out is not looked at; the id 0 is that of clients which do not
    /// repeat ids.
    pub(crate) fn on_answer(
        &mut self,
        media: &dyn Media,
        id: u32,
        sdp: &str,
    ) -> Result<Vec<Placement>, AnswerError> {
        let Some(outstanding) = self
            .outstanding
            .take_if(|outstanding| id == 0 || outstanding.id == id)
        else {
            return Ok(Vec::new());
        };
        let answer = SessionDescription::parse(sdp)?;
        let negotiated = kith_sdp::accept_answer(&outstanding.description, &answer)?;
        if let Some(peer) = answer.transport()? {
            let role = match peer.setup {
                Setup::Passive => DtlsRole::Client,
                _ => DtlsRole::Server,
            };
            if !self.link.set_remote(media, &peer, role) {
                return Err(AnswerError::Credentials);
            }
        }
        let mut placements = Vec::new();
        for slot in &mut self.slots {
            if slot.ended {
                continue;
            }
            let Some(section) = negotiated.iter().find(|section| section.mid == slot.mid) else {
                continue;
            };
            let placement = slot.send.agree(section);
            if let Some(Placement::Unsupported { .. }) = placement {
                slot.ended = true;
                self.stale = true;
            }
            placements.extend(placement);
        }
        Ok(placements)
    }

    /// A subscription ended: the next offer says so, and its section is free from then on.
    pub(crate) fn release(&mut self, track: TrackId) {
        for slot in &mut self.slots {
            if slot.send.track == track && !slot.ended {
                slot.ended = true;
                self.stale = true;
            }
        }
    }

    /// The client starts its signalling anew: it gets an offer with new ICE credentials, whatever became of the last.
    pub(crate) fn on_resume(&mut self, media: &dyn Media) {
        self.outstanding = None;
        self.stale = true;
        if self.link.is_paired() {
            self.link.restart_ice(media);
        }
    }
}
