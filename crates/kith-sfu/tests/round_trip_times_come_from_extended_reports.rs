//! XR reference times and their answers (RFC 3611 sections 4.4 and 4.5).
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
use kith_rtp::Ssrc;
use kith_rtp::rtcp::DlrrBlock;
use kith_sfu::IngressEvent;

#[test]
fn our_reference_time_goes_out_with_each_report_and_its_answer_tells_the_round_trip() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    harness.advance_ms(250);
    let Some(Sent::ReferenceTime(ntp)) = harness.sent.last().map(|(_, sent)| sent.clone()) else {
        panic!("no reference time: {:?}", harness.sent);
    };
    harness.advance_ms(90);
    harness.rtcp(|writer| {
        let ours = DlrrBlock {
            ssrc: LOCAL,
            last_receiver_report: (ntp >> 16) as u32,
            delay_since_last_receiver_report: 65_536 / 100, // 10 ms
        };
        let other = DlrrBlock {
            ssrc: Ssrc(5),
            last_receiver_report: 77,
            ..ours
        };
        writer.dlrr(Ssrc(100), &[other, ours]).unwrap();
    });
    let rtt = harness.receiver.rtt().unwrap();
    assert!(
        rtt.abs_diff(Duration::from_millis(80)) < Duration::from_millis(1),
        "{rtt:?}"
    );
    assert!(
        harness
            .take_events()
            .contains(&IngressEvent::RttUpdated { rtt })
    );
    assert_eq!(harness.stats(0).rtt, Some(rtt));
}

#[test]
fn answers_to_nothing_and_of_impossible_times_are_ignored() {
    let mut harness = Harness::single();
    for last in [0, 0x8000_0000] {
        harness.rtcp(|writer| {
            let block = DlrrBlock {
                ssrc: LOCAL,
                last_receiver_report: last,
                delay_since_last_receiver_report: 0,
            };
            writer.dlrr(Ssrc(100), &[block]).unwrap();
        });
    }
    assert_eq!(harness.receiver.rtt(), None);
}

#[test]
fn the_round_trip_is_smoothed_and_told_once_a_second() {
    let mut harness = Harness::single();
    harness
        .receiver
        .update_rtt(harness.now, Duration::from_millis(100));
    harness
        .receiver
        .update_rtt(harness.now, Duration::from_millis(200));
    assert_eq!(harness.receiver.rtt(), Some(Duration::from_millis(125)));
    harness.drain();
    harness
        .receiver
        .update_rtt(harness.now, Duration::from_millis(125));
    harness.drain();
    assert_eq!(harness.events.len(), 1);
    harness.advance_ms(1000);
    harness
        .receiver
        .update_rtt(harness.now, Duration::from_millis(125));
    harness.drain();
    assert_eq!(harness.events.len(), 2);
}

#[test]
fn the_peers_reference_times_are_answered_at_once_but_not_in_floods() {
    let mut harness = Harness::new(vec![]);
    harness.rtcp(|writer| {
        writer
            .receiver_reference_time(Ssrc(5), 0x0001_0203_0405_0607)
            .unwrap()
    });
    let answer = |delay| {
        Sent::Answers(vec![DlrrBlock {
            ssrc: Ssrc(5),
            last_receiver_report: 0x0203_0405,
            delay_since_last_receiver_report: delay,
        }])
    };
    assert_eq!(harness.take_sent(), [Sent::Report(vec![]), answer(0)]);
    harness.advance_ms(100);
    for _ in 0..10 {
        harness.rtcp(|writer| {
            writer
                .receiver_reference_time(Ssrc(5), 0x0001_0203_0405_0607)
                .unwrap()
        });
    }
    assert!(harness.sent.is_empty());
    harness.advance_ms(1000);
    // 400 ms.
    assert_eq!(
        harness.take_sent(),
        [Sent::Report(vec![]), answer(65_536 * 2 / 5)]
    );
}
