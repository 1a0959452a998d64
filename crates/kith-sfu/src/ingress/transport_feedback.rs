//! Which packets of the transport arrived and when, for the sender's bandwidth estimate
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use std::time::{Duration, Instant};

use kith_rtp::rtcp::{RtcpWriter, TransportFeedbackBuilder};
use kith_rtp::{SeqNo, Ssrc};

/// Arrivals remembered. Feedback goes out after 100 packets at the latest, so this is ten times what a report spans; a
/// longer gap is reported as far as it lies within.
const WINDOW: u64 = 1024;

/// Feedback is sent when more packets than this are held and `FULL_INTERVAL` has passed ...
const ENOUGH_PACKETS: u32 = 20;
const FULL_INTERVAL: Duration = Duration::from_millis(100);
/// ... or more than this are held ...
const MANY_PACKETS: u32 = 100;
/// ... or a frame ended and this has passed ...
const FRAME_INTERVAL: Duration = Duration::from_millis(50);
/// ... or the oldest packet is held for this long, so that a sender at a low rate is not left without news. libwebrtc's
/// receivers report at least this often.
const LONGEST_INTERVAL: Duration = Duration::from_millis(250);

/// So many numbers in a row below the window are a sender that began to count anew.
const RESTART_AFTER: u32 = 32;

/// Unit of arrival times on the wire.
const TICK_MICROS: u64 = 250;

/// Collects arrivals and writes feedback.
///
/// **Numbers are reported without gaps, lost ones included**: each report begins where the last one ended. A packet that
/// arrives after it was reported lost makes the next report begin with it, so that reordering does not look like loss.
#[derive(Debug)]
pub(super) struct FeedbackRecorder {
    /// Marks (see `mark`) of arrivals by number modulo `WINDOW`; 0 is missing. Made when the first packet comes.
    arrivals: Vec<u32>,
    /// Highest number so far, extended.
    newest: u64,
    /// First number that the next report tells about.
    next: u64,
    /// Packets not reported yet.
    held: u32,
    oldest_held: Instant,
    last_sent: Instant,
    stale: u32,
    feedback_count: u8,
    /// Named in reports. **It must be an SSRC that the sender knows as its own**: libwebrtc throws feedback away that names
    /// another one, so probes with SSRC 0 and strangers do not count as long as there is a known one.
    media_ssrc: Ssrc,
    media_ssrc_known: bool,
    due: bool,
}

impl FeedbackRecorder {
    pub(super) fn new(now: Instant) -> Self {
        FeedbackRecorder {
            arrivals: Vec::new(),
            newest: 0,
            next: 0,
            held: 0,
            oldest_held: now,
            last_sent: now,
            stale: 0,
            feedback_count: 0,
            media_ssrc: Ssrc(0),
            media_ssrc_known: false,
            due: false,
        }
    }

    /// `ssrc` sends packets that are counted; `known` is: it is one of the sender's media or RTX streams for sure.
    pub(super) fn note_ssrc(&mut self, ssrc: Ssrc, known: bool) {
        if known || !self.media_ssrc_known {
            self.media_ssrc = ssrc;
            self.media_ssrc_known = known;
        }
    }

    /// A packet with transport-wide number `seq` arrived, `since_origin` after the transport's origin of time. Returns when
    /// a report is due at the latest, if that is news.
    pub(super) fn on_packet(
        &mut self,
        now: Instant,
        since_origin: Duration,
        seq: SeqNo,
        marker: bool,
    ) -> Option<Instant> {
        let mark = mark(since_origin.as_micros() as u64 / TICK_MICROS);
        let number = if self.arrivals.is_empty() {
            self.arrivals.resize(WINDOW as usize, 0);
            self.last_sent = now;
            self.restart(seq)
        } else {
            let number = seq.extend(self.newest);
            if number + WINDOW <= self.newest {
                self.stale += 1;
                if self.stale < RESTART_AFTER {
                    return None;
                }
                self.restart(seq)
            } else {
                number
            }
        };
        self.stale = 0;
        if number > self.newest {
            self.forget_before(number);
            self.newest = number;
            self.next = self.next.max((number + 1).saturating_sub(WINDOW));
        }
        let slot = self.arrivals.get_mut((number % WINDOW) as usize)?;
        if *slot != 0 {
            return None;
        }
        *slot = mark;
        self.next = self.next.min(number);
        if self.held == 0 {
            self.oldest_held = now;
        }
        self.held += 1;
        let since = now.saturating_duration_since(self.last_sent);
        if self.held > MANY_PACKETS
            || (self.held > ENOUGH_PACKETS && since >= FULL_INTERVAL)
            || (marker && since >= FRAME_INTERVAL)
        {
            self.due = true;
        }
        (self.held == 1).then(|| self.oldest_held + LONGEST_INTERVAL)
    }

    /// When a report is due at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (self.held > 0).then(|| self.oldest_held + LONGEST_INTERVAL)
    }

    pub(super) fn on_timeout(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.due = true;
        }
    }

    /// Writes a report, if one is due. A long one is told in several.
    pub(super) fn write(
        &mut self,
        now: Instant,
        since_origin: Duration,
        sender_ssrc: Ssrc,
        out: &mut RtcpWriter<'_>,
    ) -> bool {
        if !self.due {
            return false;
        }
        let now_ticks = since_origin.as_micros() as u64 / TICK_MICROS;
        let mut builder = TransportFeedbackBuilder::new();
        let mut number = self.next;
        while number <= self.newest {
            let arrival = self
                .arrivals
                .get((number % WINDOW) as usize)
                .copied()
                .unwrap_or(0);
            if arrival != 0 {
                let age = mark(now_ticks).wrapping_sub(arrival) as i32;
                let ticks = now_ticks.saturating_sub(age.max(0) as u64);
                let micros = ticks * TICK_MICROS;
                if builder.is_empty() {
                    builder.begin(SeqNo::from(self.next), micros);
                }
                if builder.push(SeqNo::from(number), micros).is_err() {
                    break;
                }
                self.next = number + 1;
            }
            number += 1;
        }
        // What is missing after the last arrival may still come; the next report begins with it.
        if number > self.newest {
            self.due = false;
            self.held = 0;
        }
        self.last_sent = now;
        let written = !builder.is_empty()
            && out
                .transport_feedback(sender_ssrc, self.media_ssrc, self.feedback_count, &builder)
                .is_ok();
        if written {
            self.feedback_count = self.feedback_count.wrapping_add(1);
        }
        written
    }

    /// Begins with `seq`.
    fn restart(&mut self, seq: SeqNo) -> u64 {
        // Above everything before, and with room below for packets that were overtaken.
        let number = ((self.newest >> 16) + 2) << 16 | u64::from(seq.0);
        self.arrivals.fill(0);
        self.newest = number;
        self.next = number;
        self.held = 0;
        number
    }

    /// Makes room for the numbers up to `number`.
    fn forget_before(&mut self, number: u64) {
        if number - self.newest >= WINDOW {
            self.arrivals.fill(0);
            return;
        }
        for stale in self.newest + 1..=number {
            if let Some(slot) = self.arrivals.get_mut((stale % WINDOW) as usize) {
                *slot = 0;
            }
        }
    }
}

/// The low 32 bits of a time in ticks, such that 0 is none. They wrap after 12 days, long after an arrival was reported. One
/// tick in that time is taken for the next one.
fn mark(ticks: u64) -> u32 {
    (ticks as u32).wrapping_add(1).max(1)
}
