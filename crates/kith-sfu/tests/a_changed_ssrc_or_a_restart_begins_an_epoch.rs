//! Publishers that begin anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of test functions"
)]
mod ingress_support;

use ingress_support::*;
use kith_rtp::{Codec, Ssrc};
use kith_sfu::{IngressEvent, LayerSpec};

fn started(ssrc: u32, codec: Codec) -> IngressEvent {
    IngressEvent::LayerStarted {
        publication: VIDEO,
        layer: 0,
        codec,
        ssrc: Ssrc(ssrc),
    }
}

#[test]
fn another_ssrc_with_the_same_mid_takes_over() {
    let mut harness = Harness::new(vec![video_section(vec![LayerSpec::default()])]);
    let packet = |ssrc, seq| Rtp::keyframe(ssrc, seq, 0).with(MID, b"1");
    let old = harness.rtp(packet(7, 60_000)).unwrap();
    let new = harness.rtp(packet(8, 5)).unwrap();
    assert_eq!(new.epoch, old.epoch + 1);
    assert!(new.seq >= old.seq + 0x1_0000);
    // Stragglers of the old one do not turn the wheel back.
    assert_eq!(harness.rtp(packet(7, 60_001)), None);
    assert_eq!(harness.rtp(packet(8, 6)).unwrap().seq, new.seq + 1);
    assert_eq!(harness.rtp(packet(8, 4)).unwrap().seq, new.seq - 1);
    assert_eq!(harness.take_events()[0], started(7, Codec::Vp8));
    assert!(
        harness
            .receiver
            .stats()
            .any(|stats| stats.ssrc == Some(Ssrc(8)))
    );
}

#[test]
fn a_declared_ssrc_that_is_replaced_does_not_come_back_by_a_new_spec() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    harness.rtp(Rtp::keyframe(7, 1, 0).with(MID, b"1")).unwrap();
    let sections = vec![video_section(vec![declared(100, 101)]), audio_section()];
    harness.receiver.configure(harness.now, spec(sections));
    assert_eq!(harness.rtp(Rtp::video(100, 2, 0)), None);
    assert!(harness.rtp(Rtp::video(7, 2, 0)).is_some());
}

#[test]
fn retransmissions_of_the_former_ssrc_do_not_enter_the_new_stream() {
    let mut harness = Harness::simulcast();
    let packet = |ssrc, seq| Rtp::video(ssrc, seq, 0).with(MID, b"1").with(RID, b"q");
    let rtx = |ssrc, of, seq| {
        Rtp::video(of, seq, 0)
            .rtx(ssrc, seq)
            .with(MID, b"1")
            .with(RRID, b"q")
    };
    harness.rtp(packet(10, 1)).unwrap();
    harness.rtp(packet(10, 5)).unwrap();
    harness.rtp(rtx(11, 10, 2)).unwrap();
    harness.advance_ms(3000);
    harness.rtp(packet(20, 1)).unwrap();
    harness.rtp(packet(20, 5)).unwrap();
    assert_eq!(harness.rtp(rtx(11, 10, 3)), None);
    let back = harness.rtp(rtx(21, 20, 3)).unwrap();
    assert_eq!(back.rtp().ssrc(), Ssrc(20));
}

#[test]
fn five_odd_packets_are_a_restart_and_the_first_four_can_be_had_again() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 1000, 0)).unwrap();
    let old = harness.rtp(Rtp::video(100, 1001, 0)).unwrap();
    harness.advance_ms(100);
    for seq in 40_000..40_004 {
        assert_eq!(harness.rtp(Rtp::video(100, seq, 900_000_000)), None);
    }
    let new = harness.rtp(Rtp::video(100, 40_004, 900_000_000)).unwrap();
    assert_eq!(new.epoch, old.epoch + 1);
    assert!(new.seq > old.seq + 0x1_0000);
    harness.advance_ms(10);
    assert_eq!(
        harness.nacks(),
        [(110, vec![40_000, 40_001, 40_002, 40_003])]
    );
    let back = harness
        .rtp(Rtp::video(100, 40_000, 900_000_000).rtx(101, 1))
        .unwrap();
    assert_eq!((back.epoch, back.seq), (new.epoch, new.seq - 4));
    assert_eq!(harness.stats(0).lost, 0);
}

#[test]
fn a_restart_within_the_window_is_seen_by_its_timestamps() {
    let mut harness = Harness::single();
    for seq in 1000..1500 {
        harness.rtp(Rtp::video(100, seq, 3000)).unwrap();
    }
    let mut epochs = (1100..1110).filter_map(|seq| harness.rtp(Rtp::video(100, seq, 900_000_000)));
    assert_eq!(epochs.next().unwrap().epoch, 2);
}

#[test]
fn a_restart_asks_for_a_key_frame_unless_it_begins_with_one() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 1000, 0)).unwrap();
    harness.advance_ms(1000);
    for seq in 40_000..40_005 {
        harness.rtp(Rtp::video(100, seq, 900_000_000));
    }
    harness.advance_ms(100);
    assert_eq!(harness.pli_times(100), [1050]);
}

#[test]
fn single_odd_packets_change_nothing() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    for round in 0..20u16 {
        assert_eq!(harness.rtp(Rtp::video(100, 30_000 + round, 0)), None);
        assert_eq!(harness.rtp(Rtp::video(100, 2 + round, 0)).unwrap().epoch, 1);
    }
}

#[test]
fn loss_of_up_to_three_thousand_packets_is_loss() {
    let mut harness = Harness::single();
    let first = harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    let next = harness.rtp(Rtp::video(100, 3001, 0)).unwrap();
    assert_eq!((next.epoch, next.seq), (first.epoch, first.seq + 3000));
    assert_eq!(harness.stats(0).lost, 2999);
}

#[test]
fn another_codec_on_the_same_ssrc_is_reported_and_needs_a_key_frame() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    harness
        .rtp(Rtp::video(100, 2, 3000).payload_type(98))
        .unwrap();
    let events = harness.take_events();
    assert_eq!(events.first(), Some(&started(100, Codec::Vp8)));
    assert_eq!(events.last(), Some(&started(100, Codec::Vp9)));
    harness.advance_ms(60);
    assert_eq!(harness.pli_times(100), [50]);
}

#[test]
fn opus_between_red_is_no_other_codec() {
    let mut harness = Harness::new(vec![audio_section()]);
    for (seq, payload_type) in [(1, OPUS), (2, RED), (3, OPUS), (4, RED), (5, OPUS)] {
        let packet = Rtp::audio(7, seq, 0)
            .with(MID, b"0")
            .payload_type(payload_type);
        let packet = harness.rtp(packet).unwrap();
        assert_eq!(
            packet.codec,
            if payload_type == RED {
                Codec::Red
            } else {
                Codec::Opus
            }
        );
    }
    assert_eq!(
        harness.take_events().len(),
        2,
        "Opus first, then RED for good"
    );
}
