//! Two ends and a network between them, on virtual time. One seed is one run.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test helper: each test file uses a part of it, and a failure here is a failed test"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use kith_transport::{
    DataChannelSpec, DataLabel, Datagram, Dropped, DtlsRole, Fingerprint, IceCredentials, Input,
    Path, Protocol, RemoteDescription, Transmit, Transport, TransportConfig, TransportContext,
    TransportEvent,
};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::config::DtlsVersion;
use str0m::media::MediaKind;
use str0m::net::Receive;
use str0m::{Candidate, Event, Rtc};

/// Making a certificate costs a millisecond; all of a process's transports share one.
pub static CONTEXT: LazyLock<TransportContext> =
    LazyLock::new(|| TransportContext::generate().unwrap());
/// Another process's certificate.
pub static OTHER_CONTEXT: LazyLock<TransportContext> =
    LazyLock::new(|| TransportContext::generate().unwrap());

pub const KITH: &str = "10.0.0.1:7882";
pub const CLIENT: &str = "10.0.0.2:5000";
pub const KITH_V6: &str = "[2001:db8::1]:7882";
pub const CLIENT_V6: &str = "[2001:db8::2]:5000";

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn udp(local: &str, remote: &str) -> Path {
    Path {
        proto: Protocol::Udp,
        local: addr(local),
        remote: addr(remote),
    }
}

pub fn credentials(seed: u8) -> IceCredentials {
    IceCredentials::from_entropy(std::array::from_fn(|i| {
        seed.wrapping_mul(31).wrapping_add(i as u8 * 7)
    }))
}

/// xorshift64*
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }
    pub fn chance(&mut self, p: f64) -> bool {
        ((self.next() >> 11) as f64 / (1u64 << 53) as f64) < p
    }
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 40) as u8).collect()
    }
}

/// Our own transport and what it said.
pub struct Kith {
    pub transport: Transport,
    pub events: Vec<TransportEvent>,
    pub rtp: Vec<Vec<u8>>,
    pub rtcp: Vec<Vec<u8>>,
    pub dropped: Vec<Dropped>,
}

pub struct KithOptions {
    pub ice_lite: bool,
    pub controlling: bool,
    pub seed: u8,
    pub channels: Vec<DataChannelSpec>,
}

impl Default for KithOptions {
    fn default() -> Self {
        Self {
            ice_lite: true,
            controlling: false,
            seed: 1,
            channels: vec![],
        }
    }
}

impl Kith {
    pub fn new(now: Instant, context: &TransportContext, options: KithOptions) -> Self {
        let KithOptions {
            ice_lite,
            controlling,
            seed,
            channels,
        } = options;
        let config = TransportConfig {
            local_ice: credentials(seed),
            ice_lite,
            controlling,
            entropy: [seed; 32],
            data_channels: channels,
            max_message_size: Transport::MAX_MESSAGE_SIZE,
        };
        let transport = Transport::new(now, context, config);
        Self {
            transport,
            events: vec![],
            rtp: vec![],
            rtcp: vec![],
            dropped: vec![],
        }
    }

    pub fn saw(&self, event: &TransportEvent) -> bool {
        self.events.contains(event)
    }

    pub fn data(&self, label: &DataLabel) -> Vec<&[u8]> {
        let of = |event: &'_ TransportEvent| matches!(event, TransportEvent::Data { label: l, .. } if l == label);
        self.events
            .iter()
            .filter(|event| of(event))
            .map(|event| match event {
                TransportEvent::Data { payload, .. } => &payload[..],
                _ => unreachable!(),
            })
            .collect()
    }

    pub fn opened(&self, label: &DataLabel) -> bool {
        self.saw(&TransportEvent::DataChannelOpen {
            label: label.clone(),
        })
    }

    pub fn send_rtp(&mut self, packet: &[u8], roc: u32) -> Vec<u8> {
        let mut buf = packet.to_vec();
        buf.resize(packet.len() + self.transport.srtp_overhead(), 0);
        let len = self
            .transport
            .seal_rtp(roc, &mut buf, packet.len())
            .unwrap();
        buf.truncate(len);
        buf
    }

    pub fn send_rtcp(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buf = packet.to_vec();
        buf.resize(packet.len() + kith_transport::srtp::MAX_OVERHEAD, 0);
        let len = self.transport.seal_rtcp(&mut buf, packet.len()).unwrap();
        buf.truncate(len);
        buf
    }
}

/// Somebody else's WebRTC.
pub struct Str0m {
    pub rtc: Rtc,
    pub connected: bool,
    pub alive: bool,
    pub channels: Vec<(ChannelId, String)>,
    pub closed: Vec<ChannelId>,
    pub data: Vec<(ChannelId, Vec<u8>)>,
    pub rtp: Vec<Vec<u8>>,
    pub events: Vec<String>,
    timeout: Instant,
}

impl Str0m {
    pub fn new(now: Instant, version: DtlsVersion) -> Self {
        let rtc = Rtc::builder()
            .set_dtls_version(version)
            .set_rtp_mode(true)
            .set_stats_interval(None)
            .build(now);
        Self {
            rtc,
            connected: false,
            alive: true,
            channels: vec![],
            closed: vec![],
            data: vec![],
            rtp: vec![],
            events: vec![],
            timeout: now,
        }
    }

    pub fn description(&mut self, dtls_role: DtlsRole) -> RemoteDescription {
        let api = self.rtc.direct_api();
        let ice = api.local_ice_credentials();
        let fingerprint = api.local_dtls_fingerprint().bytes.clone();
        RemoteDescription {
            ice: IceCredentials::new(ice.ufrag, ice.pass).unwrap(),
            fingerprint: Fingerprint(fingerprint.try_into().unwrap()),
            dtls_role,
            max_message_size: Transport::MAX_MESSAGE_SIZE,
        }
    }

    pub fn open(&mut self, label: &str, ordered: bool, max_retransmits: Option<u16>) -> ChannelId {
        let reliability = max_retransmits.map_or(Reliability::Reliable, |retransmits| {
            Reliability::MaxRetransmits { retransmits }
        });
        let config = ChannelConfig {
            label: label.into(),
            ordered,
            reliability,
            ..Default::default()
        };
        self.rtc.direct_api().create_data_channel(config)
    }

    pub fn channel(&self, label: &str) -> Option<ChannelId> {
        self.channels
            .iter()
            .find(|(_, l)| l == label)
            .map(|(id, _)| *id)
    }

    pub fn write(&mut self, id: ChannelId, binary: bool, data: &[u8]) -> bool {
        self.rtc.channel(id).unwrap().write(binary, data).unwrap()
    }

    /// Declares a stream in each direction so that RTP can be exchanged.
    pub fn declare_media(&mut self, ssrc_tx: u32, ssrc_rx: u32) {
        let mut api = self.rtc.direct_api();
        api.declare_media("aud".into(), MediaKind::Audio);
        api.declare_stream_tx(ssrc_tx.into(), None, "aud".into(), None);
        api.expect_stream_rx(ssrc_rx.into(), None, "aud".into(), None);
    }

    fn event(&mut self, event: Event) {
        self.events
            .push(format!("{event:?}").chars().take(200).collect());
        match event {
            Event::Connected => self.connected = true,
            Event::ChannelOpen(id, label) => self.channels.push((id, label)),
            Event::ChannelClose(id) => self.closed.push(id),
            Event::ChannelData(data) => self.data.push((data.id, data.data)),
            Event::RtpPacket(packet) => self.rtp.push(packet.payload.to_vec()),
            _ => {}
        }
    }
}

#[expect(clippy::large_enum_variant, reason = "there are two of them")]
pub enum End {
    Kith(Kith),
    Str0m(Str0m),
}

impl End {
    fn timeout(&mut self) -> Option<Instant> {
        match self {
            End::Kith(kith) => kith.transport.poll_timeout(),
            End::Str0m(str0m) => str0m.alive.then_some(str0m.timeout),
        }
    }
}

struct InFlight {
    at: Instant,
    number: u64,
    transmit: Transmit,
}

impl PartialEq for InFlight {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for InFlight {}
impl PartialOrd for InFlight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for InFlight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub struct World {
    pub start: Instant,
    pub now: Instant,
    pub ends: [End; 2],
    pub latency: Duration,
    pub loss: f64,
    pub random: Random,
    /// What was sent, in order.
    pub wire: Vec<Transmit>,
    pub record: bool,
    pub sent: u64,
    /// The network is cut for datagrams for which this says so.
    pub cut: Box<dyn Fn(&Transmit) -> bool>,
    /// Bytes per second, and bytes that queue before it drops, in each direction.
    pub bottleneck: Option<(f64, f64)>,
    /// When the queue towards the first and the second end is empty.
    drained: [Instant; 2],
    /// The first end is connected by TCP, the second one does not know.
    pub over_tcp: bool,
    in_flight: BinaryHeap<Reverse<InFlight>>,
}

impl World {
    pub fn new(start: Instant, a: End, mut b: End) -> Self {
        if let End::Str0m(str0m) = &mut b {
            // It starts to move with the first time that it is told.
            str0m
                .rtc
                .handle_input(str0m::Input::Timeout(start))
                .unwrap();
        }
        Self {
            start,
            now: start,
            ends: [a, b],
            latency: Duration::from_millis(10),
            loss: 0.0,
            random: Random::new(1),
            wire: vec![],
            record: false,
            sent: 0,
            cut: Box::new(|_| false),
            bottleneck: None,
            drained: [start; 2],
            over_tcp: false,
            in_flight: BinaryHeap::new(),
        }
    }

    /// A lite server of ours and str0m as the client, not connected yet. `role` is ours.
    pub fn with_str0m(
        role: DtlsRole,
        version: DtlsVersion,
        channels: Vec<DataChannelSpec>,
    ) -> Self {
        let now = Instant::now();
        let mut kith = Kith::new(
            now,
            &CONTEXT,
            KithOptions {
                channels,
                ..Default::default()
            },
        );
        let mut client = Str0m::new(now, version);
        introduce(now, &mut kith, &mut client, role, role == DtlsRole::Server);
        Self::new(now, End::Kith(kith), End::Str0m(client))
    }

    /// Two of ours: a lite server and a full client.
    pub fn of_ours(
        role: DtlsRole,
        channels: Vec<DataChannelSpec>,
        client_channels: Vec<DataChannelSpec>,
    ) -> Self {
        let now = Instant::now();
        let server = Kith::new(
            now,
            &CONTEXT,
            KithOptions {
                channels,
                ..Default::default()
            },
        );
        let client = Kith::new(
            now,
            &OTHER_CONTEXT,
            KithOptions {
                ice_lite: false,
                controlling: true,
                seed: 2,
                channels: client_channels,
            },
        );
        let mut world = Self::new(now, End::Kith(server), End::Kith(client));
        world.introduce_ours(role);
        world
    }

    pub fn introduce_ours(&mut self, role: DtlsRole) {
        self.introduce_ours_at(role, KITH, CLIENT);
    }

    pub fn introduce_ours_at(
        &mut self,
        role: DtlsRole,
        server_address: &str,
        client_address: &str,
    ) {
        let now = self.now;
        let (server, client) = self.ours();
        let for_server = description(&client.transport, &OTHER_CONTEXT, role);
        let for_client = description(&server.transport, &CONTEXT, other(role));
        server
            .transport
            .add_local_candidate(Protocol::Udp, addr(server_address))
            .unwrap();
        client
            .transport
            .add_local_candidate(Protocol::Udp, addr(client_address))
            .unwrap();
        client
            .transport
            .add_remote_candidate(&candidate(server_address))
            .unwrap();
        server
            .transport
            .add_remote_candidate(&candidate(client_address))
            .unwrap();
        server.transport.set_remote(now, for_server).unwrap();
        client.transport.set_remote(now, for_client).unwrap();
    }

    pub fn kith(&mut self) -> &mut Kith {
        match &mut self.ends[0] {
            End::Kith(kith) => kith,
            End::Str0m(_) => panic!("not ours"),
        }
    }

    pub fn str0m(&mut self) -> &mut Str0m {
        match &mut self.ends[1] {
            End::Str0m(str0m) => str0m,
            End::Kith(_) => panic!("not str0m"),
        }
    }

    pub fn ours(&mut self) -> (&mut Kith, &mut Kith) {
        match &mut self.ends {
            [End::Kith(a), End::Kith(b)] => (a, b),
            _ => panic!("not both ours"),
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Takes what the ends have to say until they are silent.
    pub fn settle(&mut self) {
        for at in 0..2 {
            loop {
                let mut out = vec![];
                match &mut self.ends[at] {
                    End::Kith(kith) => {
                        while let Some(event) = kith.transport.poll_event() {
                            kith.events.push(event);
                        }
                        while let Some(transmit) = kith.transport.poll_transmit() {
                            out.push(transmit);
                        }
                    }
                    End::Str0m(str0m) => {
                        while str0m.alive {
                            match str0m.rtc.poll_output().unwrap() {
                                str0m::Output::Timeout(at) => {
                                    str0m.timeout = at;
                                    break;
                                }
                                str0m::Output::Transmit(t) => out.push(Transmit {
                                    proto: match t.proto {
                                        str0m::net::Protocol::Udp => Protocol::Udp,
                                        _ => Protocol::Tcp,
                                    },
                                    source: t.source,
                                    destination: t.destination,
                                    data: t.contents.to_vec(),
                                }),
                                str0m::Output::Event(event) => str0m.event(event),
                            }
                        }
                    }
                }
                if out.is_empty() {
                    break;
                }
                out.into_iter().for_each(|transmit| self.send(transmit));
            }
        }
    }

    /// Puts a datagram on the wire.
    pub fn send(&mut self, transmit: Transmit) {
        self.sent += 1;
        if self.record {
            self.wire.push(transmit.clone());
        }
        if (self.cut)(&transmit) || self.random.chance(self.loss) {
            return;
        }
        let mut leaves = self.now;
        if let Some((rate, queue)) = self.bottleneck {
            let drained = &mut self.drained[usize::from(!to_first(&transmit))];
            let waiting = drained.saturating_duration_since(self.now).as_secs_f64() * rate;
            if waiting + transmit.data.len() as f64 > queue {
                return;
            }
            *drained = (*drained).max(self.now)
                + Duration::from_secs_f64(transmit.data.len() as f64 / rate);
            leaves = *drained;
        }
        self.in_flight.push(Reverse(InFlight {
            at: leaves + self.latency,
            number: self.sent,
            transmit,
        }));
    }

    /// Hands a datagram to the end that has its destination: the first end has the addresses of [`KITH`] and [`KITH_V6`].
    pub fn deliver(&mut self, mut transmit: Transmit) {
        let to_first = to_first(&transmit);
        let to = usize::from(!to_first);
        if self.over_tcp {
            assert!(to_first || transmit.proto == Protocol::Tcp);
            transmit.proto = if to_first {
                Protocol::Tcp
            } else {
                Protocol::Udp
            };
        }
        let (now, proto, source, destination) = (
            self.now,
            transmit.proto,
            transmit.source,
            transmit.destination,
        );
        match &mut self.ends[to] {
            End::Kith(kith) => {
                let datagram = Datagram {
                    proto,
                    source,
                    destination,
                    data: &mut transmit.data,
                };
                match kith.transport.handle_input(now, datagram) {
                    Ok(Input::Rtp(packet)) => kith.rtp.push(packet.to_vec()),
                    Ok(Input::Rtcp(packet)) => kith.rtcp.push(packet.to_vec()),
                    Ok(Input::None) => {}
                    Err(dropped) => kith.dropped.push(dropped),
                }
            }
            End::Str0m(str0m) if str0m.alive => {
                let proto = match proto {
                    Protocol::Udp => str0m::net::Protocol::Udp,
                    Protocol::Tcp => str0m::net::Protocol::Tcp,
                };
                let Ok(contents) = (&transmit.data[..]).try_into() else {
                    return;
                };
                let receive = Receive {
                    proto,
                    source,
                    destination,
                    contents,
                };
                str0m
                    .rtc
                    .handle_input(str0m::Input::Receive(now, receive))
                    .unwrap();
            }
            End::Str0m(_) => {}
        }
    }

    /// Lets the next thing happen, if it happens before `until`.
    pub fn step(&mut self, until: Instant) -> bool {
        self.settle();
        let timeouts = self.ends.iter_mut().filter_map(End::timeout);
        let arrival = self.in_flight.peek().map(|Reverse(next)| next.at);
        let next = timeouts.chain(arrival).min().filter(|next| *next <= until);
        let Some(next) = next else {
            self.now = self.now.max(until);
            return false;
        };
        self.now = self.now.max(next);
        let now = self.now;
        for end in &mut self.ends {
            if end.timeout().is_none_or(|at| at > now) {
                continue;
            }
            match end {
                End::Kith(kith) => kith.transport.handle_timeout(now),
                End::Str0m(str0m) => str0m.rtc.handle_input(str0m::Input::Timeout(now)).unwrap(),
            }
        }
        self.settle();
        while self
            .in_flight
            .peek()
            .is_some_and(|Reverse(next)| next.at <= now)
        {
            let Reverse(arrived) = self.in_flight.pop().unwrap();
            self.deliver(arrived.transmit);
            self.settle();
        }
        true
    }

    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
    }

    /// Runs until the condition holds. Panics when it does not within `time`.
    #[track_caller]
    pub fn run_until(
        &mut self,
        time: Duration,
        what: &str,
        mut done: impl FnMut(&mut Self) -> bool,
    ) {
        let until = self.now + time;
        self.settle();
        while !done(self) {
            if !self.step(until) {
                let said = match &self.ends[0] {
                    End::Kith(kith) => {
                        let last: Vec<_> = kith.events.iter().rev().take(10).collect();
                        let dropped: Vec<_> = kith.dropped.iter().rev().take(10).collect();
                        format!("events {last:?}, dropped {dropped:?}")
                    }
                    End::Str0m(_) => String::new(),
                };
                panic!("not within {time:?}: {what}; {said}");
            }
        }
    }

    #[track_caller]
    pub fn connect(&mut self) {
        self.run_until(Duration::from_secs(20), "connection", |world| {
            let ours = world.kith().saw(&TransportEvent::Connected);
            let theirs = match &world.ends[1] {
                End::Kith(kith) => kith.saw(&TransportEvent::Connected),
                End::Str0m(str0m) => str0m.connected,
            };
            ours && theirs
        });
    }
}

/// Exchanges descriptions as signalling would. `asks` says whether the client asks for the SCTP association.
pub fn introduce(now: Instant, kith: &mut Kith, client: &mut Str0m, role: DtlsRole, asks: bool) {
    let description = client.description(role);
    kith.transport
        .add_local_candidate(Protocol::Udp, addr(KITH))
        .unwrap();
    kith.transport.set_remote(now, description).unwrap();
    let ours = kith.transport.local_ice_credentials().clone();
    client
        .rtc
        .add_local_candidate(Candidate::host(addr(CLIENT), "udp").unwrap());
    client
        .rtc
        .add_remote_candidate(Candidate::host(addr(KITH), "udp").unwrap());
    let mut api = client.rtc.direct_api();
    api.set_ice_controlling(true);
    api.set_remote_ice_credentials(str0m::ice::IceCreds {
        ufrag: ours.ufrag().into(),
        pass: ours.pwd().into(),
    });
    api.set_remote_fingerprint(str0m::crypto::Fingerprint {
        hash_func: "sha-256".into(),
        bytes: CONTEXT.fingerprint().0.to_vec(),
    });
    api.start_dtls(role == DtlsRole::Server).unwrap();
    api.start_sctp(asks);
}

pub fn description(
    transport: &Transport,
    context: &TransportContext,
    dtls_role: DtlsRole,
) -> RemoteDescription {
    RemoteDescription {
        ice: transport.local_ice_credentials().clone(),
        fingerprint: context.fingerprint(),
        dtls_role,
        max_message_size: Transport::MAX_MESSAGE_SIZE,
    }
}

pub fn other(role: DtlsRole) -> DtlsRole {
    match role {
        DtlsRole::Client => DtlsRole::Server,
        DtlsRole::Server => DtlsRole::Client,
    }
}

pub fn candidate(address: &str) -> String {
    let address = addr(address);
    format!(
        "candidate:1 1 udp 2130706431 {} {} typ host",
        address.ip(),
        address.port()
    )
}

pub fn rtp(ssrc: u32, seq: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(seq.to_be_bytes());
    packet.extend(1000u32.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

pub fn other_label(label: &str) -> DataLabel {
    DataLabel::Other(Arc::from(label))
}

fn to_first(transmit: &Transmit) -> bool {
    [KITH, KITH_V6]
        .map(|ours| addr(ours).ip())
        .contains(&transmit.destination.ip())
}
