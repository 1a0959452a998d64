//! Pauses and mutes on either side.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use egress_support::{Harness, Packet, Vp8Frame, assert_seamless, spec};
use kith_rtp::Codec;
use kith_sfu::LayerTarget;

fn audio(n: u64) -> Packet {
    Packet::new(Codec::Opus, 70_000 + n, n as u32 * 960, &[n as u8])
}

#[test]
fn audio_goes_on_at_once_with_the_next_number_and_the_right_time() {
    let mut harness = Harness::new(1, spec(&[Codec::Opus]));
    let mut all = harness.push(&audio(0));
    harness.pause();
    for n in 1..100 {
        harness.wait_ms(20);
        assert!(harness.push(&audio(n)).is_empty());
    }
    harness.track.set_target(LayerTarget::ALL);
    all.extend(harness.push(&audio(100)));
    all.extend(harness.push(&audio(101)));
    assert_seamless(&all);
    assert_eq!(all[1].timestamp - all[0].timestamp, 96_000);
    assert!(harness.push(&audio(99)).is_empty(), "that was before");
}

#[test]
fn a_late_packet_does_not_wake_audio_up() {
    let mut harness = Harness::new(1, spec(&[Codec::Opus]));
    let mut all = Vec::new();
    for n in [0, 1, 2, 4] {
        all.extend(harness.push(&audio(n)));
    }
    harness.pause();
    harness.track.set_target(LayerTarget::ALL);
    let late = harness.push(&audio(3));
    assert!(late.len() <= 1);
    all.extend(harness.push(&audio(5)));
    let last = all.last().unwrap();
    assert_eq!(last.payload, [5]);
    assert_eq!(last.seq, all[0].seq + 5);
}

#[test]
fn video_waits_for_a_key_frame_and_asks_for_it() {
    let mut harness = Harness::vp8(1);
    let frame = |n: u16, keyframe: bool| {
        let frame = Vp8Frame {
            keyframe,
            ..Vp8Frame::new(n)
        };
        frame.packets(70_000 + u64::from(n) * 2, u32::from(n) * 3000, 2)
    };
    let mut all = harness.push_all(&frame(0, true));
    harness.keyframe_request();
    harness.pause();
    assert!(harness.push_all(&frame(1, false)).is_empty());
    assert_eq!(harness.track.stats().current_spatial, None);
    harness.target(2, 3);
    harness.wait_ms(1000);
    assert_eq!(harness.keyframe_request(), Some(0));
    assert!(harness.push_all(&frame(2, false)).is_empty());
    all.extend(harness.push_all(&frame(3, true)));
    assert_seamless(&all);
    assert_eq!(all[2].picture_id(), all[0].picture_id() + 1);
}

#[test]
fn padding_announces_a_stream_that_has_nothing_to_send() {
    let mut harness = Harness::vp8(1);
    let mut all = Vec::new();
    for _ in 0..3 {
        let padding = harness.track.pad(&harness.hub, harness.now).unwrap();
        all.push(harness.write(&padding));
    }
    assert!(all.iter().all(|packet| packet.is_padding()));
    let key = Vp8Frame::key(1).packets(70_000, 3000, 2);
    all.extend(harness.push(&key[0]));
    assert_eq!(harness.track.pad(&harness.hub, harness.now), None);
    all.extend(harness.push(&key[1]));
    let padding = harness.track.pad(&harness.hub, harness.now).unwrap();
    all.push(harness.write(&padding));
    all.extend(harness.push_all(&Vp8Frame::new(2).packets(70_002, 6000, 1)));
    assert_eq!(all.len(), 7);
    assert_seamless(&all);
}

#[test]
fn a_limit_below_what_is_asked_counts_and_goes_away() {
    let mut harness = Harness::vp8(1);
    harness.track.set_limit(Some(LayerTarget {
        paused: true,
        ..LayerTarget::ALL
    }));
    assert!(
        harness
            .push_all(&Vp8Frame::key(1).packets(70_000, 0, 1))
            .is_empty()
    );
    assert_eq!(harness.track.target(), LayerTarget::ALL);
    harness.track.set_limit(None);
    assert_eq!(
        harness
            .push_all(&Vp8Frame::key(2).packets(70_001, 3000, 1))
            .len(),
        1
    );
}
