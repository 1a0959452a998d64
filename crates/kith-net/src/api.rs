//! The control plane's whole view of media: commands in, events out, identifiers, configuration.
//!
//! Commands of one sender reach one shard in the order in which they were sent. Commands to different shards have no order among
//! each other; the shards cope with every order (a subscription may name a publication that does not exist yet, or no longer).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kith_rtp::{Codec, Ssrc};
use tokio::sync::{mpsc, oneshot};

pub use kith_sfu::{
    AudioLevelConfig, DownTrackSpec, DownTrackStats, LayerSpec, LayerStats, LayerTarget,
    PliThrottle, PublicationId, ReceiveCodec, ReceiveSection, ReceiveSpec, SendCodec,
};
pub use kith_transport::{
    DataChannelSpec, DataLabel, DtlsRole, FailReason, Fingerprint, IceCredentials, Path, Protocol,
    RemoteDescription,
};

/// Where the shard of an id is written: the upper 16 of its 64 bits. The lower 48 count.
const SHARD_SHIFT: u32 = 48;

/// One thread of the media plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

impl ShardId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The id number `count` of this shard. `count` stays below 2^48: at a million a second that lasts nine years.
    pub(crate) const fn id(self, count: u64) -> u64 {
        (self.0 as u64) << SHARD_SHIFT | count & ((1 << SHARD_SHIFT) - 1)
    }

    /// The shard in the upper bits of an id.
    pub(crate) const fn of(id: u64) -> Self {
        ShardId((id >> SHARD_SHIFT) as u16)
    }
}

/// One peer connection. Made by [`crate::MediaPlane::new_transport_id`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportId(pub(crate) u64);

impl TransportId {
    /// The shard that drives it.
    pub const fn shard(self) -> ShardId {
        ShardId::of(self.0)
    }

    /// The number itself, for logs and tables.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for TransportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "transport:{}.{}",
            self.shard().0,
            self.0 & ((1 << SHARD_SHIFT) - 1)
        )
    }
}

/// One subscription: one publication on its way to one transport. Made by [`crate::MediaPlane::new_subscription_id`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub(crate) u64);

impl SubscriptionId {
    /// The shard of the subscriber's transport.
    pub const fn shard(self) -> ShardId {
        ShardId::of(self.0)
    }

    /// The number itself, for logs and tables.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "subscription:{}.{}",
            self.shard().0,
            self.0 & ((1 << SHARD_SHIFT) - 1)
        )
    }
}

/// Where events of a transport go. Make it with [`EVENT_SINK_CAPACITY`] places or more.
///
/// **When it is full** nothing is lost but measurements: reading of the data channels stops (the peer's messages wait at the peer),
/// audio levels and estimates are skipped, every other event waits in the shard, up to 4096 of them, and is tried again every few
/// milliseconds. **When its receiver is dropped** the transport is closed within a second or two: nobody else could do it.
pub type EventSink = mpsc::Sender<Event>;

/// Enough for a burst of data messages and the events of a join.
pub const EVENT_SINK_CAPACITY: usize = 256;

/// Which of the local candidates a transport has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CandidateFilter {
    /// UDP and TCP.
    #[default]
    All,
    /// TCP only: the client was told to prefer it.
    TcpOnly,
}

/// What a transport is made of.
#[derive(Clone, Debug)]
pub struct TransportSpec {
    /// From [`crate::MediaPlane::new_transport_id`].
    pub id: TransportId,
    /// Our ICE credentials, as signalled. The ufrag is unique in this process ([`IceCredentials::from_entropy`]).
    pub local_ice: IceCredentials,
    /// Answer connectivity checks only (RFC 8445 section 2.5).
    pub ice_lite: bool,
    /// Full ICE only: start in the controlling role (we offer, and the peer is not lite).
    pub controlling: bool,
    /// Which local candidates are used.
    pub candidates: CandidateFilter,
    /// Channels that we open; empty where the client opens them.
    pub data_channels: Vec<DataChannelSpec>,
    /// Where the events go.
    pub events: EventSink,
}

/// What a subscription is made of.
#[derive(Clone, Debug)]
pub struct SubscriptionSpec {
    /// From [`crate::MediaPlane::new_subscription_id`] for `transport`.
    pub id: SubscriptionId,
    /// What is subscribed to. It may not exist yet.
    pub publication: PublicationId,
    /// Where it goes.
    pub transport: TransportId,
    /// SSRCs, payload types and header extensions of the outgoing stream.
    pub down: DownTrackSpec,
    /// Which layer, at the start.
    pub target: LayerTarget,
}

/// What the control plane tells the media plane.
#[derive(Debug)]
pub enum Command {
    /// Makes a transport. It waits for [`Command::SetRemote`] and the peer's connectivity checks.
    CreateTransport(TransportSpec),
    /// Applies the peer's description. With other ICE credentials than before the peer restarts ICE: send [`Command::RestartIce`]
    /// first.
    SetRemote {
        /// Which transport.
        transport: TransportId,
        /// What the peer said.
        remote: RemoteDescription,
    },
    /// Begins an ICE restart.
    RestartIce {
        /// Which transport.
        transport: TransportId,
        /// Our new credentials, as signalled.
        local_ice: IceCredentials,
    },
    /// Adds a candidate of the peer's: the value of an `a=candidate` line.
    AddRemoteCandidate {
        /// Which transport.
        transport: TransportId,
        /// `candidate:…`
        candidate: String,
    },
    /// Ends a transport with its publications and subscriptions. No events of it follow.
    CloseTransport {
        /// Which transport.
        transport: TransportId,
    },
    /// What the transport receives from now on; replaces the former specification as a whole. Publications that are missing in
    /// it are removed.
    SetReceive {
        /// Which transport.
        transport: TransportId,
        /// Sections, codecs, layers.
        spec: ReceiveSpec,
    },
    /// Starts forwarding a publication.
    Subscribe(SubscriptionSpec),
    /// Chooses a layer, or pauses.
    SetTarget {
        /// Which subscription.
        subscription: SubscriptionId,
        /// The layers that may be sent.
        target: LayerTarget,
    },
    /// Ends a subscription.
    Unsubscribe {
        /// Which subscription.
        subscription: SubscriptionId,
    },
    /// Asks the publisher for a keyframe of every layer (throttled).
    RequestKeyframe {
        /// Of which publication.
        publication: PublicationId,
    },
    /// Sends one data channel message.
    SendData {
        /// Which transport.
        transport: TransportId,
        /// Which channel.
        label: DataLabel,
        /// The message, binary.
        payload: Bytes,
    },
    /// Sends the same data channel message on many transports, of any shards.
    SendDataMany {
        /// Which transports.
        transports: Arc<[TransportId]>,
        /// Which channel.
        label: DataLabel,
        /// The message, binary.
        payload: Bytes,
    },
    /// Asks for what one transport has counted. Nothing is answered when it does not exist (the sender is dropped).
    ReadTransport {
        /// Which transport.
        transport: TransportId,
        /// Where the answer goes.
        reply: oneshot::Sender<TransportStats>,
    },
}

/// What the media plane tells the control plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Whose event it is.
    pub transport: TransportId,
    /// What happened.
    pub kind: EventKind,
}

/// What happened on a transport.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// DTLS is up and the peer is the announced one: media and data flow.
    Connected {
        /// The way that media takes.
        path: Path,
    },
    /// Media takes another way from now on.
    PathChanged {
        /// The new way.
        path: Path,
    },
    /// Connectivity checks succeed, for the first time or again.
    IceConnected,
    /// The consent timeout passed. Media stops until [`EventKind::IceConnected`].
    IceDisconnected,
    /// The connection can no longer work. Close the transport.
    Failed {
        /// Why.
        reason: FailReason,
    },
    /// The peer closed the connection in order. Close the transport.
    Closed,
    /// A channel can be written to.
    DataChannelOpen {
        /// Which one.
        label: DataLabel,
    },
    /// A channel is gone.
    DataChannelClosed {
        /// Which one.
        label: DataLabel,
    },
    /// A message arrived.
    Data {
        /// On which channel.
        label: DataLabel,
        /// The message.
        payload: Bytes,
    },
    /// Messages to a reliable channel were given up because the peer takes them too slowly (or the channel is not open and the
    /// waiting room is full). What to do about the gap is the control plane's decision. Lossy channels drop without a word.
    DataDropped {
        /// Which channel.
        label: DataLabel,
        /// How many messages since the last such event.
        messages: u32,
    },
    /// A layer of a publication of this transport sends.
    LayerStarted {
        /// Which publication.
        publication: PublicationId,
        /// Index into the layers of its section, low to high.
        layer: u8,
        /// Its codec.
        codec: Codec,
        /// Its SSRC.
        ssrc: Ssrc,
    },
    /// A layer of a publication of this transport has fallen silent.
    LayerStopped {
        /// Which publication.
        publication: PublicationId,
        /// Which layer.
        layer: u8,
    },
    /// A keyframe told the size of a layer.
    VideoSize {
        /// Which publication.
        publication: PublicationId,
        /// Which layer.
        layer: u8,
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// One interval of audio was measured.
    AudioLevel {
        /// Which publication.
        publication: PublicationId,
        /// 0 (silence) to 1.
        level: f32,
        /// Whether it counts as speaking.
        active: bool,
    },
    /// The first packet of a subscription has left.
    SubscriptionStarted {
        /// Which subscription.
        subscription: SubscriptionId,
    },
    /// The publication of a subscription was removed. The subscription stays, silent, until it is unsubscribed; should the same
    /// publication come back, it goes on.
    PublicationRemoved {
        /// Which subscription.
        subscription: SubscriptionId,
        /// Which publication.
        publication: PublicationId,
    },
    /// The peer's estimate of what it can receive (REMB), at most a few times a second.
    ReceiveEstimate {
        /// Bits per second.
        bitrate: u64,
    },
}

/// Which UDP ports the shards listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UdpPorts {
    /// No UDP at all (`force_tcp`).
    Disabled,
    /// One port shared by all shards. 0 lets the system choose, for tests.
    Single(u16),
    /// One port per shard out of a range; ports that are taken are skipped. With fewer ports than shards, shards share.
    Range(RangeInclusive<u16>),
}

/// How the media plane is set up.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// How many shards; 0 takes one per core.
    pub shards: u16,
    /// UDP.
    pub udp: UdpPorts,
    /// Port of the ICE-TCP listener, shared by all shards. `None` disables it; 0 lets the system choose.
    pub tcp_port: Option<u16>,
    /// Addresses to bind to. Empty: all of IPv4 and IPv6.
    pub bind_addresses: Vec<IpAddr>,
    /// Addresses to put into candidates instead of those of the interfaces (`node_ip`): at most one per family is useful.
    pub node_ips: Vec<IpAddr>,
    /// Whether loopback addresses become candidates.
    pub loopback_candidates: bool,
    /// Interfaces by name: includes win over excludes, empty includes take all.
    pub interfaces: NameFilter,
    /// Addresses by CIDR block: includes win over excludes, empty includes take all.
    pub addresses: NetworkFilter,
    /// Kernel buffer per UDP socket and direction, bytes; the kernel caps it at `net.core.{r,w}mem_max` without privileges.
    pub socket_buffer: usize,
    /// How long an outgoing packet may wait for others to the same subscriber, so that they leave in one system call.
    /// At most 2 ms are useful.
    pub max_flush_interval: Duration,
    /// Whether UDP segmentation offload is tried. It falls back by itself; this is for measurements and broken drivers.
    pub gso: bool,
}

impl Default for NetConfig {
    fn default() -> Self {
        NetConfig {
            shards: 0,
            udp: UdpPorts::Range(50_000..=60_000),
            tcp_port: Some(7881),
            bind_addresses: Vec::new(),
            node_ips: Vec::new(),
            loopback_candidates: false,
            interfaces: NameFilter::default(),
            addresses: NetworkFilter::default(),
            socket_buffer: 16 << 20,
            max_flush_interval: Duration::from_millis(1),
            gso: true,
        }
    }
}

/// A choice of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameFilter {
    /// When not empty, only these.
    pub includes: Vec<String>,
    /// Not these.
    pub excludes: Vec<String>,
}

impl NameFilter {
    /// Whether `name` is chosen.
    pub fn admits(&self, name: &str) -> bool {
        if self.includes.is_empty() {
            !self.excludes.iter().any(|excluded| excluded == name)
        } else {
            self.includes.iter().any(|included| included == name)
        }
    }
}

/// A choice of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkFilter {
    /// When not empty, only these.
    pub includes: Vec<Network>,
    /// Not these.
    pub excludes: Vec<Network>,
}

impl NetworkFilter {
    /// Whether `address` is chosen.
    pub fn admits(&self, address: IpAddr) -> bool {
        if self.includes.is_empty() {
            !self
                .excludes
                .iter()
                .any(|excluded| excluded.contains(address))
        } else {
            self.includes
                .iter()
                .any(|included| included.contains(address))
        }
    }
}

/// A CIDR block, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Not a CIDR block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a CIDR block")]
pub struct NetworkSyntax(String);

impl std::str::FromStr for Network {
    type Err = NetworkSyntax;

    fn from_str(text: &str) -> Result<Self, NetworkSyntax> {
        let wrong = || NetworkSyntax(text.to_owned());
        let (address, prefix) = text
            .split_once('/')
            .map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| wrong())?,
            None => longest,
        };
        if prefix > longest {
            return Err(wrong());
        }
        Ok(Network { address, prefix })
    }
}

impl Network {
    /// Whether `address` lies in it. IPv4 addresses mapped into IPv6 count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differing = ours.to_bits() ^ theirs.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differing = ours.to_bits() ^ theirs.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

/// A local candidate of one shard, ready to be signalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalCandidate {
    /// UDP, or TCP passive.
    pub proto: Protocol,
    /// The address that clients see.
    pub advertised: SocketAddr,
    /// The address that packets to it arrive at here; the same unless there is a NAT in between.
    pub base: SocketAddr,
    /// The value of its `a=candidate` line: `candidate:…`.
    pub line: String,
}

/// What one shard has counted since it started. Plain integers, copied out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// Datagrams received.
    pub packets_in: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// System calls that received at least one datagram.
    pub receive_calls: u64,
    /// Datagrams sent.
    pub packets_out: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// System calls that sent.
    pub send_calls: u64,
    /// Messages in those calls; with GSO one message carries several datagrams.
    pub send_messages: u64,
    /// Media packets forwarded to a subscriber.
    pub forwarded: u64,
    /// Datagrams from nobody we know, or not accepted by their transport.
    pub rejected: u64,
    /// Datagrams that belonged to another shard and were handed over.
    pub handed_over: u64,
    /// Outgoing datagrams dropped: socket or connection full, or refused by the kernel.
    pub send_drops: u64,
    /// Packets dropped because the ring to another shard was full.
    pub ring_drops: u64,
    /// Forwarded packets dropped because too many waited for one transport.
    pub pending_drops: u64,
    /// Events dropped (measurements, or a sink that is gone).
    pub event_drops: u64,
    /// Transports now.
    pub transports: u64,
    /// Publications now, those of other shards that have subscribers here included.
    pub publications: u64,
    /// Subscriptions now.
    pub subscriptions: u64,
    /// ICE-TCP connections now.
    pub connections: u64,
    /// Time spent working, as opposed to waiting.
    pub busy: Duration,
}

/// What one transport has counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransportStats {
    /// Datagrams received.
    pub packets_in: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub packets_out: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Where media goes now.
    pub path: Option<Path>,
    /// The round-trip time that the peer's answers to our reports tell, once known.
    pub rtt: Option<Duration>,
    /// The peer's last estimate of what it can receive (REMB), bits per second.
    pub receive_estimate: Option<u64>,
    /// Every layer of every publication.
    pub layers: Vec<LayerStats>,
    /// Every subscription.
    pub subscriptions: Vec<(SubscriptionId, DownTrackStats)>,
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such shard: the id was not made by this media plane.
    #[error("the id names a shard that does not exist")]
    NoSuchShard,
    /// [`crate::MAX_QUEUED_COMMANDS`] wait already. Only data messages are refused for this.
    #[error("the shard has too many commands waiting")]
    Busy,
    /// The media plane was shut down.
    #[error("the media plane is shut down")]
    Shutdown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_their_shard() {
        let id = TransportId(ShardId(3).id(17));
        assert_eq!(id.shard(), ShardId(3));
        assert_eq!(format!("{id:?}"), "transport:3.17");
    }

    #[test]
    fn networks_contain_their_addresses() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.200.3".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.0.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()));
        assert!(!network.contains("fe80::1".parse().unwrap()));
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
        assert!("ten/8".parse::<Network>().is_err());
    }

    #[test]
    fn includes_win_over_excludes() {
        let filter = NameFilter {
            includes: vec!["eth0".into()],
            excludes: vec!["eth0".into()],
        };
        assert!(filter.admits("eth0"));
        assert!(!filter.admits("eth1"));
        let filter = NameFilter {
            includes: vec![],
            excludes: vec!["docker0".into()],
        };
        assert!(filter.admits("eth0"));
        assert!(!filter.admits("docker0"));
    }
}
