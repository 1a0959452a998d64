//! Transport-wide congestion control feedback. A sender lowers its estimate when packets seem lost or feedback stays
//! away, so every packet must be told, once at least, and in time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of test functions"
)]
mod ingress_support;

use std::collections::{BTreeMap, BTreeSet};

use ingress_support::*;

/// What all feedback together says: arrival by number (numbers do not wrap in these tests), in microseconds.
fn told(harness: &Harness) -> BTreeMap<u16, Option<u64>> {
    let mut told = BTreeMap::new();
    for (_, feedback) in harness.feedbacks() {
        for (number, arrival) in feedback.packets {
            let entry = told.entry(number).or_insert(None);
            *entry = entry.or(arrival);
        }
    }
    told
}

fn times(harness: &Harness) -> Vec<u128> {
    harness.feedbacks().iter().map(|(at, _)| *at).collect()
}

#[test]
fn a_report_goes_out_when_a_frame_ended_and_50_ms_have_passed() {
    let mut harness = Harness::single();
    for frame in 0..10u16 {
        for packet in 0..3u16 {
            let seq = frame * 3 + packet;
            let rtp = Rtp::video(100, seq, u32::from(frame) * 3000).twcc(seq);
            harness
                .rtp(if packet == 2 { rtp.marked() } else { rtp })
                .unwrap();
        }
        harness.advance_ms(20);
    }
    assert_eq!(times(&harness), [60, 120, 180]);
}

#[test]
fn without_markers_more_than_20_packets_and_100_ms_are_needed() {
    let mut harness = Harness::single();
    for seq in 0..120u16 {
        harness.rtp(Rtp::video(100, seq, 0).twcc(seq)).unwrap();
        harness.advance_ms(4);
    }
    // 26 packets are 100 ms.
    assert_eq!(times(&harness), [100, 200, 300, 400]);
    let mut harness = Harness::single();
    for seq in 0..30u16 {
        harness.rtp(Rtp::video(100, seq, 0).twcc(seq)).unwrap();
        harness.advance_ms(7);
    }
    // The 21st packet comes after 140 ms.
    assert_eq!(times(&harness), [140]);
}

#[test]
fn more_than_100_packets_do_not_wait() {
    let mut harness = Harness::single();
    for seq in 0..202u16 {
        harness.rtp(Rtp::video(100, seq, 0).twcc(seq)).unwrap();
    }
    assert_eq!(times(&harness), [0, 0]);
    assert_eq!(told(&harness).len(), 202);
}

#[test]
fn a_slow_sender_hears_within_a_quarter_of_a_second() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::video(100, 1, 0).twcc(7)).unwrap();
    harness.advance_ms(5000);
    assert_eq!(times(&harness), [250]);
    harness.rtp(Rtp::video(100, 2, 0).twcc(8)).unwrap();
    harness.advance_ms(5000);
    assert_eq!(times(&harness), [250, 5250]);
    assert_eq!(harness.feedbacks()[1].1.base, 8);
}

#[test]
fn arrival_times_are_exact_to_a_quarter_of_a_millisecond() {
    let mut harness = Harness::single();
    harness.advance_ms(123_456);
    let mut arrivals = BTreeMap::new();
    for seq in 0..300u16 {
        arrivals.insert(seq, harness.at().as_micros() as u64);
        harness.rtp(Rtp::video(100, seq, 0).twcc(seq)).unwrap();
        harness.advance(std::time::Duration::from_micros(
            137 * (u64::from(seq) % 50),
        ));
    }
    harness.advance_ms(300);
    let told = told(&harness);
    assert_eq!(told.len(), 300);
    for (number, arrival) in arrivals {
        let said = told[&number].unwrap();
        assert!(
            said <= arrival && arrival - said < 250,
            "{number}: {arrival} told as {said}"
        );
    }
}

#[test]
fn losses_are_told_in_the_report_after_them_and_counts_run_on() {
    let mut harness = Harness::single();
    let lost: BTreeSet<u16> = (0..2000)
        .filter(|number| number % 7 == 3 || (500..560).contains(number))
        .collect();
    for number in 0..2000u16 {
        if !lost.contains(&number) {
            harness
                .rtp(Rtp::video(100, number, 0).twcc(number))
                .unwrap();
        }
        harness.advance_ms(2);
    }
    harness.advance_ms(300);
    let told = told(&harness);
    assert!(
        (0..2000).all(|number| told.contains_key(&number)),
        "no number is left out"
    );
    assert!(
        told.iter()
            .all(|(number, arrival)| arrival.is_none() == lost.contains(number))
    );
    let feedbacks = harness.feedbacks();
    for (index, (_, feedback)) in feedbacks.iter().enumerate() {
        assert_eq!(feedback.count, index as u8);
    }
    for pair in feedbacks.windows(2) {
        let last = pair[0].1.packets.last().unwrap().0;
        assert_eq!(
            pair[1].1.base,
            last + 1,
            "reports follow each other without a gap"
        );
    }
}

#[test]
fn a_packet_that_comes_after_it_was_told_lost_is_told_again() {
    let mut harness = Harness::single();
    for number in [0u16, 1, 3] {
        harness
            .rtp(Rtp::video(100, number, 0).twcc(number))
            .unwrap();
    }
    harness.advance_ms(260);
    assert_eq!(told(&harness)[&2], None);
    harness.rtp(Rtp::video(100, 2, 0).twcc(2)).unwrap();
    harness.rtp(Rtp::video(100, 4, 0).twcc(4)).unwrap();
    harness.advance_ms(260);
    assert_eq!(harness.feedbacks()[1].1.base, 2);
    assert_eq!(told(&harness)[&2], Some(260_000));
}

#[test]
fn numbers_wrap() {
    let mut harness = Harness::single();
    for number in 65_500..66_000u32 {
        harness
            .rtp(Rtp::video(100, number as u16, 0).twcc(number as u16))
            .unwrap();
        harness.advance_ms(1);
    }
    harness.advance_ms(300);
    let all: Vec<_> = harness
        .feedbacks()
        .iter()
        .flat_map(|(_, feedback)| feedback.packets.clone())
        .collect();
    let numbers: Vec<_> = all.iter().map(|(number, _)| *number).collect();
    assert_eq!(
        numbers,
        (65_500..66_000u32)
            .map(|number| number as u16)
            .collect::<Vec<_>>()
    );
    assert!(all.iter().all(|(_, arrival)| arrival.is_some()));
}

#[test]
fn every_packet_counts_whatever_it_is() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::video(100, 1, 0).twcc(0));
    harness.rtp(Rtp::padding(100, 2, 0).twcc(1));
    harness.rtp(Rtp::video(100, 1, 0).rtx(101, 1).twcc(2));
    harness.rtp(Rtp::padding(101, 2, 0).payload_type(VP8_RTX).twcc(3));
    harness.rtp(Rtp::video(0, 2, 0).twcc(4));
    harness.rtp(Rtp::video(999, 2, 0).payload_type(1).twcc(5));
    harness.advance_ms(260);
    assert_eq!(
        told(&harness).keys().copied().collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
    assert!(told(&harness).values().all(Option::is_some));
}

#[test]
fn a_long_outage_is_told_as_far_as_it_is_remembered() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::video(100, 1, 0).twcc(1)).unwrap();
    harness.advance_ms(300);
    harness.rtp(Rtp::video(100, 2, 0).twcc(5000)).unwrap();
    harness.advance_ms(300);
    let feedback = &harness.feedbacks()[1].1;
    assert_eq!(feedback.packets.len(), 1024);
    assert!(feedback.packets[1023].1.is_some());
}

#[test]
fn pauses_longer_than_a_delta_can_say_begin_another_report() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::video(100, 1, 0).twcc(1)).unwrap();
    // Nobody calls us for ten seconds.
    harness.now += std::time::Duration::from_secs(10);
    harness.rtp(Rtp::video(100, 2, 0).twcc(2).marked()).unwrap();
    assert_eq!(
        told(&harness),
        BTreeMap::from([(1, Some(0)), (2, Some(10_000_000))])
    );
    assert_eq!(harness.feedbacks().len(), 2);
}

#[test]
fn a_sender_that_counts_anew_is_followed() {
    let mut harness = Harness::single();
    for number in 30_000..30_100u16 {
        harness
            .rtp(Rtp::video(100, number, 0).twcc(number))
            .unwrap();
    }
    harness.advance_ms(300);
    for number in 1..100u16 {
        harness
            .rtp(Rtp::video(100, 30_100 + number, 0).twcc(number))
            .unwrap();
    }
    harness.advance_ms(300);
    assert_eq!(
        harness
            .feedbacks()
            .last()
            .unwrap()
            .1
            .packets
            .last()
            .unwrap()
            .0,
        99
    );
}

#[test]
fn without_the_extension_there_is_no_feedback() {
    let mut harness = Harness::single();
    for seq in 0..200 {
        harness.rtp(Rtp::video(100, seq, 0).marked()).unwrap();
        harness.advance_ms(10);
    }
    assert!(harness.feedbacks().is_empty());
}

#[test]
fn feedback_names_a_stream_that_the_sender_knows() {
    let mut harness = Harness::new(vec![video_section(vec![kith_sfu::LayerSpec::default()])]);
    harness.rtp(Rtp::padding(0, 1, 0).twcc(1));
    harness
        .rtp(Rtp::video(7, 1, 0).with(MID, b"1").twcc(2))
        .unwrap();
    harness.rtp(Rtp::video(7, 2, 0).twcc(3)).unwrap();
    harness.rtp(Rtp::padding(0, 2, 0).twcc(4));
    harness.rtp(Rtp::video(999, 2, 0).payload_type(1).twcc(5));
    harness.advance_ms(260);
    assert_eq!(harness.feedbacks()[0].1.media, 7);
}
