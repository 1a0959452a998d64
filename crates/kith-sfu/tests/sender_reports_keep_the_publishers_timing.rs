//! Sender reports to subscribers, and what their reports tell.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "test helpers count what they index"
)]

mod egress_support;

use std::time::Duration;

use egress_support::{Harness, MID, PLAYOUT_DELAY, Packet, SSRC, Vp8Frame, ntp, spec};
use kith_rtp::Codec;
use kith_rtp::rtcp::{self, RtcpPacket};
use kith_sfu::PlayoutDelay;

struct Report {
    ntp: u64,
    rtp_timestamp: u32,
    packets: u32,
    bytes: u32,
}

fn report(harness: &mut Harness) -> Option<Report> {
    let mut out = [0; 1200];
    let len = harness
        .track
        .sender_report(harness.now, &harness.hub, &mut out)?;
    let mut packets = rtcp::packets(&out[..len]).map(Result::unwrap);
    let Some(RtcpPacket::SenderReport(report)) = packets.next() else {
        panic!("no sender report");
    };
    let Some(RtcpPacket::Sdes(sdes)) = packets.next() else {
        panic!("no CNAME");
    };
    let chunk = sdes.chunks().next().unwrap();
    assert_eq!(chunk.ssrc, SSRC);
    assert_eq!(chunk.cname(), Some(&b"PA_publisher"[..]));
    assert_eq!(report.ssrc, SSRC);
    Some(Report {
        ntp: report.ntp,
        rtp_timestamp: report.rtp_timestamp,
        packets: report.packet_count,
        bytes: report.octet_count,
    })
}

fn close(a: u64, b: u64) -> bool {
    a.abs_diff(b) < 1 << 12
}

#[test]
fn the_publishers_clock_goes_on_in_them() {
    let mut harness = Harness::new(1, spec(&[Codec::Opus]));
    harness.push(&Packet::new(Codec::Opus, 70_000, 480_000, &[1; 100]));
    assert!(
        report(&mut harness).is_none(),
        "its timing is not known yet"
    );
    harness.sender_report(0, 0, 5_000, 481_000);
    harness.wait_ms(250);
    let told = report(&mut harness).unwrap();
    assert!(close(told.ntp, ntp(5_250)));
    assert_eq!(told.rtp_timestamp, 481_000 + 12_000);
    assert_eq!((told.packets, told.bytes), (1, 100));
}

#[test]
fn after_a_switch_they_tell_the_same_moment_of_the_subscribers_timestamps() {
    let mut harness = Harness::vp8(2);
    harness.sender_report(0, 0, 10_000, 1_000_000);
    let low = harness.push_all(&Vp8Frame::key(1).packets(70_000, 1_000_000, 1));
    harness.wait_ms(40);
    let high = Vp8Frame::key(1).packets(90_000, 77, 1);
    let high = harness.push(&high[0].clone().layer(1));
    assert_eq!(high[0].timestamp - low[0].timestamp, 3600);
    assert!(
        report(&mut harness).is_none(),
        "nothing is known of the layer that is sent"
    );
    // 77 was at 10.030 s: the frame took 10 ms longer.
    harness.sender_report(1, 0, 10_030, 77);
    let told = report(&mut harness).unwrap();
    assert!(close(told.ntp, ntp(10_030)));
    assert_eq!(told.rtp_timestamp, high[0].timestamp);
}

#[test]
fn they_come_every_three_seconds_while_something_is_sent() {
    let mut harness = Harness::new(1, spec(&[Codec::Opus]));
    harness.sender_report(0, 0, 5_000, 0);
    let mut count = 0;
    for n in 0..3000u32 {
        harness.push(&Packet::new(
            Codec::Opus,
            70_000 + u64::from(n),
            n * 960,
            &[1],
        ));
        harness.wait_ms(20);
        count += u32::from(report(&mut harness).is_some());
    }
    assert!((18..=24).contains(&count), "{count} in a minute");
    let mut in_silence = 0;
    for _ in 0..3000 {
        harness.wait_ms(20);
        in_silence += u32::from(report(&mut harness).is_some());
    }
    assert!(in_silence <= 1, "what was sent last may still be reported");
}

#[test]
fn receiver_reports_tell_the_round_trip_time() {
    let mut harness = Harness::new(1, spec(&[Codec::Opus]));
    harness.sender_report(0, 0, 5_000, 0);
    let sent = harness.push(&Packet::new(Codec::Opus, 70_000, 0, &[1]));
    let told = report(&mut harness).unwrap();
    harness.wait_ms(500 + 80);
    harness.receiver_report(sent[0].seq, (told.ntp >> 16) as u32, 500);
    let rtt = harness.track.stats().rtt.unwrap();
    assert!(rtt.abs_diff(Duration::from_millis(80)) < Duration::from_millis(1));
    // A report that answers nothing of ours tells nothing.
    harness.receiver_report(sent[0].seq, 0x1234_5678, 0);
    harness.track.set_rtt(Duration::from_secs(3));
    assert_eq!(harness.track.stats().rtt, Some(rtt));
}

#[test]
fn the_mid_and_the_playout_delay_are_sent_until_a_report_comes() {
    let mut harness = Harness::vp8(1);
    harness
        .track
        .set_playout_delay(Some(PlayoutDelay::from_millis(100, 2000)));
    let send = |harness: &mut Harness, n: u16| {
        let frame = Vp8Frame {
            keyframe: n == 0,
            ..Vp8Frame::new(n)
        };
        let packets = frame.packets(70_000 + u64::from(n), u32::from(n) * 3000, 1);
        harness.push_all(&packets)[0].clone()
    };
    let first = send(&mut harness, 0);
    assert_eq!(first.extension(MID + 1), Some(&b"7"[..]));
    assert_eq!(
        first.extension(PLAYOUT_DELAY + 1),
        Some(&[0, 0xA0, 0xC8][..])
    );
    harness.receiver_report(first.seq, 0, 0);
    let second = send(&mut harness, 1);
    assert_eq!(second.extension(MID + 1), None);
    assert_eq!(second.extension(PLAYOUT_DELAY + 1), None);
    harness
        .track
        .set_playout_delay(Some(PlayoutDelay::from_millis(100, 500)));
    harness.receiver_report(second.seq, 0, 0);
    let third = send(&mut harness, 2);
    assert!(
        third.extension(PLAYOUT_DELAY + 1).is_some(),
        "not received yet"
    );
    harness.receiver_report(third.seq, 0, 0);
    assert_eq!(send(&mut harness, 3).extension(PLAYOUT_DELAY + 1), None);
}
