//! Simulcast: which encoding a subscriber gets, and that it does not notice where it comes from.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use egress_support::{Harness, Packet, Received, Vp8Frame, assert_seamless};

/// Three encodings whose numbers have nothing in common.
struct Simulcast {
    harness: Harness,
    frame: u16,
}

impl Simulcast {
    fn new() -> Self {
        Simulcast {
            harness: Harness::vp8(3),
            frame: 0,
        }
    }

    /// The next picture in the given encodings; those in `keyframes` are key frames. 30 fps, two packets each.
    fn picture(&mut self, layers: &[u8], keyframes: &[u8]) -> Vec<Received> {
        self.frame += 1;
        self.harness.wait_ms(33);
        layers
            .iter()
            .flat_map(|layer| {
                let packets = self.packets(*layer, keyframes.contains(layer));
                self.harness.push_all(&packets)
            })
            .collect()
    }

    fn packets(&self, layer: u8, keyframe: bool) -> Vec<Packet> {
        let offset = u16::from(layer) * 1000;
        let frame = Vp8Frame {
            keyframe,
            ..Vp8Frame::new(self.frame + offset)
        };
        let seq = 70_000 + u64::from(offset) * 100 + u64::from(self.frame) * 2;
        let timestamp = u32::from(layer) * 1_000_000_000 + u32::from(self.frame) * 3000;
        let packets = frame.packets(seq, timestamp, 2);
        packets.into_iter().map(|it| it.layer(layer)).collect()
    }
}

fn layer_of(harness: &Harness) -> Option<u8> {
    harness.track.stats().current_spatial
}

#[test]
fn nothing_is_sent_before_a_key_frame() {
    let mut publisher = Simulcast::new();
    assert!(publisher.picture(&[0, 1, 2], &[]).is_empty());
    assert_eq!(publisher.picture(&[0, 1, 2], &[0]).len(), 2);
}

#[test]
fn the_wanted_layer_is_reached_over_lower_ones_without_a_seam() {
    let mut publisher = Simulcast::new();
    let mut all = Vec::new();
    all.extend(publisher.picture(&[0, 1, 2], &[0]));
    assert_eq!(layer_of(&publisher.harness), Some(0));
    all.extend(publisher.picture(&[0, 1, 2], &[1]));
    assert_eq!(layer_of(&publisher.harness), Some(1), "better than nothing");
    all.extend(publisher.picture(&[0, 1, 2], &[]));
    all.extend(publisher.picture(&[0, 1, 2], &[0]));
    assert_eq!(layer_of(&publisher.harness), Some(1), "not back down");
    all.extend(publisher.picture(&[0, 1, 2], &[2]));
    assert_eq!(layer_of(&publisher.harness), Some(2));
    all.extend(publisher.picture(&[0, 1, 2], &[]));
    assert_seamless(&all);
    // The picture in which the switch happens is sent in both layers, as each part comes before the next.
    for pair in all.windows(2) {
        let new_frame = pair[1].vp8().start_of_partition;
        let step = pair[1].picture_id().wrapping_sub(pair[0].picture_id());
        assert_eq!(step, u16::from(new_frame));
        assert_eq!(pair[1].timestamp != pair[0].timestamp, new_frame);
    }
    assert!(all.iter().skip(1).step_by(2).all(|packet| packet.marker));
}

#[test]
fn downgrades_wait_too_and_take_any_layer_below_on_the_way() {
    let mut publisher = Simulcast::new();
    let mut all = publisher.picture(&[0, 1, 2], &[0, 1, 2]);
    publisher.harness.target(0, 3);
    all.extend(publisher.picture(&[0, 1, 2], &[]));
    assert_eq!(layer_of(&publisher.harness), Some(2));
    all.extend(publisher.picture(&[0, 1, 2], &[1]));
    assert_eq!(layer_of(&publisher.harness), Some(1));
    all.extend(publisher.picture(&[0, 1, 2], &[2]));
    assert_eq!(layer_of(&publisher.harness), Some(1), "not up again");
    all.extend(publisher.picture(&[0, 1, 2], &[0]));
    assert_eq!(layer_of(&publisher.harness), Some(0));
    assert_seamless(&all);
}

#[test]
fn a_key_frame_index_and_a_base_layer_index_go_up_by_one() {
    let mut publisher = Simulcast::new();
    let first = publisher.picture(&[0, 1, 2], &[0]);
    let second = publisher.picture(&[0, 1, 2], &[2]);
    let (before, after) = (first[0].vp8(), second.last().unwrap().vp8());
    let between = second[0].vp8();
    assert_eq!(
        between.tl0_pic_idx,
        Some(before.tl0_pic_idx.unwrap().wrapping_add(1))
    );
    assert_eq!(
        after.tl0_pic_idx,
        Some(before.tl0_pic_idx.unwrap().wrapping_add(2))
    );
    assert_eq!(after.key_idx, Some((before.key_idx.unwrap() + 1) % 32));
}

#[test]
fn a_layer_that_the_publisher_stopped_is_replaced_by_the_next_lower_one() {
    let mut publisher = Simulcast::new();
    let mut all = publisher.picture(&[0, 1, 2], &[0, 1, 2]);
    assert_eq!(layer_of(&publisher.harness), Some(2));
    publisher.harness.keyframe_request();
    for _ in 0..25 {
        assert!(publisher.picture(&[0, 1], &[]).is_empty());
    }
    assert_eq!(publisher.harness.keyframe_request(), Some(1));
    all.extend(publisher.picture(&[0, 1], &[1]));
    assert_eq!(layer_of(&publisher.harness), Some(1));
    // It comes back with a key frame of its own.
    all.extend(publisher.picture(&[0, 1, 2], &[2]));
    assert_eq!(layer_of(&publisher.harness), Some(2));
    assert_seamless(&all);
}

#[test]
fn if_only_higher_layers_are_sent_the_lowest_of_them_is_taken() {
    let mut publisher = Simulcast::new();
    publisher.harness.target(0, 3);
    assert_eq!(publisher.picture(&[2], &[2]).len(), 2);
    assert_eq!(layer_of(&publisher.harness), Some(2));
    publisher.picture(&[1, 2], &[1]);
    assert_eq!(layer_of(&publisher.harness), Some(1));
}
