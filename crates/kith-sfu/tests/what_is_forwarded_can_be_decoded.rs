//! Scalable streams of every structure, a subscriber that changes its mind at random: no frame leaves whose references
//! did not.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use std::collections::HashSet;

use egress_support::scalable::{Between, Encoder};
use egress_support::{DD, Harness, assert_seamless, extensions, spec, without};
use kith_rtp::{Codec, ExtensionKind};
use proptest::prelude::*;

/// One step: a picture, before which the target may change.
#[derive(Clone, Debug)]
struct Step {
    key_picture: bool,
    target: Option<(u8, u8)>,
    pause: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (
        prop::bool::weighted(0.03),
        prop::option::weighted(0.15, (0u8..3, 0u8..3)),
        prop::bool::weighted(0.01),
    )
        .prop_map(|(key_picture, target, pause)| Step {
            key_picture,
            target,
            pause,
        })
}

fn between() -> impl Strategy<Value = Between> {
    prop_oneof![
        Just(Between::Always),
        Just(Between::OnKeyPictures),
        Just(Between::Never)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_and_without_the_descriptor(
        steps in prop::collection::vec(step(), 300),
        between in between(),
        temporal_layers in 1u8..4,
        has_descriptor: bool,
    ) {
        let mut spec = spec(&[Codec::Av1]);
        if !has_descriptor {
            spec.extensions = without(extensions(1), &[ExtensionKind::DependencyDescriptor]);
        }
        let mut encoder = Encoder::new(Codec::Av1, between, 3, temporal_layers);
        let mut harness = Harness::new(1, spec);
        let mut forwarded = HashSet::new();
        let mut all = Vec::new();
        let mut wanted = (2, 2);
        let mut since_key = 0;
        let mut settled = 0;
        for (n, step) in steps.iter().enumerate() {
            harness.wait_ms(33);
            if step.pause {
                harness.pause();
                // Frame numbers may be used again for other frames only much later.
                wanted = (9, 9);
            }
            if let Some((spatial, temporal)) = step.target {
                harness.target(spatial, temporal);
                wanted = (spatial, temporal);
                settled = 0;
            }
            let key_picture = step.key_picture || n == 0;
            since_key = if key_picture { 0 } else { since_key + 1 };
            settled += 1;
            let mut highest = None;
            for it in encoder.picture(key_picture, &[0, 1, 2]) {
                let received = harness.push(&it.packet);
                if received.is_empty() {
                    continue;
                }
                prop_assert!(
                    it.references.iter().all(|frame| forwarded.contains(frame)),
                    "frame {} of {:?} in picture {n} refers to {:?}",
                    it.frame_number, it.layer, it.references
                );
                forwarded.insert(it.frame_number);
                prop_assert!(it.layer.temporal <= wanted.1 || settled < 10);
                highest = highest.max(Some(it.layer.spatial));
                if has_descriptor {
                    let descriptor = encoder.read(received[0].extension(DD + 1).unwrap());
                    prop_assert_eq!(descriptor.layer, it.layer);
                }
                all.extend(received);
            }
            // After a key picture that came later than the wish, the wish is fulfilled.
            if wanted != (9, 9) && settled > since_key && highest.is_some() {
                let expected = if has_descriptor { wanted.0 } else { 0 };
                prop_assert_eq!(highest, Some(expected), "picture {}", n);
            }
        }
        assert_seamless(&all);
    }
}
