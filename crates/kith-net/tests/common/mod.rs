//! Clients made of str0m over real loopback sockets, and a media plane for them to talk to.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "helpers of tests: a panic is a failed test"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use kith_net::{
    CandidateFilter, Command, DataChannelSpec, DownTrackSpec, DtlsRole, Event, EventKind,
    IceCredentials, LayerSpec, LayerTarget, MediaPlane, NetConfig, Protocol as Proto,
    PublicationId, ReceiveCodec, ReceiveSection, ReceiveSpec, RemoteDescription, SendCodec,
    ShardId, SubscriptionId, SubscriptionSpec, TransportId, TransportSpec, UdpPorts,
};
use kith_rtp::{Codec, ExtensionKind, ExtensionMap, MediaKind, PayloadType, Ssrc};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::Fingerprint;
use str0m::ice::IceCreds;
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Input, Output, Rtc, RtcConfig};
use tokio::sync::mpsc;

pub const OPUS: u8 = 111;
pub const VP8: u8 = 96;
pub const VP8_RTX: u8 = 97;
pub const AUDIO_MID: &str = "0";
pub const VIDEO_MID: &str = "1";

/// Nothing on loopback takes this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn plane(shards: u16, udp: UdpPorts) -> MediaPlane {
    MediaPlane::start(NetConfig {
        shards,
        udp,
        tcp_port: Some(0),
        bind_addresses: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        loopback_candidates: true,
        socket_buffer: 4 << 20,
        ..NetConfig::default()
    })
    .unwrap()
}

/// A range in which a few free ports are to be expected.
pub fn some_range() -> UdpPorts {
    let free = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .min(65_000);
    UdpPorts::Range(free..=free + 400)
}

pub fn extensions() -> ExtensionMap {
    // str0m's standard map.
    let mut map = ExtensionMap::new();
    map.set(ExtensionKind::AudioLevel, 1);
    map.set(ExtensionKind::AbsSendTime, 2);
    map.set(ExtensionKind::TransportWideCc, 3);
    map.set(ExtensionKind::Mid, 4);
    map.set(ExtensionKind::Rid, 10);
    map.set(ExtensionKind::RepairedRid, 11);
    map
}

enum Link {
    Udp(UdpSocket),
    Tcp {
        stream: TcpStream,
        received: Vec<u8>,
        to_send: Vec<u8>,
    },
}

/// How a client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Udp,
    Udp6,
    Tcp,
}

/// A client with its server side.
pub struct Client {
    pub plane: MediaPlane,
    pub transport: TransportId,
    pub rtc: Rtc,
    pub events: mpsc::Receiver<Event>,
    /// Events of the server that were taken so far.
    pub seen: Vec<EventKind>,
    /// Packets received.
    pub packets: Vec<RtpPacket>,
    /// Data channel messages received.
    pub messages: Vec<Vec<u8>>,
    pub open_channels: Vec<(ChannelId, String)>,
    pub keyframe_requests: usize,
    /// Datagrams that the client received, before decryption: their lengths.
    pub datagrams: usize,
    /// Drops datagrams for which this says so, counting from 0.
    pub lose: fn(usize) -> bool,
    link: Link,
    local: SocketAddr,
    timeout: Instant,
    server_ufrag: String,
}

#[derive(Clone)]
pub struct Setup {
    pub over: Over,
    pub ice_lite: bool,
    pub sink: usize,
    /// Channels that the server opens.
    pub data_channels: Vec<DataChannelSpec>,
    /// Channels that the client opens.
    pub client_channels: Vec<&'static str>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            over: Over::Udp,
            ice_lite: true,
            sink: 256,
            data_channels: vec![],
            client_channels: vec![],
        }
    }
}

impl Client {
    pub fn new(plane: &MediaPlane, shard: ShardId, over: Over) -> Client {
        Client::with(
            plane,
            shard,
            Setup {
                over,
                ..Setup::default()
            },
        )
    }

    pub fn with(plane: &MediaPlane, shard: ShardId, setup: Setup) -> Client {
        let transport = plane.new_transport_id(shard);
        let candidates: Vec<_> = plane
            .candidates(shard)
            .iter()
            .filter(|candidate| {
                let proto = if setup.over == Over::Tcp {
                    Proto::Tcp
                } else {
                    Proto::Udp
                };
                candidate.proto == proto && candidate.base.is_ipv6() == (setup.over == Over::Udp6)
            })
            .cloned()
            .collect();
        let server = candidates
            .first()
            .expect("a candidate of the kind")
            .advertised;
        let (link, local, candidate) = match setup.over {
            Over::Udp | Over::Udp6 => {
                let any = if setup.over == Over::Udp {
                    "127.0.0.1:0"
                } else {
                    "[::1]:0"
                };
                let socket = UdpSocket::bind(any).unwrap();
                socket.set_nonblocking(true).unwrap();
                let local = socket.local_addr().unwrap();
                (
                    Link::Udp(socket),
                    local,
                    Candidate::host(local, "udp").unwrap(),
                )
            }
            Over::Tcp => {
                let stream = TcpStream::connect(server).unwrap();
                stream.set_nonblocking(true).unwrap();
                stream.set_nodelay(true).unwrap();
                let local = stream.local_addr().unwrap();
                let line = format!(
                    "candidate:1 1 tcp 1518280447 {} {} typ host tcptype active",
                    local.ip(),
                    local.port()
                );
                let candidate = Candidate::from_sdp_string(&line).unwrap();
                (
                    Link::Tcp {
                        stream,
                        received: vec![],
                        to_send: vec![],
                    },
                    local,
                    candidate,
                )
            }
        };
        let now = Instant::now();
        let mut rtc = RtcConfig::new().set_rtp_mode(true).build(now);
        rtc.add_local_candidate(candidate).unwrap();
        for candidate in &candidates {
            rtc.add_remote_candidate(Candidate::from_sdp_string(&candidate.line).unwrap());
        }
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).unwrap();
        let local_ice = IceCredentials::from_entropy(entropy);
        let mut api = rtc.direct_api();
        api.set_ice_controlling(true);
        api.set_remote_ice_credentials(IceCreds {
            ufrag: local_ice.ufrag().into(),
            pass: local_ice.pwd().into(),
        });
        api.set_remote_fingerprint(Fingerprint {
            hash_func: "sha-256".into(),
            bytes: plane.fingerprint().0.to_vec(),
        });
        let server_ufrag = local_ice.ufrag().to_owned();
        let theirs = api.local_ice_credentials();
        let fingerprint = api.local_dtls_fingerprint().bytes.clone();
        api.start_dtls(true).unwrap();
        api.start_sctp(true);
        for label in setup.client_channels {
            api.create_data_channel(ChannelConfig {
                label: label.into(),
                ..ChannelConfig::default()
            });
        }

        let (sink, events) = mpsc::channel(setup.sink);
        plane
            .send(Command::CreateTransport(TransportSpec {
                id: transport,
                local_ice,
                ice_lite: setup.ice_lite,
                controlling: false,
                candidates: CandidateFilter::All,
                data_channels: setup.data_channels,
                events: sink,
            }))
            .unwrap();
        plane
            .send(Command::SetRemote {
                transport,
                remote: RemoteDescription {
                    ice: IceCredentials::new(theirs.ufrag, theirs.pass).unwrap(),
                    fingerprint: kith_net::Fingerprint(fingerprint.try_into().unwrap()),
                    dtls_role: DtlsRole::Server,
                    max_message_size: 65_536,
                },
            })
            .unwrap();
        Client {
            plane: plane.clone(),
            transport,
            rtc,
            events,
            seen: vec![],
            packets: vec![],
            messages: vec![],
            open_channels: vec![],
            keyframe_requests: 0,
            datagrams: 0,
            lose: |_| false,
            link,
            local,
            timeout: now,
            server_ufrag,
        }
    }

    /// What the client's session description would say.
    pub fn description(&mut self) -> RemoteDescription {
        let api = self.rtc.direct_api();
        let ice = api.local_ice_credentials();
        let fingerprint = api.local_dtls_fingerprint().bytes.clone();
        RemoteDescription {
            ice: IceCredentials::new(ice.ufrag, ice.pass).unwrap(),
            fingerprint: kith_net::Fingerprint(fingerprint.try_into().unwrap()),
            dtls_role: DtlsRole::Server,
            max_message_size: 65_536,
        }
    }

    /// Restarts the client's side of ICE towards these credentials of the server.
    pub fn restart(&mut self, server: &IceCredentials) {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).unwrap();
        let ours = IceCredentials::from_entropy(entropy);
        let mut api = self.rtc.direct_api();
        api.set_local_ice_credentials(IceCreds {
            ufrag: ours.ufrag().into(),
            pass: ours.pwd().into(),
        });
        api.set_remote_ice_credentials(IceCreds {
            ufrag: server.ufrag().into(),
            pass: server.pwd().into(),
        });
    }

    /// The UDP socket, for somebody else to read.
    pub fn socket(&self) -> UdpSocket {
        match &self.link {
            Link::Udp(socket) => socket.try_clone().unwrap(),
            Link::Tcp { .. } => panic!("not UDP"),
        }
    }

    pub fn rtc_remote_ufrag(&self) -> &str {
        &self.server_ufrag
    }

    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Does whatever is to be done now.
    pub fn pump(&mut self) {
        let mut buffer = [0; 65_536];
        loop {
            let received = match &mut self.link {
                Link::Udp(socket) => match socket.recv_from(&mut buffer) {
                    Ok((len, source)) => Some((Protocol::Udp, source, buffer[..len].to_vec())),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                    Err(error) => panic!("{error}"),
                },
                Link::Tcp {
                    stream, received, ..
                } => {
                    match stream.read(&mut buffer) {
                        Ok(0) => {}
                        Ok(len) => received.extend_from_slice(&buffer[..len]),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(error) => panic!("{error}"),
                    }
                    let len = received
                        .first_chunk::<2>()
                        .map(|len| usize::from(u16::from_be_bytes(*len)));
                    match len {
                        Some(len) if received.len() >= 2 + len => {
                            let rest = received.split_off(2 + len);
                            let frame = std::mem::replace(received, rest).split_off(2);
                            Some((Protocol::Tcp, stream.peer_addr().unwrap(), frame))
                        }
                        _ => None,
                    }
                }
            };
            let Some((proto, source, bytes)) = received else {
                break;
            };
            self.datagrams += 1;
            if (self.lose)(self.datagrams - 1) {
                continue;
            }
            let receive = Receive::new(proto, source, self.local, &bytes).unwrap();
            self.rtc
                .handle_input(Input::Receive(Instant::now(), receive))
                .unwrap();
            self.poll();
        }
        let now = Instant::now();
        if now >= self.timeout {
            self.rtc.handle_input(Input::Timeout(now)).unwrap();
        }
        self.poll();
        while let Ok(event) = self.events.try_recv() {
            assert_eq!(event.transport, self.transport);
            self.seen.push(event.kind);
        }
    }

    fn poll(&mut self) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) => {
                    self.timeout = at;
                    break;
                }
                Output::Transmit(transmit) => match &mut self.link {
                    Link::Udp(socket) => {
                        socket
                            .send_to(&transmit.contents, transmit.destination)
                            .unwrap();
                    }
                    Link::Tcp { to_send, .. } => {
                        to_send.extend_from_slice(&(transmit.contents.len() as u16).to_be_bytes());
                        to_send.extend_from_slice(&transmit.contents);
                    }
                },
                Output::Event(event) => match event {
                    str0m::Event::RtpPacket(packet) => self.packets.push(packet),
                    str0m::Event::ChannelOpen(id, label) => self.open_channels.push((id, label)),
                    str0m::Event::ChannelData(data) => self.messages.push(data.data),
                    str0m::Event::KeyframeRequest(_) => self.keyframe_requests += 1,
                    _ => {}
                },
            }
        }
        if let Link::Tcp {
            stream, to_send, ..
        } = &mut self.link
            && !to_send.is_empty()
        {
            match stream.write(to_send) {
                Ok(len) => drop(to_send.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub fn is_connected(&self) -> bool {
        self.rtc.is_connected() && self.saw(|event| matches!(event, EventKind::Connected { .. }))
    }

    pub fn saw(&self, wanted: impl FnMut(&EventKind) -> bool) -> bool {
        self.seen.iter().any(wanted)
    }

    /// Publishes audio and video, one SSRC each.
    pub fn publish(&mut self, audio_ssrc: u32, video_ssrc: u32) -> (PublicationId, PublicationId) {
        let mut api = self.rtc.direct_api();
        api.declare_media(AUDIO_MID.into(), str0m::media::MediaKind::Audio);
        api.declare_stream_tx(audio_ssrc.into(), None, AUDIO_MID.into(), None);
        api.declare_media(VIDEO_MID.into(), str0m::media::MediaKind::Video);
        api.declare_stream_tx(
            video_ssrc.into(),
            Some((video_ssrc + 1).into()),
            VIDEO_MID.into(),
            None,
        );
        let audio = self.plane.new_publication_id(self.transport);
        let video = self.plane.new_publication_id(self.transport);
        self.receive(audio, audio_ssrc, video, video_ssrc);
        (audio, video)
    }

    pub fn receive(
        &self,
        audio: PublicationId,
        audio_ssrc: u32,
        video: PublicationId,
        video_ssrc: u32,
    ) {
        let section =
            |mid: &str, publication, kind, codec, payload_type, rtx, layer| ReceiveSection {
                mid: mid.into(),
                publication,
                kind,
                codecs: vec![ReceiveCodec {
                    codec,
                    payload_type: PayloadType(payload_type),
                    rtx,
                    nack: true,
                }],
                layers: vec![layer],
                measure_audio_level: kind == MediaKind::Audio,
            };
        let layer = |ssrc, rtx_ssrc| LayerSpec {
            rid: None,
            ssrc: Some(Ssrc(ssrc)),
            rtx_ssrc,
        };
        let spec = ReceiveSpec {
            extensions: extensions(),
            sections: vec![
                section(
                    AUDIO_MID,
                    audio,
                    MediaKind::Audio,
                    Codec::Opus,
                    OPUS,
                    None,
                    layer(audio_ssrc, None),
                ),
                section(
                    VIDEO_MID,
                    video,
                    MediaKind::Video,
                    Codec::Vp8,
                    VP8,
                    Some(PayloadType(VP8_RTX)),
                    layer(video_ssrc, Some(Ssrc(video_ssrc + 1))),
                ),
            ],
            ..ReceiveSpec::default()
        };
        self.plane
            .send(Command::SetReceive {
                transport: self.transport,
                spec,
            })
            .unwrap();
    }

    /// Subscribes to a publication; the client expects `ssrc` in a section of its own.
    pub fn subscribe(
        &mut self,
        publication: PublicationId,
        kind: MediaKind,
        ssrc: u32,
    ) -> SubscriptionId {
        let mid = format!("{}", ssrc % 1000);
        let mut api = self.rtc.direct_api();
        let (their_kind, rtx) = match kind {
            MediaKind::Audio => (str0m::media::MediaKind::Audio, None),
            MediaKind::Video => (str0m::media::MediaKind::Video, Some(ssrc + 1)),
        };
        api.declare_media(mid.as_str().into(), their_kind);
        api.expect_stream_rx(ssrc.into(), rtx.map(Into::into), mid.as_str().into(), None);
        let (codec, payload_type, rtx_type) = match kind {
            MediaKind::Audio => (Codec::Opus, OPUS, None),
            MediaKind::Video => (Codec::Vp8, VP8, Some(PayloadType(VP8_RTX))),
        };
        let id = self.plane.new_subscription_id(self.transport);
        self.plane
            .send(Command::Subscribe(SubscriptionSpec {
                id,
                publication,
                transport: self.transport,
                down: DownTrackSpec {
                    ssrc: Ssrc(ssrc),
                    rtx_ssrc: rtx.map(Ssrc),
                    codecs: vec![SendCodec {
                        codec,
                        payload_type: PayloadType(payload_type),
                        rtx: rtx_type,
                    }],
                    extensions: extensions(),
                    mid,
                    cname: "publisher".into(),
                    nack: true,
                    seed: u64::from(ssrc),
                },
                target: LayerTarget::ALL,
            }))
            .unwrap();
        id
    }

    /// Sends one RTP packet.
    pub fn write(
        &mut self,
        ssrc: u32,
        payload_type: u8,
        seq: u64,
        time: u32,
        marker: bool,
        payload: &[u8],
    ) {
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx(&ssrc.into()).unwrap();
        let write = RtpWrite::new(
            payload_type.into(),
            seq.into(),
            time,
            Instant::now(),
            payload,
        )
        .marker(marker)
        .nackable(payload_type == VP8);
        stream.write_rtp(write);
        self.poll();
    }

    /// Packets received with this SSRC.
    pub fn received(&self, ssrc: u32) -> Vec<&RtpPacket> {
        self.packets
            .iter()
            .filter(|packet| *packet.header.ssrc == ssrc)
            .collect()
    }

    pub fn send_message(&mut self, label: &str, message: &[u8]) -> bool {
        let id = self
            .open_channels
            .iter()
            .find(|(_, open)| open == label)
            .map(|(id, _)| *id)
            .expect("an open channel");
        let sent = self.rtc.channel(id).unwrap().write(true, message).unwrap();
        self.poll();
        sent
    }
}

/// Pumps all clients until `done`, or fails.
pub fn run(
    clients: &mut [&mut Client],
    what: &str,
    mut done: impl FnMut(&mut [&mut Client]) -> bool,
) {
    let until = Instant::now() + PATIENCE;
    loop {
        for client in clients.iter_mut() {
            client.pump();
        }
        if done(clients) {
            return;
        }
        if Instant::now() > until {
            for client in clients.iter() {
                eprintln!(
                    "{:?}: connected {}, {} packets, server said {:?}",
                    client.transport,
                    client.rtc.is_connected(),
                    client.packets.len(),
                    client.seen
                );
            }
            panic!("not in time: {what}");
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Pumps all clients for some time.
pub fn run_for(clients: &mut [&mut Client], time: Duration) {
    let until = Instant::now() + time;
    run(clients, "time passes", |_| Instant::now() >= until);
}

pub fn connect(clients: &mut [&mut Client]) {
    run(clients, "all connect", |clients| {
        clients.iter().all(|client| client.is_connected())
    });
}

/// A VP8 packet: first of a keyframe of 640×360, or of an interframe, or a continuation.
pub fn vp8(picture: u16, first: bool, keyframe: bool, len: usize) -> Vec<u8> {
    // X, S; I; 15-bit picture id.
    let mut payload = vec![
        0x80 | if first { 0x10 } else { 0 },
        0x80,
        0x80 | (picture >> 8) as u8,
        picture as u8,
    ];
    if first && keyframe {
        payload.extend_from_slice(&[0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);
    } else if first {
        payload.extend_from_slice(&[0x11, 0x02, 0x00]);
    }
    payload.resize(len.max(payload.len()), picture as u8);
    payload
}

/// Reads the server's counters.
pub fn stats(plane: &MediaPlane) -> Vec<kith_net::ShardStats> {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(plane.stats())
}
