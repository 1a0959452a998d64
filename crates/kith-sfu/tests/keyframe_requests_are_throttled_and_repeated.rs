//! PLI to the publisher.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of test functions"
)]
mod ingress_support;

use ingress_support::*;
use kith_rtp::Ssrc;

/// Three encodings with SSRCs 10, 20, 30 that started with key frames, a second ago.
fn running() -> Harness {
    let mut harness = Harness::simulcast();
    for (ssrc, rid) in [(10, "q"), (20, "h"), (30, "f")] {
        let packet = Rtp::keyframe(ssrc, 1, 0)
            .with(MID, b"1")
            .with(RID, rid.as_bytes());
        harness.rtp(packet).unwrap();
    }
    harness
}

#[test]
fn a_stream_that_starts_with_a_key_frame_needs_no_request() {
    let mut harness = running();
    harness.advance_ms(40_000);
    for ssrc in [10, 20, 30] {
        assert!(harness.pli_times(ssrc).is_empty());
    }
}

#[test]
fn a_stream_that_starts_without_is_asked_each_second_for_half_a_minute() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::video(100, 1, 0)).unwrap();
    harness.advance_ms(60_000);
    let expected: Vec<u128> = (0..30).map(|second| second * 1000 + 50).collect();
    assert_eq!(harness.pli_times(100), expected);
    assert_eq!(harness.stats(0).plis, 30);
}

#[test]
fn it_stops_when_the_key_frame_comes() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::video(100, 1, 0)).unwrap();
    harness.advance_ms(2500);
    harness.rtp(Rtp::keyframe(100, 2, 3000)).unwrap();
    harness.advance_ms(10_000);
    assert_eq!(harness.pli_times(100), [50, 1050, 2050]);
}

#[test]
fn a_first_packet_that_was_overtaken_costs_no_key_frame() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::video(100, 2, 0)).unwrap();
    harness.advance_ms(20);
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    harness.advance_ms(10_000);
    assert!(harness.pli_times(100).is_empty());
}

#[test]
fn requests_go_out_at_once_and_then_as_often_as_the_layer_allows() {
    let mut harness = running();
    harness.advance_ms(2000);
    for _ in 0..300 {
        for layer in 0..3 {
            harness.request_keyframe(layer);
        }
        harness.advance_ms(10);
    }
    assert_eq!(
        harness.pli_times(10),
        [2000, 2500, 3000, 3500, 4000, 4500, 5000]
    );
    assert_eq!(harness.pli_times(20), [2000, 3000, 4000, 5000]);
    assert_eq!(harness.pli_times(30), [2000, 3000, 4000, 5000]);
}

#[test]
fn a_request_is_repeated_until_a_newer_key_frame_comes() {
    let mut harness = running();
    harness.rtp(Rtp::video(10, 5, 3000)).unwrap();
    harness.advance_ms(100);
    harness.request_keyframe(0);
    // A key frame that was lost before the request comes back: too old.
    harness.rtp(Rtp::keyframe(10, 4, 3000)).unwrap();
    harness.advance_ms(2000);
    harness.rtp(Rtp::keyframe(10, 6, 6000)).unwrap();
    harness.advance_ms(5000);
    assert_eq!(harness.pli_times(10), [100, 1100, 2100]);
    assert!(harness.pli_times(20).is_empty());
}

#[test]
fn a_request_just_after_another_waits_for_the_throttle() {
    let mut harness = running();
    harness.request_keyframe(0);
    harness.advance_ms(100);
    harness.rtp(Rtp::keyframe(10, 2, 3000)).unwrap();
    harness.advance_ms(100);
    harness.request_keyframe(0);
    harness.advance_ms(250);
    assert_eq!(harness.pli_times(10), [0]);
    harness.advance_ms(100);
    assert_eq!(harness.pli_times(10), [0, 500]);
}

#[test]
fn an_encoding_that_was_never_seen_and_unknown_ones_are_not_asked() {
    let mut harness = Harness::simulcast();
    for layer in 0..9 {
        harness.request_keyframe(layer);
    }
    harness.receiver.request_keyframe(harness.now, AUDIO, 0);
    harness.advance_ms(5000);
    assert!(harness.sent.is_empty());
}

#[test]
fn audio_has_no_key_frames() {
    let mut harness = Harness::new(vec![audio_section()]);
    harness.rtp(Rtp::audio(7, 1, 0).with(MID, b"0")).unwrap();
    harness.receiver.request_keyframe(harness.now, AUDIO, 0);
    harness.advance_ms(5000);
    assert!(harness.pli_times(7).is_empty());
}

#[test]
fn a_stopped_encoding_can_still_be_asked() {
    let mut harness = running();
    harness.advance_ms(100);
    harness.rtcp(|writer| writer.bye(&[Ssrc(10)]).unwrap());
    harness.advance_ms(5000);
    harness.request_keyframe(0);
    assert_eq!(harness.pli_times(10), [5100]);
}
