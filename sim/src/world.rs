//! Everything together: clients, a network, a node, and the time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use kith_rtp::{Codec, MediaKind, PayloadType, Ssrc};
use kith_sfu::{
    DownTrackSpec, LayerSpec, LayerTarget, PublicationId, ReceiveCodec, ReceiveSection,
    ReceiveSpec, SendCodec,
};
use kith_transport::TransportContext;

use crate::client::{Client, OPUS, OPUS_RTX, Send, VP8, VP8_RTX, extensions};
use crate::network::{Conditions, Direction, Network};
use crate::node::{Node, SubscriptionKey};
use crate::random::Digest;

/// All worlds of a process begin at one moment: what is derived from absolute time (NTP stamps) is then the same in each.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Making a certificate costs a millisecond; all nodes of a process share one.
static CONTEXT: LazyLock<TransportContext> =
    LazyLock::new(|| TransportContext::generate().expect("a certificate"));

/// Until then everybody is connected.
const CONNECTING: Duration = Duration::from_secs(3);

/// Steps at one moment. A step takes everything that is due, so a few are for what follows from it.
const MAX_STEPS_AT_ONCE: u32 = 100;

/// A run. **One seed is one run**: the handshake, whose randomness is the libraries' own, happens on a perfect network and before
/// [`World::connect`] returns, at a fixed time.
pub struct World {
    /// The seed.
    pub seed: u64,
    /// When it began.
    pub start: Instant,
    /// The time.
    pub now: Instant,
    /// The network.
    pub network: Network,
    /// The clients.
    pub clients: Vec<Client>,
    /// The node.
    pub node: Node,
    /// Steps that the loop has made.
    pub steps: u64,
    steps_at_once: u32,
    specs: Vec<ReceiveSpec>,
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the run with KITH_SIM_SEED={} failed {:?} after its beginning",
                self.seed,
                self.now - self.start
            );
        }
    }
}

/// The seeds to run: the one in `KITH_SIM_SEED`, or these.
#[must_use]
pub fn seeds(usual: &[u64]) -> Vec<u64> {
    match std::env::var("KITH_SIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("KITH_SIM_SEED is a number")],
        Err(_) => usual.to_vec(),
    }
}

impl World {
    /// A node and clients on a perfect network with this delay, not connected yet.
    #[must_use]
    pub fn new(seed: u64, clients: usize, delay: Duration) -> Self {
        let now = *START;
        let server = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 7882));
        let mut node = Node::new(now, CONTEXT.clone(), server, seed);
        let mut network = Network::new(seed);
        let clients: Vec<Client> = (0..clients)
            .map(|index| {
                let ip = Ipv4Addr::new(10, 1, (index >> 8) as u8, index as u8);
                let address = SocketAddr::from((ip, 5000));
                network.add_link(Conditions::perfect(delay));
                let mut client = Client::new(now, address, server);
                let ice = node.add_client(now, address);
                let description = client.connect(&ice, node.fingerprint());
                node.set_remote(now, index, description);
                client
            })
            .collect();
        let specs = vec![ReceiveSpec::default(); clients.len()];
        let mut world = World {
            seed,
            start: now,
            now,
            network,
            clients,
            node,
            steps: 0,
            steps_at_once: 0,
            specs,
        };
        for client in 0..world.clients.len() {
            world.poll_client(client);
        }
        world
    }

    /// Lets everybody connect. Panics if somebody does not.
    #[track_caller]
    pub fn connect(&mut self) {
        self.run_until(self.start + CONNECTING);
        for (index, client) in self.clients.iter().enumerate() {
            assert!(client.is_connected(), "client {index} is not connected");
            assert!(
                self.node.is_connected(index),
                "the node is not connected to client {index}"
            );
        }
    }

    /// Time since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Changes both directions of every link.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        for client in 0..self.clients.len() {
            for direction in [Direction::Up, Direction::Down] {
                self.network.set(client, direction, conditions);
            }
        }
    }

    /// A client publishes a track in a section of its own. `layers`: rid (none for a single encoding) and SSRC, lowest first; RTX
    /// is on the next SSRC. Encodings without rid are found by mid, so that their SSRC may change.
    pub fn publish(
        &mut self,
        client: usize,
        mid: &str,
        kind: MediaKind,
        layers: &[(Option<&str>, u32)],
    ) -> PublicationId {
        let number = self
            .specs
            .iter()
            .map(|spec| spec.sections.len())
            .sum::<usize>() as u64;
        let publication = PublicationId::new(0, number + 1);
        let end = &mut self.clients[client];
        end.declare_media(mid, kind == MediaKind::Video);
        for (rid, ssrc) in layers {
            end.declare_send(mid, *rid, *ssrc);
        }
        let (codec, payload_type, rtx) = codec(kind);
        let spec = &mut self.specs[client];
        spec.extensions = extensions();
        spec.sections.push(ReceiveSection {
            mid: mid.into(),
            publication,
            kind,
            codecs: vec![ReceiveCodec {
                codec,
                payload_type: PayloadType(payload_type),
                rtx: Some(PayloadType(rtx)),
                nack: true,
            }],
            layers: layers
                .iter()
                .map(|(rid, _)| LayerSpec {
                    rid: rid.map(Into::into),
                    ssrc: None,
                    rtx_ssrc: None,
                })
                .collect(),
            measure_audio_level: kind == MediaKind::Audio,
        });
        self.node.set_receive(self.now, client, spec.clone());
        self.flush();
        publication
    }

    /// A client subscribes to a publication in a section of its own.
    pub fn subscribe(
        &mut self,
        client: usize,
        publication: PublicationId,
        kind: MediaKind,
        ssrc: u32,
        target: LayerTarget,
    ) -> SubscriptionKey {
        let mid = format!("s{ssrc}");
        let end = &mut self.clients[client];
        end.declare_media(&mid, kind == MediaKind::Video);
        end.declare_receive(&mid, ssrc);
        let (codec, payload_type, rtx) = codec(kind);
        let spec = DownTrackSpec {
            ssrc: Ssrc(ssrc),
            rtx_ssrc: Some(Ssrc(ssrc + 1)),
            codecs: vec![SendCodec {
                codec,
                payload_type: PayloadType(payload_type),
                rtx: Some(PayloadType(rtx)),
            }],
            extensions: extensions(),
            mid,
            cname: "publisher".into(),
            nack: true,
            seed: self
                .seed
                .wrapping_add(u64::from(ssrc) << 20)
                .wrapping_add(client as u64),
        };
        let key = self
            .node
            .subscribe(self.now, client, publication, spec, target);
        self.flush();
        key
    }

    /// Changes what a subscriber wants.
    pub fn set_target(&mut self, key: SubscriptionKey, target: LayerTarget) {
        self.node.set_target(self.now, key, target);
        self.flush();
    }

    /// A client sends packets now.
    pub fn send(&mut self, client: usize, packets: impl IntoIterator<Item = Send>) {
        for packet in packets {
            self.clients[client].write(self.now, packet);
            self.poll_client(client);
        }
    }

    /// A client asks for a keyframe of a stream that it receives.
    pub fn request_keyframe(&mut self, client: usize, ssrc: u32) {
        self.clients[client].request_keyframe(ssrc);
        self.clients[client].handle_timeout(self.now);
        self.poll_client(client);
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Lets time pass until then.
    pub fn run_until(&mut self, until: Instant) {
        while self.step(until) {}
        self.now = self.now.max(until);
    }

    /// A digest of what every client received and when.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut digest = Digest::default();
        for client in &self.clients {
            for packet in &client.received {
                digest.add_number((packet.at - self.start).as_micros() as u64);
                digest.add_number(u64::from(packet.ssrc));
                digest.add_number(packet.seq);
                digest.add_number(u64::from(packet.time));
                digest.add_number(packet.len as u64);
                digest.add_number(u64::from(packet.picture_id.unwrap_or(0)));
                if let Some(mark) = packet.mark {
                    digest.add_number(u64::from(mark.source));
                    digest.add_number(u64::from(mark.picture) << 8 | u64::from(mark.part));
                }
            }
        }
        digest.value()
    }

    /// Lets the next thing happen, if it happens by `until`: everything that is due at one moment is one turn of the node.
    fn step(&mut self, until: Instant) -> bool {
        let timers = self.clients.iter().map(Client::next_timeout);
        let next = timers
            .chain(self.network.next_arrival())
            .chain(self.node.next_timeout())
            .min()
            .filter(|next| *next <= until);
        let Some(next) = next else {
            return false;
        };
        self.steps += 1;
        // A timer that is due again when it has fired would stop the time.
        self.steps_at_once = if next > self.now {
            0
        } else {
            self.steps_at_once + 1
        };
        assert!(
            self.steps_at_once < MAX_STEPS_AT_ONCE,
            "the time stands still"
        );
        self.now = self.now.max(next);
        let now = self.now;
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            if client.next_timeout() <= now {
                client.handle_timeout(now);
                self.poll_client(index);
            }
        }
        if self.node.next_timeout().is_some_and(|at| at <= now) {
            self.node.handle_timeout(now);
        }
        while let Some(mut arrival) = self.network.receive(now) {
            match arrival.direction {
                Direction::Up => {
                    self.node
                        .handle_datagram(now, arrival.client, &mut arrival.data);
                }
                Direction::Down => {
                    self.clients[arrival.client].handle_datagram(now, &arrival.data);
                    self.poll_client(arrival.client);
                }
            }
        }
        self.flush();
        true
    }

    fn flush(&mut self) {
        for out in self.node.flush(self.now) {
            self.network
                .send(self.now, out.client, Direction::Down, out.data);
        }
    }

    fn poll_client(&mut self, client: usize) {
        let World {
            clients,
            network,
            now,
            ..
        } = self;
        clients[client].poll(*now, |data| {
            network.send(*now, client, Direction::Up, data);
        });
    }
}

fn codec(kind: MediaKind) -> (Codec, u8, u8) {
    match kind {
        MediaKind::Audio => (Codec::Opus, OPUS, OPUS_RTX),
        MediaKind::Video => (Codec::Vp8, VP8, VP8_RTX),
    }
}
