//! A server's rooms with scripted clients and a media plane that only writes down what it is told.

mod client;
mod media;
pub(crate) mod sdp;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use kith_proto::livekit::{ClientInfo, ReconnectReason, participant_info};
use kith_server::{
    auth::{Keys, VideoGrants},
    config::Config,
    room::{RoomManager, RoomSettings},
    signal::{JoinError, Reconnect, Rooms as _, SessionRequest, SignalChannel},
};

pub(crate) use client::{Client, camera, microphone, target};
pub(crate) use media::Recorder;

/// A server without sockets.
pub(crate) struct World {
    pub(crate) rooms: RoomManager,
    pub(crate) media: Arc<Recorder>,
}

impl World {
    pub(crate) fn new() -> Self {
        World::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut RoomSettings)) -> Self {
        let media = Arc::new(Recorder::new());
        let keys = Keys::new(BTreeMap::from([("key".to_owned(), "secret".to_owned())]));
        let mut settings = RoomSettings::new(&Config::default(), "ND_test".to_owned());
        change(&mut settings);
        World {
            rooms: RoomManager::new(settings, keys, media.clone()),
            media,
        }
    }

    /// Joins; the first message is still to be read.
    pub(crate) async fn try_join(&self, request: SessionRequest) -> Result<Client, JoinError> {
        let identity = request.identity.clone();
        let (channel, socket) = SignalChannel::pair();
        self.rooms.join(request, channel).await?;
        Ok(Client::new(identity, socket, self.media.clone()))
    }

    /// Joins and reads the JoinResponse.
    pub(crate) async fn join(&self, request: SessionRequest) -> Client {
        let mut client = self.try_join(request).await.expect("let in");
        client.read_join().await;
        client
    }

    /// Joins with two peer connections and connects the subscriber's.
    pub(crate) async fn connect(&self, identity: &str) -> Client {
        let mut client = self.join(dual(identity)).await;
        client.answer().await;
        client.subscriber_connects().await;
        client.settle().await;
        client
    }

    /// The same, without subscribing to data tracks by itself.
    pub(crate) async fn connect_manual_data(&self, identity: &str) -> Client {
        let mut request = dual(identity);
        request.auto_subscribe_data_track = false;
        let mut client = self.join(request).await;
        client.answer().await;
        client.subscriber_connects().await;
        client.settle().await;
        client
    }

    /// Joins with a single peer connection, offers data and connects.
    pub(crate) async fn connect_single(&self, identity: &str) -> Client {
        let mut client = self.join(single(identity)).await;
        client.offer_sections(&[]).await;
        client.publisher_connects().await;
        client.settle().await;
        client
    }
}

/// A client with two peer connections.
pub(crate) fn dual(identity: &str) -> SessionRequest {
    SessionRequest {
        api_key: "key".to_owned(),
        token_expires_at: SystemTime::now() + Duration::from_secs(3600),
        identity: identity.to_owned(),
        name: String::new(),
        room: "room".to_owned(),
        grants: VideoGrants {
            room_join: true,
            room: "room".to_owned(),
            ..VideoGrants::default()
        },
        kind: participant_info::Kind::Standard,
        kind_details: Vec::new(),
        metadata: String::new(),
        attributes: BTreeMap::new(),
        room_config: None,
        room_preset: String::new(),
        client_info: ClientInfo::default(),
        protocol: 17,
        client_protocol: 2,
        capabilities: Vec::new(),
        single_pc: false,
        auto_subscribe: true,
        auto_subscribe_data_track: true,
        adaptive_stream: false,
        subscriber_allow_pause: None,
        disable_ice_lite: false,
        publisher_offer: None,
        add_track_requests: Vec::new(),
        sync_state: None,
        reconnect: None,
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

/// A client with a single peer connection.
pub(crate) fn single(identity: &str) -> SessionRequest {
    SessionRequest {
        single_pc: true,
        ..dual(identity)
    }
}

/// The same client once more, to resume.
pub(crate) fn resuming(mut request: SessionRequest, sid: &str) -> SessionRequest {
    request.reconnect = Some(Reconnect {
        participant_sid: sid.to_owned(),
        reason: ReconnectReason::RrSignalDisconnected,
    });
    request
}
