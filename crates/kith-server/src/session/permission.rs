//! What a participant may do, and what a publisher lets others see.

use std::collections::{HashMap, HashSet};

use kith_proto::livekit::{ParticipantPermission, SubscriptionPermission, TrackSource};

/// Participants that one publisher may name in its subscription permissions.
const MAX_NAMED: usize = 4096;

/// Tracks that may be named for one participant.
const MAX_TRACKS_NAMED: usize = 1024;

/// Whether a track of `source` may be published.
pub(crate) fn may_publish(permission: &ParticipantPermission, source: TrackSource) -> bool {
    permission.can_publish
        && (permission.can_publish_sources.is_empty()
            || permission.can_publish_sources.contains(&(source as i32)))
}

/// Who may subscribe to the tracks of one publisher.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    /// `None`: everybody.
    named: Option<Named>,
}

#[derive(Debug, Default)]
struct Named {
    by_sid: HashMap<String, Allowed>,
    by_identity: HashMap<String, Allowed>,
}

#[derive(Debug)]
enum Allowed {
    All,
    Tracks(HashSet<String>),
}

impl Audience {
    /// Reads what the publisher said; it replaces what it said before.
    pub(crate) fn from_request(request: &SubscriptionPermission) -> Self {
        if request.all_participants {
            return Audience::default();
        }
        let mut named = Named::default();
        for permission in request.track_permissions.iter().take(MAX_NAMED) {
            let allowed = if permission.all_tracks {
                Allowed::All
            } else {
                Allowed::Tracks(
                    permission
                        .track_sids
                        .iter()
                        .take(MAX_TRACKS_NAMED)
                        .cloned()
                        .collect(),
                )
            };
            if permission.participant_identity.is_empty() {
                named
                    .by_sid
                    .insert(permission.participant_sid.clone(), allowed);
            } else {
                named
                    .by_identity
                    .insert(permission.participant_identity.clone(), allowed);
            }
        }
        Audience { named: Some(named) }
    }

    /// Whether a participant may have a track.
    pub(crate) fn admits(&self, sid: &str, identity: &str, track_sid: &str) -> bool {
        let Some(named) = &self.named else {
            return true;
        };
        [named.by_identity.get(identity), named.by_sid.get(sid)]
            .into_iter()
            .flatten()
            .any(|allowed| match allowed {
                Allowed::All => true,
                Allowed::Tracks(tracks) => tracks.contains(track_sid),
            })
    }
}

#[cfg(test)]
mod tests {
    use kith_proto::livekit::TrackPermission;

    use super::*;

    #[test]
    fn a_list_of_sources_allows_only_these() {
        let mut permission = ParticipantPermission {
            can_publish: true,
            ..ParticipantPermission::default()
        };
        assert!(may_publish(&permission, TrackSource::Camera));
        permission.can_publish_sources = vec![TrackSource::Microphone as i32];
        assert!(may_publish(&permission, TrackSource::Microphone));
        assert!(!may_publish(&permission, TrackSource::Camera));
        permission.can_publish = false;
        assert!(!may_publish(&permission, TrackSource::Microphone));
    }

    #[test]
    fn named_participants_get_the_named_tracks() {
        let audience = Audience::from_request(&SubscriptionPermission {
            all_participants: false,
            track_permissions: vec![
                TrackPermission {
                    participant_identity: "alice".to_owned(),
                    all_tracks: true,
                    ..TrackPermission::default()
                },
                TrackPermission {
                    participant_sid: "PA_bob".to_owned(),
                    track_sids: vec!["TR_1".to_owned()],
                    ..TrackPermission::default()
                },
            ],
        });
        assert!(audience.admits("PA_alice", "alice", "TR_9"));
        assert!(audience.admits("PA_bob", "bob", "TR_1"));
        assert!(!audience.admits("PA_bob", "bob", "TR_2"));
        assert!(!audience.admits("PA_carol", "carol", "TR_1"));
        assert!(Audience::default().admits("PA_carol", "carol", "TR_1"));
    }
}
