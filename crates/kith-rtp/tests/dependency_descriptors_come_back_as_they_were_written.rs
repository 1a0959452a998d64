//! Template structures and descriptors of every shape: what is written is what is read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption shall fail the test"
)]

use kith_rtp::dependency_descriptor::{
    ChainDiffs, DecodeTargetIndication, DecodeTargetIndications, DependencyDescriptor,
    DescriptorFields, FrameDiffs, Template, TemplateStructure, set_frame_number,
};
use kith_rtp::{LayerId, Resolution, WriteError};
use proptest::collection::vec;
use proptest::prelude::*;

const KINDS: [DecodeTargetIndication; 4] = [
    DecodeTargetIndication::NotPresent,
    DecodeTargetIndication::Discardable,
    DecodeTargetIndication::Switch,
    DecodeTargetIndication::Required,
];

fn indications(count: usize) -> impl Strategy<Value = DecodeTargetIndications> {
    vec(0..4usize, count).prop_map(|list| {
        let list: Vec<_> = list.into_iter().map(|kind| KINDS[kind]).collect();
        DecodeTargetIndications::from_slice(&list).unwrap()
    })
}

fn template(targets: usize, chains: usize) -> impl Strategy<Value = Template> {
    (
        indications(targets),
        vec(1..=16u16, 0..4),
        vec(0..16u8, chains),
    )
        .prop_map(|(indications, frame_diffs, chain_diffs)| Template {
            layer: LayerId::default(),
            indications,
            frame_diffs: FrameDiffs::from_slice(&frame_diffs).unwrap(),
            chain_diffs: ChainDiffs::from_slice(&chain_diffs).unwrap(),
        })
}

prop_compose! {
    fn structure()(targets in 1..=12usize, chains in 0..=12usize)(
        offset in 0..64u8,
        templates in vec((template(targets, chains.min(targets)), 0..3u8), 1..16),
        protected_by in vec(0..chains.min(targets).max(1) as u8, if chains == 0 { 0 } else { targets }),
        sizes in vec((1..=65536u32, 1..=65536u32), 4),
        with_sizes in any::<bool>(),
    ) -> TemplateStructure {
        let mut layer = LayerId::default();
        let templates: Vec<_> = templates
            .into_iter()
            .enumerate()
            .map(|(index, (template, step))| {
                match step {
                    1 if index > 0 && layer.temporal < 7 => layer.temporal += 1,
                    2 if index > 0 && layer.spatial < 3 => {
                        layer = LayerId { spatial: layer.spatial + 1, temporal: 0 };
                    }
                    _ => {}
                }
                Template { layer, ..template }
            })
            .collect();
        let sizes: Vec<_> = sizes
            .into_iter()
            .take(if with_sizes { usize::from(layer.spatial) + 1 } else { 0 })
            .map(|(width, height)| Resolution { width, height })
            .collect();
        TemplateStructure::new(offset, &templates, &protected_by, &sizes).unwrap()
    }
}

proptest! {
    #[test]
    fn structures_and_frames(
        structure in structure(),
        template_index: prop::sample::Index,
        ends: (bool, bool),
        frame_number: u16,
        mask: Option<u32>,
        custom: (bool, bool, bool),
        custom_diffs in vec(1..=4096u16, 0..=16),
        custom_chains in vec(any::<u8>(), 32),
        attach: bool,
        other_mask: Option<u32>,
    ) {
        let targets = structure.decode_target_count();
        let index = template_index.index(structure.templates().len());
        let template = structure.templates()[index];
        let template_id = (structure.template_id_offset() + index as u8) % 64;
        let custom_indications: Vec<_> =
            (0..targets).map(|target| KINDS[(target + index) % 4]).collect();
        let fields = DescriptorFields {
            start_of_frame: ends.0,
            end_of_frame: ends.1,
            template_id,
            frame_number,
            structure: attach.then_some(&structure),
            active_decode_targets: mask.map(|mask| (mask, targets)),
            indications: custom.0.then(|| DecodeTargetIndications::from_slice(&custom_indications).unwrap()),
            frame_diffs: custom.1.then(|| FrameDiffs::from_slice(&custom_diffs).unwrap()),
            chain_diffs: custom.2.then(|| {
                ChainDiffs::from_slice(&custom_chains[..structure.chain_count()]).unwrap()
            }),
        };
        let mut bytes = [0xEE; 255];
        let len = match fields.write(&mut bytes) {
            Ok(len) => len,
            Err(error) => {
                prop_assert_eq!(error, WriteError::BufferTooSmall);
                return Ok(());
            }
        };
        let read = DependencyDescriptor::parse(&bytes[..len], Some(&structure)).unwrap();
        let check = |read: &DependencyDescriptor<'_>, frame_number, mask: Option<u32>| {
            assert_eq!((read.start_of_frame, read.end_of_frame), ends);
            assert_eq!((read.template_id, read.frame_number), (template_id, frame_number));
            assert_eq!(read.layer, template.layer);
            let all = ((1u64 << targets) - 1) as u32;
            assert_eq!(read.active_decode_targets, mask.map(|mask| mask & all));
            assert_eq!(read.indications, fields.indications.unwrap_or(template.indications));
            assert_eq!(read.frame_diffs, fields.frame_diffs.unwrap_or(template.frame_diffs));
            assert_eq!(read.chain_diffs, fields.chain_diffs.unwrap_or(template.chain_diffs));
            assert_eq!(read.resolution, structure.resolution(template.layer.spatial));
            assert_eq!(read.structure.is_some(), attach);
            if let Some(attached) = read.structure {
                assert_eq!(attached.read().unwrap(), structure);
            }
        };
        check(&read, frame_number, mask);
        let mut copy = [0; 260];
        let len = read.write_with_active_decode_targets(other_mask, &mut copy).unwrap();
        prop_assume!(len <= 255);
        set_frame_number(&mut copy, 0xABCD);
        let copy = DependencyDescriptor::parse(&copy[..len], Some(&structure)).unwrap();
        check(&copy, 0xABCD, other_mask);
    }
}

#[test]
fn structures_that_the_format_cannot_say_are_refused() {
    let indications = DecodeTargetIndications::from_slice(&KINDS).unwrap();
    let at = |spatial, temporal| Template {
        layer: LayerId { spatial, temporal },
        indications,
        ..Template::default()
    };
    let new = |templates: &[Template]| TemplateStructure::new(0, templates, &[], &[]);
    assert!(new(&[at(0, 0), at(0, 1), at(1, 0)]).is_ok());
    assert!(new(&[]).is_err());
    assert!(new(&[at(0, 1)]).is_err(), "must begin at the base");
    assert!(new(&[at(0, 0), at(0, 2)]).is_err(), "skips a layer");
    assert!(new(&[at(0, 0), at(0, 1), at(0, 0)]).is_err(), "goes down");
    assert!(new(&[at(0, 0); 65]).is_err(), "too many");
    assert!(TemplateStructure::new(64, &[at(0, 0)], &[], &[]).is_err());
    assert!(
        TemplateStructure::new(0, &[at(0, 0)], &[0; 4], &[]).is_err(),
        "no chains"
    );
    let empty = Resolution {
        width: 0,
        height: 1,
    };
    assert!(TemplateStructure::new(0, &[at(0, 0)], &[], &[empty]).is_err());
    assert!(FrameDiffs::from_slice(&[0]).is_err());
    assert!(FrameDiffs::from_slice(&[4097]).is_err());
    assert!(FrameDiffs::from_slice(&[1; 17]).is_err());
    assert!(ChainDiffs::from_slice(&[1; 33]).is_err());
}
