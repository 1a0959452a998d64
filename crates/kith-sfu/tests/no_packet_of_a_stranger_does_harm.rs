//! Random and mutilated packets of all codecs: nothing panics, nothing grows, and what leaves is RTP.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use egress_support::scalable::{Between, Encoder};
use egress_support::{
    CAPTURE_TIME, DD, Harness, LEVEL, ORIENTATION, PLAYOUT_DELAY, Packet, RTX_SSRC, SSRC, spec,
};
use kith_rtp::Codec;
use kith_sfu::ReportBlock;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Chaos {
    packet: Packet,
    wait_ms: u64,
    target: Option<(u8, u8)>,
    nack: Vec<u64>,
    report: bool,
}

fn chaos(codecs: &'static [Codec]) -> impl Strategy<Value = Chaos> {
    let extension = (
        prop::sample::select(vec![
            LEVEL,
            CAPTURE_TIME,
            PLAYOUT_DELAY,
            ORIENTATION,
            DD,
            DD,
        ]),
        prop::collection::vec(any::<u8>(), 0..40),
    );
    let packet = (
        prop::sample::select(codecs),
        0u8..5,
        0u32..3,
        prop_oneof![8 => 70_000u64..70_100, 2 => 70_000u64..200_000, 1 => any::<u64>()],
        any::<u32>(),
        any::<bool>(),
        prop::collection::vec(any::<u8>(), 1..60),
        prop::collection::vec(extension, 0..3),
    )
        .prop_map(
            |(codec, layer, epoch, seq, timestamp, marker, payload, extensions)| Packet {
                layer,
                epoch,
                seq,
                timestamp,
                marker,
                codec,
                extensions,
                payload,
            },
        );
    (
        packet,
        0u64..5000,
        prop::option::weighted(0.2, (any::<u8>(), any::<u8>())),
        prop::collection::vec(any::<u64>(), 0..4),
        any::<bool>(),
    )
        .prop_map(|(packet, wait_ms, target, nack, report)| Chaos {
            packet,
            wait_ms,
            target,
            nack,
            report,
        })
}

fn run(mut harness: Harness, steps: &[Chaos]) {
    for step in steps {
        harness.wait_ms(step.wait_ms);
        if let Some((spatial, temporal)) = step.target {
            harness.target(spatial, temporal);
        }
        // Some are unreadable as RTP, with sequence numbers at the end of the range.
        for received in harness.push(&step.packet) {
            assert_eq!(received.ssrc, SSRC);
        }
        for answer in harness.nack(&step.nack) {
            assert!(answer.ssrc == SSRC || answer.ssrc == RTX_SSRC);
        }
        if step.report {
            let report = ReportBlock {
                ssrc: SSRC,
                highest_sequence: step.packet.timestamp,
                last_sender_report: step.packet.seq as u32,
                delay_since_last_sender_report: step.packet.timestamp,
                ..ReportBlock::default()
            };
            harness.track.handle_receiver_report(&report, harness.now);
            harness.sender_report(0, step.packet.epoch, step.packet.seq, step.packet.timestamp);
        }
        harness.keyframe_request();
        let mut out = [0; 1200];
        harness
            .track
            .sender_report(harness.now, &harness.hub, &mut out);
        let _ = harness.track.stats();
    }
    assert!(harness.track.memory() < 12 << 10);
    assert!(harness.hub.memory() < 4 << 20);
}

const VIDEO: &[Codec] = &[Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264, Codec::H265];
const AUDIO: &[Codec] = &[Codec::Opus, Codec::Red, Codec::Pcmu];

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn video(steps in prop::collection::vec(chaos(VIDEO), 1..150), layers in 0u8..6) {
        run(Harness::new(layers, spec(VIDEO)), &steps);
    }

    #[test]
    fn audio(steps in prop::collection::vec(chaos(AUDIO), 1..150), unwraps: bool) {
        let codecs = if unwraps { &[Codec::Opus][..] } else { AUDIO };
        run(Harness::new(1, spec(codecs)), &steps);
    }

    #[test]
    fn scalable_streams_with_flipped_bits(
        flips in prop::collection::vec((0usize..4000, 0u8..8), 0..60),
        lost in prop::collection::vec(any::<bool>(), 600),
        between in prop_oneof![Just(Between::Always), Just(Between::OnKeyPictures), Just(Between::Never)],
    ) {
        let mut encoder = Encoder::new(Codec::Av1, between, 3, 3);
        let mut harness = Harness::new(1, spec(&[Codec::Av1]));
        let mut packets = Vec::new();
        for n in 0..60 {
            packets.extend(encoder.picture(n % 20 == 0, &[0, 1, 2]));
        }
        let mut bytes = 0;
        for (n, it) in packets.iter_mut().enumerate() {
            let descriptor = &mut it.packet.extensions[0].1;
            for (at, bit) in &flips {
                if let Some(byte) = at.checked_sub(bytes).and_then(|at| descriptor.get_mut(at)) {
                    *byte ^= 1 << bit;
                }
            }
            bytes += descriptor.len();
            harness.target((n % 3) as u8, (n / 3 % 3) as u8);
            if !lost[n] {
                harness.push(&it.packet);
            }
        }
    }
}
