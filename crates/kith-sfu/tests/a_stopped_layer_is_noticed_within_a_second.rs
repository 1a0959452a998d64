//! Liveness of encodings.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of test functions"
)]
mod ingress_support;

use ingress_support::*;
use kith_rtp::{Codec, Ssrc};
use kith_sfu::IngressEvent;

struct Simulcast {
    harness: Harness,
    seq: u16,
    frame: u32,
}

impl Simulcast {
    fn new() -> Self {
        Simulcast {
            harness: Harness::simulcast(),
            seq: 0,
            frame: 0,
        }
    }

    /// `layers` send at `fps` for `ms`.
    fn send(&mut self, layers: &[u8], fps: u64, ms: u64) {
        let until = self.harness.now + std::time::Duration::from_millis(ms);
        while self.harness.now < until {
            self.seq += 1;
            self.frame += 1;
            for layer in layers {
                let rid = [b"q", b"h", b"f"][usize::from(*layer)];
                let packet =
                    Rtp::keyframe(10 * (u32::from(*layer) + 1), self.seq, self.frame * 3000);
                self.harness
                    .rtp(packet.with(MID, b"1").with(RID, rid))
                    .unwrap();
            }
            self.harness.advance_ms(1000 / fps);
        }
    }

    /// Stops and starts since the last call: time in ms, layer, started.
    fn changes(&mut self) -> Vec<(u128, u8, bool)> {
        self.harness
            .events
            .drain(..)
            .filter_map(|(at, event)| match event {
                IngressEvent::LayerStarted { layer, .. } => Some((at.as_millis(), layer, true)),
                IngressEvent::LayerStopped { layer, .. } => Some((at.as_millis(), layer, false)),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn an_encoding_starts_with_its_first_packet() {
    let mut harness = Harness::simulcast();
    harness.advance_ms(77);
    harness
        .rtp(Rtp::video(20, 1, 0).with(MID, b"1").with(RID, b"h"))
        .unwrap();
    let started = IngressEvent::LayerStarted {
        publication: VIDEO,
        layer: 1,
        codec: Codec::Vp8,
        ssrc: Ssrc(20),
    };
    assert_eq!(harness.take_events(), [started]);
}

#[test]
fn the_high_layer_that_stops_is_missed_within_a_second_at_any_moving_frame_rate() {
    for fps in [5, 8, 15, 30, 60] {
        let mut simulcast = Simulcast::new();
        simulcast.send(&[0, 1, 2], fps, 3000);
        simulcast.changes();
        let stopped = simulcast.harness.at().as_millis();
        simulcast.send(&[0, 1], fps, 3000);
        let changes = simulcast.changes();
        let [(at, 2, false)] = changes[..] else {
            panic!("{fps} fps: {changes:?}");
        };
        assert!(at - stopped <= 1000, "{fps} fps: {} ms", at - stopped);
        let started = simulcast.harness.at().as_millis();
        simulcast.send(&[0, 1, 2], fps, 1000);
        assert_eq!(simulcast.changes(), [(started, 2, true)]);
    }
}

#[test]
fn a_low_layer_that_stops_is_missed_as_well() {
    let mut simulcast = Simulcast::new();
    simulcast.send(&[0, 1, 2], 30, 3000);
    simulcast.changes();
    simulcast.send(&[2], 30, 1000);
    let mut stopped: Vec<_> = simulcast
        .changes()
        .iter()
        .map(|(_, layer, started)| (*layer, *started))
        .collect();
    stopped.sort_unstable();
    assert_eq!(stopped, [(0, false), (1, false)]);
}

#[test]
fn a_still_screen_share_at_one_frame_a_second_does_not_flap() {
    let mut simulcast = Simulcast::new();
    simulcast.send(&[0, 1], 15, 2000);
    simulcast.changes();
    simulcast.send(&[0, 1], 1, 20_000);
    simulcast.send(&[0, 1], 15, 2000);
    assert_eq!(simulcast.changes(), []);
}

#[test]
fn a_layer_at_a_quarter_of_the_frame_rate_does_not_flap() {
    let mut simulcast = Simulcast::new();
    simulcast.send(&[0, 1, 2], 30, 1000);
    simulcast.changes();
    for _ in 0..40 {
        simulcast.send(&[0, 1], 30, 100);
        simulcast.send(&[0, 1, 2], 30, 33);
    }
    assert_eq!(simulcast.changes(), []);
}

#[test]
fn when_everything_is_silent_everything_stops_after_two_seconds() {
    let mut simulcast = Simulcast::new();
    simulcast.send(&[0, 1, 2], 30, 1000);
    simulcast.changes();
    let silent = simulcast.harness.at().as_millis();
    simulcast.harness.advance_ms(60_000);
    let changes = simulcast.changes();
    assert_eq!(changes.len(), 3);
    assert!(
        changes
            .iter()
            .all(|(at, _, started)| !started && (1900..=2300).contains(&(at - silent)))
    );
    assert_eq!(
        simulcast.harness.receiver.poll_timeout(),
        None,
        "nothing to look for any more"
    );
}

#[test]
fn a_goodbye_stops_at_once_and_media_starts_again() {
    let mut simulcast = Simulcast::new();
    simulcast.send(&[0, 1], 30, 1000);
    simulcast.changes();
    let now = simulcast.harness.at().as_millis();
    simulcast
        .harness
        .rtcp(|writer| writer.bye(&[Ssrc(20), Ssrc(99)]).unwrap());
    assert_eq!(simulcast.changes(), [(now, 1, false)]);
    simulcast.send(&[0, 1], 30, 30);
    assert_eq!(simulcast.changes(), [(now, 1, true)]);
}

#[test]
fn retransmissions_and_padding_do_not_make_an_encoding_alive() {
    let mut harness = Harness::single();
    harness.rtp(Rtp::keyframe(100, 1, 0)).unwrap();
    harness.rtp(Rtp::video(100, 3, 0)).unwrap();
    harness.advance_ms(5000);
    harness.take_events();
    harness.rtp(Rtp::padding(100, 4, 0));
    harness.rtp(Rtp::video(100, 2, 0).rtx(101, 1)).unwrap();
    assert!(harness.take_events().is_empty());
    assert!(!harness.stats(0).live);
}

#[test]
fn opus_with_dtx_is_alive() {
    let mut harness = Harness::new(vec![audio_section()]);
    for seq in 0..20u16 {
        harness
            .rtp(Rtp::audio(7, seq, u32::from(seq) * 19_200).with(MID, b"0"))
            .unwrap();
        harness.advance_ms(400);
    }
    assert_eq!(harness.events.len(), 1);
}
