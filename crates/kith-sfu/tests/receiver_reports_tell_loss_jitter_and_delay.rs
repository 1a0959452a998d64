//! Receiver reports (RFC 3550 section 6.4.1).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of test functions"
)]
mod ingress_support;

use ingress_support::*;
use kith_rtp::Ssrc;

fn loss(harness: &Harness) -> Vec<(u8, i32, u32)> {
    harness
        .blocks()
        .iter()
        .map(|(_, block)| {
            (
                block.fraction_lost,
                block.cumulative_lost,
                block.highest_sequence,
            )
        })
        .collect()
}

#[test]
fn the_first_report_comes_soon_and_then_one_each_second_while_media_comes() {
    let mut harness = Harness::single();
    for seq in 0..150 {
        harness
            .rtp(Rtp::keyframe(100, seq, u32::from(seq) * 1800))
            .unwrap();
        harness.advance_ms(20);
    }
    harness.advance_ms(20_000);
    let times: Vec<_> = harness.blocks().iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [250, 1250, 2250, 3250]);
    assert!(
        harness
            .blocks()
            .iter()
            .all(|(_, block)| block.ssrc == Ssrc(100))
    );
    assert_eq!(
        harness.receiver.poll_timeout(),
        None,
        "silence is not reported on"
    );
}

#[test]
fn loss_is_told_per_interval_and_in_sum() {
    let mut harness = Harness::single();
    // One packet each 10 ms; a quarter is lost in the second after the first report, nothing later.
    for seq in 0..300u16 {
        let lost = (25..125).contains(&seq) && seq % 4 == 2;
        if !lost {
            harness
                .rtp(Rtp::video(100, seq.wrapping_sub(50), 0))
                .unwrap();
        }
        harness.advance_ms(10);
    }
    let expected = [
        (0, 0, 65_510),
        (64, 25, (1 << 16) + 74),
        (0, 25, (1 << 16) + 174),
    ];
    assert_eq!(loss(&harness), expected);
}

#[test]
fn retransmissions_do_not_hide_loss_and_duplicates_make_no_up_for_it() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::video(100, 1, 0)).unwrap();
    harness.rtp(Rtp::video(100, 4, 0)).unwrap();
    harness.rtp(Rtp::video(100, 2, 0).rtx(101, 1)).unwrap();
    harness.rtp(Rtp::video(100, 4, 0));
    harness.rtp(Rtp::video(100, 4, 0));
    harness.advance_ms(260);
    // 2 of 4.
    assert_eq!(loss(&harness), [(128, 2, 4)]);
    assert_eq!((harness.stats(0).lost, harness.stats(0).recovered), (2, 1));
    // The original was only late.
    harness.rtp(Rtp::video(100, 2, 0));
    harness.rtp(Rtp::video(100, 3, 0));
    assert_eq!(harness.stats(0).lost, 0);
}

#[test]
fn padding_was_received() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::video(100, 1, 0)).unwrap();
    for seq in 2..9 {
        harness.rtp(Rtp::padding(100, seq, 0));
    }
    harness.advance_ms(260);
    assert_eq!(loss(&harness), [(0, 0, 8)]);
}

#[test]
fn steady_streams_have_no_jitter_and_unsteady_ones_have() {
    let mut harness = Harness::single();
    for seq in 0..100u16 {
        // Three packets per frame, paced by 2 ms: no jitter of the network.
        harness
            .rtp(Rtp::video(100, seq * 3, u32::from(seq) * 1800))
            .unwrap();
        harness.advance_ms(2);
        harness
            .rtp(Rtp::video(100, seq * 3 + 1, u32::from(seq) * 1800))
            .unwrap();
        harness.advance_ms(2);
        harness
            .rtp(Rtp::video(100, seq * 3 + 2, u32::from(seq) * 1800))
            .unwrap();
        harness.advance_ms(16);
    }
    assert!(harness.blocks().iter().all(|(_, block)| block.jitter == 0));

    let mut harness = Harness::single();
    for seq in 0..200u16 {
        let late = u64::from(seq % 2) * 8;
        harness.advance_ms(late);
        harness
            .rtp(Rtp::video(100, seq, u32::from(seq) * 1800))
            .unwrap();
        harness.advance_ms(20 - late);
    }
    // The transit time changes by 8 ms = 720 units with each packet.
    let jitter = harness.blocks().last().unwrap().1.jitter;
    assert!((700..=720).contains(&jitter), "{jitter}");
    let stats = harness.stats(0).jitter.as_micros();
    assert!((7_700..=8_000).contains(&stats), "{stats}");
}

#[test]
fn audio_jitter_is_in_units_of_its_own_clock() {
    let mut harness = Harness::new(vec![audio_section()]);
    for seq in 0..400u16 {
        let late = u64::from(seq % 2) * 8;
        harness.advance_ms(late);
        harness
            .rtp(Rtp::audio(7, seq, u32::from(seq) * 960).with(MID, b"0"))
            .unwrap();
        harness.advance_ms(20 - late);
    }
    let jitter = harness.blocks().last().unwrap().1.jitter;
    assert!((375..=384).contains(&jitter), "{jitter}");
}

#[test]
fn the_last_sender_report_and_the_time_since_are_told() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::video(100, 1, 0)).unwrap();
    harness.advance_ms(50);
    harness.rtcp(|writer| {
        writer
            .sender_report(Ssrc(100), 0x0001_0203_0405_0607, 5, 1, 1, &[])
            .unwrap();
    });
    harness.advance_ms(210);
    let (at, block) = harness.blocks()[0];
    assert_eq!(at, 250);
    assert_eq!(block.last_sender_report, 0x0203_0405);
    // 200 ms.
    assert_eq!(block.delay_since_last_sender_report, 65_536 / 5);
}

#[test]
fn forty_streams_take_two_reports() {
    let sections = (0..40)
        .map(|number| {
            let mut section = video_section(vec![declared(1000 + number, 2000 + number)]);
            section.mid = format!("v{number}");
            section.publication.0 = u64::from(number) + 1;
            section
        })
        .collect();
    let mut harness = Harness::new(sections);
    for number in 0..40 {
        harness.rtp(Rtp::video(1000 + number, 1, 0)).unwrap();
    }
    harness.advance_ms(300);
    let mut told: Vec<_> = harness
        .blocks()
        .iter()
        .map(|(_, block)| block.ssrc.0)
        .collect();
    told.sort_unstable();
    assert_eq!(told, (1000..1040).collect::<Vec<_>>());
    let reports = harness
        .sent
        .iter()
        .filter(|(_, sent)| matches!(sent, Sent::Report(_)))
        .count();
    assert_eq!(reports, 2);
}
