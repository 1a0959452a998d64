//! NACK generation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of test functions"
)]
mod ingress_support;

use std::time::Duration;

use ingress_support::*;

/// Loses packet 2 of 3 at 0 ms, with the given round-trip time.
fn with_loss(rtt_ms: Option<u64>) -> Harness {
    let mut harness = Harness::single();
    if let Some(rtt) = rtt_ms {
        harness
            .receiver
            .update_rtt(harness.now, Duration::from_millis(rtt));
    }
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    harness.rtp(Rtp::video(100, 3, 3000)).unwrap();
    harness
}

fn times(harness: &Harness) -> Vec<u128> {
    harness.nacks().iter().map(|(at, _)| *at).collect()
}

#[test]
fn reordered_packets_are_not_asked_for() {
    let mut harness = with_loss(None);
    harness.advance_ms(8);
    harness.rtp(Rtp::video(100, 2, 0)).unwrap();
    harness.advance_ms(3000);
    assert!(harness.nacks().is_empty());
}

#[test]
fn a_lost_packet_is_asked_for_five_times_at_most() {
    let mut harness = with_loss(Some(80));
    harness.advance_ms(5000);
    let nacks = harness.nacks();
    assert!(nacks.iter().all(|(_, missing)| *missing == [2]));
    // 80 ms × 1.25ⁿ after each try.
    assert_eq!(times(&harness), [10, 110, 235, 391, 586]);
    assert_eq!(harness.stats(0).nacks, 5);
}

#[test]
fn intervals_lie_between_20_and_400_ms() {
    let mut harness = with_loss(Some(1));
    harness.advance_ms(5000);
    assert_eq!(times(&harness), [10, 30, 50, 70, 90]);
    let mut harness = with_loss(Some(2000));
    harness.advance_ms(5000);
    assert_eq!(times(&harness), [10, 410, 810, 1210, 1610]);
}

#[test]
fn without_a_measurement_the_round_trip_is_taken_as_70_ms() {
    let mut harness = with_loss(None);
    harness.advance_ms(120);
    assert_eq!(times(&harness), [10, 97]);
}

#[test]
fn nothing_is_asked_for_once_it_came() {
    let mut harness = with_loss(Some(80));
    harness.advance_ms(100);
    harness.rtp(Rtp::video(100, 2, 0).rtx(101, 1)).unwrap();
    harness.advance_ms(5000);
    assert_eq!(times(&harness), [10]);
}

#[test]
fn the_answer_to_a_single_request_tells_the_round_trip_time() {
    let mut harness = with_loss(None);
    harness.advance_ms(45);
    harness.rtp(Rtp::video(100, 2, 0).rtx(101, 1)).unwrap();
    assert_eq!(harness.receiver.rtt(), Some(Duration::from_millis(35)));
    // One that was asked for twice could answer either request.
    harness.rtp(Rtp::video(100, 5, 0)).unwrap();
    harness.advance_ms(100);
    harness.rtp(Rtp::video(100, 4, 0).rtx(101, 2)).unwrap();
    assert_eq!(harness.receiver.rtt(), Some(Duration::from_millis(35)));
}

#[test]
fn at_most_a_hundred_packets_are_asked_for_the_newest_ones() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    harness.rtp(Rtp::video(100, 51, 0)).unwrap();
    harness.rtp(Rtp::video(100, 1001, 0)).unwrap();
    harness.advance_ms(10);
    let [(_, missing)] = &harness.nacks()[..] else {
        panic!("one NACK");
    };
    assert_eq!(*missing, (901..1001).collect::<Vec<u16>>());
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    for seq in (3..401).step_by(2) {
        harness.rtp(Rtp::video(100, seq, 0)).unwrap();
    }
    harness.advance_ms(10);
    let missing: Vec<u16> = harness
        .nacks()
        .iter()
        .flat_map(|(_, missing)| missing.clone())
        .collect();
    assert_eq!(missing, (200..399).step_by(2).collect::<Vec<u16>>());
}

#[test]
fn numbers_wrap_within_a_request() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 65_533, 0)).unwrap();
    harness.rtp(Rtp::video(100, 2, 0)).unwrap();
    harness.advance_ms(10);
    assert_eq!(harness.nacks(), [(10, vec![65_534, 65_535, 0, 1])]);
}

#[test]
fn gaps_before_padding_are_asked_for_too() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    harness.rtp(Rtp::padding(100, 3, 0));
    harness.advance_ms(10);
    assert_eq!(harness.nacks(), [(10, vec![2])]);
}

#[test]
fn red_repairs_itself_and_opus_is_asked_for() {
    for (payload_type, expected) in [(RED, 0), (OPUS, 1)] {
        let mut harness = Harness::new(vec![audio_section()]);
        for seq in [1, 3] {
            let packet = Rtp::audio(7, seq, 0)
                .with(MID, b"0")
                .payload_type(payload_type);
            harness.rtp(packet).unwrap();
        }
        harness.advance_ms(15);
        assert_eq!(harness.nacks().len(), expected);
    }
}

#[test]
fn codecs_without_nack_are_not_asked_for() {
    let mut section = video_section(vec![declared(100, 101)]);
    for codec in &mut section.codecs {
        codec.nack = false;
    }
    let mut harness = Harness::new(vec![section]);
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    harness.rtp(Rtp::video(100, 3, 0)).unwrap();
    harness.advance_ms(1000);
    assert!(harness.nacks().is_empty());
}

#[test]
fn a_stream_that_changed_its_ssrc_is_not_asked_for_the_former_packets() {
    let mut harness = with_loss(Some(80));
    harness.rtp(Rtp::keyframe(7, 1, 0).with(MID, b"1")).unwrap();
    harness.advance_ms(2000);
    assert!(harness.nacks().is_empty());
}
