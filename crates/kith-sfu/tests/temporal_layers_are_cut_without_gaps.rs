//! Frame rates of VP8 and H.265, by the temporal id in each packet.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use egress_support::{Harness, Packet, Received, Vp8Frame, assert_seamless, spec};
use kith_rtp::Codec;

/// Three temporal layers in the usual pattern; switching points every eight frames.
struct Encoder {
    harness: Harness,
    frame: u16,
    seq: u64,
    all: Vec<Received>,
}

const PATTERN: [u8; 4] = [0, 2, 1, 2];

impl Encoder {
    fn new() -> Self {
        Encoder {
            harness: Harness::vp8(1),
            frame: 0,
            seq: 70_000,
            all: Vec::new(),
        }
    }

    fn packets(&mut self) -> Vec<Packet> {
        let number = usize::from(self.frame);
        let temporal = PATTERN[number % 4];
        let tl0 = (number / 4) as u8;
        let frame = Vp8Frame {
            keyframe: number == 0,
            sync: number % 8 < 4 && temporal > 0,
            ..Vp8Frame::new(self.frame).temporal(temporal, tl0)
        };
        let packets = frame.packets(self.seq, u32::from(self.frame) * 3000, 3);
        self.frame += 1;
        self.seq += 3;
        packets
    }

    fn frames(&mut self, count: usize) -> usize {
        let mut sent = 0;
        for _ in 0..count {
            self.harness.wait_ms(33);
            let packets = self.packets();
            let received = self.harness.push_all(&packets);
            assert!(received.is_empty() || received.len() == 3, "no half frames");
            sent += received.len() / 3;
            self.all.extend(received);
        }
        sent
    }
}

fn assert_picture_ids_are_contiguous(packets: &[Received]) {
    for pair in packets.windows(2) {
        let step = pair[1].picture_id().wrapping_sub(pair[0].picture_id()) & 0x7FFF;
        assert_eq!(step, u16::from(pair[1].vp8().start_of_partition));
    }
}

#[test]
fn every_second_and_every_fourth_frame_are_whole_streams() {
    let mut encoder = Encoder::new();
    encoder.harness.target(2, 1);
    assert_eq!(encoder.frames(32), 16);
    encoder.harness.target(2, 0);
    assert_eq!(encoder.frames(32), 8);
    encoder.harness.target(2, 2);
    assert!(
        encoder.frames(8) >= 6,
        "up again at the next switching points"
    );
    assert_eq!(encoder.frames(32), 32);
    assert_seamless(&encoder.all);
    assert_picture_ids_are_contiguous(&encoder.all);
    assert_eq!(encoder.harness.track.stats().current_temporal, 2);
}

#[test]
fn a_change_in_the_middle_of_a_frame_waits_for_its_end() {
    let mut encoder = Encoder::new();
    encoder.frames(1);
    let packets = encoder.packets();
    let mut received = encoder.harness.push(&packets[0]);
    encoder.harness.target(2, 0);
    received.extend(encoder.harness.push_all(&packets[1..]));
    assert_eq!(received.len(), 3);
    assert_eq!(encoder.frames(3), 1, "only the base layer from here on");
}

#[test]
fn h265_layers_come_back_at_their_switching_points() {
    // TRAIL_R is 1, TSA_R is 3, IDR is 19, VPS is 32.
    let nal = |kind: u8, temporal: u8| vec![kind << 1, temporal + 1, 0x80, 1, 2, 3];
    let mut harness = Harness::new(1, spec(&[Codec::H265]));
    let mut all = Vec::new();
    let mut send = |harness: &mut Harness, n: u64, payload: Vec<u8>| {
        harness.wait_ms(33);
        let packet = Packet::new(Codec::H265, 70_000 + n, n as u32 * 3000, &payload);
        let received = harness.push(&packet);
        all.extend(received.clone());
        !received.is_empty()
    };
    assert!(send(&mut harness, 0, nal(32, 0)));
    assert!(send(&mut harness, 1, nal(1, 1)));
    harness.target(2, 0);
    assert!(send(&mut harness, 2, nal(1, 0)));
    assert!(!send(&mut harness, 3, nal(1, 1)));
    harness.target(2, 1);
    assert!(send(&mut harness, 4, nal(1, 0)));
    assert!(!send(&mut harness, 5, nal(1, 1)));
    assert!(send(&mut harness, 6, nal(1, 0)));
    assert!(send(&mut harness, 7, nal(3, 1)));
    assert!(send(&mut harness, 8, nal(1, 0)));
    assert!(send(&mut harness, 9, nal(1, 1)));
    assert_seamless(&all);
}
