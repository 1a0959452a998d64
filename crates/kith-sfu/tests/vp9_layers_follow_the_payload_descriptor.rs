//! VP9 without dependency descriptor, and its numbers.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use egress_support::{Harness, Packet, Received, assert_seamless, spec};
use kith_rtp::Codec;
use kith_rtp::vp9::Vp9Descriptor;

/// Three spatial and three temporal layers, not flexible, as Chromium sends L3T3. One packet for each frame.
struct Encoder {
    harness: Harness,
    picture: u16,
    seq: u64,
    all: Vec<Received>,
}

impl Encoder {
    fn new() -> Self {
        Encoder {
            harness: Harness::new(1, spec(&[Codec::Vp9])),
            picture: 0x7FF0,
            seq: 70_000,
            all: Vec::new(),
        }
    }

    /// The spatial layers that the subscriber gets of the next picture.
    fn picture(&mut self, key: bool) -> Vec<u8> {
        self.picture = if key {
            (self.picture | 3) + 1
        } else {
            self.picture + 1
        } & 0x7FFF;
        self.harness.wait_ms(33);
        let temporal = [0, 2, 1, 2][usize::from(self.picture % 4)];
        let mut layers = Vec::new();
        for spatial in 0..3u8 {
            let inter_picture = u8::from(!key) << 6;
            let switching_up = u8::from(temporal != 2 || self.picture % 4 == 1) << 4;
            let inter_layer = u8::from(spatial > 0);
            let payload = [
                0x80 | inter_picture | 0x20 | 0x08 | 0x04,
                0x80 | (self.picture >> 8) as u8,
                self.picture as u8,
                temporal << 5 | switching_up | spatial << 1 | inter_layer,
                (self.picture / 4) as u8,
                spatial,
                temporal,
            ];
            let timestamp = u32::from(self.picture) * 3000;
            let packet =
                Packet::new(Codec::Vp9, self.seq, timestamp, &payload).marker(spatial == 2);
            self.seq += 1;
            let received = self.harness.push(&packet);
            if !received.is_empty() {
                layers.push(spatial);
            }
            self.all.extend(received);
        }
        layers
    }
}

#[test]
fn a_lower_layer_is_there_with_the_next_picture_and_a_higher_one_at_a_key_picture() {
    let mut encoder = Encoder::new();
    assert_eq!(encoder.picture(true), [0, 1, 2]);
    encoder.harness.target(1, 3);
    assert_eq!(encoder.picture(false), [0, 1]);
    assert!(
        encoder.all.last().unwrap().marker,
        "the last packet that is sent"
    );
    encoder.harness.target(2, 3);
    assert_eq!(encoder.picture(false), [0, 1]);
    assert_eq!(encoder.harness.keyframe_request(), Some(0));
    assert_eq!(encoder.picture(true), [0, 1, 2]);
    assert!(!encoder.all[encoder.all.len() - 2].marker);
    assert_seamless(&encoder.all);
}

#[test]
fn temporal_layers_return_where_the_switching_up_point_is() {
    let mut encoder = Encoder::new();
    encoder.picture(true);
    encoder.harness.target(2, 0);
    let sent = |encoder: &mut Encoder, count: usize| {
        (0..count)
            .map(|_| usize::from(!encoder.picture(false).is_empty()))
            .sum::<usize>()
    };
    sent(&mut encoder, 3);
    assert_eq!(sent(&mut encoder, 8), 2);
    encoder.harness.target(2, 2);
    sent(&mut encoder, 4);
    assert_eq!(sent(&mut encoder, 8), 8);
    assert_seamless(&encoder.all);
}

#[test]
fn picture_ids_and_base_layer_indexes_go_on_over_a_pause() {
    let mut encoder = Encoder::new();
    encoder.picture(true);
    encoder.picture(false);
    let read = |packet: &Received| {
        let descriptor = Vp9Descriptor::parse(&packet.payload).unwrap();
        let tl0 = descriptor.layer.unwrap().tl0_pic_idx.unwrap();
        (descriptor.picture_id.unwrap().value, tl0)
    };
    let (id, tl0) = read(encoder.all.last().unwrap());
    encoder.harness.pause();
    encoder.picture(false);
    encoder.harness.target(2, 2);
    encoder.picture(true);
    let (next_id, next_tl0) = read(encoder.all.last().unwrap());
    assert_eq!(next_id, (id + 1) & 0x7FFF);
    assert_eq!(next_tl0, tl0.wrapping_add(1));
    assert_seamless(&encoder.all);
}
