//! The round-trip time to the publisher: reference times out, answers in, and the same the other way (RFC 3611 sections
//! 4.4 and 4.5).

use std::time::{Duration, Instant};

use kith_rtp::Ssrc;
use kith_rtp::rtcp::DlrrBlock;

use super::reception::{from_ntp_short, to_ntp_short};

/// Taken until something was measured.
const DEFAULT: Duration = Duration::from_millis(70);

/// A measurement above this is an error of one of the clocks.
const MAX: Duration = Duration::from_secs(10);

/// Retransmissions tell the round trip only as long as nothing better did so within this time: they include how long the
/// publisher took to answer.
const BETTER_LASTS: Duration = Duration::from_secs(10);

/// Weight of a new measurement: a quarter.
const SMOOTHING: u32 = 4;

/// Least time between two reports to the control plane.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Our clock's value at the origin, in seconds: a reference time of 0 would mean "none".
const NTP_OFFSET: u64 = 1 << 32;

/// Reference times of the peer that wait for an answer; a peer has one receiver, browsers at most a few.
const MAX_WAITING: usize = 4;

/// Least time between two answers.
const ANSWER_EVERY: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug)]
struct Waiting {
    ssrc: Ssrc,
    /// Middle 32 bits of the peer's reference time.
    reference: u32,
    arrival: Instant,
}

#[derive(Debug, Default)]
pub(super) struct RoundTrip {
    smoothed: Option<Duration>,
    measured: Option<Instant>,
    told: Option<Instant>,
    news: bool,
    waiting: Vec<Waiting>,
    answered: Option<Instant>,
}

impl RoundTrip {
    /// The best guess.
    pub(super) fn current(&self) -> Duration {
        self.smoothed.unwrap_or(DEFAULT)
    }

    /// What was measured.
    pub(super) fn measured(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The time to be sent as reference.
    pub(super) fn reference_time(since_origin: Duration) -> u64 {
        let fraction = (u64::from(since_origin.subsec_nanos()) << 32) / 1_000_000_000;
        NTP_OFFSET.wrapping_add(since_origin.as_secs() << 32 | fraction)
    }

    /// The peer answered one of our reference times.
    pub(super) fn on_answer(&mut self, now: Instant, since_origin: Duration, answer: &DlrrBlock) {
        if answer.last_receiver_report == 0 {
            return;
        }
        let arrival = (Self::reference_time(since_origin) >> 16) as u32;
        let units = arrival
            .wrapping_sub(answer.last_receiver_report)
            .wrapping_sub(answer.delay_since_last_receiver_report);
        // Two roundings can make a short round trip negative by a unit or two.
        let units = if units > u32::MAX - 64 { 0 } else { units };
        self.on_measurement(now, from_ntp_short(units));
    }

    /// The round trip was measured.
    pub(super) fn on_measurement(&mut self, now: Instant, rtt: Duration) {
        if rtt <= MAX {
            self.measured = Some(now);
            self.smooth(rtt);
        }
    }

    /// A retransmission came so long after it was asked for once.
    pub(super) fn on_retransmission(&mut self, now: Instant, rtt: Duration) {
        let better = self
            .measured
            .is_some_and(|at| now.saturating_duration_since(at) < BETTER_LASTS);
        if !better && rtt <= MAX {
            self.smooth(rtt);
        }
    }

    fn smooth(&mut self, rtt: Duration) {
        self.smoothed = Some(match self.smoothed {
            Some(before) => (before * (SMOOTHING - 1) + rtt) / SMOOTHING,
            None => rtt,
        });
        self.news = true;
    }

    /// What to tell the control plane, if it is time to.
    pub(super) fn take_news(&mut self, now: Instant) -> Option<Duration> {
        let due = self
            .told
            .is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY);
        if !self.news || !due {
            return None;
        }
        self.news = false;
        self.told = Some(now);
        self.smoothed
    }

    /// The peer sent a reference time and wants it back.
    pub(super) fn on_reference_time(&mut self, now: Instant, ssrc: Ssrc, ntp: u64) {
        let waiting = Waiting {
            ssrc,
            reference: (ntp >> 16) as u32,
            arrival: now,
        };
        if let Some(known) = self.waiting.iter_mut().find(|known| known.ssrc == ssrc) {
            *known = waiting;
        } else if self.waiting.len() < MAX_WAITING {
            self.waiting.push(waiting);
        }
    }

    /// When answers are due.
    pub(super) fn answers_due(&self) -> Option<Instant> {
        let first = self.waiting.first()?;
        Some(
            self.answered
                .map_or(first.arrival, |answered| answered + ANSWER_EVERY),
        )
    }

    /// Answers, and forgets what was waiting.
    pub(super) fn answer(&mut self, now: Instant, write: impl FnOnce(&[DlrrBlock])) {
        let mut answers = [DlrrBlock {
            ssrc: Ssrc(0),
            last_receiver_report: 0,
            delay_since_last_receiver_report: 0,
        }; MAX_WAITING];
        for (slot, waiting) in answers.iter_mut().zip(&self.waiting) {
            *slot = DlrrBlock {
                ssrc: waiting.ssrc,
                last_receiver_report: waiting.reference,
                delay_since_last_receiver_report: to_ntp_short(
                    now.saturating_duration_since(waiting.arrival),
                ),
            };
        }
        write(answers.get(..self.waiting.len()).unwrap_or_default());
        self.waiting.clear();
        self.answered = Some(now);
    }

    /// Entries in all tables.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
