//! Which encoding a packet belongs to.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of test functions"
)]
mod ingress_support;

use ingress_support::*;
use kith_rtp::{Codec, MediaKind, Ssrc};
use kith_sfu::{LayerSpec, PublicationId, ReceiveSection};

#[test]
fn declared_ssrcs_need_no_extension() {
    let mut harness = Harness::new(vec![
        audio_section(),
        video_section(vec![
            declared(100, 101),
            declared(200, 201),
            declared(300, 301),
        ]),
    ]);
    for (ssrc, layer) in [(100, 0), (300, 2), (200, 1)] {
        let packet = harness.rtp(Rtp::video(ssrc, 1, 0)).unwrap();
        assert_eq!((packet.publication, packet.layer), (VIDEO, layer));
        assert_eq!(packet.codec, Codec::Vp8);
    }
}

#[test]
fn rids_name_the_encodings_and_are_needed_only_once() {
    let mut harness = Harness::simulcast();
    for (ssrc, rid, layer) in [(7, "f", 2), (8, "q", 0), (9, "h", 1)] {
        let first = Rtp::video(ssrc, 1, 0)
            .with(MID, b"1")
            .with(RID, rid.as_bytes());
        assert_eq!(harness.rtp(first).unwrap().layer, layer);
        assert_eq!(harness.rtp(Rtp::video(ssrc, 2, 0)).unwrap().layer, layer);
    }
}

#[test]
fn a_mid_alone_is_enough_for_one_encoding_and_not_for_three() {
    let mut harness = Harness::new(vec![
        audio_section(),
        video_section(vec![LayerSpec::default()]),
    ]);
    let packet = harness.rtp(Rtp::video(7, 1, 0).with(MID, b"1")).unwrap();
    assert_eq!((packet.publication, packet.layer), (VIDEO, 0));
    let packet = harness.rtp(Rtp::audio(8, 1, 0).with(MID, b"0")).unwrap();
    assert_eq!(packet.publication, AUDIO);

    let mut harness = Harness::simulcast();
    assert_eq!(harness.rtp(Rtp::video(7, 1, 0).with(MID, b"1")), None);
    assert_eq!(
        harness.rtp(Rtp::video(7, 2, 0).with(MID, b"1").with(RID, b"x")),
        None
    );
    assert_eq!(
        harness.rtp(Rtp::video(7, 3, 0).with(MID, b"9").with(RID, b"q")),
        None
    );
    assert!(
        harness
            .rtp(Rtp::video(7, 4, 0).with(MID, b"1").with(RID, b"q"))
            .is_some()
    );
}

#[test]
fn a_payload_type_that_only_one_section_takes_is_enough() {
    let mut harness = Harness::new(vec![
        audio_section(),
        video_section(vec![LayerSpec::default()]),
    ]);
    assert_eq!(harness.rtp(Rtp::audio(8, 1, 0)).unwrap().publication, AUDIO);
    assert_eq!(harness.rtp(Rtp::video(9, 1, 0)).unwrap().publication, VIDEO);

    let mut second = video_section(vec![LayerSpec::default()]);
    second.mid = "2".into();
    second.publication = PublicationId(3);
    let mut harness = Harness::new(vec![video_section(vec![LayerSpec::default()]), second]);
    assert_eq!(harness.rtp(Rtp::video(9, 1, 0)), None);
}

#[test]
fn payload_types_mean_what_their_section_says() {
    let other = ReceiveSection {
        mid: "2".into(),
        publication: PublicationId(3),
        kind: MediaKind::Video,
        codecs: vec![codec(Codec::H264, VP8, None, true)],
        layers: vec![LayerSpec::default()],
        measure_audio_level: false,
    };
    let mut harness = Harness::new(vec![video_section(vec![LayerSpec::default()]), other]);
    let vp8 = harness.rtp(Rtp::video(7, 1, 0).with(MID, b"1")).unwrap();
    let h264 = harness.rtp(Rtp::video(8, 1, 0).with(MID, b"2")).unwrap();
    assert_eq!((vp8.codec, h264.codec), (Codec::Vp8, Codec::H264));
    assert_eq!(
        harness.rtp(Rtp::video(8, 2, 0).payload_type(98)),
        None,
        "not negotiated in that section"
    );
}

#[test]
fn a_probe_with_ssrc_zero_is_nobodys() {
    let mut harness = Harness::new(vec![video_section(vec![LayerSpec::default()])]);
    assert_eq!(harness.rtp(Rtp::video(0, 1, 0).with(MID, b"1")), None);
}

#[test]
fn extensions_that_come_late_are_still_seen() {
    let mut harness = Harness::simulcast();
    for seq in 0..200 {
        assert_eq!(harness.rtp(Rtp::video(7, seq, 0)), None);
    }
    let found = (200..232).any(|seq| {
        harness
            .rtp(Rtp::video(7, seq, 0).with(MID, b"1").with(RID, b"h"))
            .is_some()
    });
    assert!(found);
    assert_eq!(harness.stats(1).ssrc, Some(Ssrc(7)));
}
