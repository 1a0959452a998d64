//! Layers inside of one stream, told by the dependency descriptor.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use egress_support::scalable::{Between, Encoder};
use egress_support::{DD, Harness, Received, assert_seamless, extensions, spec, without};
use kith_rtp::{Codec, ExtensionKind, LayerId};

const ALL: [u8; 3] = [0, 1, 2];

struct Scalable {
    encoder: Encoder,
    harness: Harness,
    all: Vec<Received>,
}

impl Scalable {
    fn new(codec: Codec, between: Between) -> Self {
        Scalable {
            encoder: Encoder::new(codec, between, 3, 3),
            harness: Harness::new(1, spec(&[codec])),
            all: Vec::new(),
        }
    }

    /// The layers of which the subscriber gets frames of the next picture, with the packets.
    fn picture(&mut self, key_picture: bool) -> (Vec<LayerId>, Vec<Received>) {
        self.harness.wait_ms(33);
        let mut layers = Vec::new();
        let mut got = Vec::new();
        for it in self.encoder.picture(key_picture, &ALL) {
            let received = self.harness.push(&it.packet);
            if !received.is_empty() && layers.last() != Some(&it.layer) {
                layers.push(it.layer);
            }
            got.extend(received);
        }
        self.all.extend(got.clone());
        (layers, got)
    }

    fn spatial(&mut self, key_picture: bool) -> Vec<u8> {
        let (layers, _) = self.picture(key_picture);
        layers.iter().map(|layer| layer.spatial).collect()
    }
}

#[test]
fn everything_is_forwarded_to_who_wants_it() {
    for between in [Between::Always, Between::OnKeyPictures] {
        let mut stream = Scalable::new(Codec::Av1, between);
        assert_eq!(stream.spatial(true), ALL);
        let expected = if between == Between::Always {
            vec![0, 1, 2]
        } else {
            vec![2]
        };
        for _ in 0..20 {
            assert_eq!(stream.spatial(false), expected);
        }
        assert_seamless(&stream.all);
        assert_eq!(stream.harness.track.stats().current_spatial, Some(2));
    }
}

#[test]
fn with_layers_that_depend_on_key_pictures_only_a_lower_one_needs_a_key_frame() {
    let mut stream = Scalable::new(Codec::Av1, Between::OnKeyPictures);
    stream.spatial(true);
    for _ in 0..5 {
        stream.spatial(false);
    }
    stream.harness.keyframe_request();
    stream.harness.target(1, 3);
    for n in 0..10 {
        assert_eq!(stream.spatial(false), [2], "{n}");
    }
    assert_eq!(stream.harness.keyframe_request(), Some(0));
    assert_eq!(stream.spatial(true), [0, 1]);
    assert_eq!(stream.spatial(false), [1]);
    assert_seamless(&stream.all);
}

#[test]
fn with_layers_that_always_depend_a_lower_one_is_there_at_once_and_a_higher_one_is_not() {
    let mut stream = Scalable::new(Codec::Av1, Between::Always);
    stream.spatial(true);
    stream.harness.target(0, 3);
    let mut until_down = 0;
    while stream.spatial(false) != [0] {
        until_down += 1;
        assert!(until_down < 6);
    }
    for _ in 0..8 {
        assert_eq!(stream.spatial(false), [0]);
    }
    assert_eq!(
        stream.harness.keyframe_request(),
        None,
        "it came down by itself"
    );
    stream.harness.target(2, 3);
    for _ in 0..10 {
        assert_eq!(stream.spatial(false), [0]);
    }
    assert_eq!(stream.harness.keyframe_request(), Some(0));
    assert_eq!(stream.spatial(true), ALL);
    assert_eq!(stream.spatial(false), ALL);
    assert_seamless(&stream.all);
}

#[test]
fn right_after_a_key_picture_lower_layers_are_there_at_once() {
    let mut stream = Scalable::new(Codec::Av1, Between::OnKeyPictures);
    stream.spatial(true);
    stream.harness.target(1, 3);
    assert_eq!(
        stream.spatial(false),
        [2],
        "a frame that nothing depends on"
    );
    assert_eq!(
        stream.spatial(false),
        [0, 1],
        "both depend on the key picture only"
    );
    assert_eq!(stream.spatial(false), [1]);
    assert_seamless(&stream.all);
}

#[test]
fn independent_layers_are_switched_at_their_own_key_frames() {
    let mut stream = Scalable::new(Codec::Av1, Between::Never);
    stream.spatial(true);
    for _ in 0..5 {
        assert_eq!(stream.spatial(false), [2]);
    }
    stream.harness.target(0, 3);
    assert_eq!(stream.spatial(false), [2]);
    assert_eq!(stream.spatial(true), [0]);
    assert_eq!(stream.spatial(false), [0]);
}

#[test]
fn the_frame_rate_goes_down_and_up_without_key_frames() {
    let mut stream = Scalable::new(Codec::Av1, Between::Always);
    stream.spatial(true);
    stream.harness.keyframe_request();
    stream.harness.target(2, 0);
    for _ in 0..8 {
        stream.picture(false);
    }
    let sent = |stream: &mut Scalable| (0..8).map(|_| stream.spatial(false).len()).sum::<usize>();
    assert_eq!(sent(&mut stream), 2 * 3, "every fourth picture");
    stream.harness.target(2, 1);
    sent(&mut stream);
    assert_eq!(sent(&mut stream), 4 * 3, "every second picture");
    stream.harness.target(2, 2);
    sent(&mut stream);
    assert_eq!(sent(&mut stream), 8 * 3);
    assert_eq!(stream.harness.keyframe_request(), None);
    assert_seamless(&stream.all);
}

#[test]
fn the_last_packet_of_the_highest_layer_sent_has_the_marker() {
    let mut stream = Scalable::new(Codec::Av1, Between::Always);
    stream.harness.target(1, 3);
    stream.spatial(true);
    for _ in 0..8 {
        let (layers, packets) = stream.picture(false);
        assert_eq!(layers.len(), 2);
        let markers: Vec<_> = packets.iter().map(|packet| packet.marker).collect();
        assert_eq!(markers, [false, false, false, true]);
    }
}

#[test]
fn descriptors_tell_which_targets_are_active_where_that_changes() {
    let mut stream = Scalable::new(Codec::Av1, Between::Always);
    stream.harness.target(1, 1);
    let (_, packets) = stream.picture(true);
    let read = |stream: &Scalable, packet: &Received| {
        let bytes = packet.extension(DD + 1).unwrap().to_vec();
        let descriptor = stream.encoder.read(&bytes);
        (
            descriptor.active_decode_targets,
            descriptor.structure.is_some(),
        )
    };
    // Targets are (0,0) (0,1) (0,2) (1,0) (1,1) …
    assert_eq!(read(&stream, &packets[0]), (Some(0b00_0001_1011), true));
    assert_eq!(read(&stream, &packets[1]), (None, false));
    for _ in 0..8 {
        let (_, packets) = stream.picture(false);
        assert!(
            packets
                .iter()
                .all(|packet| read(&stream, packet).0.is_none())
        );
    }
    stream.harness.target(0, 1);
    let mut masks = Vec::new();
    for _ in 0..8 {
        let (_, packets) = stream.picture(false);
        masks.extend(packets.iter().filter_map(|packet| read(&stream, packet).0));
    }
    assert_eq!(masks, [0b00_0000_0011]);
    // A retransmission says the same.
    stream.harness.target(2, 2);
    let (_, packets) = stream.picture(true);
    assert_eq!(
        read(&stream, &packets[0]),
        (None, true),
        "all of them, nothing to say"
    );
}

#[test]
fn frame_numbers_go_on_over_streams() {
    let mut stream = Scalable::new(Codec::Av1, Between::Always);
    let number = |stream: &Scalable, packet: &Received| {
        let bytes = packet.extension(DD + 1).unwrap().to_vec();
        stream.encoder.read(&bytes).frame_number
    };
    stream.picture(true);
    let (_, before) = stream.picture(false);
    let last = number(&stream, before.last().unwrap());
    stream.harness.pause();
    stream.picture(false);
    stream.picture(false);
    stream.harness.target(2, 2);
    let (_, after) = stream.picture(true);
    assert_eq!(number(&stream, &after[0]), last.wrapping_add(1));
    assert_eq!(number(&stream, &after[2]), last.wrapping_add(2));
    assert_seamless(&stream.all);
}

#[test]
fn a_subscriber_without_the_descriptor_gets_av1_that_decodes_alone() {
    for between in [Between::Always, Between::OnKeyPictures, Between::Never] {
        let mut stream = Scalable::new(Codec::Av1, between);
        let mut spec = spec(&[Codec::Av1]);
        spec.extensions = without(extensions(1), &[ExtensionKind::DependencyDescriptor]);
        stream.harness = Harness::new(1, spec);
        assert_eq!(stream.spatial(true), [0]);
        for _ in 0..9 {
            assert_eq!(stream.spatial(false), [0]);
        }
        assert!(
            stream
                .all
                .iter()
                .all(|packet| packet.extension(DD + 1).is_none())
        );
        assert!(
            stream
                .all
                .iter()
                .skip(1)
                .step_by(2)
                .all(|packet| packet.marker)
        );
        stream.harness.wait_ms(5000);
        assert_eq!(stream.harness.keyframe_request(), None);
        assert_seamless(&stream.all);
    }
}

#[test]
fn h264_frame_rates_follow_the_descriptor_even_if_the_subscriber_has_none() {
    let mut spec = spec(&[Codec::H264]);
    spec.extensions = without(extensions(1), &[ExtensionKind::DependencyDescriptor]);
    let mut encoder = Encoder::new(Codec::H264, Between::Always, 1, 2);
    let mut harness = Harness::new(1, spec);
    harness.target(2, 0);
    let mut counts = Vec::new();
    for n in 0..6 {
        let packets = encoder.picture(n == 0, &[0]);
        counts.push(
            packets
                .iter()
                .map(|it| harness.push(&it.packet).len())
                .sum::<usize>(),
        );
    }
    assert_eq!(counts, [2, 0, 2, 0, 2, 0]);
}
