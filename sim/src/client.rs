//! A client: str0m in RTP mode.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kith_rtp::{ExtensionKind, ExtensionMap};
use kith_transport::{DtlsRole, Fingerprint, IceCredentials, RemoteDescription, Transport};
use str0m::format::{Codec, FormatParams};
use str0m::ice::IceCreds;
use str0m::media::{Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use crate::media::Mark;

/// Payload types of every client.
pub const OPUS: u8 = 111;
/// RTX of Opus. Browsers do not negotiate it, but it lets audio be repaired like video.
pub const OPUS_RTX: u8 = 112;
/// Payload type of VP8.
pub const VP8: u8 = 96;
/// RTX of VP8.
pub const VP8_RTX: u8 = 97;

/// Packets that a client can send again. Histories shorter than a run would hide what a run is to show.
const RESEND_PACKETS: usize = 1024;
const RESEND_AGE: Duration = Duration::from_secs(30);

/// The ids of header extensions: str0m's standard map.
#[must_use]
pub fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::new();
    map.set(ExtensionKind::AudioLevel, 1);
    map.set(ExtensionKind::AbsSendTime, 2);
    map.set(ExtensionKind::TransportWideCc, 3);
    map.set(ExtensionKind::Mid, 4);
    map.set(ExtensionKind::Rid, 10);
    map.set(ExtensionKind::RepairedRid, 11);
    map
}

/// A packet as the client's application sees it.
#[derive(Clone, Debug)]
pub struct Received {
    /// When it came.
    pub at: Instant,
    /// Its stream's SSRC; RTX is unwrapped.
    pub ssrc: u32,
    /// Extended sequence number.
    pub seq: u64,
    /// RTP timestamp.
    pub time: u32,
    /// The marker bit.
    pub marker: bool,
    /// VP8's 15-bit picture id.
    pub picture_id: Option<u16>,
    /// Whether it begins a VP8 keyframe.
    pub keyframe: bool,
    /// What the source wrote into it.
    pub mark: Option<Mark>,
    /// Length of the payload.
    pub len: usize,
}

/// A packet to send.
#[derive(Clone, Debug)]
pub struct Send {
    /// The stream.
    pub ssrc: u32,
    /// Its payload type.
    pub payload_type: u8,
    /// Extended sequence number.
    pub seq: u64,
    /// RTP timestamp.
    pub time: u32,
    /// The marker bit.
    pub marker: bool,
    /// The payload.
    pub payload: Vec<u8>,
}

/// A client.
pub struct Client {
    rtc: Rtc,
    /// Its address.
    pub address: SocketAddr,
    server: SocketAddr,
    timeout: Instant,
    /// Packets received, in the order in which they came.
    pub received: Vec<Received>,
    /// When which section (and rid) was asked for a keyframe.
    pub keyframe_requests: Vec<(Instant, String, Option<String>)>,
    connected: bool,
}

impl Client {
    /// A client that does not know its server yet.
    pub fn new(now: Instant, address: SocketAddr, server: SocketAddr) -> Self {
        let mut config = RtcConfig::new()
            .set_rtp_mode(true)
            .set_stats_interval(None)
            .clear_codecs();
        let codecs = config.codec_config();
        let none = FormatParams::default;
        codecs.add_config(
            OPUS.into(),
            Some(OPUS_RTX.into()),
            Codec::Opus,
            Frequency::FORTY_EIGHT_KHZ,
            Some(2),
            none(),
        );
        codecs.add_config(
            VP8.into(),
            Some(VP8_RTX.into()),
            Codec::Vp8,
            Frequency::NINETY_KHZ,
            None,
            none(),
        );
        let mut rtc = config.build(now);
        rtc.handle_input(Input::Timeout(now)).expect("time passes");
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a host candidate"));
        rtc.add_remote_candidate(Candidate::host(server, "udp").expect("a host candidate"));
        Client {
            rtc,
            address,
            server,
            timeout: now,
            received: Vec::new(),
            keyframe_requests: Vec::new(),
            connected: false,
        }
    }

    /// Takes the server's description and returns the client's.
    pub fn connect(&mut self, ice: &IceCredentials, fingerprint: Fingerprint) -> RemoteDescription {
        let mut api = self.rtc.direct_api();
        api.set_ice_controlling(true);
        api.set_remote_ice_credentials(IceCreds {
            ufrag: ice.ufrag().into(),
            pass: ice.pwd().into(),
        });
        api.set_remote_fingerprint(str0m::crypto::Fingerprint {
            hash_func: "sha-256".into(),
            bytes: fingerprint.0.to_vec(),
        });
        let ours = api.local_ice_credentials();
        let fingerprint = api.local_dtls_fingerprint().bytes.clone();
        api.start_dtls(true).expect("DTLS starts");
        RemoteDescription {
            ice: IceCredentials::new(ours.ufrag, ours.pass).expect("valid credentials"),
            fingerprint: Fingerprint(fingerprint.try_into().expect("32 bytes")),
            dtls_role: DtlsRole::Server,
            max_message_size: Transport::MAX_MESSAGE_SIZE,
        }
    }

    /// Whether DTLS is up.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Declares a section to send or receive on.
    pub fn declare_media(&mut self, mid: &str, is_video: bool) {
        let kind = if is_video {
            MediaKind::Video
        } else {
            MediaKind::Audio
        };
        self.rtc.direct_api().declare_media(Mid::from(mid), kind);
    }

    /// Declares a stream to send, with RTX on the next SSRC.
    pub fn declare_send(&mut self, mid: &str, rid: Option<&str>, ssrc: u32) {
        self.rtc
            .direct_api()
            .declare_stream_tx(
                ssrc.into(),
                Some((ssrc + 1).into()),
                Mid::from(mid),
                rid.map(Into::into),
            )
            .set_rtx_cache(RESEND_PACKETS, RESEND_AGE, None);
    }

    /// Ends a stream that was sent.
    pub fn remove_send(&mut self, ssrc: u32) {
        self.rtc.direct_api().remove_stream_tx(ssrc.into());
    }

    /// Declares a stream to receive, with RTX on the next SSRC.
    pub fn declare_receive(&mut self, mid: &str, ssrc: u32) {
        self.rtc.direct_api().expect_stream_rx(
            ssrc.into(),
            Some((ssrc + 1).into()),
            Mid::from(mid),
            None,
        );
    }

    /// Asks for a keyframe of a stream that is received.
    pub fn request_keyframe(&mut self, ssrc: u32) {
        self.rtc
            .direct_api()
            .stream_rx(&ssrc.into())
            .expect("a declared stream")
            .request_keyframe(str0m::media::KeyframeRequestKind::Pli);
    }

    /// Sends a packet; take it out with [`Client::poll`].
    pub fn write(&mut self, now: Instant, packet: Send) {
        let mut api = self.rtc.direct_api();
        let stream = api
            .stream_tx(&packet.ssrc.into())
            .expect("a declared stream");
        let write = RtpWrite::new(
            packet.payload_type.into(),
            packet.seq.into(),
            packet.time,
            now,
            packet.payload,
        )
        .marker(packet.marker)
        .nackable(true);
        stream.write_rtp(write);
        // What is written leaves at the next timeout, stream by stream in the order of a hash table. Asking for it now keeps the order.
        self.handle_timeout(now);
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Instant, data: &[u8]) {
        let receive = Receive::new(Protocol::Udp, self.server, self.address, data)
            .expect("a datagram of a protocol that WebRTC has");
        self.rtc
            .handle_input(Input::Receive(now, receive))
            .expect("the client goes on");
    }

    /// When [`Client::handle_timeout`] is to be called.
    pub fn next_timeout(&self) -> Instant {
        self.timeout
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.rtc
            .handle_input(Input::Timeout(now))
            .expect("the client goes on");
    }

    /// Takes what the client has to say and to send.
    pub fn poll(&mut self, now: Instant, mut send: impl FnMut(Vec<u8>)) {
        loop {
            match self.rtc.poll_output().expect("the client goes on") {
                Output::Timeout(at) => {
                    self.timeout = at;
                    return;
                }
                Output::Transmit(transmit) => {
                    assert_eq!(transmit.destination, self.server);
                    send(transmit.contents.to_vec());
                }
                Output::Event(event) => self.on_event(now, event),
            }
        }
    }

    /// Packets received with this SSRC, in the order of their numbers.
    pub fn in_order(&self, ssrc: u32) -> Vec<&Received> {
        let mut packets: Vec<_> = self.received.iter().filter(|it| it.ssrc == ssrc).collect();
        packets.sort_by_key(|packet| packet.seq);
        packets
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Connected => self.connected = true,
            Event::KeyframeRequest(request) => {
                let rid = request.rid.map(|rid| rid.to_string());
                self.keyframe_requests
                    .push((now, request.mid.to_string(), rid));
            }
            Event::RtpPacket(packet) => {
                let payload = &packet.payload;
                // Padding has no payload.
                let vp8 = (*packet.header.payload_type == VP8 && !payload.is_empty())
                    .then(|| kith_rtp::vp8::Vp8Descriptor::parse(payload))
                    .map(|descriptor| descriptor.expect("a valid descriptor"));
                self.received.push(Received {
                    at: now,
                    ssrc: *packet.header.ssrc,
                    seq: *packet.seq_no,
                    time: packet.header.timestamp,
                    marker: packet.header.marker,
                    picture_id: vp8.and_then(|it| it.picture_id).map(|id| id.value),
                    keyframe: vp8.is_some_and(|it| it.starts_keyframe(payload)),
                    mark: Mark::read(payload),
                    len: payload.len(),
                });
            }
            _ => {}
        }
    }
}
