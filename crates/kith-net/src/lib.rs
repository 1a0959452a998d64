//! The media plane's threads: shards that drive transports and the media core over real sockets.
//!
//! What this crate is: [`MediaPlane`], a handle to one plain thread per core. Each shard owns its sockets, transports, publications
//! and subscriptions; nothing is shared and nothing is locked. The control plane sends [`Command`]s and gets [`Event`]s.
//! What it is not: protocol. ICE, DTLS, SRTP and SCTP are `kith-transport`'s, RTP and RTCP decisions are `kith-sfu`'s; rooms and SDP
//! never come here.
//!
//! Invariants:
//! - **Shards share nothing.** They exchange messages by bounded queues; media crosses once per shard that has subscribers.
//! - **No allocation per forwarded packet in steady state.**
//! - **Datagrams from strangers are dropped without an answer**, unless they are a connectivity check for a ufrag that we gave out.
//! - **A reliable data message is never dropped without an event.**
//! - **A panic in a shard ends the process**, loudly: half a media plane that looks healthy is worse than a restart.

mod api;
mod candidates;
mod demux;
mod inbox;
mod plane;
mod ring;
mod shard;
mod socket;
mod start;
mod wheel;

pub use api::{
    AudioLevelConfig, CandidateFilter, Command, CommandError, DataChannelSpec, DataLabel,
    DownTrackSpec, DownTrackStats, DtlsRole, EVENT_SINK_CAPACITY, Event, EventKind, EventSink,
    FailReason, Fingerprint, IceCredentials, LayerSpec, LayerStats, LayerTarget, LocalCandidate,
    NameFilter, NetConfig, Network, NetworkFilter, NetworkSyntax, Path, PliThrottle, Protocol,
    PublicationId, ReceiveCodec, ReceiveSection, ReceiveSpec, RemoteDescription, SendCodec,
    ShardId, ShardStats, SubscriptionId, SubscriptionSpec, TransportId, TransportSpec,
    TransportStats, UdpPorts,
};
pub use inbox::MAX_QUEUED_COMMANDS;
pub use plane::{LARGE_ROOM, MediaPlane, StartError};
