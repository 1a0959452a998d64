//! Timestamps over layer switches, pauses, restarts and jumps.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use egress_support::{Harness, Packet, Received, Vp8Frame, spec};
use kith_rtp::Codec;

fn key(layer: u8, seq: u64, timestamp: u32) -> Packet {
    let packets = Vp8Frame::key(7).packets(seq, timestamp, 1);
    packets[0].clone().layer(layer)
}

fn one(received: Vec<Received>) -> Received {
    assert_eq!(received.len(), 1);
    received[0].clone()
}

#[test]
fn with_reports_of_both_layers_the_moment_of_capture_counts() {
    let mut harness = Harness::vp8(2);
    harness.sender_report(0, 0, 10_000, 1_000_000);
    harness.sender_report(1, 0, 10_500, 4_000_000_000);
    // Captured at 11.000 s.
    let low = one(harness.push(&key(0, 70_000, 1_090_000)));
    // Captured at 11.100 s, but sent over a slow path: it arrives 900 ms later.
    harness.wait_ms(900);
    let high = one(harness.push(&key(1, 90_000, 4_000_054_000)));
    assert_eq!(high.timestamp.wrapping_sub(low.timestamp), 9_000);
}

#[test]
fn without_reports_arrival_counts() {
    let mut harness = Harness::vp8(2);
    harness.sender_report(0, 0, 10_000, 1_000_000);
    let low = one(harness.push(&key(0, 70_000, 1_090_000)));
    harness.wait_ms(900);
    let high = one(harness.push(&key(1, 90_000, 77)));
    assert_eq!(high.timestamp.wrapping_sub(low.timestamp), 81_000);
}

#[test]
fn reports_that_contradict_arrival_are_not_believed() {
    let mut harness = Harness::vp8(2);
    harness.sender_report(0, 0, 10_000, 1_000_000);
    harness.sender_report(1, 0, 70_000, 500);
    let low = one(harness.push(&key(0, 70_000, 1_090_000)));
    harness.wait_ms(100);
    let high = one(harness.push(&key(1, 90_000, 90_500)));
    assert_eq!(high.timestamp.wrapping_sub(low.timestamp), 9_000);
}

#[test]
fn they_never_go_back_and_a_forced_step_is_not_kept() {
    let mut harness = Harness::vp8(2);
    harness.sender_report(0, 0, 10_000, 0);
    harness.sender_report(1, 0, 10_000, 0);
    let low = one(harness.push(&key(0, 70_000, 90_000)));
    // The key frame of the other layer was captured 50 ms earlier.
    let high = one(harness.push(&key(1, 90_000, 85_500)));
    assert_eq!(high.timestamp.wrapping_sub(low.timestamp), 90, "1 ms");
    harness.target(0, 3);
    harness.wait_ms(1000);
    let again = one(harness.push(&key(0, 70_001, 180_000)));
    assert_eq!(again.timestamp.wrapping_sub(low.timestamp), 90_000);
}

#[test]
fn a_pause_is_as_long_as_it_was() {
    let mut harness = Harness::vp8(1);
    let before = one(harness.push(&key(0, 70_000, 90_000)));
    harness.pause();
    harness.wait_ms(30_000);
    harness.target(2, 3);
    let after = one(harness.push(&key(0, 71_000, 90_000 + 2_700_000)));
    assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 2_700_000);
    assert_eq!(after.seq, before.seq + 1);
}

#[test]
fn a_clock_that_jumps_in_the_middle_of_a_stream_is_set_right() {
    for jump in [0x4000_0000u32, 0xC000_0000] {
        let mut harness = Harness::new(1, spec(&[Codec::Opus]));
        let audio = |n: u64, timestamp: u32| Packet::new(Codec::Opus, 70_000 + n, timestamp, &[1]);
        let first = one(harness.push(&audio(0, 5000)));
        harness.wait_ms(20);
        let second = one(harness.push(&audio(1, 5960)));
        harness.wait_ms(20);
        let third = one(harness.push(&audio(2, 5960u32.wrapping_add(jump))));
        harness.wait_ms(20);
        let fourth = one(harness.push(&audio(3, 6920u32.wrapping_add(jump))));
        assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 960);
        assert_eq!(third.timestamp.wrapping_sub(first.timestamp), 1920);
        assert_eq!(fourth.timestamp.wrapping_sub(first.timestamp), 2880);
    }
}

#[test]
fn silence_and_reordered_pictures_are_no_jumps() {
    let mut harness = Harness::new(1, spec(&[Codec::Opus]));
    let audio = |n: u64, timestamp: u32| Packet::new(Codec::Opus, 70_000 + n, timestamp, &[1]);
    let first = one(harness.push(&audio(0, 5000)));
    harness.wait_ms(60_000);
    let after = one(harness.push(&audio(1, 5000 + 60 * 48_000)));
    assert_eq!(after.timestamp.wrapping_sub(first.timestamp), 60 * 48_000);
    // B frames are sent after what they lie before.
    let back = one(harness.push(&audio(2, 5000 + 60 * 48_000 - 3000)));
    assert_eq!(back.timestamp.wrapping_sub(after.timestamp) as i32, -3000);
}
