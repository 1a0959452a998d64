//! Transport-wide feedback: what was gathered is what the sender reads, to a quarter of a millisecond.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption shall fail the test"
)]

use kith_rtp::rtcp::{
    PacketStatus, RtcpPacket, RtcpWriter, TransportFeedback, TransportFeedbackBuilder, packets,
};
use kith_rtp::{SeqNo, Ssrc};
use proptest::collection::vec;
use proptest::prelude::*;

/// A feedback packet of libwebrtc's with one arrival.
const ONE_ARRIVAL: [u8; 24] = [
    0xAF, 0xCD, 0x00, 0x05, 0xFA, 0x17, 0xFA, 0x17, 0x43, 0x03, 0x2F, 0xA0, // SSRCs
    0x00, 0x99, 0x00, 0x01, 0x3D, 0xE8, 0x02,
    0x17, // 153, one status, reference time, count 23
    0x20, 0x01, 0x94, 0x01, // a run of one small delta; 148 ticks; padding
];

fn feedback(bytes: &[u8]) -> TransportFeedback<'_> {
    match packets(bytes).next() {
        Some(Ok(RtcpPacket::TransportFeedback(feedback))) => feedback,
        other => panic!("{other:?}"),
    }
}

fn write(builder: &TransportFeedbackBuilder) -> Vec<u8> {
    let mut buf = [0; 1500];
    let mut writer = RtcpWriter::new(&mut buf);
    writer
        .transport_feedback(Ssrc(1), Ssrc(2), 3, builder)
        .unwrap();
    assert!(writer.len() <= 1140, "stays well inside a datagram");
    writer.as_bytes().to_vec()
}

/// Arrivals in microseconds since the builder's epoch, as read from the feedback.
fn arrivals(feedback: &TransportFeedback<'_>) -> Vec<(u16, Option<i64>)> {
    let reference = feedback.reference_micros() as i64;
    feedback
        .statuses()
        .map(|status| {
            (
                status.sequence_number.0,
                status.arrival.map(|arrival| reference + arrival),
            )
        })
        .collect()
}

#[test]
fn one_arrival_reads_and_writes_as_libwebrtc_has_it() {
    let read = feedback(&ONE_ARRIVAL);
    assert_eq!((read.base_sequence, read.status_count), (SeqNo(153), 1));
    assert_eq!((read.reference_time, read.feedback_count), (4_057_090, 23));
    let status = PacketStatus {
        sequence_number: SeqNo(153),
        arrival: Some(37_000),
    };
    assert_eq!(read.statuses().collect::<Vec<_>>(), [status]);

    let mut builder = TransportFeedbackBuilder::new();
    builder
        .push(SeqNo(153), read.reference_micros() + 37_249)
        .unwrap();
    let mut buf = [0; 24];
    let mut writer = RtcpWriter::new(&mut buf);
    writer
        .transport_feedback(read.sender_ssrc, read.media_ssrc, 23, &builder)
        .unwrap();
    assert_eq!(buf, ONE_ARRIVAL);
}

/// Chunks as they stand in the packet.
fn chunks_of(arrivals: &[(u16, u64)]) -> Vec<u16> {
    let mut builder = TransportFeedbackBuilder::new();
    for (number, micros) in arrivals {
        builder.push(SeqNo(*number), *micros).unwrap();
    }
    let bytes = write(&builder);
    let deltas: usize = arrivals.len(); // small ones only
    let padding = if bytes[0] & 0x20 != 0 {
        usize::from(bytes[bytes.len() - 1])
    } else {
        0
    };
    bytes[20..bytes.len() - padding - deltas]
        .chunks(2)
        .map(|chunk| u16::from_be_bytes([chunk[0], chunk[1]]))
        .collect()
}

#[test]
fn chunks_take_the_shortest_form() {
    let all: Vec<_> = (0..100).map(|number| (number, 0)).collect();
    assert_eq!(chunks_of(&all), [0x2000 | 100], "one run");
    let every_other: Vec<_> = (0..7).map(|number| (number * 2, 0)).collect();
    assert_eq!(
        chunks_of(&every_other),
        [0b1010_1010_1010_1010],
        "13 bits of a vector"
    );
    let gap = [(0, 0), (20_001, 0)];
    // Seven symbols would do for the vector of the first, but a run takes the rest of the gap.
    let chunks = chunks_of(&gap);
    assert!(chunks.len() <= 5, "{chunks:04x?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Gaps, large and negative deltas: whatever `push` took is read back; whatever it refused starts a new packet.
    #[test]
    fn what_was_gathered_is_what_is_read(
        start: u16,
        epoch in 0..1u64 << 50,
        steps in vec((prop_oneof![8 => 1..3u16, 2 => 1..40u16, 1 => 1..30_000u16], prop_oneof![
            8 => 0..30_000i64,
            2 => -200_000..200_000i64,
            1 => -9_000_000..9_000_000i64,
        ]), 1..600),
    ) {
        let mut builder = TransportFeedbackBuilder::new();
        let mut number = start;
        let mut micros = epoch + 10_000_000_000;
        let mut expected: Vec<(u16, Option<i64>)> = Vec::new();
        let check = |builder: &TransportFeedbackBuilder, expected: &[(u16, Option<i64>)]| {
            let bytes = write(builder);
            let read = feedback(&bytes);
            assert_eq!(usize::from(read.status_count), expected.len());
            // The reference time wraps: 24 bits of 64 ms.
            let period = (1i64 << 24) * 64_000;
            for ((read, said), (meant, heard)) in arrivals(&read).into_iter().zip(expected) {
                assert_eq!(read, *meant);
                assert_eq!(said.is_some(), heard.is_some());
                if let (Some(said), Some(heard)) = (said, heard) {
                    assert!((heard - said).rem_euclid(period) < 250);
                }
            }
        };
        for (gap, delta) in steps {
            number = number.wrapping_add(gap);
            micros = micros.saturating_add_signed(delta);
            if builder.push(SeqNo(number), micros).is_err() {
                check(&builder, &expected);
                builder.clear();
                expected.clear();
                builder.push(SeqNo(number), micros).unwrap();
            } else if !expected.is_empty() {
                expected.extend((1..gap).map(|back| (number.wrapping_sub(gap - back), None)));
            }
            expected.push((number, Some(micros as i64)));
        }
        check(&builder, &expected);
    }
}

#[test]
fn numbers_that_do_not_ascend_and_far_arrivals_are_refused_without_a_trace() {
    let mut builder = TransportFeedbackBuilder::new();
    assert!(builder.is_empty());
    builder.push(SeqNo(10), 1_000_000).unwrap();
    let before = write(&builder);
    assert!(builder.push(SeqNo(10), 1_000_000).is_err());
    assert!(builder.push(SeqNo(9), 1_000_000).is_err());
    assert!(
        builder.push(SeqNo(11), 10_000_000).is_err(),
        "more than 8.19 s later"
    );
    assert_eq!(write(&builder), before);
    assert_eq!(builder.status_count(), 1);
}

#[test]
fn a_full_packet_holds_a_thousand_arrivals() {
    let mut builder = TransportFeedbackBuilder::new();
    let taken = (0..u16::MAX).take_while(|number| {
        builder
            .push(SeqNo(*number), u64::from(*number) * 1_000)
            .is_ok()
    });
    assert!((1000..1100).contains(&taken.count()));
    write(&builder);
}

#[test]
fn malformed_feedback_is_an_error() {
    let with = |position: usize, value: u8| {
        let mut bytes = ONE_ARRIVAL;
        bytes[position] = value;
        packets(&bytes).next().unwrap().is_err()
    };
    assert!(with(15, 3), "more statuses than chunks");
    assert!(with(20, 0x60), "reserved symbol");
    assert!(with(21, 0), "empty run");
    assert!(with(23, 2), "the delta is padding");
    assert!(!with(15, 0), "no status at all is odd but harmless");
}
