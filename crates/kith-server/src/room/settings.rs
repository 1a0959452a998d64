//! What rooms take from the configuration.

use std::time::Duration;

use kith_proto::livekit::{Codec as CodecInfo, IceServer, ServerInfo, server_info};
use kith_rtp::{Codec, MediaKind};

use crate::config::Config;

/// The signal protocol that this server speaks. Higher ones are treated as this one.
pub const PROTOCOL: i32 = 17;

/// The version that clients are told. It is that of the LiveKit server whose behaviour is offered: SDKs compare it.
pub const REPORTED_VERSION: &str = "1.14.0";

/// Settings of all rooms of a server.
#[derive(Debug, Clone)]
pub struct RoomSettings {
    /// This node's id, `ND_…`.
    pub node_id: String,
    /// Name of the region, may be empty.
    pub region: String,
    /// Joining creates the room.
    pub auto_create: bool,
    /// Participants per room; 0 for no limit.
    pub max_participants: u32,
    /// Life of a room that nobody joined, in seconds.
    pub empty_timeout: u32,
    /// Life of a room after the last one left, in seconds.
    pub departure_timeout: u32,
    /// Codecs that may be published.
    pub enabled_codecs: Vec<Codec>,
    /// Answer connectivity checks only.
    pub ice_lite: bool,
    /// ICE servers that clients are given.
    pub ice_servers: Vec<IceServer>,
    /// Bytes of a participant's or a room's metadata; 0 for no limit.
    pub max_metadata_size: usize,
    /// Bytes of all keys and values of a participant's attributes; 0 for no limit.
    pub max_attributes_size: usize,
    /// Bytes of a participant's name; 0 for no limit.
    pub max_name_length: usize,
    /// Time within which a participant's media must be connected.
    pub join_timeout: Duration,
}

impl RoomSettings {
    /// Takes what rooms need.
    #[must_use]
    pub fn new(config: &Config, node_id: String) -> Self {
        let bytes = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        RoomSettings {
            node_id,
            region: config.region.clone(),
            auto_create: config.room.auto_create,
            max_participants: config.room.max_participants,
            empty_timeout: config.room.empty_timeout,
            departure_timeout: config.room.departure_timeout,
            enabled_codecs: Codec::ALL
                .into_iter()
                .filter(|codec| config.room.enabled_codecs.contains(codec.mime()))
                .collect(),
            ice_lite: true,
            ice_servers: Vec::new(),
            max_metadata_size: bytes(config.limit.max_metadata_size),
            max_attributes_size: bytes(config.limit.max_attributes_size),
            max_name_length: bytes(config.limit.max_participant_name_length),
            join_timeout: Duration::from_secs(60),
        }
    }

    /// Whether `codec` may be published.
    #[must_use]
    pub fn is_enabled(&self, codec: Codec) -> bool {
        // RED is a wrapping of Opus and cannot be had without it.
        self.enabled_codecs.contains(&codec)
            && (codec != Codec::Red || self.enabled_codecs.contains(&Codec::Opus))
    }

    /// `JoinResponse.enabled_publish_codecs`: video first, in LiveKit's order, then audio.
    #[must_use]
    pub fn publish_codecs(&self) -> Vec<CodecInfo> {
        let of_kind = |kind: MediaKind| {
            Codec::ALL
                .into_iter()
                .filter(move |codec| codec.kind() == kind)
        };
        of_kind(MediaKind::Video)
            .chain(of_kind(MediaKind::Audio))
            .filter(|codec| self.is_enabled(*codec))
            .map(|codec| CodecInfo {
                mime: codec.mime().to_owned(),
                fmtp_line: String::new(),
            })
            .collect()
    }

    /// What a client is told about the server.
    #[must_use]
    pub fn server_info(&self) -> ServerInfo {
        ServerInfo {
            edition: server_info::Edition::Standard as i32,
            version: REPORTED_VERSION.to_owned(),
            protocol: PROTOCOL,
            region: self.region.clone(),
            node_id: self.node_id.clone(),
            debug_info: String::new(),
            agent_protocol: 1,
        }
    }
}
