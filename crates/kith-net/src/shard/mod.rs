//! One thread of the media plane: its turn, from waking up to going to sleep.
//!
//! A turn takes what waits (messages, rings from other shards, datagrams, connections, timers), then lets every transport that was
//! touched say what it wants to send and to tell, then sends what is pending for subscribers. Each source is bounded per turn, so
//! that none starves the others.

mod commands;
mod connections;
mod data;
mod input;
mod media;
mod net;
mod outlet;
mod output;
mod peer;
mod settle;

use std::io;
use std::net::TcpListener;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kith_sfu::{HubSpec, PublicationId, SenderReportInfo};
use kith_transport::TransportContext;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustc_hash::FxHashMap;
use slab::Slab;
use tokio::sync::oneshot;

use self::connections::{Connections, Handed};
use self::media::{Dirty, Links, Media};
use self::net::Net;
use self::peer::Peer;
use crate::api::{Command, LocalCandidate, ShardId, ShardStats, TransportId};
use crate::candidates::Base;
use crate::demux::{Demux, LocalIndex};
use crate::inbox::Inbox;
use crate::ring::{Clock, RingReceiver, RingSender};
use crate::socket::{ReceiveBuffers, UdpPort};
use crate::wheel::Wheel;

/// What a shard is told, by the control plane or by another shard.
#[derive(Debug)]
pub(crate) enum Message {
    Command(Command),
    ReadStats(oneshot::Sender<ShardStats>),
    Shutdown,
    /// `shard` has subscribers of a publication of ours.
    JoinFeed {
        publication: PublicationId,
        shard: ShardId,
    },
    /// It has none any more.
    LeaveFeed {
        publication: PublicationId,
        shard: ShardId,
    },
    /// What a publication is that we joined; `None` when it was removed.
    FeedSpec {
        publication: PublicationId,
        spec: Option<HubSpec>,
    },
    /// A publisher's timing, for the subscribers here.
    SenderReport(SenderReportInfo),
    /// Subscribers on another shard want keyframes of these layers, one bit each, of a publication of ours.
    Keyframes {
        publication: PublicationId,
        layers: u8,
    },
    /// Connectivity checks for this ufrag belong to `owner`, or no longer.
    Ufrag {
        ufrag: Box<str>,
        owner: ShardId,
        present: bool,
    },
    /// Datagrams from this address, which arrive here, belong to `owner`, or no longer.
    Route {
        source: std::net::SocketAddr,
        local: LocalIndex,
        owner: ShardId,
        present: bool,
    },
    /// A TCP connection whose transport is ours.
    Connection(Handed),
}

/// Messages taken per turn.
const MESSAGES_PER_TURN: usize = 1024;

/// Records taken per ring and turn.
const RECORDS_PER_TURN: usize = 256;

/// Receive calls per socket and turn.
const RECEIVES_PER_TURN: usize = 4;

/// Datagrams taken before what is pending is sent: the history of a publication must still hold every pending packet, and the first
/// must not wait for all.
const DATAGRAMS_PER_FLUSH: usize = 64;

/// Pending packets that are sent without waiting for more.
const PENDING_PER_FLUSH: usize = 8192;

/// Below this share of its time (in thousandths) a shard does not hold packets back to bundle them: there is time enough to send
/// them one by one, and they arrive earlier.
const HOLD_FROM_PERMILLE: u64 = 200;

/// How soon a socket that took no more is tried again. Its buffer empties in the meantime; being told by the system would mean being
/// woken for every packet that leaves.
const BLOCKED_RETRY: Duration = Duration::from_millis(1);

/// How often counters are published and silent connections looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The waker's token. UDP sockets, listeners and connections follow.
pub(crate) const TOKEN_WAKER: usize = 0;
const TOKEN_UDP: usize = 1;
const TOKEN_LISTENER: usize = 256;
const TOKEN_CONNECTION: usize = 512;

/// What a shard is made of; put together by [`crate::start`].
pub(crate) struct Parts {
    pub(crate) id: ShardId,
    pub(crate) clock: Clock,
    pub(crate) context: TransportContext,
    pub(crate) poll: Poll,
    pub(crate) inbox: Arc<Inbox<Message>>,
    /// Inboxes of all shards, by id.
    pub(crate) shards: Vec<Arc<Inbox<Message>>>,
    /// Rings to the other shards, by id.
    pub(crate) senders: Vec<Option<RingSender>>,
    /// Rings from the other shards, by id.
    pub(crate) receivers: Vec<Option<RingReceiver>>,
    pub(crate) ports: Vec<UdpPort>,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) bases: Vec<Base>,
    /// Every local address as a candidate, also those that peers are not told.
    pub(crate) candidates: Vec<LocalCandidate>,
    pub(crate) max_flush_interval: Duration,
    pub(crate) busy: Arc<AtomicU64>,
    /// Secret and random.
    pub(crate) seed: u64,
}

/// One shard.
pub(crate) struct Shard {
    id: ShardId,
    clock: Clock,
    context: TransportContext,
    poll: Poll,
    inbox: Arc<Inbox<Message>>,
    shards: Vec<Arc<Inbox<Message>>>,
    links: Links,
    receivers: Vec<Option<RingReceiver>>,
    candidates: Vec<LocalCandidate>,
    max_flush_interval: Duration,

    net: Net,
    /// By UDP socket: whether it may have something to read.
    readable: Vec<bool>,
    /// By listener: whether somebody may wait there.
    acceptable: Vec<bool>,
    /// Taken out while datagrams are handled.
    buffers: Option<ReceiveBuffers>,

    demux: Demux,
    peers: Slab<Peer>,
    by_id: FxHashMap<TransportId, usize>,
    media: Media,
    dirty: Dirty,
    /// Slab keys of transports to be polled, each once.
    touched: Vec<usize>,
    wheel: Wheel,

    shutdown: bool,
    busy: Arc<AtomicU64>,
    busy_time: Duration,
    /// Busy time at the last housekeeping, and when that was.
    busy_before: Duration,
    housekept: Instant,
    busy_permille: u64,
}

impl Shard {
    pub(crate) fn new(parts: Parts) -> io::Result<Self> {
        let registry = parts.poll.registry();
        let mut readable = Vec::new();
        for (index, port) in parts.ports.iter().enumerate() {
            let fd: RawFd = port.fd();
            registry.register(
                &mut SourceFd(&fd),
                Token(TOKEN_UDP + index),
                Interest::READABLE,
            )?;
            // The first turn looks.
            readable.push(true);
        }
        let acceptable = vec![true; parts.listeners.len()];
        let mut tcp = Connections::new(registry.try_clone()?, parts.listeners, TOKEN_CONNECTION);
        tcp.register_listeners(TOKEN_LISTENER)?;
        let fed = vec![false; parts.senders.len()];
        let now = parts.clock.0;
        Ok(Shard {
            id: parts.id,
            clock: parts.clock,
            context: parts.context,
            poll: parts.poll,
            inbox: parts.inbox,
            shards: parts.shards,
            links: Links {
                rings: parts.senders,
                fed,
                dropped: 0,
            },
            receivers: parts.receivers,
            candidates: parts.candidates,
            max_flush_interval: parts.max_flush_interval,
            net: Net::new(parts.ports, tcp, parts.bases),
            readable,
            acceptable,
            buffers: Some(ReceiveBuffers::new()),
            demux: Demux::new(parts.seed),
            peers: Slab::new(),
            by_id: FxHashMap::default(),
            media: Media::default(),
            dirty: Dirty::default(),
            touched: Vec::new(),
            wheel: Wheel::new(now),
            shutdown: false,
            busy: parts.busy,
            busy_time: Duration::ZERO,
            busy_before: Duration::ZERO,
            housekept: now,
            busy_permille: 0,
        })
    }

    /// Runs until [`Message::Shutdown`].
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        let mut awake_since = Instant::now();
        while !self.shutdown {
            self.inbox.prepare_to_sleep();
            let timeout = if self.has_work() {
                Some(Duration::ZERO)
            } else {
                self.timeout()
            };
            let asleep_since = Instant::now();
            self.busy_time += asleep_since.saturating_duration_since(awake_since);
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                // Without epoll there is no media plane; the caller's policy ends the process.
                tracing::error!(%error, shard = self.id.0, "epoll failed");
                std::process::abort();
            }
            self.inbox.awake();
            awake_since = Instant::now();
            for event in &events {
                self.ready(event);
            }
            self.turn(awake_since);
        }
        self.close_everything();
    }

    fn ready(&mut self, event: &mio::event::Event) {
        let token = event.token().0;
        match token {
            TOKEN_WAKER => {}
            TOKEN_UDP..TOKEN_LISTENER => {
                if let Some(readable) = self.readable.get_mut(token - TOKEN_UDP) {
                    *readable = true;
                }
            }
            TOKEN_LISTENER..TOKEN_CONNECTION => {
                if let Some(acceptable) = self.acceptable.get_mut(token - TOKEN_LISTENER) {
                    *acceptable = true;
                }
            }
            _ => {
                // Errors and hang-ups show when read.
                let readable = event.is_readable() || event.is_error() || event.is_read_closed();
                self.net
                    .tcp
                    .ready(event.token(), readable, event.is_writable());
            }
        }
    }

    fn turn(&mut self, now: Instant) {
        // Before keys of connections are given anew, here and after reading.
        self.tell_of_closed_connections(now);
        self.take_messages(now);
        self.take_records(now);
        self.take_datagrams();
        let now = Instant::now();
        self.take_connections(now);
        self.tell_of_closed_connections(now);
        self.fire_timers(now);
        self.ask_for_keyframes(now);
        self.settle_touched(now);
        if self.flush_is_due(now) {
            self.write_pending(now);
        }
        self.net.flush();
        self.wake_fed();
        if now.saturating_duration_since(self.housekept) >= HOUSEKEEPING {
            self.housekeep(now);
        }
    }

    /// Whether something waits that no event will announce.
    fn has_work(&self) -> bool {
        !self.inbox.is_empty()
            || !self.touched.is_empty()
            || self.readable.contains(&true)
            || self.acceptable.contains(&true)
            || !self.net.tcp.readable.is_empty()
            || !self.net.tcp.closed.is_empty()
            || self.receivers.iter().flatten().any(|ring| !ring.is_empty())
    }

    /// How long to sleep at most.
    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let housekeeping = self.housekept + HOUSEKEEPING;
        let mut until = self
            .wheel
            .next()
            .map_or(housekeeping, |timer| timer.min(housekeeping));
        if let Some(since) = self.dirty.since {
            until = until.min(since + self.max_flush_interval);
        }
        if self.net.blocked {
            until = until.min(now + BLOCKED_RETRY);
        }
        Some(until.saturating_duration_since(now))
    }

    /// Whether pending packets leave now. Under load they wait for others to the same subscribers, up to the configured time.
    fn flush_is_due(&self, now: Instant) -> bool {
        let Some(since) = self.dirty.since else {
            return false;
        };
        self.busy_permille < HOLD_FROM_PERMILLE
            || self.dirty.packets >= PENDING_PER_FLUSH
            || now.saturating_duration_since(since) >= self.max_flush_interval
    }

    fn take_messages(&mut self, now: Instant) {
        for _ in 0..MESSAGES_PER_TURN {
            match self.inbox.pop() {
                Some(message) => self.handle_message(message, now),
                None => break,
            }
        }
    }

    fn fire_timers(&mut self, now: Instant) {
        while let Some(key) = self.wheel.expired(now) {
            let Some(peer) = self.peers.get_mut(key) else {
                continue;
            };
            if peer.transport.poll_timeout().is_some_and(|at| at <= now) {
                peer.transport.handle_timeout(now);
            }
            if peer.receiver.poll_timeout().is_some_and(|at| at <= now) {
                peer.receiver.handle_timeout(now);
            }
            if peer.next_tick.is_some_and(|at| at <= now) {
                self.tick(key, now);
            }
            self.touch(key);
        }
    }

    /// Remembers that a transport is to be polled at the end of the turn.
    fn touch(&mut self, key: usize) {
        if let Some(peer) = self.peers.get_mut(key)
            && !peer.touched
        {
            peer.touched = true;
            self.touched.push(key);
        }
    }

    /// Sends a message to another shard.
    fn tell(&self, shard: ShardId, message: Message) {
        tell(&self.shards, shard, message);
    }

    /// Sends a message to every other shard.
    fn tell_all(&self, message: impl Fn() -> Message) {
        for (index, inbox) in self.shards.iter().enumerate() {
            if index != self.id.index() {
                inbox.push(message());
            }
        }
    }

    /// Wakes the shards that got something through a ring.
    fn wake_fed(&mut self) {
        for (fed, inbox) in self.links.fed.iter_mut().zip(&self.shards) {
            if std::mem::take(fed) {
                inbox.wake();
            }
        }
    }

    fn housekeep(&mut self, now: Instant) {
        let elapsed = now
            .saturating_duration_since(self.housekept)
            .as_micros()
            .max(1);
        let busy = (self.busy_time.saturating_sub(self.busy_before)).as_micros();
        self.busy_permille = u64::try_from(busy * 1000 / elapsed)
            .unwrap_or(1000)
            .min(1000);
        self.busy.store(self.busy_permille, Ordering::Relaxed);
        self.busy_before = self.busy_time;
        self.housekept = now;
        self.net.tcp.close_silent(now);
        self.close_deserted(now);
    }

    fn stats(&self) -> ShardStats {
        let outlet_drops: u64 = self.peers.iter().map(|(_, peer)| peer.outlet.dropped).sum();
        let stats = self.net.stats;
        ShardStats {
            packets_out: stats.packets_out + self.net.tcp.packets_out,
            bytes_out: stats.bytes_out + self.net.tcp.bytes_out,
            send_drops: stats.send_drops + self.net.tcp.dropped,
            forwarded: self.media.forwarded,
            ring_drops: self.links.dropped,
            pending_drops: self.dirty.dropped,
            event_drops: stats.event_drops + outlet_drops,
            transports: self.peers.len() as u64,
            publications: self.media.feeds.len() as u64,
            subscriptions: self.media.subscriptions.len() as u64,
            connections: self.net.tcp.len() as u64,
            busy: self.busy_time,
            ..stats
        }
    }
}

/// Sends a message to one of these shards.
fn tell(shards: &[Arc<Inbox<Message>>], shard: ShardId, message: Message) {
    if let Some(inbox) = shards.get(shard.index()) {
        inbox.push(message);
    }
}
