//! Key-frame requests towards the publisher.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use std::time::Duration;

use egress_support::{Harness, Packet, Vp8Frame, spec};
use kith_rtp::Codec;

fn key(layer: u8, n: u64) -> Packet {
    let packets = Vp8Frame::key(n as u16).packets(70_000 + n, n as u32 * 3000, 1);
    packets[0].clone().layer(layer)
}

#[test]
fn a_new_subscriber_asks_at_once_and_again_until_one_comes() {
    let mut harness = Harness::vp8(1);
    assert_eq!(harness.keyframe_request(), Some(0));
    assert_eq!(harness.keyframe_request(), None);
    harness.wait_ms(200);
    assert_eq!(harness.keyframe_request(), Some(0));
    harness.push(&key(0, 0));
    harness.wait_ms(1000);
    assert_eq!(harness.keyframe_request(), None);
}

#[test]
fn the_layer_that_is_wanted_is_asked_for() {
    let mut harness = Harness::vp8(3);
    harness.push(&key(2, 0));
    harness.push(&key(1, 0));
    harness.push(&key(0, 0));
    harness.target(1, 3);
    assert_eq!(harness.keyframe_request(), Some(1));
    harness.push(&key(1, 1));
    harness.wait_ms(1000);
    assert_eq!(harness.keyframe_request(), None);
    harness.target(0, 3);
    assert_eq!(harness.keyframe_request(), Some(0), "downwards too");
}

#[test]
fn a_subscriber_that_lost_the_picture_gets_one_key_frame() {
    let mut harness = Harness::vp8(1);
    harness.push(&key(0, 0));
    harness.track.handle_pli();
    harness.track.handle_pli();
    assert_eq!(harness.keyframe_request(), Some(0));
    harness.wait_ms(150);
    assert_eq!(harness.keyframe_request(), None);
    harness.wait_ms(50);
    assert_eq!(harness.keyframe_request(), Some(0), "it may have been lost");
    harness.push(&key(0, 1));
    harness.wait_ms(1000);
    assert_eq!(harness.keyframe_request(), None);
    assert_eq!(harness.track.stats().plis, 2);
}

#[test]
fn a_long_round_trip_makes_requests_rarer() {
    let mut harness = Harness::vp8(1);
    harness.track.set_rtt(Duration::from_millis(400));
    assert_eq!(harness.keyframe_request(), Some(0));
    harness.wait_ms(799);
    assert_eq!(harness.keyframe_request(), None);
    harness.wait_ms(1);
    assert_eq!(harness.keyframe_request(), Some(0));
}

#[test]
fn who_is_paused_or_listens_asks_for_nothing() {
    let mut harness = Harness::vp8(1);
    harness.pause();
    harness.track.handle_pli();
    assert_eq!(harness.keyframe_request(), None);
    let mut audio = Harness::new(1, spec(&[Codec::Opus]));
    assert_eq!(audio.keyframe_request(), None);
}
