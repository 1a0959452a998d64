//! Loss and jitter of one stream as receiver reports tell them (RFC 3550 section 6.4.1, appendices A.3 and A.8).

use std::time::{Duration, Instant};

use kith_rtp::Ssrc;
use kith_rtp::rtcp::ReportBlock;

/// A change of transit time beyond this many seconds is a jump of the sender's clock, not jitter.
const MAX_TRANSIT_CHANGE_SECONDS: u32 = 5;

/// What was received on the primary SSRC. **Retransmissions do not count: loss here is what the network lost.**
#[derive(Debug)]
pub(super) struct Reception {
    clock_rate: u32,
    /// Period of the first packet's number; on the wire periods count from there.
    period: u64,
    first: u64,
    newest: u64,
    received: u64,
    expected_before: u64,
    received_before: u64,
    /// Losses of earlier streams of the encoding.
    lost_before: u64,
    /// Jitter × 16, in timestamp units.
    jitter_16: u32,
    transit: Option<(u32, u32)>,
    last_sender_report: Option<(u32, Instant)>,
    heard: bool,
}

impl Reception {
    pub(super) const fn new() -> Self {
        Reception {
            clock_rate: 90_000,
            period: 0,
            first: 0,
            newest: 0,
            received: 0,
            expected_before: 0,
            received_before: 0,
            lost_before: 0,
            jitter_16: 0,
            transit: None,
            last_sender_report: None,
            heard: false,
        }
    }

    /// A stream starts with extended number `first`.
    pub(super) fn start(&mut self, first: u64, clock_rate: u32) {
        *self = Reception {
            clock_rate,
            period: first >> 16,
            first,
            newest: first,
            lost_before: self.lost(),
            ..Reception::new()
        };
    }

    /// A packet came on the primary SSRC that had not come there before.
    pub(super) fn on_packet(&mut self, number: u64) {
        self.received += 1;
        self.newest = self.newest.max(number);
        // Packets from before the first one move the start: else they would make up for later losses.
        self.first = self.first.min(number);
        self.heard = true;
    }

    /// The first packet with a new timestamp came, in order. Packets with the same timestamp are paced by the sender,
    /// and counting that as jitter of the network would make every large frame look like congestion.
    pub(super) fn on_timestamp(&mut self, timestamp: u32, since_origin: Duration) {
        let arrival = (since_origin.as_micros() * u128::from(self.clock_rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some((before, last_timestamp)) = self.transit {
            if last_timestamp == timestamp {
                return;
            }
            let change = (transit.wrapping_sub(before) as i32).unsigned_abs();
            if change < MAX_TRANSIT_CHANGE_SECONDS * self.clock_rate {
                // The rounding of appendix A.8.
                self.jitter_16 = self.jitter_16 + change - ((self.jitter_16 + 8) >> 4);
            }
        }
        self.transit = Some((transit, timestamp));
    }

    /// A sender report with NTP time `ntp` arrived.
    pub(super) fn on_sender_report(&mut self, ntp: u64, arrival: Instant) {
        self.last_sender_report = Some(((ntp >> 16) as u32, arrival));
    }

    /// Packets that the network lost, over all streams of the encoding.
    pub(super) fn lost(&self) -> u64 {
        self.lost_before + self.expected().saturating_sub(self.received)
    }

    /// Jitter as a time.
    pub(super) fn jitter(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.jitter_16 >> 4) / f64::from(self.clock_rate.max(1)))
    }

    /// Whether something came since the last report.
    pub(super) fn heard(&self) -> bool {
        self.heard
    }

    fn expected(&self) -> u64 {
        if self.received == 0 {
            return 0;
        }
        self.newest - self.first + 1
    }

    /// The report block, and the start of the next interval.
    pub(super) fn report(&mut self, ssrc: Ssrc, now: Instant) -> ReportBlock {
        let expected = self.expected();
        let expected_interval = expected.saturating_sub(self.expected_before);
        let received_interval = self.received.saturating_sub(self.received_before);
        self.expected_before = expected;
        self.received_before = self.received;
        self.heard = false;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        let fraction_lost = (lost_interval << 8)
            .checked_div(expected_interval)
            .map_or(0, |fraction| fraction.min(255) as u8);
        let (last_sender_report, delay) =
            self.last_sender_report.map_or((0, 0), |(ntp, arrival)| {
                (ntp, to_ntp_short(now.saturating_duration_since(arrival)))
            });
        let periods = (self.newest >> 16).saturating_sub(self.period);
        ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost: i32::try_from(expected.saturating_sub(self.received))
                .unwrap_or(i32::MAX),
            highest_sequence: (periods << 16) as u32 | (self.newest & 0xFFFF) as u32,
            jitter: self.jitter_16 >> 4,
            last_sender_report,
            delay_since_last_sender_report: delay,
        }
    }
}

/// A time in units of 1/65536 s, as reports say delays.
pub(super) fn to_ntp_short(time: Duration) -> u32 {
    let units = (time.as_micros() << 16) / 1_000_000;
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// The time that units of 1/65536 s are.
pub(super) fn from_ntp_short(units: u32) -> Duration {
    Duration::from_micros((u64::from(units) * 1_000_000) >> 16)
}
