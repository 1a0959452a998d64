//! RTX (RFC 4588): pairing, unwrapping, and what it must not do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of test functions"
)]
mod ingress_support;

use ingress_support::*;
use kith_rtp::{PayloadType, SeqNo, Ssrc};
use kith_sfu::LayerSpec;

#[test]
fn a_lost_packet_comes_back_as_itself() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    let third = harness.rtp(Rtp::video(100, 3, 3000)).unwrap();
    let lost = Rtp::video(100, 2, 0).payload(&[0x10, 9, 9, 9]).marked();
    let back = harness.rtp(lost.rtx(101, 7000)).unwrap();
    assert_eq!(back.seq + 1, third.seq);
    assert_eq!(back.bytes, lost.bytes());
    let packet = back.rtp();
    assert_eq!(
        (packet.ssrc(), packet.payload_type()),
        (Ssrc(100), PayloadType(VP8))
    );
    assert_eq!(packet.sequence_number(), SeqNo(2));
    assert_eq!(harness.stats(0).recovered, 1);
}

#[test]
fn rtx_ssrcs_are_found_by_repaired_rid() {
    let mut harness = Harness::simulcast();
    for (ssrc, rid) in [(10, "q"), (20, "h"), (30, "f")] {
        harness.rtp(
            Rtp::video(ssrc, 1, 0)
                .with(MID, b"1")
                .with(RID, rid.as_bytes()),
        );
        harness.rtp(Rtp::video(ssrc, 3, 0));
    }
    for (ssrc, rid, layer) in [(30, "f", 2), (10, "q", 0), (20, "h", 1)] {
        let lost = Rtp::video(ssrc, 2, 0).rtx(ssrc + 1, 1);
        let back = harness
            .rtp(lost.with(MID, b"1").with(RRID, rid.as_bytes()))
            .unwrap();
        assert_eq!(back.layer, layer);
        assert_eq!(back.rtp().ssrc(), Ssrc(ssrc));
        assert_eq!(back.rtp().sequence_number(), SeqNo(2));
    }
}

#[test]
fn a_mid_alone_pairs_rtx_when_there_is_one_encoding() {
    let mut harness = Harness::new(vec![video_section(vec![LayerSpec::default()])]);
    harness.rtp(Rtp::video(10, 1, 0).with(MID, b"1"));
    harness.rtp(Rtp::video(10, 3, 0));
    let back = harness
        .rtp(Rtp::video(10, 2, 0).rtx(11, 1).with(MID, b"1"))
        .unwrap();
    assert_eq!(back.rtp().sequence_number(), SeqNo(2));
}

#[test]
fn a_stream_cannot_start_with_rtx() {
    let mut harness = Harness::single();
    assert_eq!(harness.rtp(Rtp::video(100, 2, 0).rtx(101, 1)), None);
    assert!(harness.take_events().is_empty());
    assert!(harness.rtp(Rtp::video(100, 3, 0)).is_some());
}

#[test]
fn what_was_there_already_is_not_forwarded_again() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::video(100, 1, 0)).unwrap();
    harness.rtp(Rtp::video(100, 3, 0)).unwrap();
    assert_eq!(harness.rtp(Rtp::video(100, 1, 0).rtx(101, 1)), None);
    assert!(harness.rtp(Rtp::video(100, 2, 0).rtx(101, 2)).is_some());
    assert_eq!(harness.rtp(Rtp::video(100, 2, 0).rtx(101, 3)), None);
    assert_eq!(
        harness.rtp(Rtp::video(100, 2, 0)),
        None,
        "the original after its retransmission"
    );
}

#[test]
fn a_retransmission_can_overtake_the_newest_packet() {
    let mut harness = Harness::single();
    let first = harness.rtp(Rtp::video(100, 1, 0)).unwrap();
    let ahead = harness.rtp(Rtp::video(100, 2, 0).rtx(101, 1)).unwrap();
    assert_eq!(ahead.seq, first.seq + 1);
    assert_eq!(harness.rtp(Rtp::video(100, 2, 0)), None);
    assert_eq!(
        harness.rtp(Rtp::video(100, 3, 0)).unwrap().seq,
        first.seq + 2
    );
}

#[test]
fn probes_on_the_rtx_ssrc_are_dropped() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::video(100, 1, 0)).unwrap();
    let probe = Rtp::padding(101, 1, 0).payload_type(VP8_RTX);
    assert_eq!(harness.rtp(probe), None);
    let stump = Rtp::video(101, 2, 0).payload_type(VP8_RTX).payload(&[0]);
    assert_eq!(harness.rtp(stump), None);
    let empty = Rtp::video(101, 3, 0).payload_type(VP8_RTX).payload(&[0, 2]);
    assert_eq!(harness.rtp(empty), None);
    assert_eq!(
        harness.rtp(Rtp::video(101, 4, 0)),
        None,
        "media on the RTX SSRC"
    );
    assert_eq!(harness.stats(0).rtx_packets, 3);
}

#[test]
fn an_rtx_ssrc_that_changed_is_followed() {
    let mut harness = Harness::simulcast();
    harness.rtp(Rtp::video(10, 1, 0).with(MID, b"1").with(RID, b"q"));
    harness.rtp(Rtp::video(10, 5, 0));
    let rtx = |seq: u16, ssrc| {
        Rtp::video(10, seq, 0)
            .rtx(ssrc, seq)
            .with(MID, b"1")
            .with(RRID, b"q")
    };
    assert!(harness.rtp(rtx(2, 11)).is_some());
    assert!(harness.rtp(rtx(3, 12)).is_some());
    assert_eq!(harness.rtp(rtx(4, 11)), None, "replaced a moment ago");
    assert!(harness.rtp(rtx(4, 12)).is_some());
}
