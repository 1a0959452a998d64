//! Which packets of a stream are missing and when to ask for them again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Entries; more loss than that is not repaired packet by packet.
pub(super) const MAX_MISSING: usize = 100;

/// So often a packet is asked for.
const MAX_TRIES: u8 = 5;

/// A missing packet may just be overtaken; asking waits for this long.
const REORDER_DELAY: Duration = Duration::from_millis(10);

/// Bounds of the time between two requests for a packet.
const MIN_INTERVAL: Duration = Duration::from_millis(20);
const MAX_INTERVAL: Duration = Duration::from_millis(400);

/// Each interval is longer than the one before by a quarter, and the first one is longer than the round trip by as
/// much: an answer needs the round trip and a little more.
const BACKOFF_NUMERATOR: u32 = 5;
const BACKOFF_DENOMINATOR: u32 = 4;

#[derive(Clone, Copy, Debug)]
struct Missing {
    number: u64,
    tries: u8,
    due: Instant,
    asked: Instant,
}

/// What a late packet was to the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repaired {
    /// When it was asked for, if that happened exactly once: the answer then tells the round-trip time.
    pub(super) asked_once: Option<Instant>,
}

/// The missing packets of one stream, ascending.
#[derive(Debug, Default)]
pub(super) struct NackList {
    missing: VecDeque<Missing>,
    /// Not later than the first entry is due.
    deadline: Option<Instant>,
}

impl NackList {
    pub(super) fn clear(&mut self) {
        self.missing.clear();
        self.deadline = None;
    }

    /// When to `collect`; may be early.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn len(&self) -> usize {
        self.missing.len()
    }

    /// The numbers `from..to` are missing, all higher than any before. Returns when to ask, if there is something to.
    pub(super) fn lost(&mut self, from: u64, to: u64, now: Instant) -> Option<Instant> {
        if from >= to {
            return None;
        }
        let due = now + REORDER_DELAY;
        for number in from.max(to.saturating_sub(MAX_MISSING as u64))..to {
            if self.missing.len() == MAX_MISSING {
                self.missing.pop_front();
            }
            self.missing.push_back(Missing {
                number,
                tries: 0,
                due,
                asked: now,
            });
        }
        self.deadline = Some(self.deadline.map_or(due, |deadline| deadline.min(due)));
        Some(due)
    }

    /// `number` is not missing any more.
    pub(super) fn arrived(&mut self, number: u64) -> Option<Repaired> {
        let at = self
            .missing
            .binary_search_by_key(&number, |missing| missing.number)
            .ok()?;
        let missing = self.missing.remove(at)?;
        Some(Repaired {
            asked_once: (missing.tries == 1).then_some(missing.asked),
        })
    }

    /// Hands out the numbers to ask for now, ascending, and returns when the next ones are due.
    pub(super) fn collect(
        &mut self,
        now: Instant,
        rtt: Duration,
        mut ask: impl FnMut(u64),
    ) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        self.missing.retain_mut(|missing| {
            if missing.due <= now {
                ask(missing.number);
                missing.tries += 1;
                missing.asked = now;
                missing.due = now + interval(rtt, missing.tries);
                if missing.tries >= MAX_TRIES {
                    return false;
                }
            }
            next = Some(next.map_or(missing.due, |next| next.min(missing.due)));
            true
        });
        self.deadline = next;
        next
    }
}

/// How long to wait after the `tries`th request.
fn interval(rtt: Duration, tries: u8) -> Duration {
    let mut interval = rtt.min(MAX_INTERVAL);
    for _ in 0..tries {
        interval = interval * BACKOFF_NUMERATOR / BACKOFF_DENOMINATOR;
    }
    interval.clamp(MIN_INTERVAL, MAX_INTERVAL)
}
