//! The node: `kith-transport` and `kith-sfu` wired as a shard of `kith-net` wires them, without its sockets and threads.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kith_rtp::rtcp::{self, ReportBlock, RtcpPacket};
use kith_rtp::{ExtensionKind, Ssrc, ext::AbsSendTime};
use kith_sfu::{
    DownTrack, DownTrackSpec, HubSpec, IngressEvent, LayerStats, LayerTarget, Outgoing, PacketRef,
    PublicationId, ReceiveSpec, SendStamp, SenderReportInfo, TrackHub, TransportReceiver,
};
use kith_transport::{
    Datagram, Fingerprint, IceCredentials, Input, Protocol, RemoteDescription, Transport,
    TransportConfig, TransportContext, TransportEvent,
};

use crate::random::Random;

/// Longest datagram, as in `kith-net`.
const MAX_DATAGRAM: usize = 1500;

/// How often down-tracks are asked for sender reports and keyframe requests, as in `kith-net`.
const TICK: Duration = Duration::from_millis(100);

/// What one wire looks like from the node: a datagram for a client.
#[derive(Debug)]
pub struct Out {
    /// The client.
    pub client: usize,
    /// The bytes.
    pub data: Vec<u8>,
}

/// What the node did. Costs are counted, not timed, so that they are the same in every run and on every machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Of these, not accepted.
    pub rejected: u64,
    /// RTP packets of publications received.
    pub media_in: u64,
    /// RTP packets sent to subscribers the first time.
    pub forwarded: u64,
    /// RTP packets sent again.
    pub repeated: u64,
    /// RTCP datagrams sent.
    pub rtcp_out: u64,
    /// Bytes of them.
    pub rtcp_bytes_out: u64,
    /// Times that a transport's timer fired.
    pub wakeups: u64,
    /// Encodings that the receive side looked at because of timers: all of the transport's, each time.
    pub looks: u64,
    /// Times that a transport was polled.
    pub polls: u64,
}

/// A client's transport with what belongs to it.
struct Peer {
    address: SocketAddr,
    transport: Transport,
    receiver: TransportReceiver,
    /// Subscriptions of each SSRC that is sent, RTX included.
    by_ssrc: HashMap<Ssrc, usize>,
    subscriptions: Vec<usize>,
    repeats: Vec<(usize, Outgoing)>,
    transport_sequence: u16,
    counts_transport_sequence: bool,
    next_tick: Option<Instant>,
    next_timeout: Option<Instant>,
    touched: bool,
    connected: bool,
}

/// A publication.
struct Feed {
    publisher: usize,
    hub: TrackHub,
    fresh: Vec<PacketRef>,
    subscribers: Vec<usize>,
    keyframes: u8,
}

struct Subscription {
    peer: usize,
    publication: PublicationId,
    down: DownTrack,
}

/// Something that the node tells about a client's transport.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeEvent {
    /// From its transport.
    Transport(TransportEvent),
    /// From its receive side.
    Ingress(IngressEvent),
}

/// A server with one thread's worth of transports. **The caller feeds datagrams, calls [`Node::flush`] at the end of each turn, and
/// [`Node::handle_timeout`] when [`Node::next_timeout`] says so.**
pub struct Node {
    context: TransportContext,
    address: SocketAddr,
    start: Instant,
    seed: u64,
    peers: Vec<Peer>,
    feeds: HashMap<PublicationId, Feed>,
    subscriptions: Vec<Subscription>,
    /// Publications with new packets, in the order in which they got them.
    dirty: Vec<PublicationId>,
    /// Publications of which a keyframe is wanted.
    wanting: Vec<PublicationId>,
    touched: Vec<usize>,
    out: Vec<Out>,
    events: Vec<(Instant, usize, NodeEvent)>,
    work: Work,
}

/// Names a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionKey(usize);

impl Node {
    /// A node at an address.
    pub fn new(start: Instant, context: TransportContext, address: SocketAddr, seed: u64) -> Self {
        Node {
            context,
            address,
            start,
            seed,
            peers: Vec::new(),
            feeds: HashMap::new(),
            subscriptions: Vec::new(),
            dirty: Vec::new(),
            wanting: Vec::new(),
            touched: Vec::new(),
            out: Vec::new(),
            events: Vec::new(),
            work: Work::default(),
        }
    }

    /// The node's certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.context.fingerprint()
    }

    /// A transport for the next client, which will be at `address`. Returns our ICE credentials.
    pub fn add_client(&mut self, now: Instant, address: SocketAddr) -> IceCredentials {
        let mut random = Random::new(self.seed, 1 << 32 | self.peers.len() as u64);
        let mut entropy = || std::array::from_fn(|_| (random.draw() >> 40) as u8);
        let local_ice = IceCredentials::from_entropy(entropy());
        let config = TransportConfig {
            local_ice: local_ice.clone(),
            ice_lite: true,
            controlling: false,
            entropy: entropy(),
            data_channels: vec![],
            max_message_size: Transport::MAX_MESSAGE_SIZE,
        };
        let mut transport = Transport::new(now, &self.context, config);
        transport
            .add_local_candidate(Protocol::Udp, self.address)
            .expect("a host candidate");
        let local_ssrc = Ssrc(0xF000_0000 + self.peers.len() as u32);
        self.peers.push(Peer {
            address,
            transport,
            receiver: TransportReceiver::new(now, local_ssrc),
            by_ssrc: HashMap::new(),
            subscriptions: Vec::new(),
            repeats: Vec::new(),
            transport_sequence: 0,
            counts_transport_sequence: false,
            next_tick: None,
            next_timeout: None,
            touched: false,
            connected: false,
        });
        local_ice
    }

    /// What the client's description says.
    pub fn set_remote(&mut self, now: Instant, client: usize, remote: RemoteDescription) {
        self.peers[client]
            .transport
            .set_remote(now, remote)
            .expect("a usable description");
        self.touch(client);
    }

    /// Whether DTLS is up.
    pub fn is_connected(&self, client: usize) -> bool {
        self.peers[client].connected
    }

    /// What a client publishes: replaces what it published before. Publications that are new get a hub.
    pub fn set_receive(&mut self, now: Instant, client: usize, spec: ReceiveSpec) {
        for section in &spec.sections {
            let hub = HubSpec {
                publication: section.publication,
                kind: section.kind,
                layer_count: section.layers.len() as u8,
                extensions: spec.extensions,
            };
            self.feeds
                .entry(section.publication)
                .or_insert_with(|| Feed {
                    publisher: client,
                    hub: TrackHub::new(hub),
                    fresh: Vec::new(),
                    subscribers: Vec::new(),
                    keyframes: 0,
                });
        }
        self.peers[client].receiver.configure(now, spec);
        self.touch(client);
    }

    /// Subscribes a client to a publication that exists.
    pub fn subscribe(
        &mut self,
        now: Instant,
        client: usize,
        publication: PublicationId,
        spec: DownTrackSpec,
        target: LayerTarget,
    ) -> SubscriptionKey {
        let key = self.subscriptions.len();
        let peer = &mut self.peers[client];
        peer.counts_transport_sequence |=
            spec.extensions.id(ExtensionKind::TransportWideCc).is_some();
        for ssrc in [Some(spec.ssrc), spec.rtx_ssrc].into_iter().flatten() {
            let before = peer.by_ssrc.insert(ssrc, key);
            assert!(before.is_none(), "{ssrc:?} was given twice");
        }
        peer.subscriptions.push(key);
        peer.next_tick.get_or_insert(now + TICK);
        let mut down = DownTrack::new(spec);
        down.set_target(target);
        self.subscriptions.push(Subscription {
            peer: client,
            publication,
            down,
        });
        self.feeds
            .get_mut(&publication)
            .expect("a publication")
            .subscribers
            .push(key);
        self.poll_keyframe(key, now);
        self.touch(client);
        SubscriptionKey(key)
    }

    /// Changes what a subscriber wants.
    pub fn set_target(&mut self, now: Instant, key: SubscriptionKey, target: LayerTarget) {
        self.subscriptions[key.0].down.set_target(target);
        self.poll_keyframe(key.0, now);
    }

    /// A subscription's send side.
    pub fn down_track(&self, key: SubscriptionKey) -> &DownTrack {
        &self.subscriptions[key.0].down
    }

    /// Counters of what a client's encodings were received with.
    pub fn layer_stats(&self, client: usize) -> Vec<LayerStats> {
        self.peers[client].receiver.stats().collect()
    }

    /// What happened, in order.
    pub fn events(&self) -> &[(Instant, usize, NodeEvent)] {
        &self.events
    }

    /// What the node has done so far.
    pub fn work(&self) -> Work {
        self.work
    }

    /// Takes a datagram of a client's.
    pub fn handle_datagram(&mut self, now: Instant, client: usize, data: &mut [u8]) {
        self.work.datagrams_in += 1;
        let peer = &mut self.peers[client];
        let datagram = Datagram {
            proto: Protocol::Udp,
            source: peer.address,
            destination: self.address,
            data,
        };
        match peer.transport.handle_input(now, datagram) {
            Ok(Input::Rtp(packet)) => {
                if let Some(packet) = peer.receiver.handle_rtp(now, packet)
                    && let Some(feed) = self.feeds.get_mut(&packet.publication)
                {
                    self.work.media_in += 1;
                    if let Some(stored) = feed.hub.push(&packet) {
                        if feed.fresh.is_empty() {
                            self.dirty.push(packet.publication);
                        }
                        feed.fresh.push(stored);
                    }
                }
            }
            Ok(Input::Rtcp(packet)) => self.on_rtcp(client, packet, now),
            Ok(Input::None) => {}
            Err(_) => self.work.rejected += 1,
        }
        self.touch(client);
    }

    /// When [`Node::handle_timeout`] is to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.peers.iter().filter_map(|peer| peer.next_timeout).min()
    }

    /// Fires the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for client in 0..self.peers.len() {
            let peer = &mut self.peers[client];
            if peer.next_timeout.is_none_or(|at| at > now) {
                continue;
            }
            self.work.wakeups += 1;
            if peer.transport.poll_timeout().is_some_and(|at| at <= now) {
                peer.transport.handle_timeout(now);
            }
            if peer.receiver.poll_timeout().is_some_and(|at| at <= now) {
                self.work.looks += peer.receiver.stats().count() as u64;
                peer.receiver.handle_timeout(now);
            }
            if peer.next_tick.is_some_and(|at| at <= now) {
                self.tick(client, now);
            }
            self.touch(client);
        }
    }

    /// The end of a turn: forwards what came, answers, and takes what the transports have to say. Returns what to send.
    pub fn flush(&mut self, now: Instant) -> Vec<Out> {
        let micros = now.saturating_duration_since(self.start).as_micros() as u64;
        let abs_send_time = AbsSendTime::from_micros(micros).0;
        for client in 0..self.peers.len() {
            for (key, outgoing) in std::mem::take(&mut self.peers[client].repeats) {
                self.work.repeated += 1;
                self.write(key, &outgoing, abs_send_time);
            }
        }
        for publication in std::mem::take(&mut self.dirty) {
            let feed = self.feeds.get_mut(&publication).expect("a publication");
            let fresh = std::mem::take(&mut feed.fresh);
            let subscribers = feed.subscribers.clone();
            for key in subscribers {
                for packet in &fresh {
                    let hub = &self.feeds[&publication].hub;
                    let outgoings = self.subscriptions[key].down.forward(hub, *packet, now);
                    for outgoing in &outgoings {
                        self.work.forwarded += 1;
                        self.write(key, outgoing, abs_send_time);
                    }
                }
            }
        }
        for publication in std::mem::take(&mut self.wanting) {
            let feed = self.feeds.get_mut(&publication).expect("a publication");
            let layers = std::mem::take(&mut feed.keyframes);
            let publisher = feed.publisher;
            for layer in (0..8).filter(|layer| layers >> layer & 1 == 1) {
                self.peers[publisher]
                    .receiver
                    .request_keyframe(now, publication, layer);
            }
            self.touch(publisher);
        }
        for client in std::mem::take(&mut self.touched) {
            self.peers[client].touched = false;
            self.settle(client, now);
        }
        std::mem::take(&mut self.out)
    }

    /// Polls a transport until it is silent.
    fn settle(&mut self, client: usize, now: Instant) {
        self.work.polls += 1;
        let peer = &mut self.peers[client];
        loop {
            if let Some(event) = peer.transport.poll_event() {
                peer.connected |= event == TransportEvent::Connected;
                self.events.push((now, client, NodeEvent::Transport(event)));
            } else if let Some(transmit) = peer.transport.poll_transmit() {
                assert_eq!(transmit.destination, peer.address);
                self.out.push(Out {
                    client,
                    data: transmit.data,
                });
            } else {
                break;
            }
        }
        let mut room = [0; MAX_DATAGRAM];
        let plain = MAX_DATAGRAM - kith_transport::srtp::MAX_OVERHEAD;
        while let Some(len) = peer.receiver.poll_rtcp(now, &mut room[..plain]) {
            if !peer.transport.media_ready() {
                continue;
            }
            let len = peer
                .transport
                .seal_rtcp(&mut room, len)
                .expect("keys and room");
            self.work.rtcp_out += 1;
            self.work.rtcp_bytes_out += len as u64;
            self.out.push(Out {
                client,
                data: room[..len].to_vec(),
            });
        }
        while let Some(event) = peer.receiver.poll_event() {
            if let IngressEvent::RttUpdated { rtt } = event {
                for key in &peer.subscriptions {
                    self.subscriptions[*key].down.set_rtt(rtt);
                }
            }
            self.events.push((now, client, NodeEvent::Ingress(event)));
        }
        peer.next_timeout = [
            peer.transport.poll_timeout(),
            peer.receiver.poll_timeout(),
            peer.next_tick,
        ]
        .into_iter()
        .flatten()
        .min();
    }

    /// Asks the down-tracks of a transport for sender reports and keyframe requests.
    fn tick(&mut self, client: usize, now: Instant) {
        let peer = &mut self.peers[client];
        peer.next_tick = (!peer.subscriptions.is_empty()).then(|| now + TICK);
        if !peer.transport.media_ready() {
            return;
        }
        let keys = peer.subscriptions.clone();
        for key in &keys {
            let Subscription {
                publication, down, ..
            } = &mut self.subscriptions[*key];
            let mut room = [0; MAX_DATAGRAM];
            let hub = &self.feeds[publication].hub;
            let Some(len) = down.sender_report(now, hub, &mut room[..1000]) else {
                continue;
            };
            let len = peer
                .transport
                .seal_rtcp(&mut room, len)
                .expect("keys and room");
            self.work.rtcp_out += 1;
            self.work.rtcp_bytes_out += len as u64;
            self.out.push(Out {
                client,
                data: room[..len].to_vec(),
            });
        }
        for key in keys {
            self.poll_keyframe(key, now);
        }
    }

    fn poll_keyframe(&mut self, key: usize, now: Instant) {
        let Subscription {
            publication, down, ..
        } = &mut self.subscriptions[key];
        let feed = self.feeds.get_mut(publication).expect("a publication");
        if let Some(layer) = down.poll_keyframe_request(&feed.hub, now) {
            if feed.keyframes == 0 {
                self.wanting.push(*publication);
            }
            feed.keyframes |= 1 << layer;
        }
    }

    /// Writes, seals and sends one packet.
    fn write(&mut self, key: usize, outgoing: &Outgoing, abs_send_time: u32) {
        let Subscription {
            peer: client,
            publication,
            down,
        } = &self.subscriptions[key];
        let peer = &mut self.peers[*client];
        if !peer.transport.media_ready() {
            return;
        }
        let stamp = SendStamp {
            transport_sequence: peer
                .counts_transport_sequence
                .then_some(peer.transport_sequence),
            abs_send_time,
        };
        let mut room = [0; MAX_DATAGRAM];
        let plain = MAX_DATAGRAM - peer.transport.srtp_overhead();
        let hub = &self.feeds[publication].hub;
        let written = down
            .write(hub, outgoing, &stamp, &mut room[..plain])
            .expect("a packet that was just decided on can be written");
        let len = peer
            .transport
            .seal_rtp(written.roc, &mut room, written.len)
            .expect("keys and room");
        peer.transport_sequence = peer.transport_sequence.wrapping_add(1);
        self.out.push(Out {
            client: *client,
            data: room[..len].to_vec(),
        });
    }

    fn on_rtcp(&mut self, client: usize, bytes: &[u8], now: Instant) {
        let mut reports: Vec<SenderReportInfo> = Vec::new();
        self.peers[client]
            .receiver
            .handle_rtcp(now, bytes, |report| reports.push(report));
        for report in reports {
            if let Some(feed) = self.feeds.get_mut(&report.publication) {
                feed.hub.on_sender_report(&report);
            }
        }
        for packet in rtcp::packets(bytes) {
            match packet.expect("clients send well-formed RTCP") {
                RtcpPacket::SenderReport(report) => {
                    self.on_blocks(client, report.blocks(), now);
                }
                RtcpPacket::ReceiverReport(report) => {
                    self.on_blocks(client, report.blocks(), now);
                }
                RtcpPacket::Nack(nack) => self.on_nack(client, &nack, now),
                RtcpPacket::Pli(pli) => self.on_pli(client, pli.media_ssrc, now),
                RtcpPacket::Fir(fir) => {
                    for entry in fir.entries() {
                        self.on_pli(client, entry.media_ssrc, now);
                    }
                }
                _ => {}
            }
        }
    }

    fn on_blocks(
        &mut self,
        client: usize,
        blocks: impl Iterator<Item = ReportBlock>,
        now: Instant,
    ) {
        for block in blocks {
            if let Some(key) = self.peers[client].by_ssrc.get(&block.ssrc) {
                self.subscriptions[*key]
                    .down
                    .handle_receiver_report(&block, now);
            }
        }
    }

    fn on_nack(&mut self, client: usize, nack: &rtcp::Nack<'_>, now: Instant) {
        let peer = &mut self.peers[client];
        let Some(key) = peer.by_ssrc.get(&nack.media_ssrc).copied() else {
            return;
        };
        let Subscription {
            publication, down, ..
        } = &mut self.subscriptions[key];
        if down.ssrc() != nack.media_ssrc {
            return;
        }
        let hub = &self.feeds[publication].hub;
        down.handle_nack(hub, nack.sequence_numbers(), now, |outgoing| {
            peer.repeats.push((key, outgoing));
        });
    }

    fn on_pli(&mut self, client: usize, ssrc: Ssrc, now: Instant) {
        if let Some(key) = self.peers[client].by_ssrc.get(&ssrc).copied() {
            self.subscriptions[key].down.handle_pli();
            self.poll_keyframe(key, now);
        }
    }

    fn touch(&mut self, client: usize) {
        let peer = &mut self.peers[client];
        if !peer.touched {
            peer.touched = true;
            self.touched.push(client);
        }
    }
}
