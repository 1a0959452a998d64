//! Writes RTCP to the publisher.

use std::time::Instant;

use kith_rtp::SeqNo;
use kith_rtp::rtcp::{Pli, ReportBlock, RtcpWriter};

use super::nack::MAX_MISSING;
use super::receiver::TransportReceiver;
use super::round_trip::RoundTrip;

/// Report blocks of one receiver report: what its five-bit count can say.
const MAX_BLOCKS: usize = 31;

/// Room that the NACK of one encoding takes at most: head, SSRCs, and an entry for each number.
const NACK_LEN: usize = 12 + 4 * MAX_MISSING;

/// Length of a PLI.
const PLI_LEN: usize = 12;

impl TransportReceiver {
    /// A compound packet (RFC 3550 section 6.1): receiver report, our reference time, answers to the peer's.
    pub(super) fn write_report(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        if !self.due.report && !self.due.answers {
            return None;
        }
        let mut writer = RtcpWriter::new(out);
        let mut blocks = [ReportBlock::default(); MAX_BLOCKS];
        let mut count = 0;
        if self.due.report {
            let heard = self
                .layers
                .iter_mut()
                .filter(|layer| layer.reception.heard());
            for (slot, layer) in blocks.iter_mut().zip(heard) {
                if let Some(ssrc) = layer.ssrc {
                    *slot = layer.reception.report(ssrc, now);
                    count += 1;
                }
            }
        }
        let all_told = count < MAX_BLOCKS;
        let written = writer.receiver_report(self.local_ssrc, blocks.get(..count)?);
        if self.due.report && all_told {
            self.due.report = false;
            let reference_time = RoundTrip::reference_time(self.since_origin(now));
            // A buffer that is too small for this is so each time; nothing can be done about it here.
            let _ = writer.receiver_reference_time(self.local_ssrc, reference_time);
        }
        if std::mem::take(&mut self.due.answers) {
            let local_ssrc = self.local_ssrc;
            self.round_trip.answer(now, |answers| {
                let _ = writer.dlrr(local_ssrc, answers);
            });
        }
        written.ok().map(|()| writer.len()).filter(|len| *len > 0)
    }

    /// A reduced-size packet (RFC 5506): transport feedback, NACKs and PLIs, as many as fit.
    pub(super) fn write_feedback(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        let room = out.len();
        let mut writer = RtcpWriter::new(out);
        let since_origin = self.since_origin(now);
        self.transport_feedback
            .write(now, since_origin, self.local_ssrc, &mut writer);
        if self.due.nacks {
            self.due.nacks = !self.write_nacks(now, room, &mut writer);
        }
        if self.due.plis {
            self.due.plis = !self.write_plis(now, room, &mut writer);
        }
        Some(writer.len()).filter(|len| *len > 0)
    }

    /// False when there was not room for all.
    fn write_nacks(&mut self, now: Instant, room: usize, writer: &mut RtcpWriter<'_>) -> bool {
        let rtt = self.round_trip.current();
        for index in 0..self.layers.len() {
            let Some(layer) = self.layers.get_mut(index) else {
                continue;
            };
            let Some(ssrc) = layer.ssrc else {
                continue;
            };
            if layer.nack.deadline().is_none_or(|at| at > now) {
                continue;
            }
            if room - writer.len() < NACK_LEN {
                return false;
            }
            let mut numbers = [SeqNo(0); MAX_MISSING];
            let mut count = 0;
            let next = layer.nack.collect(now, rtt, |number| {
                if let Some(slot) = numbers.get_mut(count) {
                    *slot = SeqNo::from(number);
                    count += 1;
                }
            });
            layer.counters.nacks += count as u64;
            let numbers = numbers.iter().copied().take(count);
            // There is room, see above.
            let _ = writer.nack(self.local_ssrc, ssrc, numbers);
            if let Some(next) = next {
                self.wake_at(next);
            }
        }
        true
    }

    /// False when there was not room for all.
    fn write_plis(&mut self, now: Instant, room: usize, writer: &mut RtcpWriter<'_>) -> bool {
        for index in 0..self.layers.len() {
            let throttle = self
                .layers
                .get(index)
                .map(|layer| self.throttle(layer.index))
                .unwrap_or_default();
            let Some(layer) = self.layers.get_mut(index) else {
                continue;
            };
            let Some(ssrc) = layer.ssrc.filter(|_| layer.keyframes.due(now)) else {
                continue;
            };
            if room - writer.len() < PLI_LEN {
                return false;
            }
            layer.keyframes.sent(now, throttle);
            layer.counters.plis += 1;
            let next = layer.keyframes.deadline();
            // There is room, see above.
            let _ = writer.pli(Pli {
                sender_ssrc: self.local_ssrc,
                media_ssrc: ssrc,
            });
            if let Some(next) = next {
                self.wake_at(next);
            }
        }
        true
    }
}
