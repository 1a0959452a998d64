//! Redundant audio (RFC 2198).
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers count what they index"
)]

mod egress_support;

use egress_support::{CAPTURE_TIME, Harness, LEVEL, Packet, Received, payload_type, spec};
use kith_rtp::red::{Red, RedBlock, write};
use kith_rtp::{Codec, PayloadType};

/// Packet `n` with two earlier payloads, as Chromium sends it: Opus is 111 at the publisher.
fn red(n: u64) -> Packet {
    let payload = |n: u64| vec![n as u8; 40 + n as usize % 7];
    let older: Vec<_> = (1..=2).rev().filter(|back| *back <= n).collect();
    let payloads: Vec<_> = older.iter().map(|back| payload(n - back)).collect();
    let blocks: Vec<_> = older
        .iter()
        .zip(&payloads)
        .map(|(back, payload)| RedBlock {
            payload_type: PayloadType(111),
            timestamp_offset: 960 * *back as u16,
            payload,
        })
        .collect();
    let mut out = vec![0; 1000];
    let len = write(&mut out, &blocks, PayloadType(111), &payload(n)).unwrap();
    Packet::new(Codec::Red, 70_000 + n, 5000 + n as u32 * 960, &out[..len])
        .marker(false)
        .with(LEVEL, &[0x80 | n as u8])
        .with(CAPTURE_TIME, &[n as u8; 8])
}

fn listen(codecs: &[Codec], numbers: &[u64]) -> (Harness, Vec<Received>) {
    let mut harness = Harness::new(1, spec(codecs));
    let mut got = Vec::new();
    for n in numbers {
        harness.wait_ms(20);
        got.extend(harness.push(&red(*n)));
    }
    (harness, got)
}

fn contents(packets: &[Received]) -> Vec<u8> {
    packets.iter().map(|packet| packet.payload[0]).collect()
}

#[test]
fn who_negotiated_it_gets_it_with_the_right_payload_types() {
    let (_, got) = listen(&[Codec::Red, Codec::Opus], &[0, 1, 2, 3]);
    assert_eq!(got.len(), 4);
    for (n, packet) in got.iter().enumerate() {
        assert_eq!(packet.payload_type, payload_type(Codec::Red));
        let red = Red::parse(&packet.payload).unwrap();
        assert_eq!(red.primary_type(), payload_type(Codec::Opus));
        assert_eq!(red.primary()[0], n as u8);
        assert!(
            red.redundant()
                .all(|it| it.payload_type == payload_type(Codec::Opus))
        );
        assert_eq!(red.redundant().count(), n.min(2));
    }
}

#[test]
fn who_did_not_gets_opus() {
    let (_, got) = listen(&[Codec::Opus], &[0, 1, 2, 3]);
    assert_eq!(contents(&got), [0, 1, 2, 3]);
    assert!(
        got.iter()
            .all(|packet| packet.payload_type == payload_type(Codec::Opus))
    );
    assert_eq!(got[3].payload, vec![3; 43]);
    assert_eq!(got[3].extension(LEVEL + 1), Some(&[0x83][..]));
    egress_support::assert_seamless(&got);
}

#[test]
fn up_to_two_lost_packets_are_recovered() {
    let (_, got) = listen(&[Codec::Opus], &[0, 1, 4, 5, 7, 11]);
    assert_eq!(contents(&got), [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11]);
    let first = got[0].seq;
    let places: Vec<_> = got.iter().map(|packet| packet.seq - first).collect();
    assert_eq!(places, [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11]);
    for packet in &got {
        let n = u32::from(packet.payload[0]);
        assert_eq!(packet.timestamp, 5000 + n * 960);
        assert_eq!(packet.payload.len(), 40 + n as usize % 7);
    }
    let recovered = &got[2];
    assert!(
        recovered.extension(LEVEL + 1).is_none(),
        "that is another packet's"
    );
    assert!(recovered.extension(CAPTURE_TIME + 1).is_none());
}

#[test]
fn what_was_recovered_and_comes_late_is_not_sent_twice() {
    let (mut harness, got) = listen(&[Codec::Opus], &[0, 1, 3]);
    assert_eq!(contents(&got), [0, 1, 2, 3]);
    assert!(harness.push(&red(2)).is_empty());
    let answer = harness.nack(&[got[2].seq]);
    assert_eq!(answer[0].bytes, got[2].bytes);
}

#[test]
fn plain_opus_in_between_changes_nothing() {
    let mut harness = Harness::new(1, spec(&[Codec::Red, Codec::Opus]));
    let mut got = harness.push(&red(0));
    harness.wait_ms(20);
    got.extend(harness.push(&Packet::new(Codec::Opus, 70_001, 5960, &[1, 1])));
    harness.wait_ms(20);
    got.extend(harness.push(&red(2)));
    egress_support::assert_seamless(&got);
    assert_eq!(got[1].payload_type, payload_type(Codec::Opus));
    assert_eq!(got[2].timestamp - got[0].timestamp, 1920);
}

#[test]
fn broken_redundancy_is_dropped() {
    let mut harness = Harness::new(1, spec(&[Codec::Opus]));
    harness.push(&red(0));
    let broken = Packet::new(Codec::Red, 70_001, 5960, &[0xEF, 0xFF, 0xFF, 0xFF, 111, 1]);
    assert!(harness.push(&broken).is_empty());
}
