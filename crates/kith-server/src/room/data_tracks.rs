//! Data tracks: streams of small binary frames from one participant to those who subscribed, on the `_data_track` channels.
//!
//! A publisher names its track by a handle of its own choice; every subscriber knows it by a handle that the server chose.
//! A packet is passed on as it came but for the handle. Delivery is lossy.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kith_net::{Command, DataLabel};
use kith_proto::livekit::{
    DataTrackInfo, DataTrackSubscriberHandles, PublishDataTrackRequest, PublishDataTrackResponse,
    UnpublishDataTrackRequest, UnpublishDataTrackResponse, UpdateDataSubscription,
    data_track_frame_encoding,
    data_track_subscriber_handles::PublishedDataTrack,
    participant_info,
    request_response::{Reason, Request},
    signal_response,
};

use super::{ParticipantId, random, state::Room};

/// Data tracks of one participant. Test suites publish 256 at once.
const MAX_DATA_TRACKS: usize = 1024;

/// Data tracks that one participant may subscribe to: half of the handles there are, so that a free one is near.
const MAX_DATA_SUBSCRIPTIONS: usize = 32_768;

/// Bytes of a name.
const MAX_NAME: usize = 256;

/// Bytes of the name of a custom frame encoding.
const MAX_CUSTOM_ENCODING: usize = 32;

/// Changes that one request may hold; the rest is cut.
const MAX_UPDATES: usize = 1024;

/// Bytes of a packet's header before extensions.
const HEADER_SIZE: usize = 12;

/// A data track by its publisher and the publisher's handle.
type Key = (ParticipantId, u16);

/// A published data track.
#[derive(Debug)]
struct DataTrack {
    info: DataTrackInfo,
    /// Who gets it, and under which handle.
    subscribers: BTreeMap<ParticipantId, u16>,
}

/// The data tracks of a room.
#[derive(Debug, Default)]
pub(super) struct DataTracks {
    tracks: BTreeMap<Key, DataTrack>,
    by_sid: BTreeMap<String, Key>,
    subscribers: BTreeMap<ParticipantId, Handles>,
    /// Whose handles changed.
    changed: BTreeSet<ParticipantId>,
}

/// The handles of one subscriber.
#[derive(Debug)]
struct Handles {
    tracks: BTreeMap<u16, Key>,
    next: u16,
}

impl Handles {
    fn new() -> Self {
        Handles {
            tracks: BTreeMap::new(),
            next: u16::from(random::u32().to_le_bytes()[0]),
        }
    }

    /// A handle that is not in use; never 0.
    fn take(&mut self, key: Key) -> Option<u16> {
        if self.tracks.len() >= MAX_DATA_SUBSCRIPTIONS {
            return None;
        }
        loop {
            self.next = self.next.wrapping_add(1);
            if self.next != 0 && !self.tracks.contains_key(&self.next) {
                self.tracks.insert(self.next, key);
                return Some(self.next);
            }
        }
    }
}

impl DataTracks {
    /// What is told about a participant's data tracks.
    pub(super) fn infos(&self, of: ParticipantId) -> Vec<DataTrackInfo> {
        self.tracks
            .range((of, 0)..=(of, u16::MAX))
            .map(|(_, track)| track.info.clone())
            .collect()
    }

    /// Whether a participant has a data track with this sid.
    pub(super) fn has(&self, of: ParticipantId, sid: &str) -> bool {
        self.by_sid.get(sid).is_some_and(|(owner, _)| *owner == of)
    }

    fn remove(&mut self, key: Key) -> Option<DataTrackInfo> {
        let track = self.tracks.remove(&key)?;
        self.by_sid.remove(&track.info.sid);
        for (subscriber, handle) in &track.subscribers {
            if let Some(handles) = self.subscribers.get_mut(subscriber) {
                handles.tracks.remove(handle);
                self.changed.insert(*subscriber);
            }
        }
        Some(track.info)
    }

    fn subscribe(&mut self, subscriber: ParticipantId, key: Key) {
        let Some(track) = self.tracks.get_mut(&key) else {
            return;
        };
        if track.subscribers.contains_key(&subscriber) {
            return;
        }
        let handles = self
            .subscribers
            .entry(subscriber)
            .or_insert_with(Handles::new);
        if let Some(handle) = handles.take(key) {
            track.subscribers.insert(subscriber, handle);
            self.changed.insert(subscriber);
        }
    }

    fn unsubscribe(&mut self, subscriber: ParticipantId, key: Key) {
        let Some(track) = self.tracks.get_mut(&key) else {
            return;
        };
        if let Some(handle) = track.subscribers.remove(&subscriber)
            && let Some(handles) = self.subscribers.get_mut(&subscriber)
        {
            handles.tracks.remove(&handle);
            self.changed.insert(subscriber);
        }
    }

    /// A participant is gone, with all that it published and subscribed to.
    pub(super) fn forget(&mut self, id: ParticipantId) {
        let own: Vec<Key> = self
            .tracks
            .range((id, 0)..=(id, u16::MAX))
            .map(|(key, _)| *key)
            .collect();
        for key in own {
            self.remove(key);
        }
        if let Some(handles) = self.subscribers.remove(&id) {
            for key in handles.tracks.values() {
                if let Some(track) = self.tracks.get_mut(key) {
                    track.subscribers.remove(&id);
                }
            }
        }
        self.changed.remove(&id);
    }

    /// The client begins to listen anew: it is told all its handles.
    pub(super) fn retell(&mut self, id: ParticipantId) {
        if self.subscribers.contains_key(&id) {
            self.changed.insert(id);
        }
    }
}

impl Room {
    pub(super) fn on_publish_data_track(
        &mut self,
        id: ParticipantId,
        request: PublishDataTrackRequest,
    ) {
        let handle = match self.check_data_track(id, &request) {
            Ok(handle) => handle,
            Err((reason, text)) => {
                self.refuse_request(id, reason, text, Some(Request::PublishDataTrack(request)));
                return;
            }
        };
        let info = DataTrackInfo {
            pub_handle: request.pub_handle,
            sid: random::sid("DTR_"),
            name: request.name,
            encryption: request.encryption,
            frame_encoding: request.frame_encoding,
            schema: request.schema,
        };
        self.data_tracks
            .by_sid
            .insert(info.sid.clone(), (id, handle));
        self.data_tracks.tracks.insert(
            (id, handle),
            DataTrack {
                info: info.clone(),
                subscribers: BTreeMap::new(),
            },
        );
        self.changed(id);
        self.reconcile_data_track((id, handle));
        self.send(
            id,
            signal_response::Message::PublishDataTrackResponse(PublishDataTrackResponse {
                info: Some(info),
            }),
        );
    }

    fn check_data_track(
        &self,
        id: ParticipantId,
        request: &PublishDataTrackRequest,
    ) -> Result<u16, (Reason, &'static str)> {
        let allowed = self
            .participants
            .get(&id)
            .is_some_and(|participant| participant.permission.can_publish_data);
        if !allowed {
            return Err((
                Reason::NotAllowed,
                "does not have permission to publish data",
            ));
        }
        let handle = match u16::try_from(request.pub_handle) {
            Ok(handle) if handle > 0 => handle,
            _ => return Err((Reason::InvalidHandle, "handles are 1 to 65535")),
        };
        if request.name.is_empty() || request.name.len() > MAX_NAME {
            return Err((Reason::InvalidName, "names have 1 to 256 bytes"));
        }
        if let Some(data_track_frame_encoding::Value::Custom(custom)) = request
            .frame_encoding
            .as_ref()
            .and_then(|encoding| encoding.value.as_ref())
            && (custom.is_empty() || custom.len() > MAX_CUSTOM_ENCODING)
        {
            return Err((
                Reason::InvalidRequest,
                "custom frame encodings have 1 to 32 bytes",
            ));
        }
        if request
            .schema
            .as_ref()
            .is_some_and(|schema| schema.name.len() > MAX_NAME)
        {
            return Err((
                Reason::InvalidRequest,
                "schema names have at most 256 bytes",
            ));
        }
        let own = || self.data_tracks.tracks.range((id, 0)..=(id, u16::MAX));
        if own().any(|((_, known), _)| *known == handle) {
            return Err((Reason::DuplicateHandle, "the handle is in use"));
        }
        if own().any(|(_, track)| track.info.name == request.name) {
            return Err((Reason::DuplicateName, "the name is in use"));
        }
        if own().count() >= MAX_DATA_TRACKS {
            return Err((Reason::LimitExceeded, "too many data tracks"));
        }
        Ok(handle)
    }

    pub(super) fn on_unpublish_data_track(
        &mut self,
        id: ParticipantId,
        request: UnpublishDataTrackRequest,
    ) {
        let removed = u16::try_from(request.pub_handle)
            .ok()
            .and_then(|handle| self.data_tracks.remove((id, handle)));
        if let Some(info) = &removed {
            self.forget_data_wishes(&info.sid);
        }
        let Some(info) = removed else {
            self.refuse_request(
                id,
                Reason::NotFound,
                "no such data track",
                Some(Request::UnpublishDataTrack(request)),
            );
            return;
        };
        self.changed(id);
        self.send(
            id,
            signal_response::Message::UnpublishDataTrackResponse(UnpublishDataTrackResponse {
                info: Some(info),
            }),
        );
    }

    fn forget_data_wishes(&mut self, sid: &str) {
        for participant in self.participants.values_mut() {
            participant.wishes.forget(sid);
        }
    }

    /// A participant is gone.
    pub(super) fn forget_data_tracks(&mut self, id: ParticipantId) {
        for info in self.data_tracks.infos(id) {
            self.forget_data_wishes(&info.sid);
        }
        self.data_tracks.forget(id);
    }

    pub(super) fn on_data_subscription(
        &mut self,
        id: ParticipantId,
        request: UpdateDataSubscription,
    ) {
        for update in request.updates.into_iter().take(MAX_UPDATES) {
            if let Some(participant) = self.participants.get_mut(&id) {
                participant.wishes.set(&update.track_sid, update.subscribe);
            }
            if let Some(key) = self.data_tracks.by_sid.get(&update.track_sid).copied() {
                self.reconcile_data(id, key);
            }
        }
    }

    fn reconcile_data(&mut self, id: ParticipantId, key: Key) {
        let (Some(participant), Some(owner), Some(track)) = (
            self.participants.get(&id),
            self.participants.get(&key.0),
            self.data_tracks.tracks.get(&key),
        ) else {
            return;
        };
        let sid = &track.info.sid;
        let may = id != key.0
            && participant.permission.can_subscribe
            && (participant.permission.recorder
                || owner
                    .audience
                    .admits(&participant.who.sid, &participant.who.identity, sid));
        let wants = participant
            .wishes
            .get(sid)
            .unwrap_or(participant.mode.auto_subscribe_data);
        if may && wants {
            self.data_tracks.subscribe(id, key);
        } else {
            self.data_tracks.unsubscribe(id, key);
        }
    }

    fn reconcile_data_track(&mut self, key: Key) {
        let everybody: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for id in everybody {
            self.reconcile_data(id, key);
        }
    }

    /// A publisher changed who may have its tracks.
    pub(super) fn reconcile_data_of(&mut self, owner: ParticipantId) {
        let keys: Vec<Key> = self
            .data_tracks
            .tracks
            .range((owner, 0)..=(owner, u16::MAX))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.reconcile_data_track(key);
        }
    }

    /// A participant came in.
    pub(super) fn reconcile_data_for(&mut self, id: ParticipantId) {
        let keys: Vec<Key> = self.data_tracks.tracks.keys().copied().collect();
        for key in keys {
            self.reconcile_data(id, key);
        }
    }

    /// Tells the handles that changed: always all of a subscriber.
    pub(super) fn tell_data_handles(&mut self) {
        for id in std::mem::take(&mut self.data_tracks.changed) {
            let Some(handles) = self.data_tracks.subscribers.get(&id) else {
                continue;
            };
            let sub_handles = handles
                .tracks
                .iter()
                .filter_map(|(handle, key)| {
                    let track = self.data_tracks.tracks.get(key)?;
                    let publisher = self.participants.get(&key.0)?;
                    Some((
                        u32::from(*handle),
                        PublishedDataTrack {
                            publisher_identity: publisher.who.identity.clone(),
                            publisher_sid: publisher.who.sid.clone(),
                            track_sid: track.info.sid.clone(),
                        },
                    ))
                })
                .collect();
            self.send(
                id,
                signal_response::Message::DataTrackSubscriberHandles(DataTrackSubscriberHandles {
                    sub_handles,
                }),
            );
        }
    }

    /// Passes a packet on.
    pub(super) fn on_data_track_packet(&mut self, from: ParticipantId, packet: &Bytes) {
        let Some(handle) = pub_handle(packet) else {
            return;
        };
        let Some(track) = self.data_tracks.tracks.get(&(from, handle)) else {
            return;
        };
        for (subscriber, handle) in &track.subscribers {
            let Some(participant) = self.participants.get(subscriber) else {
                continue;
            };
            if participant.state != participant_info::State::Active {
                continue;
            }
            if let Some(transport) = participant.data_transport() {
                self.command(Command::SendData {
                    transport,
                    label: DataLabel::DataTrack,
                    payload: with_handle(packet, *handle),
                });
            }
        }
    }
}

/// The handle in a packet's header: 3 bits of version, which is 0, flags, one reserved byte, the handle.
fn pub_handle(packet: &[u8]) -> Option<u16> {
    let header = packet.get(..HEADER_SIZE)?;
    let (first, handle) = (header.first()?, header.get(2..4)?);
    if first >> 5 != 0 {
        return None;
    }
    Some(u16::from_be_bytes(handle.try_into().ok()?))
}

fn with_handle(packet: &[u8], handle: u16) -> Bytes {
    let mut packet = packet.to_vec();
    if let Some(place) = packet.get_mut(2..4) {
        place.copy_from_slice(&handle.to_be_bytes());
    }
    packet.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_handle_of_a_packet_is_replaced() {
        let packet: Vec<u8> = (0..20).collect();
        assert_eq!(pub_handle(&packet), Some(0x0203));
        let changed = with_handle(&packet, 0xBEEF);
        assert_eq!(changed[2..4], [0xBE, 0xEF]);
        assert_eq!(changed[4..], packet[4..]);
        assert_eq!(pub_handle(&packet[..11]), None);
        assert_eq!(pub_handle(&[0x20; 12]), None);
    }

    #[test]
    fn handles_are_never_zero_and_never_used_twice() {
        let mut handles = Handles::new();
        let mut seen = BTreeSet::new();
        for n in 0..MAX_DATA_SUBSCRIPTIONS {
            let handle = handles.take((ParticipantId(1), n as u16)).unwrap();
            assert!(handle != 0 && seen.insert(handle));
        }
        assert_eq!(handles.take((ParticipantId(1), 0)), None);
    }
}
