//! The media plane as rooms see it: a small trait, so that a test can record what a room commands.

use kith_net::{
    Command, CommandError, Fingerprint, LocalCandidate, MediaPlane, PublicationId, ShardId,
    SubscriptionId, TransportId,
};

/// What rooms need of [`MediaPlane`]. No call blocks.
pub trait Media: Send + Sync + 'static {
    /// Where a participant's transports shall live, see [`MediaPlane::place`].
    fn place(&self, room_hash: u64, room_size: usize) -> ShardId;
    /// A new id for a transport on `shard`.
    fn new_transport_id(&self, shard: ShardId) -> TransportId;
    /// A new id for a publication of `transport`.
    fn new_publication_id(&self, transport: TransportId) -> PublicationId;
    /// A new id for a subscription of `transport`.
    fn new_subscription_id(&self, transport: TransportId) -> SubscriptionId;
    /// The local candidates of transports on `shard`.
    fn candidates(&self, shard: ShardId) -> &[LocalCandidate];
    /// SHA-256 of the certificate that all transports use.
    fn fingerprint(&self) -> Fingerprint;
    /// Hands a command to its shard.
    fn send(&self, command: Command) -> Result<(), CommandError>;
}

impl Media for MediaPlane {
    fn place(&self, room_hash: u64, room_size: usize) -> ShardId {
        MediaPlane::place(self, room_hash, room_size)
    }

    fn new_transport_id(&self, shard: ShardId) -> TransportId {
        MediaPlane::new_transport_id(self, shard)
    }

    fn new_publication_id(&self, transport: TransportId) -> PublicationId {
        MediaPlane::new_publication_id(self, transport)
    }

    fn new_subscription_id(&self, transport: TransportId) -> SubscriptionId {
        MediaPlane::new_subscription_id(self, transport)
    }

    fn candidates(&self, shard: ShardId) -> &[LocalCandidate] {
        MediaPlane::candidates(self, shard)
    }

    fn fingerprint(&self) -> Fingerprint {
        MediaPlane::fingerprint(self)
    }

    fn send(&self, command: Command) -> Result<(), CommandError> {
        MediaPlane::send(self, command)
    }
}
