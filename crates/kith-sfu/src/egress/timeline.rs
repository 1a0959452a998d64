//! The subscriber's timestamps: one line without jumps, laid out of the timestamps of the streams that are forwarded.

use super::hub::{MAX_LAYERS, TrackHub};
use super::stored::StoredPacket;

/// How many segments are remembered for late packets.
const SEGMENTS: usize = 8;

/// How far the publisher's sender reports may disagree with arrival times before they are not believed, in seconds. A
/// key frame that was repeated over a slow path is late by less; clocks that jumped are wrong by more.
const TRUST_REPORTS_S: u32 = 2;

/// A step forward or back in a stream that is longer than this and that arrival times do not show, in seconds, is a
/// restart of the publisher's clock. Muted publishers may stop their clock: that is no step.
const LONG_STEP_S: i32 = 10;
const LONG_STEP_BACK_S: i32 = 1;

/// Least step between the last frame of one stream and the first of the next is 1/1000 s.
const LEAST_STEP_PER_S: u32 = 1000;

/// A stretch of the subscriber's stream that comes from one source stream with fixed offsets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Segment {
    pub(super) layer: u8,
    pub(super) epoch: u32,
    /// Timestamp sent minus source timestamp.
    pub(super) shift: u32,
    /// How much of `shift` only serves to keep timestamps growing.
    bump: u32,
    /// TL0PICIDX sent minus that of the source.
    pub(super) tl0_shift: u8,
    /// The same for KEYIDX.
    pub(super) key_shift: u8,
}

impl Segment {
    /// A segment of this source stream, its offsets yet to be set.
    pub(super) fn of(layer: u8, epoch: u32) -> Self {
        Segment {
            layer,
            epoch,
            ..Segment::default()
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Timeline {
    clock_rate: u32,
    segments: [Segment; SEGMENTS],
    current: u8,
    /// The newest timestamp so far, and the arrival of its packet in µs of the hub's clock.
    last: Option<Last>,
    /// Of each layer, the highest source number when it was left last.
    left_at: [u64; MAX_LAYERS],
}

#[derive(Clone, Copy, Debug)]
struct Last {
    sent: u32,
    arrival: u64,
}

impl Timeline {
    pub(super) fn new(clock_rate: u32) -> Self {
        Timeline {
            clock_rate,
            segments: [Segment::default(); SEGMENTS],
            current: 0,
            last: None,
            left_at: [0; MAX_LAYERS],
        }
    }

    /// The segment in use.
    #[inline]
    pub(super) fn current(&self) -> &Segment {
        self.segment(self.current)
    }

    /// The segment with this number.
    #[inline]
    pub(super) fn segment(&self, number: u8) -> &Segment {
        let [first, ..] = &self.segments;
        self.segments.get(usize::from(number)).unwrap_or(first)
    }

    /// The number that the next segment will have.
    #[inline]
    pub(super) fn next_number(&self) -> u8 {
        (self.current + 1) % SEGMENTS as u8
    }

    /// Whether segment `number` comes from this source stream.
    #[inline]
    pub(super) fn belongs(&self, number: u8, layer: u8, epoch: u32) -> bool {
        let segment = self.segment(number);
        segment.layer == layer && segment.epoch == epoch
    }

    /// Whether source number `seq` of a layer lies before the place where it was left, so that it can be no new beginning.
    #[inline]
    pub(super) fn was_passed(&self, layer: u8, seq: u64) -> bool {
        self.left_at
            .get(usize::from(layer))
            .is_some_and(|left_at| seq <= *left_at)
    }

    /// The stream in use is left after source number `end`.
    pub(super) fn leave(&mut self, end: u64) {
        let layer = usize::from(self.current().layer);
        if let Some(left_at) = self.left_at.get_mut(layer).filter(|_| self.last.is_some()) {
            *left_at = end.max(*left_at);
        }
    }

    /// Begins a segment for a stream that is taken up with `packet` in a `segment`; its timestamp offset is set here.
    pub(super) fn begin(&mut self, hub: &TrackHub, mut segment: Segment, packet: &StoredPacket) {
        let previous = *self.current();
        if let Some(last) = self.last {
            let expected = last
                .sent
                .wrapping_add(self.ticks(packet.arrival.saturating_sub(last.arrival)));
            let exact = hub
                .clock_offset(
                    (previous.layer, previous.epoch),
                    (segment.layer, segment.epoch),
                    self.clock_rate,
                )
                .map(|offset| {
                    packet
                        .timestamp
                        .wrapping_add(offset)
                        .wrapping_add(previous.shift)
                        .wrapping_sub(previous.bump)
                })
                .filter(|exact| {
                    let error = (exact.wrapping_sub(expected) as i32).unsigned_abs();
                    error < TRUST_REPORTS_S * self.clock_rate
                });
            let sent = exact.unwrap_or(expected);
            let least = last.sent.wrapping_add(self.clock_rate / LEAST_STEP_PER_S);
            let behind = least.wrapping_sub(sent);
            segment.bump = if (behind as i32) > 0 { behind } else { 0 };
            segment.shift = sent
                .wrapping_add(segment.bump)
                .wrapping_sub(packet.timestamp);
        }
        self.install(segment);
    }

    /// Whether the source's timestamps jumped between the last packet sent and `packet`, so that a new segment must
    /// begin. Cheap when not.
    #[inline]
    pub(super) fn jumped(&self, packet: &StoredPacket) -> bool {
        let Some(last) = self.last else {
            return false;
        };
        let sent = packet.timestamp.wrapping_add(self.current().shift);
        let step = sent.wrapping_sub(last.sent) as i32;
        let clock = self.clock_rate as i32;
        if step >= -LONG_STEP_BACK_S * clock && step <= LONG_STEP_S * clock {
            return false;
        }
        let elapsed = self.ticks(packet.arrival.saturating_sub(last.arrival)) as i32;
        step < 0 || step.saturating_sub(elapsed) > LONG_STEP_S * clock
    }

    /// Begins a segment for the same stream after its timestamps jumped.
    #[cold]
    pub(super) fn reanchor(&mut self, packet: &StoredPacket) {
        let mut segment = *self.current();
        if let Some(last) = self.last {
            let elapsed = self.ticks(packet.arrival.saturating_sub(last.arrival));
            let step = elapsed.max(self.clock_rate / LEAST_STEP_PER_S);
            segment.bump = 0;
            segment.shift = last.sent.wrapping_add(step).wrapping_sub(packet.timestamp);
        }
        self.install(segment);
    }

    /// The timestamp of the next packet in order, whether it is sent or left out.
    #[inline]
    pub(super) fn advance(&mut self, packet: &StoredPacket) -> u32 {
        let sent = packet.timestamp.wrapping_add(self.current().shift);
        match &mut self.last {
            Some(last) if (sent.wrapping_sub(last.sent) as i32) <= 0 => {}
            last => {
                *last = Some(Last {
                    sent,
                    arrival: packet.arrival,
                });
            }
        }
        sent
    }

    /// Timestamp units per second.
    pub(super) fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// The newest timestamp so far.
    #[inline]
    pub(super) fn newest(&self) -> u32 {
        self.last.map_or(0, |last| last.sent)
    }

    /// A time in µs as timestamp units.
    pub(super) fn ticks(&self, micros: u64) -> u32 {
        (micros.wrapping_mul(u64::from(self.clock_rate)) / 1_000_000) as u32
    }

    fn install(&mut self, segment: Segment) {
        self.current = self.next_number();
        *self.segment_mut(self.current) = segment;
    }

    fn segment_mut(&mut self, number: u8) -> &mut Segment {
        // Numbers are below SEGMENTS.
        let at = usize::from(number) % SEGMENTS;
        #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
        &mut self.segments[at]
    }
}
