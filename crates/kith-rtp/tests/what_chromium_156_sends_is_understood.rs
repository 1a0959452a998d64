//! Descriptors and payload beginnings that Chromium 156 put on the wire, captured from a loopback call with
//! `--disable-webrtc-encryption` and the dependency descriptor negotiated for every codec.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed assumption shall fail the test"
)]

use kith_rtp::av1::Av1Descriptor;
use kith_rtp::dependency_descriptor::{DependencyDescriptor, TemplateStructure};
use kith_rtp::vp8::Vp8Descriptor;
use kith_rtp::vp9::Vp9Descriptor;
use kith_rtp::{LayerId, Resolution};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap())
        .collect()
}

fn size(width: u32, height: u32) -> Resolution {
    Resolution { width, height }
}

/// What a test looks at: frame number, spatial and temporal layer, active decode targets, indications, references,
/// chains.
type Line = (u16, u8, u8, Option<u32>, String, Vec<u16>, Vec<u8>);

fn line(
    frame_number: u16,
    (spatial, temporal): (u8, u8),
    mask: Option<u32>,
    indications: &str,
    frame_diffs: &[u16],
    chain_diffs: &[u8],
) -> Line {
    let indications = indications.to_owned();
    (
        frame_number,
        spatial,
        temporal,
        mask,
        indications,
        frame_diffs.to_vec(),
        chain_diffs.to_vec(),
    )
}

/// Reads the descriptors of one stream in order.
fn read(stream: &[&str]) -> (Vec<Line>, TemplateStructure) {
    let mut structure: Option<TemplateStructure> = None;
    let lines = stream
        .iter()
        .map(|hex| {
            let element = bytes(hex);
            let descriptor = DependencyDescriptor::parse(&element, structure.as_ref()).unwrap();
            // Replacing the mask by itself must give the very same bytes.
            let mut copy = [0; 255];
            let len = descriptor
                .write_with_active_decode_targets(descriptor.active_decode_targets, &mut copy)
                .unwrap();
            assert_eq!(copy[..len], element);
            let line = (
                descriptor.frame_number,
                descriptor.layer.spatial,
                descriptor.layer.temporal,
                descriptor.active_decode_targets,
                format!("{:?}", descriptor.indications),
                descriptor.frame_diffs.as_slice().to_vec(),
                descriptor.chain_diffs.as_slice().to_vec(),
            );
            if let Some(attached) = descriptor.structure {
                structure = Some(attached.read().unwrap());
            }
            line
        })
        .collect();
    (lines, structure.unwrap())
}

/// The layers of all decode targets, when there is one for each spatial and temporal layer.
fn every_layer(spatial: u8, temporal: u8) -> Vec<LayerId> {
    (0..spatial)
        .flat_map(|spatial| (0..temporal).map(move |temporal| LayerId { spatial, temporal }))
        .collect()
}

#[test]
fn av1_with_three_temporal_layers() {
    let (lines, structure) = read(&[
        "c00001800214eaa860414d1410208427013f00b3",
        "c30002",
        "c20003",
        "c40004",
        "c10005",
    ]);
    assert_eq!(structure.decode_target_layers(), every_layer(1, 3));
    assert_eq!(structure.resolution(0), Some(size(320, 180)));
    assert_eq!(
        structure.decode_targets_up_to(LayerId {
            spatial: 3,
            temporal: 1
        }),
        0b011
    );
    let expected = [
        line(1, (0, 0), None, "SSS", &[], &[0]),
        line(2, (0, 2), None, "--D", &[1], &[1]),
        line(3, (0, 1), None, "-DS", &[2], &[2]),
        line(4, (0, 2), None, "--D", &[1], &[3]),
        line(5, (0, 0), None, "SSS", &[4], &[4]),
    ];
    assert_eq!(lines, expected);
}

/// The third layer is off at first and starts with a keyframe of all three.
#[test]
fn av1_with_spatial_layers_that_depend_on_each_other_on_keyframes_only() {
    let (lines, structure) = read(&[
        "c00001c0081485214eaaaaa8000600004000100002aa80a8000600004000100002a000a800060000400016d549241b5524906d54923157e001974ca864330e222396eca8655304224390eca87753013f00b3027f016704ff02cf1f80",
        "c50002",
        "c300031a20100800",
        "c800041a20181000",
        "c0000580081485214eaaaaa8000600004000100002aa80a8000600004000100002a000a800060000400016d549241b5524906d54923157e001974ca864330e222396eca8655304224390eca87753013f00b3027f016704ff02cf",
        "c50006",
        "8a0007",
        "4a0007",
        "c30008",
        "c80009",
        "cd000a",
    ]);
    assert_eq!(structure.decode_target_layers(), every_layer(3, 3));
    let sizes: Vec<_> = (0..4)
        .map(|spatial| structure.resolution(spatial))
        .collect();
    let known = [size(320, 180), size(640, 360), size(1280, 720)].map(Some);
    assert_eq!(sizes, [&known[..], &[None]].concat());
    let expected = [
        line(
            1,
            (0, 0),
            Some(0b00_0011_1111),
            "SSSSSSSSS",
            &[],
            &[0, 0, 0],
        ),
        line(2, (1, 0), None, "---SSSSSS", &[1], &[1, 1, 1]),
        line(3, (0, 2), None, "--D------", &[2], &[2, 1, 0]),
        line(4, (1, 2), None, "-----D---", &[2], &[3, 2, 0]),
        line(5, (0, 0), None, "SSSSSSSSS", &[], &[0, 0, 0]),
        line(6, (1, 0), None, "---SSSSSS", &[1], &[1, 1, 1]),
        line(7, (2, 0), None, "------SSS", &[1], &[2, 1, 1]),
        line(7, (2, 0), None, "------SSS", &[1], &[2, 1, 1]),
        line(8, (0, 2), None, "--D------", &[3], &[3, 2, 1]),
        line(9, (1, 2), None, "-----D---", &[3], &[4, 3, 2]),
        line(10, (2, 2), None, "--------D", &[3], &[5, 4, 3]),
    ];
    assert_eq!(lines, expected);
}

/// Layers start one by one: a structure comes with the keyframe of each layer, while the others go on.
#[test]
fn av1_with_three_simulcast_layers_in_one_stream() {
    let (lines, structure) = read(&[
        "c10001c0081485214ea000a8000600004000100002a000a8000600004000100002a000a80006000040001d954926caa493655248c55fe5d00032a190cc38e58803b2a1954c10e10843b2a1dd4c04fc02cc09fc059c13fc0b3c7e",
        "c60002c0081485214ea000a8000600004000100002a000a8000600004000100002a000a80006000040001d954926caa493655248c55fe5d00032a190cc38e58803b2a1954c10e10843b2a1dd4c04fc02cc09fc059c13fc0b3c7e",
        "c3000358fd10080400",
        "c8000458fd100c0800",
        "c2000558fd30100c00",
        "c000095ffd70201c00",
        "85000a5ffd70042000",
        "45000a1ae0084000",
        "8b000b80081485214ea000a8000600004000100002a000a8000600004000100002a000a80006000040001d954926caa493655248c55fe5d00032a190cc38e58803b2a1954c10e10843b2a1dd4c04fc02cc09fc059c13fc0b3c",
        "0b000b",
        "4b000b",
    ]);
    assert_eq!(structure.decode_target_layers(), every_layer(3, 3));
    let (two_layers, all) = (Some(0b00_0011_1111), Some(0b1_1111_1111));
    let expected = [
        line(1, (0, 0), two_layers, "SSS------", &[], &[0, 0, 0]),
        line(2, (1, 0), two_layers, "---SSS---", &[], &[1, 0, 0]),
        line(3, (0, 2), two_layers, "--D------", &[2], &[2, 1, 0]),
        line(4, (1, 2), two_layers, "-----D---", &[2], &[3, 2, 0]),
        line(5, (0, 1), two_layers, "-DS------", &[4], &[4, 3, 0]),
        line(9, (0, 0), all, "SSS------", &[8], &[8, 7, 0]),
        line(10, (1, 0), all, "---SSS---", &[8], &[1, 8, 0]),
        line(10, (1, 0), None, "---SSS---", &[8], &[1, 8, 0]),
        line(11, (2, 0), None, "------SSS", &[], &[2, 1, 0]),
        line(11, (2, 0), None, "------SSS", &[], &[2, 1, 0]),
        line(11, (2, 0), None, "------SSS", &[], &[2, 1, 0]),
    ];
    assert_eq!(lines, expected);
}

/// VP8 has no chains, and now and then other references than its templates.
#[test]
fn vp8_carries_it_too() {
    let (lines, structure) = read(&[
        "c000018002044eaaaf2860414d34538a0940404fc02cc0",
        "c50002",
        "c30003",
        "c40006124800",
        "8000081240",
        "c6000d",
    ]);
    assert_eq!(structure.decode_target_layers(), every_layer(1, 3));
    assert_eq!(
        (structure.chain_count(), structure.protecting_chain(0)),
        (0, None)
    );
    let expected = [
        line(1, (0, 0), None, "SSS", &[], &[]),
        line(2, (0, 2), None, "--D", &[1], &[]),
        line(3, (0, 1), None, "-SS", &[2], &[]),
        line(6, (0, 1), None, "-DS", &[3, 1], &[]),
        line(8, (0, 0), None, "SSS", &[3], &[]),
        line(13, (0, 2), None, "--D", &[3, 1], &[]),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn vp9_carries_it_too() {
    let (lines, structure) = read(&[
        "c00001c00514853aaaa8018004004002a02a0060010015d34514174d144c700874321651118543276809f8059813f80b38e0",
        "c00002800514853aaaa8018004004002a02a0060010015d34514174d144c700874321651118543276809f8059813f80b38",
        "c50003",
        "c30004",
        "c4000840e0",
    ]);
    assert_eq!(structure.decode_target_layers(), every_layer(2, 3));
    assert_eq!(structure.resolution(1), Some(size(640, 360)));
    let expected = [
        line(1, (0, 0), Some(0b000_111), "SSSSSS", &[], &[0, 0]),
        line(2, (0, 0), None, "SSSSSS", &[], &[0, 0]),
        line(3, (1, 0), None, "---SSS", &[1], &[1, 1]),
        line(4, (0, 2), None, "--D---", &[2], &[2, 1]),
        line(8, (0, 2), Some(0b000_111), "--D---", &[2], &[6, 5]),
    ];
    assert_eq!(lines, expected);
}

/// With the dependency descriptor negotiated, Chromium's VP8 descriptor is one byte: no picture id, no layers.
#[test]
fn vp8_payloads() {
    let keyframe = bytes("10b013009d012a4001b4003961003b1c240c2c2c44cc24417c000ec03f80206e");
    let descriptor = Vp8Descriptor::parse(&keyframe).unwrap();
    assert_eq!((descriptor.len(), descriptor.picture_id), (1, None));
    assert!(descriptor.starts_keyframe(&keyframe));
    assert_eq!(
        descriptor.keyframe_resolution(&keyframe),
        Some(size(320, 180))
    );

    let droppable = bytes("30311500381c240c2c2c44cc2441080002f64f68e588b0fd807f007d82780fff");
    let descriptor = Vp8Descriptor::parse(&droppable).unwrap();
    assert!(descriptor.non_reference && descriptor.starts_frame());
    assert!(!descriptor.starts_keyframe(&droppable));

    let continuation = bytes("007924b1700391771c7a1fcf59eca31b3a593087f7e829f84a46effbd782bd75");
    assert!(!Vp8Descriptor::parse(&continuation).unwrap().starts_frame());
}

#[test]
fn vp9_payloads() {
    let parse = |hex: &str| {
        let payload = bytes(hex);
        let descriptor = Vp9Descriptor::parse(&payload).unwrap();
        assert!(descriptor.flexible && descriptor.layer.unwrap().tl0_pic_idx.is_none());
        (descriptor, descriptor.keyframe_resolution(&payload))
    };
    let (keyframe, resolution) =
        parse("beb4df1030014000b402800168834983420013f00b3813f80b3860e0907063b0");
    assert!(keyframe.starts_keyframe());
    assert_eq!(
        keyframe.structure.unwrap().resolution(0),
        Some(size(320, 180))
    );
    assert_eq!(resolution, Some(size(640, 360)));

    let (upper, resolution) =
        parse("bdb4df138702020004fe02ce33f1c120e0cd000009007f91e468634d41ef7e04");
    assert_eq!(
        upper.layer_id(),
        LayerId {
            spatial: 1,
            temporal: 0
        }
    );
    assert!(upper.layer.unwrap().inter_layer && !upper.starts_keyframe());
    assert_eq!(resolution, None);

    let (delta, _) = parse("fdb4e132048707260004fe02ceb301c120e0cc100006807e9edde80fa9694e01");
    assert_eq!(
        delta.layer_id(),
        LayerId {
            spatial: 1,
            temporal: 1
        }
    );
    assert_eq!(delta.references(), [2]);
    assert_eq!(delta.picture_id.unwrap().value, 0x34E1);
}

#[test]
fn av1_payloads() {
    let parse = |hex: &str| {
        let payload = bytes(hex);
        let descriptor = Av1Descriptor::parse(&payload).unwrap();
        let resolution = descriptor.keyframe_resolution(&payload);
        (descriptor, descriptor.starts_keyframe(), resolution)
    };
    let one_layer = parse("280f0800210700818040410f3fb3006802340010477008208204821100b46b74");
    assert!(one_layer.0.new_sequence && one_layer.1);
    assert_eq!(one_layer.2, Some(size(320, 180)));
    let three_layers = parse("281d080087072b8195c04a60e530329809441ca20651012d4cffb3c01a008034");
    assert_eq!(
        (three_layers.1, three_layers.2),
        (true, Some(size(1280, 720)))
    );
    let delta = parse("1034403000000000012c005555551492200040009834e0687a0af35761b2093b");
    assert_eq!(
        delta.0.layer,
        Some(LayerId {
            spatial: 0,
            temporal: 2
        })
    );
    assert_eq!((delta.1, delta.2), (false, None));
}
