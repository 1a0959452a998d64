//! Order within a stream.
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
fn a_late_packet_is_forwarded_once_with_its_own_number() {
    let mut harness = Harness::single();
    let first = harness.rtp(Rtp::video(100, 65_534, 0)).unwrap().seq;
    assert_eq!(harness.rtp(Rtp::video(100, 1, 0)).unwrap().seq, first + 3);
    assert_eq!(
        harness.rtp(Rtp::video(100, 65_535, 0)).unwrap().seq,
        first + 1
    );
    assert_eq!(harness.rtp(Rtp::video(100, 0, 0)).unwrap().seq, first + 2);
    for seq in [65_534, 65_535, 0, 1] {
        assert_eq!(harness.rtp(Rtp::video(100, seq, 0)), None);
    }
    assert_eq!(harness.stats(0).duplicates, 4);
    assert_eq!(harness.stats(0).packets, 4);
}

#[test]
fn packets_before_the_first_one_are_late_ones() {
    let mut harness = Harness::single();
    let first = harness.rtp(Rtp::video(100, 1, 0)).unwrap().seq;
    assert!(first > 1 << 16);
    assert_eq!(harness.rtp(Rtp::video(100, 0, 0)).unwrap().seq, first - 1);
    assert_eq!(
        harness.rtp(Rtp::video(100, 65_535, 0)).unwrap().seq,
        first - 2
    );
    assert_eq!(harness.stats(0).lost, 0);
}

#[test]
fn what_is_too_old_to_know_is_dropped() {
    let mut harness = Harness::single();
    for seq in 0..2500 {
        if seq != 100 && seq != 1000 {
            harness.rtp(Rtp::video(100, seq, 0)).unwrap();
        }
    }
    assert_eq!(harness.rtp(Rtp::video(100, 100, 0)), None);
    assert!(harness.rtp(Rtp::video(100, 1000, 0)).is_some());
    assert_eq!(harness.stats(0).dropped, 1);
}

#[test]
fn a_burst_delivered_twice_is_no_restart() {
    let mut harness = Harness::single();
    for seq in 0..20 {
        harness.rtp(Rtp::video(100, seq, 3000)).unwrap();
    }
    for seq in 0..20 {
        assert_eq!(harness.rtp(Rtp::video(100, seq, 3000)), None);
    }
    assert_eq!(harness.rtp(Rtp::video(100, 20, 3000)).unwrap().epoch, 1);
}

#[test]
fn broken_packets_are_dropped() {
    let mut harness = Harness::single();
    assert_eq!(harness.raw(vec![]), None);
    assert_eq!(harness.raw(vec![0x80; 11]), None);
    let mut bytes = Rtp::padding(100, 1, 0).bytes();
    *bytes.last_mut().unwrap() = 0;
    assert_eq!(harness.raw(bytes), None);
}
