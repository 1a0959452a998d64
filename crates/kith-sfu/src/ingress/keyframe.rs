//! When to ask for a key frame.

use std::time::{Duration, Instant};

/// A request that no key frame answered is repeated after this long, or after the throttle when that is longer.
const REPEAT: Duration = Duration::from_secs(1);

/// A request is given up after this long: the encoding does not exist, or its key frames cannot be recognised.
const GIVE_UP: Duration = Duration::from_secs(30);

/// The first packet of a stream may be overtaken by its second; wait for this long before asking for another key frame.
pub(super) const START_GRACE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// A key frame counts when its number is higher.
    above: u64,
    next: Instant,
    until: Instant,
}

/// Requests for key frames of one encoding.
#[derive(Debug, Default)]
pub(super) struct KeyframeRequests {
    wanted: Option<Wanted>,
    last_sent: Option<Instant>,
}

impl KeyframeRequests {
    /// A key frame with a number above `newest` is wanted, asked for not before `earliest`. Returns when to ask.
    pub(super) fn want(
        &mut self,
        now: Instant,
        earliest: Instant,
        newest: u64,
        throttle: Duration,
    ) -> Instant {
        let allowed = self.last_sent.map_or(now, |sent| sent + throttle);
        let fresh = earliest.max(allowed);
        // A request that waits for its repetition is overtaken by a new one as far as the throttle allows.
        let next = self.wanted.map_or(fresh, |wanted| wanted.next.min(fresh));
        self.wanted = Some(Wanted {
            above: newest,
            next,
            until: now + GIVE_UP,
        });
        next
    }

    /// A key frame began with `number`.
    pub(super) fn on_keyframe(&mut self, number: u64) {
        if self.wanted.is_some_and(|wanted| number > wanted.above) {
            self.wanted = None;
        }
    }

    /// Nothing is wanted any more.
    pub(super) fn clear(&mut self) {
        self.wanted = None;
    }

    pub(super) fn due(&self, now: Instant) -> bool {
        self.wanted
            .is_some_and(|wanted| wanted.next <= now && now < wanted.until)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.wanted.map(|wanted| wanted.next)
    }

    /// Forgets a request that nobody answered in time.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.wanted.is_some_and(|wanted| now >= wanted.until) {
            self.wanted = None;
        }
    }

    /// A request was sent.
    pub(super) fn sent(&mut self, now: Instant, throttle: Duration) {
        self.last_sent = Some(now);
        if let Some(wanted) = &mut self.wanted {
            wanted.next = now + REPEAT.max(throttle);
        }
    }
}
