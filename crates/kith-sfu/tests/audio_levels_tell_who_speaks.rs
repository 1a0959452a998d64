//! Active speakers from RFC 6464 levels.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of test functions"
)]
mod ingress_support;

use ingress_support::*;
use kith_rtp::MediaKind;
use kith_sfu::IngressEvent;

struct Speaker {
    harness: Harness,
    seq: u16,
    timestamp: u32,
}

impl Speaker {
    fn new() -> Self {
        Speaker {
            harness: Harness::new(vec![audio_section()]),
            seq: 0,
            timestamp: 0,
        }
    }

    /// Speaks at `level` for `packets` of 20 ms.
    fn speak(&mut self, level: u8, packets: u32) {
        for _ in 0..packets {
            let packet = Rtp::audio(7, self.seq, self.timestamp)
                .with(MID, b"0")
                .with(LEVEL, &[0x80 | level]);
            self.harness.rtp(packet).unwrap();
            self.seq = self.seq.wrapping_add(1);
            self.timestamp = self.timestamp.wrapping_add(960);
            self.harness.advance_ms(20);
        }
    }

    /// Time in ms, level, active.
    fn levels(&mut self) -> Vec<(u128, f32, bool)> {
        self.harness
            .events
            .drain(..)
            .filter_map(|(at, event)| match event {
                IngressEvent::AudioLevel {
                    publication,
                    level,
                    active,
                } => {
                    assert_eq!(publication, AUDIO);
                    Some((at.as_millis(), level, active))
                }
                _ => None,
            })
            .collect()
    }
}

fn close(level: f32, expected: f32) -> bool {
    (level - expected).abs() < 0.002
}

#[test]
fn steady_speech_is_told_each_window_and_smoothed_to_its_level() {
    let mut speaker = Speaker::new();
    // −20 dBov is 0.1.
    speaker.speak(20, 101);
    let levels = speaker.levels();
    let times: Vec<_> = levels.iter().map(|(at, _, _)| *at).collect();
    assert_eq!(times, [400, 800, 1200, 1600, 2000]);
    assert!(levels.iter().all(|(_, _, active)| *active));
    assert!(close(levels[0].1, 0.1 * 2.0 / 3.0), "{levels:?}");
    assert!(close(levels[1].1, 0.1 * 8.0 / 9.0), "{levels:?}");
    assert!(close(levels[4].1, 0.1), "{levels:?}");
}

#[test]
fn noise_below_the_threshold_is_no_speech() {
    let mut speaker = Speaker::new();
    speaker.speak(36, 500);
    assert!(speaker.levels().is_empty());
    speaker.speak(127, 500);
    assert!(speaker.levels().is_empty());
}

#[test]
fn forty_per_cent_of_a_window_must_be_speech() {
    for (spoken, active) in [(7, false), (8, true)] {
        let mut speaker = Speaker::new();
        speaker.speak(127, 1);
        speaker.speak(5, spoken);
        speaker.speak(127, 20 - spoken);
        assert_eq!(
            speaker.levels().first().map(|(_, _, active)| *active),
            active.then_some(true),
            "{spoken}"
        );
    }
}

#[test]
fn speech_in_part_of_a_window_counts_as_less_loud() {
    let mut speaker = Speaker::new();
    speaker.speak(127, 1);
    speaker.speak(0, 10);
    speaker.speak(127, 10);
    let levels = speaker.levels();
    // Half of the window at full scale.
    assert!(close(levels[0].1, 0.5 * 2.0 / 3.0), "{levels:?}");
}

#[test]
fn the_end_of_speech_is_told_once_with_zero() {
    let mut speaker = Speaker::new();
    speaker.speak(20, 101);
    speaker.levels();
    speaker.speak(127, 300);
    let levels = speaker.levels();
    let (at, level, active) = *levels.last().unwrap();
    assert_eq!((level, active), (0.0, false));
    assert!(at <= 2020 + 4 * 400, "{at}");
    assert_eq!(levels.iter().filter(|(_, _, active)| !active).count(), 1);
}

#[test]
fn a_microphone_that_falls_silent_on_the_wire_is_zero_after_two_windows() {
    let mut speaker = Speaker::new();
    speaker.speak(20, 101);
    speaker.levels();
    let last = speaker.harness.at().as_millis() - 20;
    speaker.harness.advance_ms(5000);
    assert_eq!(speaker.levels(), [(last + 800, 0.0, false)]);
}

#[test]
fn dtx_is_silence() {
    let mut speaker = Speaker::new();
    speaker.speak(20, 40);
    speaker.levels();
    for _ in 0..10 {
        // Comfort noise each 400 ms.
        let packet = Rtp::audio(7, speaker.seq, speaker.timestamp).with(LEVEL, &[127]);
        speaker.harness.rtp(packet).unwrap();
        speaker.seq += 1;
        speaker.timestamp += 19_200;
        speaker.harness.advance_ms(400);
    }
    let levels = speaker.levels();
    assert!(
        matches!(levels.last(), Some((_, level, false)) if *level == 0.0),
        "{levels:?}"
    );
    assert!(levels.len() <= 4, "{levels:?}");
}

#[test]
fn levels_are_measured_only_where_wanted() {
    let mut section = audio_section();
    section.measure_audio_level = false;
    let mut harness = Harness::new(vec![section]);
    for seq in 0..100u16 {
        let packet = Rtp::audio(7, seq, u32::from(seq) * 960)
            .with(MID, b"0")
            .with(LEVEL, &[0]);
        harness.rtp(packet).unwrap();
    }
    assert_eq!(harness.take_events().len(), 1);
    assert_eq!(audio_section().kind, MediaKind::Audio);
}

#[test]
fn a_short_word_after_a_pause_in_dtx_makes_a_speaker() {
    let mut speaker = Speaker::new();
    speaker.speak(127, 1);
    for _ in 0..4 {
        // DTX: no packets for 380 ms, then a beep of 20 ms.
        speaker.timestamp = speaker.timestamp.wrapping_add(19 * 960);
        speaker.harness.advance_ms(380);
        speaker.speak(10, 1);
        speaker.speak(127, 1);
    }
    assert!(speaker.levels().iter().any(|(_, _, active)| *active));
}
