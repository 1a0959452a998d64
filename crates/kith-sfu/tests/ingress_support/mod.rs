//! A publisher made by hand and a receiver on virtual time.
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

use std::time::{Duration, Instant};

use kith_rtp::rtcp::{self, DlrrBlock, ReportBlock, RtcpPacket, RtcpWriter, XrBlock};
use kith_rtp::{
    Codec, ExtensionKind, ExtensionMap, MediaKind, PayloadType, RtpHeaderFields, RtpPacket, SeqNo,
    Ssrc, write_rtp_header,
};
use kith_sfu::{
    IngressEvent, LayerSpec, LayerStats, PublicationId, ReceiveCodec, ReceiveSection, ReceiveSpec,
    SenderReportInfo, TransportReceiver,
};

pub const LOCAL: Ssrc = Ssrc(0x1111_1111);

pub const MID: u8 = 4;
pub const RID: u8 = 10;
pub const RRID: u8 = 11;
pub const LEVEL: u8 = 1;
pub const TWCC: u8 = 3;
pub const DD: u8 = 12;

pub const VIDEO: PublicationId = PublicationId(1);
pub const AUDIO: PublicationId = PublicationId(2);

pub const VP8: u8 = 96;
pub const VP8_RTX: u8 = 97;
pub const OPUS: u8 = 111;
pub const RED: u8 = 63;

pub fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::new();
    map.set(ExtensionKind::Mid, MID);
    map.set(ExtensionKind::Rid, RID);
    map.set(ExtensionKind::RepairedRid, RRID);
    map.set(ExtensionKind::AudioLevel, LEVEL);
    map.set(ExtensionKind::TransportWideCc, TWCC);
    map.set(ExtensionKind::DependencyDescriptor, DD);
    map
}

pub fn codec(codec: Codec, payload_type: u8, rtx: Option<u8>, nack: bool) -> ReceiveCodec {
    ReceiveCodec {
        codec,
        payload_type: PayloadType(payload_type),
        rtx: rtx.map(PayloadType),
        nack,
    }
}

pub fn video_codecs() -> Vec<ReceiveCodec> {
    vec![
        codec(Codec::Vp8, VP8, Some(VP8_RTX), true),
        codec(Codec::Vp9, 98, Some(99), true),
        codec(Codec::H264, 125, Some(107), true),
        codec(Codec::Av1, 35, Some(36), true),
        codec(Codec::H265, 116, Some(117), true),
    ]
}

pub fn audio_codecs() -> Vec<ReceiveCodec> {
    vec![
        codec(Codec::Opus, OPUS, None, true),
        codec(Codec::Red, RED, None, true),
    ]
}

/// One encoding with a declared SSRC and RTX SSRC.
pub fn declared(ssrc: u32, rtx: u32) -> LayerSpec {
    LayerSpec {
        rid: None,
        ssrc: Some(Ssrc(ssrc)),
        rtx_ssrc: Some(Ssrc(rtx)),
    }
}

pub fn rid(rid: &str) -> LayerSpec {
    LayerSpec {
        rid: Some(rid.into()),
        ..LayerSpec::default()
    }
}

pub fn video_section(layers: Vec<LayerSpec>) -> ReceiveSection {
    ReceiveSection {
        mid: "1".into(),
        publication: VIDEO,
        kind: MediaKind::Video,
        codecs: video_codecs(),
        layers,
        measure_audio_level: false,
    }
}

pub fn audio_section() -> ReceiveSection {
    ReceiveSection {
        mid: "0".into(),
        publication: AUDIO,
        kind: MediaKind::Audio,
        codecs: audio_codecs(),
        layers: vec![LayerSpec::default()],
        measure_audio_level: true,
    }
}

pub fn spec(sections: Vec<ReceiveSection>) -> ReceiveSpec {
    ReceiveSpec {
        extensions: extensions(),
        sections,
        ..ReceiveSpec::default()
    }
}

/// One RTP packet.
#[derive(Clone, Debug)]
pub struct Rtp {
    pub payload_type: u8,
    pub marker: bool,
    pub seq: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub extensions: Vec<(u8, Vec<u8>)>,
    pub payload: Vec<u8>,
    pub padding: u8,
}

impl Rtp {
    /// A VP8 packet within a frame.
    pub fn video(ssrc: u32, seq: u16, timestamp: u32) -> Self {
        Rtp {
            payload_type: VP8,
            marker: false,
            seq,
            timestamp,
            ssrc,
            extensions: Vec::new(),
            payload: vec![0x10, 0x01, 0x02, 0x03],
            padding: 0,
        }
    }

    /// The first packet of a VP8 key frame of 640×360.
    pub fn keyframe(ssrc: u32, seq: u16, timestamp: u32) -> Self {
        Rtp {
            payload: vec![
                0x10, 0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01, 0,
            ],
            ..Rtp::video(ssrc, seq, timestamp)
        }
    }

    pub fn audio(ssrc: u32, seq: u16, timestamp: u32) -> Self {
        Rtp {
            payload_type: OPUS,
            payload: vec![0xFC, 1, 2, 3],
            ..Rtp::video(ssrc, seq, timestamp)
        }
    }

    pub fn padding(ssrc: u32, seq: u16, timestamp: u32) -> Self {
        Rtp {
            payload: Vec::new(),
            padding: 200,
            ..Rtp::video(ssrc, seq, timestamp)
        }
    }

    /// The retransmission of this packet on SSRC `rtx`.
    pub fn rtx(&self, rtx: u32, seq: u16) -> Self {
        let mut payload = self.seq.to_be_bytes().to_vec();
        payload.extend(&self.payload);
        Rtp {
            payload_type: VP8_RTX,
            ssrc: rtx,
            seq,
            payload,
            ..self.clone()
        }
    }

    pub fn with(mut self, id: u8, value: &[u8]) -> Self {
        self.extensions.push((id, value.to_vec()));
        self
    }

    pub fn twcc(self, number: u16) -> Self {
        self.with(TWCC, &number.to_be_bytes())
    }

    pub fn marked(mut self) -> Self {
        self.marker = true;
        self
    }

    pub fn payload_type(mut self, payload_type: u8) -> Self {
        self.payload_type = payload_type;
        self
    }

    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; 200];
        let extensions: Vec<(u8, &[u8])> = self
            .extensions
            .iter()
            .map(|(id, value)| (*id, &value[..]))
            .collect();
        let fields = RtpHeaderFields {
            marker: self.marker,
            payload_type: PayloadType(self.payload_type),
            sequence_number: SeqNo(self.seq),
            timestamp: self.timestamp,
            ssrc: Ssrc(self.ssrc),
        };
        let len = write_rtp_header(&mut out, &fields, &extensions).unwrap();
        out.truncate(len);
        out.extend(&self.payload);
        if self.padding > 0 {
            out[0] |= 0x20;
            out.resize(out.len() + usize::from(self.padding) - 1, 0);
            out.push(self.padding);
        }
        out
    }
}

/// A forwarded packet, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    pub publication: PublicationId,
    pub layer: u8,
    pub epoch: u32,
    pub seq: u64,
    pub codec: Codec,
    pub bytes: Vec<u8>,
}

impl Forwarded {
    pub fn rtp(&self) -> RtpPacket<'_> {
        RtpPacket::parse(&self.bytes).unwrap()
    }
}

/// What the receiver sent, owned.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    Nack { ssrc: u32, missing: Vec<u16> },
    Pli { ssrc: u32 },
    Report(Vec<ReportBlock>),
    ReferenceTime(u64),
    Answers(Vec<DlrrBlock>),
    Feedback(Feedback),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    pub media: u32,
    pub count: u8,
    pub base: u16,
    /// Number and arrival in microseconds since the receiver exists.
    pub packets: Vec<(u16, Option<u64>)>,
}

pub struct Harness {
    pub receiver: TransportReceiver,
    pub start: Instant,
    pub now: Instant,
    pub sent: Vec<(Duration, Sent)>,
    pub events: Vec<(Duration, IngressEvent)>,
    pub reports: Vec<SenderReportInfo>,
}

impl Harness {
    pub fn new(sections: Vec<ReceiveSection>) -> Self {
        let start = Instant::now();
        let mut receiver = TransportReceiver::new(start, LOCAL);
        receiver.configure(start, spec(sections));
        Harness {
            receiver,
            start,
            now: start,
            sent: Vec::new(),
            events: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Simulcast with rids q, h, f.
    pub fn simulcast() -> Self {
        Harness::new(vec![video_section(vec![rid("q"), rid("h"), rid("f")])])
    }

    /// One encoding with SSRC 100 and RTX SSRC 101.
    pub fn single() -> Self {
        Harness::new(vec![video_section(vec![declared(100, 101)])])
    }

    pub fn at(&self) -> Duration {
        self.now - self.start
    }

    pub fn rtp(&mut self, packet: Rtp) -> Option<Forwarded> {
        self.raw(packet.bytes())
    }

    pub fn raw(&mut self, mut bytes: Vec<u8>) -> Option<Forwarded> {
        let forwarded = self
            .receiver
            .handle_rtp(self.now, &mut bytes)
            .map(|packet| Forwarded {
                publication: packet.publication,
                layer: packet.layer,
                epoch: packet.epoch,
                seq: packet.seq,
                codec: packet.codec,
                bytes: packet.packet.to_vec(),
            });
        self.drain();
        forwarded
    }

    pub fn rtcp(&mut self, write: impl FnOnce(&mut RtcpWriter<'_>)) {
        let mut buffer = [0; 1200];
        let mut writer = RtcpWriter::new(&mut buffer);
        write(&mut writer);
        let bytes = writer.as_bytes().to_vec();
        let reports = &mut self.reports;
        self.receiver
            .handle_rtcp(self.now, &bytes, |info| reports.push(info));
        self.drain();
    }

    pub fn request_keyframe(&mut self, layer: u8) {
        self.receiver.request_keyframe(self.now, VIDEO, layer);
        self.drain();
    }

    /// Lets time pass, doing what is due when it is due.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        let mut steps = 0;
        while let Some(at) = self.receiver.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.receiver.handle_timeout(self.now);
            self.drain();
            steps += 1;
            assert!(steps < 10_000, "a timer that never comes to rest");
        }
        self.now = until;
    }

    pub fn advance_ms(&mut self, by: u64) {
        self.advance(Duration::from_millis(by));
    }

    pub fn drain(&mut self) {
        let mut out = [0; 1200];
        while let Some(len) = self.receiver.poll_rtcp(self.now, &mut out) {
            self.note_sent(&out[..len]);
        }
        while let Some(event) = self.receiver.poll_event() {
            self.events.push((self.at(), event));
        }
    }

    fn note_sent(&mut self, bytes: &[u8]) {
        let at = self.at();
        for packet in rtcp::packets(bytes) {
            let sent = match packet.expect("we send valid RTCP") {
                RtcpPacket::Nack(nack) => {
                    assert_eq!(nack.sender_ssrc, LOCAL);
                    Sent::Nack {
                        ssrc: nack.media_ssrc.0,
                        missing: nack.sequence_numbers().map(|seq| seq.0).collect(),
                    }
                }
                RtcpPacket::Pli(pli) => {
                    assert_eq!(pli.sender_ssrc, LOCAL);
                    Sent::Pli {
                        ssrc: pli.media_ssrc.0,
                    }
                }
                RtcpPacket::ReceiverReport(report) => {
                    assert_eq!(report.ssrc, LOCAL);
                    Sent::Report(report.blocks().collect())
                }
                RtcpPacket::TransportFeedback(feedback) => {
                    assert_eq!(feedback.sender_ssrc, LOCAL);
                    let reference = feedback.reference_micros();
                    Sent::Feedback(Feedback {
                        media: feedback.media_ssrc.0,
                        count: feedback.feedback_count,
                        base: feedback.base_sequence.0,
                        packets: feedback
                            .statuses()
                            .map(|status| {
                                let arrival = status
                                    .arrival
                                    .map(|arrival| reference.checked_add_signed(arrival).unwrap());
                                (status.sequence_number.0, arrival)
                            })
                            .collect(),
                    })
                }
                RtcpPacket::Xr(xr) => {
                    for block in xr.blocks() {
                        let sent = match block {
                            XrBlock::ReceiverReferenceTime(ntp) => Sent::ReferenceTime(ntp),
                            XrBlock::Dlrr(answers) => Sent::Answers(answers.iter().collect()),
                            XrBlock::Unknown(kind) => panic!("unknown block {kind}"),
                        };
                        self.sent.push((at, sent));
                    }
                    continue;
                }
                other => panic!("unexpected {other:?}"),
            };
            self.sent.push((at, sent));
        }
    }

    pub fn take_sent(&mut self) -> Vec<Sent> {
        self.sent.drain(..).map(|(_, sent)| sent).collect()
    }

    pub fn take_events(&mut self) -> Vec<IngressEvent> {
        self.events.drain(..).map(|(_, event)| event).collect()
    }

    /// When PLIs were sent to `ssrc`, in milliseconds.
    pub fn pli_times(&self, ssrc: u32) -> Vec<u128> {
        self.sent
            .iter()
            .filter(|(_, sent)| *sent == Sent::Pli { ssrc })
            .map(|(at, _)| at.as_millis())
            .collect()
    }

    /// When which packets were asked for, in milliseconds.
    pub fn nacks(&self) -> Vec<(u128, Vec<u16>)> {
        self.sent
            .iter()
            .filter_map(|(at, sent)| match sent {
                Sent::Nack { missing, .. } => Some((at.as_millis(), missing.clone())),
                _ => None,
            })
            .collect()
    }

    pub fn feedbacks(&self) -> Vec<(u128, Feedback)> {
        self.sent
            .iter()
            .filter_map(|(at, sent)| match sent {
                Sent::Feedback(feedback) => Some((at.as_millis(), feedback.clone())),
                _ => None,
            })
            .collect()
    }

    pub fn blocks(&self) -> Vec<(u128, ReportBlock)> {
        self.sent
            .iter()
            .filter_map(|(at, sent)| match sent {
                Sent::Report(blocks) => {
                    Some(blocks.iter().map(move |block| (at.as_millis(), *block)))
                }
                _ => None,
            })
            .flatten()
            .collect()
    }

    pub fn stats(&self, layer: u8) -> LayerStats {
        self.receiver
            .stats()
            .find(|stats| stats.layer == layer)
            .unwrap()
    }
}
