//! One transport with everything that belongs to it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kith_rtp::Ssrc;
use kith_sfu::{PublicationId, TransportReceiver};
use kith_transport::{DataLabel, Path, Transport};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::data::DataQueue;
use super::media::Repeat;
use super::net::{Net, Way};
use super::outlet::Outlet;
use crate::api::{ShardId, TransportId};
use crate::demux::LocalIndex;

/// How often the down-tracks of a transport are asked for sender reports and keyframe requests. When a report is due is the
/// down-track's own business, spread by its seed.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// How soon a full event sink is tried again.
pub(super) const RETRY: Duration = Duration::from_millis(5);

/// Addresses that one transport may have in the table. Full ICE with several interfaces on both sides makes a dozen.
pub(super) const MAX_ADDRESSES: usize = 32;

/// An address in the demultiplexing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) source: SocketAddr,
    pub(super) local: LocalIndex,
    /// The shard at which its datagrams arrive, if not here; it was told.
    pub(super) via: Option<ShardId>,
}

/// Counters of one transport.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) packets_in: u64,
    pub(super) bytes_in: u64,
    pub(super) packets_out: u64,
    pub(super) bytes_out: u64,
    pub(super) rtt: Option<Duration>,
    pub(super) receive_estimate: Option<u64>,
    /// When the estimate was last reported.
    pub(super) estimate_reported: Option<Instant>,
}

/// One transport.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: TransportId,
    pub(super) transport: Transport,
    pub(super) receiver: TransportReceiver,
    pub(super) outlet: Outlet,
    pub(super) data: DataQueue,
    /// Channels that are not read while the outlet is full.
    pub(super) paused: SmallVec<[DataLabel; 3]>,

    /// Publications of its [`kith_sfu::ReceiveSpec`].
    pub(super) publications: Vec<PublicationId>,
    /// Slab keys of its subscriptions.
    pub(super) subscriptions: Vec<usize>,
    /// The subscription of each SSRC that we send, RTX included.
    pub(super) by_ssrc: FxHashMap<Ssrc, usize>,

    /// Packets that the peer asked for again.
    pub(super) repeats: Vec<Repeat>,
    /// Whether media can be sealed and goes somewhere.
    pub(super) ready: bool,
    /// Where it goes.
    pub(super) way: Option<Way>,
    path: Option<Path>,
    /// DTLS is up and the control plane does not know yet.
    pub(super) owes_connected: bool,
    /// Next transport-wide sequence number, and whether any subscription counts them.
    pub(super) transport_sequence: u16,
    pub(super) counts_transport_sequence: bool,
    /// In the list of those to be polled.
    pub(super) touched: bool,
    pub(super) next_tick: Option<Instant>,
    /// A round-trip time that the down-tracks are to be told.
    pub(super) new_rtt: Option<Duration>,

    pub(super) addresses: SmallVec<[Address; 2]>,
    pub(super) ufrags: SmallVec<[Box<str>; 2]>,
    /// Keys of its TCP connections.
    pub(super) connections: SmallVec<[usize; 1]>,
    pub(super) counters: Counters,
}

impl Peer {
    pub(super) fn new(
        id: TransportId,
        transport: Transport,
        receiver: TransportReceiver,
        outlet: Outlet,
    ) -> Self {
        Peer {
            id,
            transport,
            receiver,
            outlet,
            data: DataQueue::default(),
            paused: SmallVec::new(),
            publications: Vec::new(),
            subscriptions: Vec::new(),
            by_ssrc: FxHashMap::default(),
            repeats: Vec::new(),
            ready: false,
            way: None,
            path: None,
            owes_connected: false,
            transport_sequence: 0,
            counts_transport_sequence: false,
            touched: false,
            next_tick: None,
            new_rtt: None,
            addresses: SmallVec::new(),
            ufrags: SmallVec::new(),
            connections: SmallVec::new(),
            counters: Counters::default(),
        }
    }

    /// Looks at the transport's path again. `key` is this peer's.
    pub(super) fn update_path(&mut self, key: usize, net: &Net) {
        let path = self.transport.selected_path();
        // A TCP path may have got another connection under the same addresses.
        if path != self.path || self.way.is_none() || matches!(self.way, Some(Way::Tcp { .. })) {
            self.path = path;
            self.way = path.and_then(|path| net.way(path, key, &self.connections));
        }
        self.ready = self.way.is_some() && self.transport.media_ready();
    }

    /// Where media goes now.
    pub(super) fn path(&self) -> Option<Path> {
        self.path
    }

    /// When it is to be looked at again.
    pub(super) fn next_timeout(&mut self, now: Instant) -> Option<Instant> {
        let retry = self.outlet.is_full().then(|| now + RETRY);
        [
            self.transport.poll_timeout(),
            self.receiver.poll_timeout(),
            self.next_tick,
            retry,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Counts a datagram that was sent.
    pub(super) fn sent(&mut self, len: usize) {
        self.counters.packets_out += 1;
        self.counters.bytes_out += len as u64;
    }
}
