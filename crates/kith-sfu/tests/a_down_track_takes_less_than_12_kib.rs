//! Memory of the send side.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use egress_support::{Harness, Packet, Vp8Frame, spec};
use kith_rtp::Codec;

#[test]
fn busy_video_with_every_second_frame_left_out() {
    let mut harness = Harness::vp8(1);
    harness.target(0, 0);
    for n in 0..20_000u64 {
        harness.wait_ms(1);
        let frame = Vp8Frame {
            keyframe: n == 0,
            ..Vp8Frame::new((n & 0x7FFF) as u16).temporal((n % 2) as u8, 0)
        };
        harness.push_all(&frame.packets(70_000 + n, n as u32 * 90, 1));
    }
    let memory = harness.track.memory();
    assert!(memory < 12 << 10, "{memory}");
}

#[test]
fn a_track_that_sends_nothing_takes_next_to_nothing() {
    let harness = Harness::vp8(3);
    assert!(harness.track.memory() < 1536, "{}", harness.track.memory());
    assert!(harness.hub.memory() < 2048, "{}", harness.hub.memory());
}

#[test]
fn audio_takes_a_tenth() {
    let mut harness = Harness::new(1, spec(&[Codec::Opus]));
    for n in 0..5000u64 {
        harness.wait_ms(20);
        harness.push(&Packet::new(
            Codec::Opus,
            70_000 + n,
            n as u32 * 960,
            &[0; 80],
        ));
    }
    assert!(harness.track.memory() < 2500, "{}", harness.track.memory());
    assert!(harness.hub.memory() < 20_000, "{}", harness.hub.memory());
}
