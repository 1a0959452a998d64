//! What a packet costs on its way from the hub to a subscriber's buffer, without encryption and without the kernel.
//!
//! `cargo run --release -p kith-sfu --example egress_cost`
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measurement, not a server"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use kith_rtp::vp8::{PictureId, Vp8Descriptor};
use kith_rtp::{
    Codec, ExtensionKind, ExtensionMap, MediaKind, PayloadType, RtpHeaderFields, SeqNo, Ssrc,
    write_rtp_header,
};
use kith_sfu::{
    DownTrack, DownTrackSpec, HubSpec, PublicationId, ReceivedPacket, SendCodec, SendStamp,
    TrackHub,
};

const PACKETS: u64 = 30_000;
const PACKETS_PER_FRAME: u64 = 5;

fn main() {
    for (name, codec, len) in [
        ("VP8 1200 B", Codec::Vp8, 1200),
        ("H264 1200 B", Codec::H264, 1200),
        ("Opus 120 B", Codec::Opus, 120),
    ] {
        for subscribers in [1, 10, 100, 1000] {
            measure(name, codec, len, subscribers);
        }
    }
}

fn measure(name: &str, codec: Codec, len: usize, subscribers: usize) {
    let mut extensions = ExtensionMap::new();
    extensions.set(ExtensionKind::Mid, 4);
    extensions.set(ExtensionKind::AbsSendTime, 2);
    extensions.set(ExtensionKind::TransportWideCc, 3);
    extensions.set(ExtensionKind::AudioLevel, 1);
    let mut hub = TrackHub::new(HubSpec {
        publication: PublicationId(1),
        kind: codec.kind(),
        layer_count: 1,
        extensions,
    });
    let rtx = (codec.kind() == MediaKind::Video).then_some(PayloadType(97));
    let mut tracks: Vec<DownTrack> = (0..subscribers as u32)
        .map(|n| {
            DownTrack::new(DownTrackSpec {
                ssrc: Ssrc(n),
                rtx_ssrc: rtx.map(|_| Ssrc(n + 1_000_000)),
                codecs: vec![SendCodec {
                    codec,
                    payload_type: PayloadType(96),
                    rtx,
                }],
                extensions,
                mid: "12".into(),
                cname: "PA_x".into(),
                nack: true,
                seed: n.into(),
            })
        })
        .collect();

    let start = Instant::now();
    let mut buf = [0u8; 2048];
    let mut source = [0u8; 2048];
    let mut decided = Vec::with_capacity(8);
    let mut push = Duration::ZERO;
    let mut forward = Duration::ZERO;
    let mut written = 0u64;
    let packets = (PACKETS * 10 / subscribers.max(10) as u64).max(2000);
    for n in 0..packets {
        let size = source_packet(&mut source, codec, len, n);
        let received = ReceivedPacket {
            publication: PublicationId(1),
            layer: 0,
            epoch: 0,
            seq: 70_000 + n,
            arrival: start + Duration::from_micros(n * 4_000),
            codec,
            packet: &source[..size],
        };
        let before = Instant::now();
        let packet = hub.push(&received).unwrap();
        let between = Instant::now();
        for track in &mut tracks {
            decided.clear();
            track.forward_each(&hub, packet, between, |outgoing| decided.push(outgoing));
            for outgoing in &decided {
                let stamp = SendStamp {
                    transport_sequence: Some(n as u16),
                    abs_send_time: n as u32,
                };
                let done = track.write(&hub, outgoing, &stamp, &mut buf).unwrap();
                written += u64::from(done.len > 0);
                black_box(&buf);
            }
        }
        push += between - before;
        forward += between.elapsed();
    }
    let per = forward.as_nanos() as f64 / written as f64;
    println!(
        "{name:12} {subscribers:5} subscribers: forward + write {per:6.1} ns, push {:5} ns, down-track {} B, hub {} B",
        push.as_nanos() as u64 / packets,
        tracks[0].memory(),
        hub.memory(),
    );
}

fn source_packet(out: &mut [u8], codec: Codec, len: usize, n: u64) -> usize {
    let frame = n / PACKETS_PER_FRAME;
    let in_frame = n % PACKETS_PER_FRAME;
    let fields = RtpHeaderFields {
        marker: in_frame == PACKETS_PER_FRAME - 1,
        payload_type: PayloadType(96),
        sequence_number: SeqNo(n as u16),
        timestamp: (frame * 3000) as u32,
        ssrc: Ssrc(7),
    };
    let head = write_rtp_header(out, &fields, &[(4, b"1"), (3, &[0, 0]), (1, &[30])]).unwrap();
    let payload = &mut out[head..head + len];
    payload.fill(n as u8);
    match codec {
        Codec::Vp8 => {
            let mut descriptor = Vp8Descriptor::default();
            descriptor.start_of_partition = in_frame == 0;
            descriptor.picture_id = Some(PictureId {
                value: (frame & 0x7FFF) as u16,
                wide: true,
            });
            descriptor.tl0_pic_idx = Some(frame as u8);
            descriptor.temporal_id = Some(0);
            descriptor.key_idx = Some(0);
            let at = descriptor.write(payload).unwrap();
            payload[at] = u8::from(frame > 0);
        }
        Codec::H264 => payload[0] = if n == 0 { 0x67 } else { 0x61 },
        _ => {}
    }
    head + len
}
