//! What goes on to a subscriber of the publisher's header extensions, and what is stamped.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use egress_support::scalable::{Between, Encoder};
use egress_support::{
    ABS_SEND_TIME, CAPTURE_TIME, DD, Harness, LEVEL, MID, ORIENTATION, PLAYOUT_DELAY, Packet, TWCC,
    Vp8Frame, extensions, spec, without,
};
use kith_rtp::{Codec, ExtensionKind, ExtensionMap};

fn key() -> Packet {
    Vp8Frame::key(1).packets(70_000, 0, 1)[0].clone()
}

#[test]
fn each_value_moves_to_the_subscribers_id() {
    let mut harness = Harness::vp8(1);
    let packet = key()
        .with(MID, b"publisher")
        .with(TWCC, &[9, 9])
        .with(ABS_SEND_TIME, &[9, 9, 9])
        .with(
            CAPTURE_TIME,
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        )
        .with(PLAYOUT_DELAY, &[1, 2, 3])
        .with(ORIENTATION, &[5])
        .with(15, &[1]);
    let got = harness.push(&packet)[0].clone();
    let expected: [(u8, &[u8]); 6] = [
        (TWCC + 1, &[0, 1]),
        (ABS_SEND_TIME + 1, &[0x12, 0x34, 0x57]),
        (MID + 1, b"7"),
        (ORIENTATION + 1, &[5]),
        (
            CAPTURE_TIME + 1,
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        ),
        (PLAYOUT_DELAY + 1, &[1, 2, 3]),
    ];
    let got: Vec<_> = got
        .extensions
        .iter()
        .map(|(id, value)| (*id, value.as_slice()))
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn audio_levels_go_on() {
    let mut harness = Harness::new(1, spec(&[Codec::Opus]));
    let packet = Packet::new(Codec::Opus, 70_000, 0, &[1, 2]).with(LEVEL, &[0x9E]);
    assert_eq!(
        harness.push(&packet)[0].extension(LEVEL + 1),
        Some(&[0x9E][..])
    );
}

#[test]
fn what_was_not_negotiated_is_not_sent() {
    let mut spec = spec(&[Codec::Vp8]);
    spec.extensions = ExtensionMap::new();
    let mut harness = Harness::new(1, spec);
    let got = harness.push(&key().with(ORIENTATION, &[5]).with(CAPTURE_TIME, &[1; 8]));
    assert!(got[0].extensions.is_empty());
    assert_eq!(got[0].bytes[0], 0x80);
}

#[test]
fn ids_above_14_and_long_descriptors_take_the_two_byte_form() {
    let mut spec = spec(&[Codec::Vp8]);
    spec.extensions.set(ExtensionKind::TransportWideCc, 20);
    let mut harness = Harness::new(1, spec);
    let got = harness.push(&key());
    assert_eq!(got[0].extension(20), Some(&[0, 1][..]));
    assert_eq!(got[0].bytes[12..14], [0x10, 0x00]);

    let mut encoder = Encoder::new(Codec::Av1, Between::Always, 3, 3);
    let mut harness = Harness::new(1, egress_support::spec(&[Codec::Av1]));
    let picture = encoder.picture(true, &[0, 1, 2]);
    let sent = picture[0].packet.extensions[0].1.clone();
    assert!(sent.len() > 16);
    let got = harness.push(&picture[0].packet);
    let descriptor = encoder.read(got[0].extension(DD + 1).unwrap());
    assert!(descriptor.structure.is_some());
    assert_eq!(got[0].bytes[12..14], [0x10, 0x00]);
    assert_eq!(got[0].extension(TWCC + 1), Some(&[0, 1][..]));
}

#[test]
fn vp8_goes_without_a_dependency_descriptor() {
    let mut harness = Harness::vp8(1);
    let got = harness.push(&key().with(DD, &[0xC0, 0, 1]));
    assert!(got[0].extension(DD + 1).is_none());
}

#[test]
fn a_descriptor_that_is_not_understood_goes_on_with_its_frame_number() {
    let mut harness = Harness::new(1, spec(&[Codec::Av1]));
    let mut encoder = Encoder::new(Codec::Av1, Between::Always, 1, 1);
    harness.push(&encoder.picture(true, &[0])[0].packet);
    // A template that nobody has heard of.
    let unknown = Packet::new(Codec::Av1, 70_001, 4_294_903_000, &[0x10, 0x30, 1])
        .with(DD, &[0xC0 | 0x3F, 0xFF, 0xDE]);
    let got = harness.push(&unknown);
    assert_eq!(got[0].extension(DD + 1).unwrap()[0], 0xFF);
    assert_eq!(got[0].extension(DD + 1).unwrap().len(), 3);
}

#[test]
fn new_ids_of_the_publisher_count_from_the_next_packet_on() {
    let mut harness = Harness::new(1, spec(&[Codec::Opus]));
    let mut ids = without(extensions(0), &[ExtensionKind::AudioLevel]);
    ids.set(ExtensionKind::AudioLevel, 9);
    harness.hub.set_extensions(ids);
    let packet = Packet::new(Codec::Opus, 70_000, 0, &[1, 2]).with(9, &[0x12]);
    assert_eq!(
        harness.push(&packet)[0].extension(LEVEL + 1),
        Some(&[0x12][..])
    );
}
