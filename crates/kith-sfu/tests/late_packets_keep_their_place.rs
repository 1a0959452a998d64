//! Reordering and loss on the way from the publisher.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use egress_support::{Harness, Packet, Received, Vp8Frame, payload_type};
use kith_rtp::Codec;

fn frame(n: u64, temporal: u8) -> Vec<Packet> {
    let frame = Vp8Frame {
        keyframe: n == 0,
        ..Vp8Frame::new(n as u16).temporal(temporal, 0)
    };
    frame.packets(70_000 + n * 2, n as u32 * 3000, 2)
}

fn numbers(packets: &[Received]) -> Vec<u64> {
    packets.iter().map(|packet| packet.seq).collect()
}

#[test]
fn a_packet_that_is_overtaken_is_sent_into_its_gap() {
    let mut harness = Harness::vp8(1);
    let first = harness.push_all(&frame(0, 0))[0].seq;
    let overtaken = frame(1, 0);
    let overtaking = frame(2, 0);
    assert_eq!(
        numbers(&harness.push_all(&overtaking)),
        [first + 4, first + 5]
    );
    let late = harness.push_all(&overtaken);
    assert_eq!(numbers(&late), [first + 2, first + 3]);
    assert_eq!(late[0].timestamp, 3000);
    assert!(late[1].marker);
    assert!(harness.push_all(&overtaken).is_empty(), "and only once");
}

#[test]
fn picture_ids_of_late_frames_take_what_was_left_out_before_them_into_account() {
    let mut harness = Harness::vp8(1);
    harness.target(0, 0);
    let first = harness.push_all(&frame(0, 0));
    assert!(harness.push_all(&frame(1, 1)).is_empty());
    let late = frame(2, 0);
    assert!(harness.push_all(&frame(3, 1)).is_empty());
    let next = harness.push_all(&frame(4, 0));
    let late = harness.push_all(&late);
    assert_eq!(late[0].picture_id(), first[0].picture_id() + 1);
    assert_eq!(next[0].picture_id(), first[0].picture_id() + 2);
    assert_eq!(numbers(&late), [first[0].seq + 2, first[0].seq + 3]);
    assert_eq!(numbers(&next), [first[0].seq + 4, first[0].seq + 5]);
}

#[test]
fn a_late_packet_that_is_not_wanted_leaves_padding_in_its_place() {
    let mut harness = Harness::vp8(1);
    harness.target(0, 0);
    let first = harness.push_all(&frame(0, 0))[0].seq;
    harness.push_all(&frame(2, 0));
    let late = harness.push_all(&frame(1, 1));
    assert_eq!(numbers(&late), [first + 2, first + 3]);
    for packet in &late {
        assert!(packet.is_padding());
        assert_eq!(packet.bytes[0] & 0x20, 0x20);
        assert_eq!(packet.payload_type, payload_type(Codec::Vp8));
    }
    assert!(
        harness.nack(&[first + 2]).is_empty(),
        "padding is not repeated"
    );
}

#[test]
fn after_a_layer_switch_late_packets_fill_gaps_but_take_no_new_places() {
    let mut harness = Harness::vp8(2);
    let low = |n: u64| frame(n, 0);
    let high = |n: u64| -> Vec<Packet> {
        let packets = Vp8Frame::key(900).packets(90_000 + n * 2, 777_000, 2);
        packets.into_iter().map(|packet| packet.layer(1)).collect()
    };
    let first = harness.push_all(&low(0))[0].seq;
    let late = low(1);
    harness.push_all(&low(2));
    assert_eq!(numbers(&harness.push_all(&high(0))), [first + 6, first + 7]);
    assert_eq!(numbers(&harness.push_all(&late)), [first + 2, first + 3]);
    assert!(harness.push_all(&low(3)).is_empty());
}

#[test]
fn a_key_frame_whose_first_packet_is_late_is_sent_whole() {
    let mut harness = Harness::vp8(1);
    let key = Vp8Frame::key(1).packets(70_000, 3000, 6);
    assert!(harness.push_all(&key[1..]).is_empty());
    let delta = Vp8Frame::new(2).packets(70_006, 6000, 2);
    assert!(harness.push_all(&delta).is_empty());
    let mut got = harness.push(&key[0]);
    assert_eq!(got.len(), 3, "three for one");
    for n in 3..8 {
        let next = Vp8Frame::new(n).packets(70_008 + u64::from(n - 3), u32::from(n) * 3000, 1);
        got.extend(harness.push_all(&next));
    }
    assert_eq!(got.len(), 13);
    egress_support::assert_seamless(&got);
}

#[test]
fn a_gap_nobody_can_fill_is_one_missing_number() {
    let mut harness = Harness::vp8(1);
    let first = harness.push_all(&frame(0, 0))[0].seq;
    let far = harness.push_all(&frame(2000, 0));
    assert_eq!(numbers(&far), [first + 3, first + 4]);
    assert!(harness.push_all(&frame(1, 0)).is_empty());
}
