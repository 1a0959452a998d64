//! When a key frame is asked for.

use std::time::{Duration, Instant};

/// Bounds of the time between two requests; in between it is two round trips to the subscriber.
const LEAST_INTERVAL: Duration = Duration::from_millis(200);
const GREATEST_INTERVAL: Duration = Duration::from_secs(1);

/// The requests of one down-track.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyframeRequests {
    /// The subscriber asked for one and none has been sent since.
    pub(super) asked: bool,
    last: Option<Instant>,
}

impl KeyframeRequests {
    /// Whether one is to be asked for now, given that one is needed.
    pub(super) fn is_due(&mut self, now: Instant, rtt: Duration) -> bool {
        let interval = (rtt * 2).clamp(LEAST_INTERVAL, GREATEST_INTERVAL);
        let due = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= interval);
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_two_round_trips_apart_within_bounds() {
        let start = Instant::now();
        for (rtt_ms, interval_ms) in [(1, 200), (150, 300), (900, 1000)] {
            let rtt = Duration::from_millis(rtt_ms);
            let mut requests = KeyframeRequests::default();
            assert!(requests.is_due(start, rtt));
            assert!(!requests.is_due(start + Duration::from_millis(interval_ms - 1), rtt));
            assert!(requests.is_due(start + Duration::from_millis(interval_ms), rtt));
        }
    }
}
