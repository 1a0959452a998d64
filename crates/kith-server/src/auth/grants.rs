//! What a token allows.

use kith_proto::livekit::{ParticipantPermission, TrackSource};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The `video` claim. Absent booleans have defaults of their own: ask the methods, not the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoGrants {
    /// Create and delete rooms; join rooms that do not exist when `room.auto_create` is off.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub room_create: bool,
    /// List rooms.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub room_list: bool,
    /// Record rooms.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub room_record: bool,
    /// Administer the room named in `room`.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub room_admin: bool,
    /// Join the room named in `room`.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub room_join: bool,
    /// Name of the room.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub room: String,
    /// Publish tracks; absent: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// Subscribe to tracks; absent: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// Send data packets; absent: as `can_publish`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// When not empty, only tracks of these sources may be published.
    #[serde(
        deserialize_with = "sources_from_names",
        serialize_with = "sources_to_names",
        skip_serializing_if = "is_default"
    )]
    pub can_publish_sources: Vec<TrackSource>,
    /// Change own name, metadata and attributes; absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// Administer ingress.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub ingress_admin: bool,
    /// Invisible to the other participants.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub hidden: bool,
    /// Records the room.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub recorder: bool,
    /// Is an agent; may open `/agent`.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub agent: bool,
    /// Receive metrics of the others; absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe_metrics: Option<bool>,
    /// Manage agent sessions; absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_manage_agent_session: Option<bool>,
    /// Room to which participants may be forwarded or moved.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub destination_room: String,
}

impl VideoGrants {
    /// May publish tracks at all.
    #[must_use]
    pub fn can_publish(&self) -> bool {
        self.can_publish.unwrap_or(true)
    }

    /// May publish a track of this source.
    #[must_use]
    pub fn can_publish_source(&self, source: TrackSource) -> bool {
        self.can_publish()
            && (self.can_publish_sources.is_empty() || self.can_publish_sources.contains(&source))
    }

    /// May subscribe to tracks.
    #[must_use]
    pub fn can_subscribe(&self) -> bool {
        self.can_subscribe.unwrap_or(true)
    }

    /// May send data packets.
    #[must_use]
    pub fn can_publish_data(&self) -> bool {
        self.can_publish_data.unwrap_or_else(|| self.can_publish())
    }

    /// May change its own name, metadata and attributes.
    #[must_use]
    pub fn can_update_own_metadata(&self) -> bool {
        self.can_update_own_metadata.unwrap_or(false)
    }

    /// May receive the metrics of other participants.
    #[must_use]
    pub fn can_subscribe_metrics(&self) -> bool {
        self.can_subscribe_metrics.unwrap_or(false)
    }

    /// May manage agent sessions.
    #[must_use]
    pub fn can_manage_agent_session(&self) -> bool {
        self.can_manage_agent_session.unwrap_or(false)
    }

    /// The grants as other participants and the client itself see them.
    #[must_use]
    pub fn permission(&self) -> ParticipantPermission {
        ParticipantPermission {
            can_subscribe: self.can_subscribe(),
            can_publish: self.can_publish(),
            can_publish_data: self.can_publish_data(),
            can_publish_sources: self
                .can_publish_sources
                .iter()
                .map(|&source| source.into())
                .collect(),
            hidden: self.hidden,
            recorder: self.recorder,
            can_update_metadata: self.can_update_own_metadata(),
            agent: self.agent,
            can_subscribe_metrics: self.can_subscribe_metrics(),
            can_manage_agent_session: self.can_manage_agent_session(),
        }
    }

    /// Replaces what a [`ParticipantPermission`] covers; room and API grants stay as they are.
    pub fn set_permission(&mut self, permission: &ParticipantPermission) {
        self.can_subscribe = Some(permission.can_subscribe);
        self.can_publish = Some(permission.can_publish);
        self.can_publish_data = Some(permission.can_publish_data);
        self.can_publish_sources = permission.can_publish_sources().collect();
        self.hidden = permission.hidden;
        self.recorder = permission.recorder;
        self.can_update_own_metadata = Some(permission.can_update_metadata);
        self.agent = permission.agent;
        self.can_subscribe_metrics = Some(permission.can_subscribe_metrics);
        self.can_manage_agent_session = Some(permission.can_manage_agent_session);
    }
}

/// The `sip` claim.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SipGrants {
    /// Manage trunks and dispatch rules.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub admin: bool,
    /// Make outgoing calls.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub call: bool,
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `null` stands for an absent claim, as in LiveKit's reader.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Source names in any case. An unknown name becomes `UNKNOWN`, which keeps the list from being empty: a typo must not
/// allow everything.
fn sources_from_names<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<TrackSource>, D::Error> {
    let names: Option<Vec<String>> = Option::deserialize(deserializer)?;
    Ok(names
        .unwrap_or_default()
        .iter()
        .map(|name| {
            TrackSource::from_str_name(&name.to_ascii_uppercase()).unwrap_or(TrackSource::Unknown)
        })
        .collect())
}

fn sources_to_names<S: Serializer>(
    sources: &[TrackSource],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(
        sources
            .iter()
            .map(|source| source.as_str_name().to_ascii_lowercase()),
    )
}
