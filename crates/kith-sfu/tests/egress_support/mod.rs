//! A publication on one shard and one subscriber to it, on virtual time.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers; each test file uses some of them"
)]

pub mod scalable;

use std::time::{Duration, Instant};

use kith_rtp::rtcp::ReportBlock;
use kith_rtp::vp8::{PictureId, Vp8Descriptor};
use kith_rtp::{
    Codec, ExtensionKind, ExtensionMap, MediaKind, PayloadType, RtpHeaderFields, RtpPacket, SeqNo,
    Ssrc, write_rtp_header,
};
use kith_sfu::{
    DownTrack, DownTrackSpec, HubSpec, LayerTarget, Outgoing, PublicationId, ReceivedPacket,
    SendCodec, SendStamp, SenderReportInfo, TrackHub,
};

pub const SSRC: Ssrc = Ssrc(0xAAAA);
pub const RTX_SSRC: Ssrc = Ssrc(0xBBBB);

/// Extension ids of the publisher; the subscriber's are one higher.
pub const MID: u8 = 4;
pub const TWCC: u8 = 3;
pub const ABS_SEND_TIME: u8 = 2;
pub const CAPTURE_TIME: u8 = 5;
pub const PLAYOUT_DELAY: u8 = 6;
pub const LEVEL: u8 = 1;
pub const ORIENTATION: u8 = 7;
pub const DD: u8 = 12;

pub fn extensions(add: u8) -> ExtensionMap {
    let mut map = ExtensionMap::new();
    map.set(ExtensionKind::Mid, MID + add);
    map.set(ExtensionKind::TransportWideCc, TWCC + add);
    map.set(ExtensionKind::AbsSendTime, ABS_SEND_TIME + add);
    map.set(ExtensionKind::AbsCaptureTime, CAPTURE_TIME + add);
    map.set(ExtensionKind::PlayoutDelay, PLAYOUT_DELAY + add);
    map.set(ExtensionKind::AudioLevel, LEVEL + add);
    map.set(ExtensionKind::VideoOrientation, ORIENTATION + add);
    map.set(ExtensionKind::DependencyDescriptor, DD + add);
    map
}

pub fn without(mut map: ExtensionMap, kinds: &[ExtensionKind]) -> ExtensionMap {
    for kind in kinds {
        map.set(*kind, 0);
    }
    map
}

/// The payload type that everybody here has for a codec; RTX is one more.
pub fn payload_type(codec: Codec) -> PayloadType {
    PayloadType(96 + 2 * codec as u8)
}

pub fn send_codec(codec: Codec) -> SendCodec {
    let has_rtx = codec.kind() == MediaKind::Video;
    SendCodec {
        codec,
        payload_type: payload_type(codec),
        rtx: has_rtx.then_some(PayloadType(payload_type(codec).0 + 1)),
    }
}

pub fn spec(codecs: &[Codec]) -> DownTrackSpec {
    let codecs: Vec<_> = codecs.iter().map(|codec| send_codec(*codec)).collect();
    DownTrackSpec {
        ssrc: SSRC,
        rtx_ssrc: codecs.iter().any(|it| it.rtx.is_some()).then_some(RTX_SSRC),
        codecs,
        extensions: extensions(1),
        mid: "7".into(),
        cname: "PA_publisher".into(),
        nack: true,
        seed: 42,
    }
}

/// One packet of the publisher.
#[derive(Clone, Debug)]
pub struct Packet {
    pub layer: u8,
    pub epoch: u32,
    pub seq: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub codec: Codec,
    pub extensions: Vec<(u8, Vec<u8>)>,
    pub payload: Vec<u8>,
}

impl Packet {
    pub fn new(codec: Codec, seq: u64, timestamp: u32, payload: &[u8]) -> Self {
        Packet {
            layer: 0,
            epoch: 0,
            seq,
            timestamp,
            marker: true,
            codec,
            extensions: Vec::new(),
            payload: payload.to_vec(),
        }
    }

    pub fn layer(mut self, layer: u8) -> Self {
        self.layer = layer;
        self
    }

    pub fn epoch(mut self, epoch: u32) -> Self {
        self.epoch = epoch;
        self
    }

    pub fn marker(mut self, marker: bool) -> Self {
        self.marker = marker;
        self
    }

    pub fn with(mut self, id: u8, value: &[u8]) -> Self {
        self.extensions.push((id, value.to_vec()));
        self
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![0; 4096];
        let fields = RtpHeaderFields {
            marker: self.marker,
            payload_type: payload_type(self.codec),
            sequence_number: SeqNo(self.seq as u16),
            timestamp: self.timestamp,
            ssrc: Ssrc(0x5000 + u32::from(self.layer)),
        };
        let extensions: Vec<(u8, &[u8])> = self
            .extensions
            .iter()
            .map(|(id, value)| (*id, value.as_slice()))
            .collect();
        let len = write_rtp_header(&mut out, &fields, &extensions).unwrap();
        out.truncate(len);
        out.extend_from_slice(&self.payload);
        out
    }
}

/// A VP8 frame in one or more packets.
#[derive(Clone, Copy, Debug)]
pub struct Vp8Frame {
    pub keyframe: bool,
    pub picture_id: u16,
    pub wide: bool,
    pub tl0: u8,
    pub temporal: u8,
    pub sync: bool,
    pub key_idx: u8,
}

impl Vp8Frame {
    pub fn new(picture_id: u16) -> Self {
        Vp8Frame {
            keyframe: false,
            picture_id,
            wide: true,
            tl0: picture_id as u8,
            temporal: 0,
            sync: false,
            key_idx: 3,
        }
    }

    pub fn key(picture_id: u16) -> Self {
        Vp8Frame {
            keyframe: true,
            ..Vp8Frame::new(picture_id)
        }
    }

    pub fn temporal(self, temporal: u8, tl0: u8) -> Self {
        Vp8Frame {
            temporal,
            tl0,
            ..self
        }
    }

    pub fn payload(&self, first: bool) -> Vec<u8> {
        let mut descriptor = Vp8Descriptor::default();
        descriptor.start_of_partition = first;
        descriptor.picture_id = Some(PictureId {
            value: self.picture_id,
            wide: self.wide,
        });
        descriptor.tl0_pic_idx = Some(self.tl0);
        descriptor.temporal_id = Some(self.temporal);
        descriptor.layer_sync = self.sync;
        descriptor.key_idx = Some(self.key_idx);
        let mut out = vec![0; 6];
        let len = descriptor.write(&mut out).unwrap();
        out.truncate(len);
        out.push(u8::from(!self.keyframe));
        out.extend_from_slice(&[0xAB; 20]);
        out
    }

    /// The packets of the frame, from sequence number `seq` on.
    pub fn packets(&self, seq: u64, timestamp: u32, count: u64) -> Vec<Packet> {
        (0..count)
            .map(|n| {
                Packet::new(Codec::Vp8, seq + n, timestamp, &self.payload(n == 0))
                    .marker(n + 1 == count)
            })
            .collect()
    }
}

/// What the subscriber got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub ssrc: Ssrc,
    pub payload_type: PayloadType,
    pub seq: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub extensions: Vec<(u8, Vec<u8>)>,
    pub payload: Vec<u8>,
    pub bytes: Vec<u8>,
}

impl Received {
    pub fn vp8(&self) -> Vp8Descriptor {
        Vp8Descriptor::parse(&self.payload).unwrap()
    }

    pub fn picture_id(&self) -> u16 {
        self.vp8().picture_id.unwrap().value
    }

    pub fn extension(&self, id: u8) -> Option<&[u8]> {
        let found = self.extensions.iter().find(|(it, _)| *it == id);
        found.map(|(_, value)| value.as_slice())
    }

    pub fn is_padding(&self) -> bool {
        self.payload.is_empty()
    }
}

pub struct Harness {
    pub hub: TrackHub,
    pub track: DownTrack,
    pub start: Instant,
    pub now: Instant,
    /// Counts what is written, as a transport does.
    pub stamp: u16,
}

impl Harness {
    pub fn new(layer_count: u8, spec: DownTrackSpec) -> Self {
        let start = Instant::now();
        Harness {
            hub: TrackHub::new(HubSpec {
                publication: PublicationId(1),
                kind: spec.codecs[0].codec.kind(),
                layer_count,
                extensions: extensions(0),
            }),
            track: DownTrack::new(spec),
            start,
            now: start,
            stamp: 0,
        }
    }

    pub fn vp8(layer_count: u8) -> Self {
        Harness::new(layer_count, spec(&[Codec::Vp8]))
    }

    pub fn wait_ms(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    pub fn target(&mut self, max_spatial: u8, max_temporal: u8) {
        self.track.set_target(LayerTarget {
            max_spatial,
            max_temporal,
            paused: false,
        });
    }

    pub fn pause(&mut self) {
        self.track.set_target(LayerTarget {
            paused: true,
            ..LayerTarget::ALL
        });
    }

    /// Pushes a packet and returns what the subscriber gets for it.
    pub fn push(&mut self, packet: &Packet) -> Vec<Received> {
        let bytes = packet.to_bytes();
        let received = ReceivedPacket {
            publication: PublicationId(1),
            layer: packet.layer,
            epoch: packet.epoch,
            seq: packet.seq,
            arrival: self.now,
            codec: packet.codec,
            packet: &bytes,
        };
        let Some(stored) = self.hub.push(&received) else {
            return Vec::new();
        };
        let outgoings = self.track.forward(&self.hub, stored, self.now);
        let outgoings: Vec<Outgoing> = outgoings.as_slice().to_vec();
        outgoings.iter().map(|out| self.write(out)).collect()
    }

    pub fn push_all(&mut self, packets: &[Packet]) -> Vec<Received> {
        packets
            .iter()
            .flat_map(|packet| self.push(packet))
            .collect()
    }

    pub fn write(&mut self, out: &Outgoing) -> Received {
        self.stamp += 1;
        let stamp = SendStamp {
            transport_sequence: Some(self.stamp),
            abs_send_time: 0x0012_3456 + u32::from(self.stamp),
        };
        let mut buf = vec![0xEE; 4096];
        let written = self.track.write(&self.hub, out, &stamp, &mut buf).unwrap();
        buf.truncate(written.len);
        let packet = RtpPacket::parse(&buf).unwrap();
        Received {
            ssrc: packet.ssrc(),
            payload_type: packet.payload_type(),
            seq: u64::from(written.roc) << 16 | u64::from(packet.sequence_number().0),
            timestamp: packet.timestamp(),
            marker: packet.marker(),
            extensions: packet
                .extensions()
                .map(|(id, value)| (id, value.to_vec()))
                .collect(),
            payload: packet.payload().to_vec(),
            bytes: buf.clone(),
        }
    }

    pub fn nack(&mut self, numbers: &[u64]) -> Vec<Received> {
        let numbers = numbers.iter().map(|number| SeqNo(*number as u16));
        let mut answers = Vec::new();
        self.track
            .handle_nack(&self.hub, numbers, self.now, |out| answers.push(out));
        answers.iter().map(|out| self.write(out)).collect()
    }

    /// The publisher's report about a layer: at `ntp_ms` of its clock, its timestamp was `rtp_timestamp`.
    pub fn sender_report(&mut self, layer: u8, epoch: u32, ntp_ms: u64, rtp_timestamp: u32) {
        self.hub.on_sender_report(&SenderReportInfo {
            publication: PublicationId(1),
            layer,
            epoch,
            ntp: ntp(ntp_ms),
            rtp_timestamp,
            arrival: self.now,
        });
    }

    pub fn receiver_report(&mut self, highest: u64, last_sr: u32, delay_ms: u64) {
        let report = ReportBlock {
            ssrc: SSRC,
            highest_sequence: highest as u32,
            last_sender_report: last_sr,
            delay_since_last_sender_report: (delay_ms * 65_536 / 1_000) as u32,
            ..ReportBlock::default()
        };
        self.track.handle_receiver_report(&report, self.now);
    }

    pub fn keyframe_request(&mut self) -> Option<u8> {
        self.track.poll_keyframe_request(&self.hub, self.now)
    }
}

pub fn ntp(ms: u64) -> u64 {
    ((ms / 1000) << 32) + (((ms % 1000) << 32) / 1000)
}

/// Asserts that sequence numbers go up by one and timestamps do not go back.
pub fn assert_seamless(packets: &[Received]) {
    for pair in packets.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq + 1, "{pair:?}");
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32;
        assert!(step >= 0, "{pair:?}");
    }
}
