//! How loud a publication is and whether someone speaks (RFC 6464 levels, LiveKit's measure of an active speaker).

use std::time::{Duration, Instant};

use crate::spec::AudioLevelConfig;

/// A packet stands for the time since the one before it, as in the Go server: the first packet of a word after a DTX pause counts
/// for the pause, so that short words make a speaker. No packet counts for more than the interval of packets in DTX.
const MAX_PACKET: Duration = Duration::from_millis(400);

/// After so many windows without a packet the level is 0.
const STALE_WINDOWS: u32 = 2;

/// Loudness of a publication now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Loudness {
    /// Linear, smoothed, 0 to 1.
    pub(super) level: f32,
    pub(super) active: bool,
}

/// Measures in windows of media time.
#[derive(Debug)]
pub(super) struct AudioLevelMeter {
    /// Timestamp of the packet before.
    last: Option<u32>,
    last_packet: Instant,
    observed: Duration,
    active: Duration,
    /// −dBov of the loudest packet of the window.
    loudest: u8,
    smoothed: f32,
    current: Loudness,
}

impl AudioLevelMeter {
    pub(super) fn new(now: Instant) -> Self {
        AudioLevelMeter {
            last: None,
            last_packet: now,
            observed: Duration::ZERO,
            active: Duration::ZERO,
            loudest: 127,
            smoothed: 0.0,
            current: Loudness::default(),
        }
    }

    /// The loudness at the end of the latest window.
    pub(super) fn current(&self) -> Loudness {
        self.current
    }

    /// Takes the level of a packet that is the newest of its stream. True at the end of a window.
    pub(super) fn on_packet(
        &mut self,
        config: &AudioLevelConfig,
        now: Instant,
        level: u8,
        timestamp: u32,
        clock_rate: u32,
    ) -> bool {
        self.last_packet = now;
        let Some(last_timestamp) = self.last.replace(timestamp) else {
            return false;
        };
        let ticks = timestamp.wrapping_sub(last_timestamp);
        let duration =
            Duration::from_micros(u64::from(ticks) * 1_000_000 / u64::from(clock_rate.max(1)))
                .min(MAX_PACKET);
        self.observed += duration;
        if level <= config.active_level {
            self.active += duration;
            self.loudest = self.loudest.min(level);
        }
        if self.observed < config.update_interval {
            return false;
        }
        self.close_window(config);
        true
    }

    /// When the level becomes stale, if it is not 0 already.
    pub(super) fn deadline(&self, config: &AudioLevelConfig) -> Option<Instant> {
        (self.current != Loudness::default())
            .then(|| self.last_packet + config.update_interval * STALE_WINDOWS)
    }

    /// True when the level was stale and is 0 now.
    pub(super) fn on_timeout(&mut self, config: &AudioLevelConfig, now: Instant) -> bool {
        if self.deadline(config).is_none_or(|deadline| now < deadline) {
            return false;
        }
        *self = AudioLevelMeter::new(self.last_packet);
        true
    }

    fn close_window(&mut self, config: &AudioLevelConfig) {
        let spoken = self.active.as_secs_f32() / self.observed.as_secs_f32().max(f32::EPSILON);
        let speech = self.active > Duration::ZERO
            && spoken * 100.0 + 0.01 >= f32::from(config.min_percentile);
        let linear = if speech {
            // Less loud by how much of the window was silence.
            to_linear(f32::from(self.loudest) - 20.0 * spoken.min(1.0).log10())
        } else {
            0.0
        };
        let weight = if config.smooth_intervals > 1 {
            2.0 / (config.smooth_intervals as f32 + 1.0)
        } else {
            1.0
        };
        self.smoothed += (linear - self.smoothed) * weight;
        // A pause within a sentence does not end a speaker's turn: the smoothed level must fall, too.
        let active = speech || self.smoothed >= to_linear(f32::from(config.active_level));
        if !active && self.smoothed < to_linear(127.0) {
            self.smoothed = 0.0;
        }
        self.current = Loudness {
            level: if active { self.smoothed.min(1.0) } else { 0.0 },
            active,
        };
        self.observed = Duration::ZERO;
        self.active = Duration::ZERO;
        self.loudest = 127;
    }
}

/// −dBov to 0..1.
fn to_linear(level: f32) -> f32 {
    10f32.powf(-level / 20.0)
}
