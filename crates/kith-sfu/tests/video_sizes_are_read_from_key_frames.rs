//! Key frames and sizes of all codecs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of test functions"
)]
mod ingress_support;

use ingress_support::*;
use kith_sfu::IngressEvent;

/// Sends `payload` with a payload type and reports the size told, and whether it was taken for a key frame.
fn told(payload_type: u8, packet: Rtp) -> (Option<(u16, u16)>, bool) {
    let mut harness = Harness::single();
    harness.rtp(packet.payload_type(payload_type)).unwrap();
    let size = harness
        .take_events()
        .into_iter()
        .find_map(|event| match event {
            IngressEvent::VideoSize { width, height, .. } => Some((width, height)),
            _ => None,
        });
    harness.advance_ms(100);
    let keyframe = harness.pli_times(100).is_empty();
    assert_eq!(harness.stats(0).keyframes, u64::from(keyframe));
    (size, keyframe)
}

fn payload(bytes: &[u8]) -> Rtp {
    Rtp::video(100, 1, 0).payload(bytes)
}

const SPS_640X480: [u8; 12] = [
    0x67, 0x42, 0xC0, 0x1E, 0xDA, 0x02, 0x80, 0xF6, 0x84, 0x00, 0x00, 0x03,
];

#[rustfmt::skip]
const VP9_L3_KEYFRAME: [u8; 30] = [
    0xAA, 0x92, 0x34, 0x10, 0x55,
    0x58, 0x01, 0x40, 0x00, 0xB4, 0x02, 0x80, 0x01, 0x68, 0x05, 0x00, 0x02, 0xD0,
    0x04, 0x14, 0x04, 0x54, 0x01, 0x34, 0x02, 0x54, 0x01,
    0x00, 0x00, 0x00,
];

#[rustfmt::skip]
const H265_SPS_720P: [u8; 42] = [
    0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00,
    0x03, 0x00, 0x5D, 0xA0, 0x02, 0x80, 0x80, 0x2D, 0x16, 0x59, 0x59, 0xA4, 0x93, 0x2B, 0xC0,
    0x5A, 0x70, 0x80, 0x00, 0x01, 0xF4, 0x80, 0x00, 0x3A, 0x98, 0x04, 0x00,
];

/// Aggregation header with N, a sequence header of 640×360, a frame.
#[rustfmt::skip]
const AV1_KEYFRAME: [u8; 15] = [
    0x28, 0x09, 0x08, 0x00, 0x00, 0x00, 0x42, 0x62, 0x7F, 0xB3, 0x80, 0x34, 0x28, 0xAA, 0xBB,
];

#[test]
fn vp8() {
    assert_eq!(
        told(VP8, Rtp::keyframe(100, 1, 0)),
        (Some((640, 360)), true)
    );
    assert_eq!(told(VP8, Rtp::video(100, 1, 0)), (None, false));
}

#[test]
fn vp9_tells_the_size_of_its_highest_layer() {
    assert_eq!(
        told(98, payload(&VP9_L3_KEYFRAME)),
        (Some((1280, 720)), true)
    );
    assert_eq!(
        told(98, payload(&[0xE8, 0x92, 0x34, 0x10, 0x55, 1, 2])),
        (None, false)
    );
}

#[test]
fn h264_in_a_packet_of_its_own_or_an_aggregate() {
    assert_eq!(told(125, payload(&SPS_640X480)), (Some((640, 480)), true));
    let mut aggregate = vec![0x78, 0, 12];
    aggregate.extend(SPS_640X480);
    aggregate.extend([0, 2, 0x68, 0xCE, 0, 3, 0x65, 0x88, 0x84]);
    assert_eq!(told(125, payload(&aggregate)), (Some((640, 480)), true));
    assert_eq!(told(125, payload(&[0x41, 0x9A, 0x00])), (None, false));
}

#[test]
fn h265() {
    assert_eq!(
        told(116, payload(&H265_SPS_720P)),
        (Some((1280, 720)), true)
    );
    assert_eq!(told(116, payload(&[0x02, 0x01, 0xAF])), (None, false));
}

#[test]
fn av1() {
    let (size, keyframe) = told(35, payload(&AV1_KEYFRAME));
    assert!(keyframe);
    assert_eq!(size, Some((640, 360)));
    assert_eq!(told(35, payload(&[0x10, 0x30, 0x10, 0x20])), (None, false));
}

#[test]
fn an_encrypted_frame_is_told_by_its_dependency_descriptor() {
    use kith_rtp::dependency_descriptor::{DependencyDescriptor, TemplateStructure};
    // Start and end of frame, template 0, frame 1; structure attached: one decode target, one template, 1280×720.
    let bits = concat!(
        "11",
        "000000",
        "0000000000000001", // mandatory fields
        "1",
        "0",
        "0",
        "0",
        "0", // only the structure
        "000000",
        "00000", // template id offset, one decode target
        "11",    // no more templates
        "10",    // indication: switch
        "0",     // no frame diffs
        "0",     // chain count: non-symmetric of 2 values
        "1",     // resolutions
        "0000010011111111",
        "0000001011001111",
    );
    let mut element: Vec<u8> = Vec::new();
    for chunk in bits.as_bytes().chunks(8) {
        let text = std::str::from_utf8(chunk).unwrap();
        element.push(u8::from_str_radix(&format!("{text:0<8}"), 2).unwrap());
    }
    let parsed = DependencyDescriptor::parse(&element, None).unwrap();
    let structure: TemplateStructure = parsed.structure.unwrap().read().unwrap();
    assert_eq!(structure.spatial_layer_count(), 1);
    let secret = [0xFFu8; 20];
    assert_eq!(
        told(98, payload(&secret).with(DD, &element)),
        (Some((1280, 720)), true)
    );
    assert_eq!(
        told(98, payload(&secret).with(DD, &element[..3])),
        (None, false)
    );
}

#[test]
fn a_size_is_told_when_it_changes() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    harness.take_events();
    harness.rtp(Rtp::keyframe(100, 2, 3000)).unwrap();
    assert!(harness.take_events().is_empty());
    let mut larger = Rtp::keyframe(100, 3, 6000);
    larger.payload[7] = 0;
    larger.payload[8] = 5;
    harness.rtp(larger).unwrap();
    let size = IngressEvent::VideoSize {
        publication: VIDEO,
        layer: 0,
        width: 1280,
        height: 360,
    };
    assert_eq!(harness.take_events(), [size]);
    assert_eq!(
        (harness.stats(0).width, harness.stats(0).height),
        (1280, 360)
    );
}
