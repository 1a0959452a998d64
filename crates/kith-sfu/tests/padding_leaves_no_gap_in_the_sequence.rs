//! Packets that are dropped on purpose do not look like loss to whoever gets the rest.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of test functions"
)]
mod ingress_support;

use ingress_support::*;

#[test]
fn numbers_close_up_behind_padding() {
    let mut harness = Harness::single();
    let first = harness.rtp(Rtp::video(100, 10, 0)).unwrap().seq;
    for seq in 11..16 {
        assert_eq!(harness.rtp(Rtp::padding(100, seq, 0)), None);
    }
    assert_eq!(harness.rtp(Rtp::video(100, 16, 0)).unwrap().seq, first + 1);
    assert_eq!(harness.rtp(Rtp::video(100, 17, 0)).unwrap().seq, first + 2);
    assert_eq!(harness.stats(0).padding_packets, 5);
}

#[test]
fn true_loss_stays_a_gap_and_late_packets_keep_their_number() {
    let mut harness = Harness::single();
    let first = harness.rtp(Rtp::video(100, 10, 0)).unwrap().seq;
    assert_eq!(harness.rtp(Rtp::padding(100, 12, 0)), None);
    assert_eq!(harness.rtp(Rtp::padding(100, 14, 0)), None);
    assert_eq!(harness.rtp(Rtp::video(100, 16, 0)).unwrap().seq, first + 4);
    // 11, 13 and 15 were lost: they are first + 1, + 2 and + 3.
    assert_eq!(harness.rtp(Rtp::video(100, 13, 0)).unwrap().seq, first + 2);
    assert_eq!(
        harness.rtp(Rtp::video(100, 15, 0).rtx(101, 1)).unwrap().seq,
        first + 3
    );
    assert_eq!(harness.rtp(Rtp::video(100, 11, 0)).unwrap().seq, first + 1);
}

#[test]
fn padding_that_comes_late_leaves_its_gap() {
    let mut harness = Harness::single();
    let first = harness.rtp(Rtp::video(100, 10, 0)).unwrap().seq;
    assert_eq!(harness.rtp(Rtp::video(100, 12, 0)).unwrap().seq, first + 2);
    assert_eq!(harness.rtp(Rtp::padding(100, 11, 0)), None);
    assert_eq!(harness.rtp(Rtp::video(100, 13, 0)).unwrap().seq, first + 3);
    harness.advance_ms(500);
    assert!(harness.nacks().is_empty(), "it is not missing");
}

#[test]
fn payload_types_that_were_not_negotiated_are_dropped_the_same_way() {
    let mut harness = Harness::single();
    let first = harness.rtp(Rtp::video(100, 10, 0)).unwrap().seq;
    assert_eq!(harness.rtp(Rtp::video(100, 11, 0).payload_type(13)), None);
    assert_eq!(
        harness.rtp(Rtp::video(100, 12, 0).payload_type(VP8_RTX)),
        None
    );
    assert_eq!(harness.rtp(Rtp::video(100, 13, 0)).unwrap().seq, first + 1);
}

#[test]
fn numbers_go_on_over_many_wraps_with_padding_in_between() {
    let mut harness = Harness::single();
    let mut expected = harness.rtp(Rtp::video(100, 0, 0)).unwrap().seq;
    for number in 1..200_000u32 {
        let packet = if number % 5 == 0 {
            Rtp::padding(100, number as u16, 0)
        } else {
            expected += 1;
            Rtp::video(100, number as u16, 0)
        };
        let seq = harness
            .receiver
            .handle_rtp(harness.now, &mut packet.bytes())
            .map(|packet| packet.seq);
        assert_eq!(seq, (number % 5 != 0).then_some(expected));
    }
    assert_eq!(harness.stats(0).lost, 0);
}
