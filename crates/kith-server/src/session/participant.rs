//! One participant: who it is, what it may do, what it publishes and what it wants.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use kith_net::{ShardId, TransportId};
use kith_proto::livekit::{
    AddTrackRequest, DataTrackInfo, DisconnectReason, ParticipantInfo, ParticipantPermission,
    TrackInfo, participant_info,
};

use super::{
    permission::Audience,
    signal::Signal,
    subscription::{Remembered, Subscription},
};
use crate::{
    auth::VideoGrants,
    negotiation::{answerer::Answerer, offerer::Offerer},
    room::{ParticipantId, TrackId, layers::TrackSettings},
    signal::{Outbound, SessionRequest},
};

/// Who a participant is, as other participants see it.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) sid: String,
    pub(crate) identity: String,
    pub(crate) name: String,
    pub(crate) metadata: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) kind: participant_info::Kind,
    pub(crate) kind_details: Vec<participant_info::KindDetail>,
    pub(crate) client_protocol: i32,
    pub(crate) capabilities: Vec<i32>,
    pub(crate) region: String,
    pub(crate) joined_at: Duration,
}

/// How the client connects, as it said when it joined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionMode {
    /// One peer connection for both directions.
    pub(crate) single_pc: bool,
    /// The subscriber's peer connection is the one that must be up.
    pub(crate) subscriber_primary: bool,
    pub(crate) auto_subscribe: bool,
    pub(crate) auto_subscribe_data: bool,
    pub(crate) adaptive_stream: bool,
    pub(crate) ice_lite: bool,
}

/// What a refresh token is made from besides [`Identity`].
#[derive(Debug)]
pub(crate) struct TokenSource {
    pub(crate) api_key: String,
    pub(crate) expires_at: SystemTime,
    pub(crate) grants: VideoGrants,
    pub(crate) room_config: Option<kith_proto::livekit::RoomConfiguration>,
    pub(crate) room_preset: String,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Participant {
    pub(crate) id: ParticipantId,
    pub(crate) who: Identity,
    pub(crate) permission: ParticipantPermission,
    pub(crate) token: TokenSource,
    pub(crate) mode: ConnectionMode,
    pub(crate) state: participant_info::State,
    /// Grows with every change; clients drop an update with a lower one.
    pub(crate) version: u32,
    pub(crate) signal: Option<Signal>,
    pub(crate) shard: ShardId,
    pub(crate) publisher: Option<Answerer>,
    pub(crate) publisher_connected: bool,
    pub(crate) subscriber: Option<Offerer>,
    pub(crate) subscriber_connected: bool,
    /// Its tracks, announced and published, oldest first.
    pub(crate) tracks: Vec<TrackId>,
    /// Announcements whose cid is still in use.
    pub(crate) queued: VecDeque<AddTrackRequest>,
    pub(crate) audience: Audience,
    pub(crate) subscriptions: BTreeMap<TrackId, Subscription>,
    /// Explicit wishes by track sid: to have, or not to have.
    pub(crate) wishes: Remembered<bool>,
    pub(crate) settings: Remembered<TrackSettings>,
    /// Connectivity is lost at the moment.
    pub(crate) ice_down: bool,
    /// Sequence of the last reliable packet that came from it.
    pub(crate) last_reliable: u32,
}

impl Participant {
    /// A participant that has just been let in. `permission` is what its token grants.
    pub(crate) fn new(
        id: ParticipantId,
        sid: String,
        region: String,
        shard: ShardId,
        ice_lite: bool,
        request: &SessionRequest,
    ) -> Self {
        let permission = request.grants.permission();
        let single_pc = request.single_pc;
        Participant {
            id,
            who: Identity {
                sid,
                identity: request.identity.clone(),
                name: request.name.clone(),
                metadata: request.metadata.clone(),
                attributes: request.attributes.clone(),
                kind: request.kind,
                kind_details: request.kind_details.clone(),
                client_protocol: request.client_protocol,
                capabilities: request.capabilities.clone(),
                region,
                joined_at: SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default(),
            },
            mode: ConnectionMode {
                single_pc,
                subscriber_primary: !single_pc && request.protocol > 2 && permission.can_subscribe,
                auto_subscribe: request.auto_subscribe,
                auto_subscribe_data: request.auto_subscribe_data_track,
                adaptive_stream: request.adaptive_stream,
                ice_lite,
            },
            permission,
            token: TokenSource {
                api_key: request.api_key.clone(),
                expires_at: request.token_expires_at,
                grants: request.grants.clone(),
                room_config: request.room_config.clone(),
                room_preset: request.room_preset.clone(),
            },
            state: participant_info::State::Joining,
            version: 0,
            signal: None,
            shard,
            publisher: None,
            publisher_connected: false,
            subscriber: None,
            subscriber_connected: false,
            tracks: Vec::new(),
            queued: VecDeque::new(),
            audience: Audience::default(),
            subscriptions: BTreeMap::new(),
            wishes: Remembered::new(),
            settings: Remembered::new(),
            ice_down: false,
            last_reliable: 0,
        }
    }

    /// Sends, if the client is there.
    pub(crate) fn send(&mut self, message: impl Into<Outbound>) {
        if let Some(signal) = &mut self.signal {
            signal.send(message);
        }
    }

    /// Whether it leaves a room empty that only holds participants like it.
    pub(crate) fn is_dependent(&self) -> bool {
        is_dependent(self.who.kind, &self.permission)
    }

    /// The peer connection that must be up for the participant to be active.
    pub(crate) fn is_connected(&self) -> bool {
        if self.mode.subscriber_primary {
            self.subscriber_connected
        } else {
            self.publisher_connected
        }
    }

    /// Where data for it goes: the channels of the peer connection on which it receives.
    pub(crate) fn data_transport(&self) -> Option<TransportId> {
        match (&self.subscriber, &self.publisher) {
            (Some(subscriber), _) => Some(subscriber.link.transport()),
            (None, Some(publisher)) => Some(publisher.link.transport()),
            (None, None) => None,
        }
    }

    /// Where media for it goes.
    pub(crate) fn sending_transport(&self) -> Option<TransportId> {
        if self.mode.single_pc {
            self.publisher.as_ref().map(|peer| peer.link.transport())
        } else {
            self.subscriber.as_ref().map(|peer| peer.link.transport())
        }
    }

    /// Whether media that is sent to it arrives.
    pub(crate) fn receives_media(&self) -> bool {
        if self.mode.single_pc {
            self.publisher_connected
        } else {
            self.subscriber_connected
        }
    }

    /// What is told about it. The lists are complete each time.
    pub(crate) fn info(
        &self,
        tracks: Vec<TrackInfo>,
        data_tracks: Vec<DataTrackInfo>,
    ) -> ParticipantInfo {
        ParticipantInfo {
            sid: self.who.sid.clone(),
            identity: self.who.identity.clone(),
            state: self.state as i32,
            is_publisher: !tracks.is_empty(),
            tracks,
            metadata: self.who.metadata.clone(),
            joined_at: i64::try_from(self.who.joined_at.as_secs()).unwrap_or(i64::MAX),
            joined_at_ms: i64::try_from(self.who.joined_at.as_millis()).unwrap_or(i64::MAX),
            name: self.who.name.clone(),
            version: self.version,
            permission: Some(self.permission.clone()),
            region: self.who.region.clone(),
            kind: self.who.kind as i32,
            attributes: self.who.attributes.clone(),
            disconnect_reason: DisconnectReason::UnknownReason as i32,
            kind_details: self
                .who
                .kind_details
                .iter()
                .map(|detail| *detail as i32)
                .collect(),
            data_tracks,
            client_protocol: self.who.client_protocol,
            capabilities: self.who.capabilities.clone(),
        }
    }
}

/// Agents, egress and recorders depend on the others: they neither keep a room open nor count in it.
pub(crate) fn is_dependent(
    kind: participant_info::Kind,
    permission: &ParticipantPermission,
) -> bool {
    matches!(
        kind,
        participant_info::Kind::Agent | participant_info::Kind::Egress
    ) || permission.agent
        || permission.recorder
}
