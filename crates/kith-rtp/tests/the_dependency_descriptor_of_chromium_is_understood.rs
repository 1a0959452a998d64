//! Descriptors that Chromium sent for AV1 L3T3, taken from a capture of its traffic.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed assumption shall fail the test"
)]

use kith_rtp::dependency_descriptor::{
    DependencyDescriptor, DependencyDescriptorError, TemplateStructure,
};
use kith_rtp::{LayerId, Resolution};

const KEYFRAME: &str = "c1017280081485214eafffaaaa863cf0430c10c302afc0aaa0063c00430010c002a000a80006000040001d954926e082b04a0941b820ac1282503157f974000ca864330e222222eca8655304224230eca877530077004200ef008601df010d";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap())
        .collect()
}

fn structure() -> TemplateStructure {
    let keyframe = bytes(KEYFRAME);
    let descriptor = DependencyDescriptor::parse(&keyframe, None).unwrap();
    descriptor.structure.unwrap().read().unwrap()
}

fn layer(spatial: u8, temporal: u8) -> LayerId {
    LayerId { spatial, temporal }
}

#[test]
fn a_keyframe_attaches_the_structure_of_three_by_three_layers() {
    let structure = structure();
    assert_eq!(structure.template_id_offset(), 0);
    assert_eq!(structure.decode_target_count(), 9);
    assert_eq!(structure.chain_count(), 3);
    assert_eq!(structure.spatial_layer_count(), 3);
    let expected: Vec<_> = (0..3)
        .flat_map(|spatial| (0..3).map(move |temporal| layer(spatial, temporal)))
        .collect();
    assert_eq!(structure.decode_target_layers(), expected);
    let chains: Vec<_> = (0..9)
        .map(|target| structure.protecting_chain(target).unwrap())
        .collect();
    assert_eq!(chains, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    assert_eq!(structure.protecting_chain(9), None);
    let sizes: Vec<_> = (0..3)
        .map(|spatial| structure.resolution(spatial).unwrap())
        .collect();
    let size = |width, height| Resolution { width, height };
    assert_eq!(sizes, [size(120, 67), size(240, 135), size(480, 270)]);
    assert_eq!(structure.resolution(3), None);
    assert_eq!(structure.decode_targets_up_to(layer(1, 1)), 0b0001_1011);
}

#[test]
fn the_packets_after_it_refer_to_its_templates() {
    let structure = structure();
    let keyframe = bytes(KEYFRAME);
    let first = DependencyDescriptor::parse(&keyframe, None).unwrap();
    assert!(first.start_of_frame && first.end_of_frame);
    assert_eq!(first.frame_number, 0x172);
    assert_eq!(first.layer, layer(0, 0));
    assert_eq!(first.active_decode_targets, None);
    assert_eq!(first.active_decode_targets_update(), Some(0x1FF));
    assert!(first.frame_diffs.as_slice().is_empty());
    assert_eq!(first.chain_diffs.as_slice(), [0, 0, 0]);
    assert_eq!(format!("{:?}", first.indications), "SSSSSSSSS");

    let second = bytes("86017340fc");
    let second = DependencyDescriptor::parse(&second, Some(&structure)).unwrap();
    assert!(second.start_of_frame && !second.end_of_frame);
    assert_eq!(second.frame_number, 0x173);
    assert_eq!(second.template_id, 6);
    assert_eq!(second.layer, layer(1, 0));
    assert_eq!(
        second.active_decode_targets,
        Some(0b00_0011_1111),
        "the third spatial layer is off"
    );
    assert!(second.structure.is_none());
    assert_eq!(second.frame_diffs.as_slice(), [1]);
    assert_eq!(second.resolution.unwrap().width, 240);
}

#[test]
fn packets_without_a_known_structure_say_so() {
    let packet = bytes("860173");
    assert_eq!(
        DependencyDescriptor::parse(&packet, None).unwrap_err(),
        DependencyDescriptorError::NoStructure
    );
    let strange = bytes("BF0173");
    assert_eq!(
        DependencyDescriptor::parse(&strange, Some(&structure())).unwrap_err(),
        DependencyDescriptorError::UnknownTemplate(63)
    );
}

#[test]
fn cutting_a_keyframe_anywhere_is_an_error_never_a_panic() {
    let keyframe = bytes(KEYFRAME);
    for len in 0..keyframe.len() {
        assert!(DependencyDescriptor::parse(&keyframe[..len], None).is_err());
    }
}

#[test]
fn the_active_decode_targets_can_be_replaced_and_removed() {
    let structure = structure();
    for hex in [KEYFRAME, "86017340fc", "c3017540fc", "860173"] {
        let original = bytes(hex);
        let known = Some(&structure);
        let original = DependencyDescriptor::parse(&original, known).unwrap();
        for mask in [None, Some(0), Some(0b11_0101), Some(u32::MAX)] {
            let mut out = [0xFF; 255];
            let len = original
                .write_with_active_decode_targets(mask, &mut out)
                .unwrap();
            let copy = DependencyDescriptor::parse(&out[..len], known).unwrap();
            assert_eq!(copy.active_decode_targets, mask.map(|mask| mask & 0x1FF));
            assert_eq!(copy.frame_number, original.frame_number);
            assert_eq!(copy.indications, original.indications);
            assert_eq!(copy.frame_diffs, original.frame_diffs);
            assert_eq!(copy.chain_diffs, original.chain_diffs);
            let attached = copy.structure.map(|structure| structure.read().unwrap());
            assert_eq!(attached.is_some(), original.structure.is_some());
            if let Some(attached) = attached {
                assert_eq!(attached, structure);
            }
        }
    }
    let with_mask = bytes("86017340fc");
    let with_mask = DependencyDescriptor::parse(&with_mask, Some(&structure)).unwrap();
    let mut out = [0; 8];
    let len = with_mask.write_with_active_decode_targets(None, &mut out);
    assert_eq!(len, Ok(3), "without extended fields three bytes suffice");
    let len = with_mask.write_with_active_decode_targets(with_mask.active_decode_targets, &mut out);
    assert_eq!(out[..len.unwrap()], bytes("86017340fc"));
}
