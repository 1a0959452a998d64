//! Renegotiation while media flows.
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
use kith_sfu::{IngressEvent, LayerSpec, PublicationId};

#[test]
fn a_publication_in_both_specs_goes_on_with_its_numbers_and_ssrcs() {
    let mut harness = Harness::new(vec![video_section(vec![rid("q"), rid("h")])]);
    let first = harness
        .rtp(Rtp::keyframe(20, 9, 0).with(MID, b"1").with(RID, b"h"))
        .unwrap();
    harness.rtp(Rtp::video(20, 11, 0)).unwrap();
    harness.take_events();
    let sections = vec![
        audio_section(),
        video_section(vec![rid("q"), rid("h"), rid("f")]),
    ];
    harness.receiver.configure(harness.now, spec(sections));
    // The sender stopped to send mid and rid when it saw a report.
    let next = harness.rtp(Rtp::video(20, 12, 0)).unwrap();
    assert_eq!(
        (next.layer, next.epoch, next.seq),
        (1, first.epoch, first.seq + 3)
    );
    assert!(harness.take_events().is_empty(), "nothing started");
    harness.advance_ms(20);
    assert_eq!(
        harness.nacks(),
        [(10, vec![10])],
        "what was missing still is"
    );
    assert_eq!(harness.stats(1).packets, 3);
}

#[test]
fn what_is_not_in_the_new_spec_is_not_received_any_more() {
    let mut harness = Harness::new(vec![
        audio_section(),
        video_section(vec![declared(100, 101)]),
    ]);
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    harness
        .receiver
        .configure(harness.now, spec(vec![audio_section()]));
    assert_eq!(harness.rtp(Rtp::video(100, 2, 0)), None);
    harness.receiver.configure(harness.now, spec(vec![]));
    harness.advance_ms(60_000);
    assert_eq!(harness.receiver.poll_timeout(), None);
    assert_eq!(harness.receiver.stats().count(), 0);
}

#[test]
fn another_publication_on_the_same_mid_starts_anew_even_with_the_same_ssrc() {
    let mut harness = Harness::new(vec![video_section(vec![LayerSpec::default()])]);
    harness.rtp(Rtp::keyframe(7, 1, 0).with(MID, b"1")).unwrap();
    harness.take_events();
    let mut section = video_section(vec![LayerSpec::default()]);
    section.publication = PublicationId(33);
    // A second section keeps the payload type from being enough.
    let mut other = video_section(vec![LayerSpec::default()]);
    other.mid = "2".into();
    other.publication = PublicationId(34);
    harness
        .receiver
        .configure(harness.now, spec(vec![section, other]));
    let packet = harness.rtp(Rtp::keyframe(7, 2, 0)).unwrap();
    assert_eq!((packet.publication, packet.epoch), (PublicationId(33), 1));
    assert!(matches!(
        harness.take_events()[..],
        [
            IngressEvent::LayerStarted {
                publication: PublicationId(33),
                ssrc: Ssrc(7),
                ..
            },
            IngressEvent::VideoSize {
                publication: PublicationId(33),
                ..
            }
        ]
    ));
}

#[test]
fn a_newly_declared_ssrc_takes_over_when_it_speaks() {
    let mut harness = Harness::single();
    let old = harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    harness.receiver.configure(
        harness.now,
        spec(vec![video_section(vec![declared(200, 201)])]),
    );
    assert_eq!(
        harness.rtp(Rtp::video(100, 2, 0)).unwrap().epoch,
        old.epoch,
        "until then the old one goes on"
    );
    assert_eq!(
        harness.rtp(Rtp::keyframe(200, 1, 0)).unwrap().epoch,
        old.epoch + 1
    );
    assert_eq!(harness.rtp(Rtp::video(100, 3, 0)), None);
    harness.rtp(Rtp::video(200, 3, 0)).unwrap();
    assert!(harness.rtp(Rtp::video(200, 2, 0).rtx(201, 1)).is_some());
}

#[test]
fn an_ssrc_that_nobody_wanted_is_found_when_the_spec_comes() {
    let mut harness = Harness::new(vec![]);
    for seq in 0..500 {
        assert_eq!(harness.rtp(Rtp::video(7, seq, 0).with(MID, b"1")), None);
    }
    harness.receiver.configure(
        harness.now,
        spec(vec![video_section(vec![LayerSpec::default()])]),
    );
    assert!(harness.rtp(Rtp::video(7, 500, 0).with(MID, b"1")).is_some());
}

#[test]
fn events_not_read_yet_survive() {
    let mut harness = Harness::single();
    harness
        .receiver
        .handle_rtp(harness.now, &mut Rtp::keyframe(100, 1, 0).bytes())
        .unwrap();
    let sections = vec![audio_section(), video_section(vec![declared(100, 101)])];
    harness.receiver.configure(harness.now, spec(sections));
    harness.drain();
    assert_eq!(harness.take_events().len(), 2);
}

#[test]
fn a_spec_beyond_the_limits_is_cut_not_refused() {
    let sections = (0..1000u32)
        .map(|number| {
            let layers =
                (0..10).map(|layer| declared(number * 100 + layer + 1, number * 100 + layer + 50));
            let mut section = video_section(layers.collect());
            section.mid = number.to_string();
            section
        })
        .collect();
    let harness = Harness::new(sections);
    assert_eq!(harness.receiver.stats().count(), 256 * 3);
    assert!(harness.receiver.table_entries() <= 4096);
}
