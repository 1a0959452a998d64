//! Whatever arrives: no panic, no table beyond its limit, no timer that never rests, valid RTCP out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of test functions"
)]
mod ingress_support;

use std::collections::HashMap;

use ingress_support::*;
use kith_rtp::rtcp::DlrrBlock;
use kith_rtp::{RtpPacket, Ssrc};
use kith_sfu::{LayerSpec, PublicationId};
use proptest::prelude::*;

/// What the tables of these sections may hold at most: for each of 7 encodings 100 missing packets, 64 runs of padding, 4
/// SSRCs and an event; 16 retired and 32 unknown SSRCs, 4 answers.
const LIMIT: usize = 7 * (100 + 64 + 4 + 1) + 16 + 32 + 4;

fn sections() -> Vec<kith_sfu::ReceiveSection> {
    let mut sim = video_section(vec![
        declared(100, 101),
        declared(200, 201),
        declared(300, 301),
    ]);
    sim.mid = "2".into();
    sim.publication = PublicationId(3);
    vec![
        audio_section(),
        video_section(vec![rid("q"), rid("h"), rid("f")]),
        sim,
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Packet(Rtp),
    Bytes(Vec<u8>),
    Rtcp(Vec<u8>),
    Wait(u16),
    Keyframe(u8),
    Reconfigure(bool),
    Answer(u32, u32),
    ReferenceTime(u32),
    Bye(u32),
}

fn small_ssrc() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(0u32),
        Just(100),
        Just(101),
        Just(200),
        Just(201),
        Just(300),
        Just(301),
        1u32..20,
        any::<u32>(),
    ]
}

fn packet() -> impl Strategy<Value = Rtp> {
    let payload_type = prop_oneof![
        4 => Just(VP8), 2 => Just(VP8_RTX), 1 => Just(98u8), 1 => Just(125), 1 => Just(35), 1 => Just(116), 1 => Just(OPUS),
        1 => Just(RED), 1 => 0u8..128
    ];
    let seq = prop_oneof![3 => 0u16..400, 1 => 65_000u16.., 1 => any::<u16>()];
    let mid = prop_oneof![
        Just(&b"0"[..]),
        Just(&b"1"[..]),
        Just(&b"2"[..]),
        Just(&b"x"[..])
    ];
    let rid = prop_oneof![
        Just(&b"q"[..]),
        Just(&b"h"[..]),
        Just(&b"f"[..]),
        Just(&b"zz"[..])
    ];
    let extensions = (
        proptest::option::of(mid),
        proptest::option::of(rid.clone()),
        proptest::option::of(rid),
        proptest::option::of(any::<u16>()),
        proptest::option::of(any::<u8>()),
        proptest::option::of(proptest::collection::vec(any::<u8>(), 1..30)),
    );
    (
        (payload_type, any::<bool>(), seq, any::<u32>(), small_ssrc()),
        extensions,
        proptest::collection::vec(any::<u8>(), 0..40),
        prop_oneof![3 => Just(0u8), 1 => 1u8..],
    )
        .prop_map(
            |((payload_type, marker, seq, timestamp, ssrc), extensions, payload, padding)| {
                let mut packet = Rtp {
                    payload_type,
                    marker,
                    seq,
                    timestamp,
                    ssrc,
                    extensions: vec![],
                    payload,
                    padding,
                };
                let (mid, rid, rrid, twcc, level, dd) = extensions;
                for (id, value) in [(MID, mid), (RID, rid), (RRID, rrid)] {
                    if let Some(value) = value {
                        packet = packet.with(id, value);
                    }
                }
                if let Some(twcc) = twcc {
                    packet = packet.twcc(twcc);
                }
                if let Some(level) = level {
                    packet = packet.with(LEVEL, &[level]);
                }
                if let Some(dd) = dd {
                    packet = packet.with(DD, &dd);
                }
                packet
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => packet().prop_map(Step::Packet),
        2 => proptest::collection::vec(any::<u8>(), 0..64).prop_map(Step::Bytes),
        2 => proptest::collection::vec(any::<u8>(), 0..64).prop_map(|mut bytes| {
            // Mostly well framed.
            let words = (bytes.len() / 4).saturating_sub(1) as u16;
            for (slot, value) in bytes.iter_mut().zip([0x81, 200 + (words % 8) as u8]) { *slot = value; }
            if bytes.len() >= 4 { bytes[2..4].copy_from_slice(&words.to_be_bytes()); }
            Step::Rtcp(bytes)
        }),
        4 => (0u16..700).prop_map(Step::Wait),
        1 => (0u8..5).prop_map(Step::Keyframe),
        1 => any::<bool>().prop_map(Step::Reconfigure),
        1 => (any::<u32>(), any::<u32>()).prop_map(|(last, delay)| Step::Answer(last, delay)),
        1 => any::<u32>().prop_map(Step::ReferenceTime),
        1 => small_ssrc().prop_map(Step::Bye),
    ]
}

/// No two packets of an encoding are forwarded with the same number, and what is forwarded is RTP with a payload.
#[derive(Default)]
struct Seen(HashMap<(PublicationId, u8), std::collections::HashSet<u64>>);

impl Seen {
    fn take(&mut self, packet: Option<Forwarded>) {
        let Some(packet) = packet else {
            return;
        };
        assert!(
            !RtpPacket::parse(&packet.bytes)
                .unwrap()
                .payload()
                .is_empty()
        );
        assert!(packet.layer < 3);
        let new = self
            .0
            .entry((packet.publication, packet.layer))
            .or_default()
            .insert(packet.seq);
        assert!(new, "{packet:?} was forwarded before");
    }
}

fn run(steps: Vec<Step>) {
    let mut harness = Harness::new(sections());
    let mut seen = Seen::default();
    for step in steps {
        match step {
            Step::Packet(packet) => {
                let forwarded = harness.rtp(packet);
                seen.take(forwarded);
            }
            Step::Bytes(bytes) => {
                let forwarded = harness.raw(bytes);
                seen.take(forwarded);
            }
            Step::Rtcp(bytes) => {
                harness.receiver.handle_rtcp(harness.now, &bytes, |_| {});
                harness.drain();
            }
            Step::Wait(ms) => harness.advance_ms(u64::from(ms)),
            Step::Keyframe(layer) => harness.request_keyframe(layer),
            Step::Reconfigure(all) => {
                let mut sections = sections();
                if !all {
                    sections.pop();
                    seen.0.remove(&(PublicationId(3), 0));
                    seen.0.remove(&(PublicationId(3), 1));
                    seen.0.remove(&(PublicationId(3), 2));
                }
                harness.receiver.configure(harness.now, spec(sections));
                harness.drain();
            }
            Step::Answer(last, delay) => harness.rtcp(|writer| {
                let block = DlrrBlock {
                    ssrc: LOCAL,
                    last_receiver_report: last,
                    delay_since_last_receiver_report: delay,
                };
                writer.dlrr(Ssrc(1), &[block]).unwrap();
            }),
            Step::ReferenceTime(ssrc) => {
                harness.rtcp(|writer| writer.receiver_reference_time(Ssrc(ssrc), 1 << 33).unwrap());
            }
            Step::Bye(ssrc) => harness.rtcp(|writer| writer.bye(&[Ssrc(ssrc)]).unwrap()),
        }
        assert!(harness.receiver.table_entries() <= LIMIT);
        harness.sent.clear();
        harness.events.clear();
    }
    // When nothing comes any more, everything comes to rest.
    harness.advance_ms(120_000);
    assert_eq!(harness.receiver.poll_timeout(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_mix_of_packets_reports_and_pauses(steps in proptest::collection::vec(step(), 1..200)) {
        run(steps);
    }
}

#[test]
fn a_flood_of_ssrcs_fills_no_table() {
    let mut harness = Harness::new(sections());
    for ssrc in 1..50_000u32 {
        let packet = Rtp::video(ssrc.wrapping_mul(2_654_435_761), ssrc as u16, ssrc);
        harness.rtp(match ssrc % 3 {
            0 => packet,
            1 => packet.with(MID, b"1").with(RID, b"h"),
            _ => packet
                .payload_type(VP8_RTX)
                .with(MID, b"1")
                .with(RRID, b"h"),
        });
        assert!(harness.receiver.table_entries() <= LIMIT);
        harness.sent.clear();
        harness.events.clear();
    }
}

#[test]
fn a_hostile_pattern_of_loss_and_padding_fills_no_table() {
    let mut harness = Harness::new(vec![video_section(vec![LayerSpec::default()])]);
    for number in 0..100_000u32 {
        let seq = (number * 2) as u16;
        if number % 2 == 0 {
            harness.rtp(Rtp::video(7, seq, 0));
        } else {
            harness.rtp(Rtp::padding(7, seq, 0));
        }
        assert!(harness.receiver.table_entries() <= LIMIT);
    }
}
