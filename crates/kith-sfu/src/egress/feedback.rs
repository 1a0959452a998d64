//! Reports in both directions: sender reports that keep the publisher's timing, and what the subscriber reports.

use std::time::{Duration, Instant};

use kith_rtp::Ssrc;
use kith_rtp::rtcp::{ReportBlock, RtcpWriter};

use super::hub::TrackHub;
use super::timeline::Timeline;

/// Time between two sender reports, give or take a quarter, so that the tracks of a transport do not report in step.
const REPORT_INTERVAL: Duration = Duration::from_secs(3);

/// Sender reports that a receiver may still refer to: it answers the last one that reached it.
const REPORTS_KEPT: usize = 4;

/// Round trip time before any is measured.
const DEFAULT_RTT: Duration = Duration::from_millis(70);

/// Longest round trip time that is believed.
const MAX_RTT: Duration = Duration::from_secs(10);

/// The next number of a sequence that looks random (splitmix64).
pub(super) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Reports of one down-track.
#[derive(Debug)]
pub(super) struct Feedback {
    rtt: Option<Duration>,
    /// `rtt` comes from reports about this track.
    measured: bool,
    /// Middle bits of the NTP time of our last reports, and when they were written.
    sent: [Option<(u32, Instant)>; REPORTS_KEPT],
    next_sent: usize,
    due: Option<Instant>,
    /// Packets when the last report was written.
    packets_reported: u64,
    random: u64,
    /// The subscriber's last report.
    pub(super) last: Option<ReportBlock>,
}

impl Feedback {
    pub(super) fn new(random: u64) -> Self {
        Feedback {
            rtt: None,
            measured: false,
            sent: [None; REPORTS_KEPT],
            next_sent: 0,
            due: None,
            packets_reported: 0,
            random,
            last: None,
        }
    }

    /// The round trip time, if it is known.
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// The round trip time, or a likely one.
    pub(super) fn rtt_or_default(&self) -> Duration {
        self.rtt.unwrap_or(DEFAULT_RTT)
    }

    /// A round trip time that was measured elsewhere.
    pub(super) fn suggest_rtt(&mut self, rtt: Duration) {
        if !self.measured {
            self.rtt = Some(rtt.min(MAX_RTT));
        }
    }

    /// Takes the subscriber's report.
    pub(super) fn on_report(&mut self, report: &ReportBlock, now: Instant) {
        self.last = Some(*report);
        if report.last_sender_report == 0 {
            return;
        }
        let known = self.sent.iter().flatten();
        let Some((_, at)) = known
            .into_iter()
            .find(|(ntp, _)| *ntp == report.last_sender_report)
        else {
            return;
        };
        let delay = (u64::from(report.delay_since_last_sender_report) * 1_000_000) >> 16;
        let elapsed = now.saturating_duration_since(*at);
        let rtt = elapsed
            .saturating_sub(Duration::from_micros(delay))
            .min(MAX_RTT);
        self.rtt = Some(match self.rtt.filter(|_| self.measured) {
            // RFC 6298 section 2 smooths like this.
            Some(before) => (before * 7 + rtt) / 8,
            None => rtt,
        });
        self.measured = true;
    }

    /// Writes a sender report if one is due: packets were sent since the last one, and the publisher told its timing.
    #[expect(clippy::too_many_arguments, reason = "the facts that a report states")]
    pub(super) fn sender_report(
        &mut self,
        now: Instant,
        hub: &TrackHub,
        timeline: &Timeline,
        ssrc: Ssrc,
        cname: &str,
        (packets, bytes): (u64, u64),
        out: &mut [u8],
    ) -> Option<usize> {
        if self.due.is_some_and(|due| now < due) || packets == self.packets_reported {
            return None;
        }
        let segment = timeline.current();
        let report = hub
            .layer(segment.layer)?
            .report()
            .filter(|report| report.epoch == segment.epoch)?;
        // The publisher's clock goes on as ours does since it told the time.
        let elapsed = now.saturating_duration_since(report.arrival);
        let ntp = report.ntp.wrapping_add(to_ntp(elapsed));
        let rtp_timestamp = report
            .rtp_timestamp
            .wrapping_add(segment.shift)
            .wrapping_add(timeline.ticks(elapsed.as_micros() as u64));
        let mut writer = RtcpWriter::new(out);
        writer
            .sender_report(ssrc, ntp, rtp_timestamp, packets as u32, bytes as u32, &[])
            .ok()?;
        writer.sdes_cname(ssrc, cname).ok()?;
        let len = writer.len();

        if let Some(slot) = self.sent.get_mut(self.next_sent) {
            *slot = Some(((ntp >> 16) as u32, now));
        }
        self.next_sent = (self.next_sent + 1) % REPORTS_KEPT;
        self.packets_reported = packets;
        let quarter = REPORT_INTERVAL / 4;
        let spread = next_random(&mut self.random) % (quarter.as_micros() as u64 * 2);
        self.due = Some(now + REPORT_INTERVAL - quarter + Duration::from_micros(spread));
        Some(len)
    }
}

/// A duration as 32.32 bits fixed point seconds.
fn to_ntp(duration: Duration) -> u64 {
    let fraction = (u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000;
    (duration.as_secs() << 32).wrapping_add(fraction)
}
