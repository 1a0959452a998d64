//! RTCP from the publisher.
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
use kith_sfu::SenderReportInfo;

#[test]
fn a_report_of_the_current_stream_is_passed_on_with_its_epoch() {
    let mut harness = Harness::new(vec![video_section(vec![
        declared(100, 101),
        declared(200, 201),
    ])]);
    let report = |harness: &mut Harness, ssrc| {
        harness.rtcp(|writer| {
            writer
                .sender_report(Ssrc(ssrc), 0x0102_0304_0506_0708, 90_000, 5, 500, &[])
                .unwrap();
            writer.sdes_cname(Ssrc(ssrc), "someone").unwrap();
        });
    };
    report(&mut harness, 200);
    assert!(
        harness.reports.is_empty(),
        "no stream yet that the timestamp belongs to"
    );
    harness.rtp(Rtp::keyframe(200, 1, 0)).unwrap();
    harness.advance_ms(40);
    report(&mut harness, 200);
    report(&mut harness, 201);
    report(&mut harness, 999);
    let expected = SenderReportInfo {
        publication: VIDEO,
        layer: 1,
        epoch: 1,
        ntp: 0x0102_0304_0506_0708,
        rtp_timestamp: 90_000,
        arrival: harness.now,
    };
    assert_eq!(harness.reports, [expected]);

    harness.rtp(Rtp::keyframe(7, 1, 0).with(MID, b"1")); // undeclared, and there are two encodings: nobody's
    harness.rtp(Rtp::keyframe(200, 40_000, 0));
    report(&mut harness, 200);
    assert_eq!(harness.reports[1].epoch, 1);
}

#[test]
fn reports_about_us_are_somebody_elses_and_broken_ones_nobodys() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    harness.rtcp(|writer| {
        writer.receiver_report(Ssrc(100), &[]).unwrap();
        writer.remb(Ssrc(100), 1_000_000, &[]).unwrap();
        writer.nack(Ssrc(100), LOCAL, [kith_rtp::SeqNo(1)]).unwrap();
    });
    for bytes in [
        &[][..],
        &[0x80],
        &[0x80, 200, 0, 9, 1, 2],
        &[0x40, 200, 0, 0],
    ] {
        harness
            .receiver
            .handle_rtcp(harness.now, bytes, |_| panic!("no report"));
    }
    harness.drain();
    assert!(harness.sent.is_empty());
}
