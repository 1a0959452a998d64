//! What a shard of kith-net does with media, without its sockets, timers and tables of addresses: the same calls of kith-transport
//! and kith-sfu in the same order (`crates/kith-net/src/shard/{input,media,output}.rs`).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kith_rtp::rtcp::ReportBlock;
use kith_rtp::{Codec, MediaKind, Ssrc};
use kith_sfu::{
    DownTrack, DownTrackSpec, HubSpec, LayerSpec, Outgoing, PacketRef, PublicationId, ReceiveCodec,
    ReceiveSection, ReceiveSpec, SendCodec, SendStamp, TrackHub, TransportReceiver,
};
use kith_transport::{Datagram, Input, Path, Transport};
use rustc_hash::FxHashMap;

use crate::pair::Pairs;
use crate::source::{self, Source};

/// How long a burst stands for: a frame of 30 in a second.
const BURST_TIME: Duration = Duration::from_millis(33);

/// Where packets go.
pub(crate) trait Out {
    /// Lets `fill` write one datagram for the subscriber `to`.
    fn send(&mut self, to: usize, fill: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<usize>;

    /// The end of a burst.
    fn flush(&mut self);
}

/// A slab of the size of kith-net's, filled again and again.
pub(crate) struct SlabOut {
    pub(crate) slab: Box<[u8]>,
    pub(crate) used: usize,
}

/// As `kith_net::socket::outbox`.
const SLAB_LEN: usize = 256 << 10;
pub(crate) const MAX_DATAGRAM: usize = 1500;

impl SlabOut {
    pub(crate) fn new() -> Self {
        SlabOut {
            slab: vec![0; SLAB_LEN].into_boxed_slice(),
            used: 0,
        }
    }
}

impl Out for SlabOut {
    #[inline]
    fn send(&mut self, _: usize, fill: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<usize> {
        if self.used + MAX_DATAGRAM > self.slab.len() {
            self.used = 0;
        }
        let len = fill(&mut self.slab[self.used..self.used + MAX_DATAGRAM])?;
        self.used += len;
        Some(len)
    }

    fn flush(&mut self) {
        self.used = 0;
    }
}

struct Peer {
    transport: Transport,
    transport_sequence: u16,
    counts_transport_sequence: bool,
    packets_out: u64,
    bytes_out: u64,
}

struct Subscription {
    down: DownTrack,
    peer: usize,
    started: bool,
}

struct Feed {
    hub: TrackHub,
    fresh: Vec<PacketRef>,
    subscribers: Vec<usize>,
}

/// One publisher, its subscribers, and what is between them.
pub(crate) struct Model {
    publisher: Transport,
    path: Path,
    receiver: TransportReceiver,
    peers: Vec<Peer>,
    subscriptions: Vec<Subscription>,
    feeds: Vec<Feed>,
    by_publication: FxHashMap<PublicationId, usize>,
    dirty: Vec<usize>,
    now: Instant,
    pub(crate) forwarded: u64,
    /// As `Media::decided`.
    decided: Vec<Outgoing>,
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) codec: Codec,
    /// Length of an RTP packet, header included.
    pub(crate) len: usize,
    /// Packets of one publication that come together.
    pub(crate) burst: usize,
    pub(crate) subscribers: usize,
    /// Tracks that each of them gets.
    pub(crate) tracks: usize,
    /// How many of these have packets, in turn; the others are silent.
    pub(crate) active: usize,
}

impl Case {
    pub(crate) fn video(len: usize, subscribers: usize) -> Self {
        Case {
            codec: Codec::Vp8,
            len,
            burst: source::BURST,
            subscribers,
            tracks: 1,
            active: 1,
        }
    }

    pub(crate) fn build(self, most: usize) -> (Model, Source) {
        let now = Instant::now();
        let pairs = Pairs::new(now);
        let (publisher, client) = pairs.connect();
        let source = Source::new(client, self.codec, self.len, self.active, most);
        let rtx = (self.codec.kind() == MediaKind::Video).then_some(source::RTX);
        let mut receiver = TransportReceiver::new(now, Ssrc(1));
        let sections = (0..self.tracks).map(|track| ReceiveSection {
            mid: format!("{track}"),
            publication: PublicationId(track as u64),
            kind: self.codec.kind(),
            codecs: vec![ReceiveCodec {
                codec: self.codec,
                payload_type: source::MEDIA,
                rtx,
                nack: true,
            }],
            layers: vec![LayerSpec {
                rid: None,
                ssrc: Some(source::ssrc(track)),
                rtx_ssrc: rtx.map(|_| Ssrc(source::ssrc(track).0 + 500_000)),
            }],
            measure_audio_level: self.codec.kind() == MediaKind::Audio,
        });
        let spec = ReceiveSpec {
            extensions: source::extensions(),
            sections: sections.collect(),
            ..ReceiveSpec::default()
        };
        receiver.configure(now, spec);
        let mut model = Model {
            path: publisher.selected_path().unwrap(),
            publisher,
            receiver,
            peers: Vec::new(),
            subscriptions: Vec::new(),
            feeds: Vec::new(),
            by_publication: FxHashMap::default(),
            dirty: Vec::with_capacity(self.tracks),
            now,
            forwarded: 0,
            decided: Vec::new(),
        };
        for track in 0..self.tracks {
            let publication = PublicationId(track as u64);
            model.by_publication.insert(publication, track);
            model.feeds.push(Feed {
                hub: TrackHub::new(HubSpec {
                    publication,
                    kind: self.codec.kind(),
                    layer_count: 1,
                    extensions: source::extensions(),
                }),
                fresh: Vec::with_capacity(64),
                subscribers: Vec::new(),
            });
        }
        for peer in 0..self.subscribers {
            model.peers.push(Peer {
                transport: pairs.connect().0,
                transport_sequence: 0,
                counts_transport_sequence: true,
                packets_out: 0,
                bytes_out: 0,
            });
            for track in 0..self.tracks {
                let ssrc = (peer * self.tracks + track) as u32 + 1;
                let key = model.subscriptions.len();
                model.feeds[track].subscribers.push(key);
                model.subscriptions.push(Subscription {
                    down: DownTrack::new(DownTrackSpec {
                        ssrc: Ssrc(ssrc),
                        rtx_ssrc: rtx.map(|_| Ssrc(ssrc + 1_000_000)),
                        codecs: vec![SendCodec {
                            codec: self.codec,
                            payload_type: source::MEDIA,
                            rtx,
                        }],
                        extensions: source::extensions(),
                        mid: format!("{track}"),
                        cname: "PA_publisher".into(),
                        nack: true,
                        seed: ssrc.into(),
                    }),
                    peer,
                    started: false,
                });
            }
        }
        (model, source)
    }
}

impl Model {
    /// What a shard does with the datagrams that came together: it takes them all, then writes what they have become.
    #[inline(never)]
    pub(crate) fn process_burst(&mut self, datagrams: &mut [Vec<u8>], out: &mut impl Out) {
        self.now += BURST_TIME;
        for datagram in datagrams {
            self.take(datagram);
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            self.write_feed(key, out);
        }
        self.dirty = dirty;
        out.flush();
    }

    /// As `Shard::deliver`.
    fn take(&mut self, data: &mut [u8]) {
        let datagram = Datagram {
            proto: self.path.proto,
            source: self.path.remote,
            destination: self.path.local,
            data,
        };
        let Ok(Input::Rtp(packet)) = self.publisher.handle_input(self.now, datagram) else {
            panic!("a packet was not accepted");
        };
        let packet = self.receiver.handle_rtp(self.now, packet).unwrap();
        let key = self.by_publication[&packet.publication];
        let feed = &mut self.feeds[key];
        let stored = feed.hub.push(&packet).unwrap();
        if feed.fresh.is_empty() {
            self.dirty.push(key);
        }
        feed.fresh.push(stored);
    }

    /// As `Shard::write_feed`.
    fn write_feed(&mut self, key: usize, out: &mut impl Out) {
        let feed = &mut self.feeds[key];
        for subscription in &feed.subscribers {
            let subscription = &mut self.subscriptions[*subscription];
            let peer = &mut self.peers[subscription.peer];
            for packet in &feed.fresh {
                subscription
                    .down
                    .forward_each(&feed.hub, *packet, self.now, |outgoing| {
                        self.decided.push(outgoing);
                    });
            }
            for outgoing in self.decided.drain(..) {
                self.forwarded += 1;
                write(peer, subscription, &feed.hub, &outgoing, out);
            }
        }
        feed.fresh.clear();
    }

    /// The receive side's own traffic, and the subscribers' reports. Not part of what is measured.
    pub(crate) fn settle(&mut self) {
        if self
            .receiver
            .poll_timeout()
            .is_some_and(|at| at <= self.now)
        {
            self.receiver.handle_timeout(self.now);
        }
        let mut room = [0; MAX_DATAGRAM];
        while self.receiver.poll_rtcp(self.now, &mut room).is_some() {}
        while self.receiver.poll_event().is_some() {}
    }

    /// Every subscriber reports that it receives its streams, whereupon their mid is sent no longer.
    pub(crate) fn report(&mut self) {
        for subscription in &mut self.subscriptions {
            let report = ReportBlock {
                ssrc: subscription.down.ssrc(),
                ..ReportBlock::default()
            };
            subscription.down.handle_receiver_report(&report, self.now);
        }
    }

    /// The transports of the subscribers.
    pub(crate) fn transports(&self) -> impl ExactSizeIterator<Item = &Transport> {
        self.peers.iter().map(|peer| &peer.transport)
    }

    /// Frees all subscriptions; returns how many there were and how many bytes each of them takes in the table.
    pub(crate) fn unsubscribe_all(&mut self) -> (usize, usize) {
        let count = self.subscriptions.len();
        self.subscriptions.clear();
        (count, size_of::<Subscription>())
    }
}

/// As `kith_net::shard::output::write`.
#[inline]
fn write(
    peer: &mut Peer,
    subscription: &mut Subscription,
    hub: &TrackHub,
    outgoing: &Outgoing,
    out: &mut impl Out,
) {
    let transport = &peer.transport;
    let overhead = transport.srtp_overhead();
    let stamp = SendStamp {
        transport_sequence: peer
            .counts_transport_sequence
            .then_some(peer.transport_sequence),
        abs_send_time: 0x12_34_56,
    };
    let sent = out.send(subscription.peer, |room| {
        let plain = room.len().checked_sub(overhead)?;
        let written = subscription
            .down
            .write(hub, outgoing, &stamp, room.get_mut(..plain)?)?;
        transport.seal_rtp(written.roc, room, written.len).ok()
    });
    let Some(len) = sent else { return };
    peer.transport_sequence = peer.transport_sequence.wrapping_add(1);
    peer.packets_out += 1;
    peer.bytes_out += len as u64;
    subscription.started = true;
}

/// Real sockets: kith-net's own outbox, to one loopback socket per subscriber.
pub(crate) struct SocketOut {
    pub(crate) outbox: crate::socket::outbox::Outbox,
    pub(crate) socket: std::net::UdpSocket,
    pub(crate) receivers: Vec<std::net::UdpSocket>,
    pub(crate) destinations: Vec<SocketAddr>,
    /// Datagrams that the kernel took, and messages that they were in.
    pub(crate) datagrams: u64,
    pub(crate) messages: u64,
}

impl SocketOut {
    pub(crate) fn new(subscribers: usize) -> Self {
        let bind = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let receivers: Vec<_> = (0..subscribers).map(|_| bind()).collect();
        for receiver in &receivers {
            receiver.set_nonblocking(true).unwrap();
        }
        SocketOut {
            outbox: crate::socket::outbox::Outbox::new(true, true),
            socket: bind(),
            destinations: receivers
                .iter()
                .map(|receiver| receiver.local_addr().unwrap())
                .collect(),
            receivers,
            datagrams: 0,
            messages: 0,
        }
    }

    /// Takes everything out of the receivers.
    pub(crate) fn drain(&self) -> u64 {
        let mut buffer = [0; 2048];
        let mut count = 0;
        for receiver in &self.receivers {
            while receiver.recv(&mut buffer).is_ok() {
                count += 1;
            }
        }
        count
    }
}

impl Out for SocketOut {
    #[inline]
    fn send(&mut self, to: usize, fill: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<usize> {
        if self.outbox.room().is_none() {
            self.flush();
        }
        let room = self.outbox.room()?;
        let len = fill(room)?;
        let source = Some(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
        self.outbox.commit(len, self.destinations[to], source);
        Some(len)
    }

    fn flush(&mut self) {
        use std::os::fd::AsFd;
        while !self.outbox.is_empty() {
            let flush = self.outbox.flush(self.socket.as_fd());
            self.datagrams += flush.datagrams;
            self.messages += flush.messages;
        }
    }
}
