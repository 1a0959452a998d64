//! Changes of the publisher's SSRC, restarts and codec changes.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use egress_support::{Harness, Packet, Vp8Frame, assert_seamless, payload_type, spec};
use kith_rtp::Codec;

#[test]
fn video_goes_on_with_a_key_frame_of_the_new_stream() {
    let mut harness = Harness::vp8(1);
    let mut all = harness.push_all(&Vp8Frame::key(500).packets(70_000, 1000, 2));
    harness.keyframe_request();
    harness.wait_ms(2000);
    assert_eq!(harness.keyframe_request(), None);
    let new_epoch = |packets: Vec<Packet>| -> Vec<Packet> {
        packets.into_iter().map(|packet| packet.epoch(1)).collect()
    };
    let delta = new_epoch(Vp8Frame::new(3).packets(200_000, 999_999, 2));
    assert!(harness.push_all(&delta).is_empty());
    assert_eq!(harness.keyframe_request(), Some(0));
    let key = new_epoch(Vp8Frame::key(4).packets(200_002, 1_002_999, 2));
    all.extend(harness.push_all(&key));
    assert_seamless(&all);
    assert_eq!(all[2].picture_id(), all[0].picture_id() + 1);
    assert_eq!(all[2].timestamp.wrapping_sub(all[0].timestamp), 180_000);
    // What is left of the old stream comes too late.
    let old = Vp8Frame::new(501).packets(70_002, 4000, 1);
    assert!(harness.push_all(&old).is_empty());
    assert!(harness.nack(&[all[0].seq]).is_empty(), "its bytes are gone");
    assert_eq!(harness.nack(&[all[2].seq]).len(), 1);
}

#[test]
fn audio_goes_on_at_once() {
    let mut harness = Harness::new(1, spec(&[Codec::Opus]));
    let mut all = harness.push(&Packet::new(Codec::Opus, 70_000, 5000, &[1]));
    harness.wait_ms(20);
    all.extend(harness.push(&Packet::new(Codec::Opus, 150_000, 77, &[1]).epoch(1)));
    harness.wait_ms(20);
    all.extend(harness.push(&Packet::new(Codec::Opus, 150_001, 77 + 960, &[1]).epoch(1)));
    assert_seamless(&all);
    assert_eq!(all[1].timestamp - all[0].timestamp, 960);
    assert_eq!(all[2].timestamp - all[0].timestamp, 1920);
}

#[test]
fn another_codec_takes_over_with_its_key_frame() {
    let mut harness = Harness::new(1, spec(&[Codec::Vp8, Codec::H264]));
    let mut all = harness.push_all(&Vp8Frame::key(500).packets(70_000, 90_000, 1));
    harness.wait_ms(33);
    let h264 = |n: u64, kind: u8| {
        Packet::new(
            Codec::H264,
            150_000 + n,
            5000 + n as u32 * 3000,
            &[kind, 0x80, 1],
        )
        .epoch(1)
    };
    assert!(harness.push(&h264(0, 0x61)).is_empty());
    all.extend(harness.push(&h264(1, 0x67)));
    all.extend(harness.push(&h264(2, 0x61)));
    assert_eq!(all.len(), 3);
    assert_seamless(&all);
    assert_eq!(all[0].payload_type, payload_type(Codec::Vp8));
    assert_eq!(all[1].payload_type, payload_type(Codec::H264));
}

#[test]
fn a_codec_that_was_not_negotiated_is_not_sent() {
    let mut harness = Harness::vp8(1);
    let packet = Packet::new(Codec::H264, 70_000, 0, &[0x67, 1, 2]);
    assert!(harness.push(&packet).is_empty());
    assert!(!harness.track.is_started());
}

#[test]
fn narrow_picture_ids_are_widened_so_that_they_do_not_wrap() {
    let mut harness = Harness::vp8(1);
    let mut all = Vec::new();
    for n in 0..300u16 {
        let frame = Vp8Frame {
            keyframe: n == 0,
            wide: false,
            ..Vp8Frame::new(n % 128)
        };
        all.extend(harness.push_all(&frame.packets(70_000 + u64::from(n), u32::from(n) * 3000, 1)));
    }
    assert_eq!(all.len(), 300);
    for pair in all.windows(2) {
        assert!(pair[1].vp8().picture_id.unwrap().wide);
        let step = pair[1].picture_id().wrapping_sub(pair[0].picture_id()) & 0x7FFF;
        assert_eq!(step, 1);
    }
    assert_eq!(all[200].payload[6..], Vp8Frame::new(0).payload(false)[6..]);
}
