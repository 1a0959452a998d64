//! Where a packet of the publisher's stream stands in the subscriber's: sequence numbers without holes for what is not
//! forwarded, and with a place kept for what is lost or late.

/// How many closed runs are remembered. A run ends where something is left out, so this is as many left-out frames:
/// four seconds of every second frame at 30 fps, longer than any publisher takes to repeat a packet.
const MAX_RUNS: usize = 64;

/// Most places that are kept for missing packets in one gap; histories are not longer, so nobody could fill more. A
/// longer gap becomes one place, so that the receiver still sees that something is missing.
pub(super) const MAX_GAP: u64 = 512;

/// A run of consecutive packets of one source stream that stand at consecutive places.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    /// First source number.
    start: u64,
    /// Source number minus place.
    shift: u64,
    /// How many packets; the open run has no end.
    len: u32,
    /// Source picture id minus picture id sent.
    id_shift: u16,
    /// Which segment of the timeline it belongs to.
    segment: u8,
}

/// The place of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) out: u64,
    pub(super) id_shift: u16,
    pub(super) segment: u8,
}

/// The map from source numbers to places.
#[derive(Debug)]
pub(super) struct Places {
    /// Highest source number dealt with in the open run's stream.
    highest: u64,
    open: Run,
    /// Closed runs, a ring of at most [`MAX_RUNS`].
    closed: Vec<Run>,
    next_closed: usize,
}

impl Places {
    /// The first place will be `first_out`.
    pub(super) fn new(first_out: u64) -> Self {
        Places {
            // As if the source packet with the number 0 had been sent before.
            highest: 0,
            open: Run {
                start: 1,
                shift: 1u64.wrapping_sub(first_out),
                ..Run::default()
            },
            closed: Vec::new(),
            next_closed: 0,
        }
    }

    /// Highest source number dealt with.
    #[inline]
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// The next place that is free.
    #[inline]
    pub(super) fn next_out(&self) -> u64 {
        (self.highest + 1).wrapping_sub(self.open.shift)
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.closed.capacity() * size_of::<Run>()
    }

    /// A stream begins with source number `seq`, at the next free place.
    pub(super) fn begin(&mut self, seq: u64, id_shift: u16, segment: u8) {
        let out = self.next_out();
        self.close(self.highest + 1);
        self.open = Run {
            start: seq,
            shift: seq.wrapping_sub(out),
            len: 0,
            id_shift,
            segment,
        };
        self.highest = seq.wrapping_sub(1);
    }

    /// The stream goes on in another segment of the timeline, from the next source number on.
    pub(super) fn change_segment(&mut self, segment: u8) {
        let Run {
            shift, id_shift, ..
        } = self.open;
        self.close(self.highest + 1);
        self.open = Run {
            start: self.highest + 1,
            shift,
            len: 0,
            id_shift,
            segment,
        };
    }

    /// Takes the place of source number `seq`, which is above [`Self::highest`]. Places are kept for what is missing
    /// before it.
    #[inline]
    pub(super) fn take(&mut self, seq: u64) -> Place {
        if seq - self.highest > MAX_GAP + 1 {
            self.shorten_gap(seq);
        }
        self.highest = seq;
        Place {
            out: seq.wrapping_sub(self.open.shift),
            id_shift: self.open.id_shift,
            segment: self.open.segment,
        }
    }

    /// Leaves out source number `seq`, which is above [`Self::highest`]. `frames` is how many picture ids vanish with
    /// it: 1 if it is the first packet of a frame, else 0. Returns source picture id minus picture id sent from here on.
    #[inline]
    pub(super) fn leave_out(&mut self, seq: u64, frames: u16) -> u16 {
        if seq - self.highest > MAX_GAP + 1 {
            self.shorten_gap(seq);
        }
        if self.open.start != seq {
            self.close(seq);
            self.open.start = seq;
        }
        self.open.start += 1;
        self.open.shift = self.open.shift.wrapping_add(1);
        self.open.id_shift = self.open.id_shift.wrapping_add(frames);
        self.highest = seq;
        self.open.id_shift
    }

    /// Takes the next place for a packet that has no source.
    pub(super) fn insert(&mut self) -> u64 {
        let out = self.next_out();
        self.close(self.highest + 1);
        self.open.start = self.highest + 1;
        self.open.shift = self.open.shift.wrapping_sub(1);
        out
    }

    /// The place of a late packet: number `seq` of a stream to whose segments `belongs` says yes. `None`: it was left
    /// out, or its place is gone.
    pub(super) fn find(&self, seq: u64, belongs: impl Fn(u8) -> bool) -> Option<Place> {
        let place = |run: &Run| Place {
            out: seq.wrapping_sub(run.shift),
            id_shift: run.id_shift,
            segment: run.segment,
        };
        if belongs(self.open.segment) && seq >= self.open.start {
            return (seq <= self.highest).then(|| place(&self.open));
        }
        self.closed
            .iter()
            .find(|run| belongs(run.segment) && seq.wrapping_sub(run.start) < u64::from(run.len))
            .map(place)
    }

    /// Closed runs of `segment` are no longer found: its number is about to be used again.
    pub(super) fn forget_segment(&mut self, segment: u8) {
        for run in &mut self.closed {
            if run.segment == segment {
                run.len = 0;
            }
        }
    }

    /// Ends the open run before source number `end`.
    fn close(&mut self, end: u64) {
        let len = end.saturating_sub(self.open.start);
        if len == 0 {
            return;
        }
        let run = Run {
            len: u32::try_from(len).unwrap_or(u32::MAX),
            ..self.open
        };
        match self.closed.get_mut(self.next_closed) {
            Some(slot) => *slot = run,
            None => self.closed.push(run),
        }
        self.next_closed = (self.next_closed + 1) % MAX_RUNS;
    }

    #[cold]
    fn shorten_gap(&mut self, seq: u64) {
        let out = self.next_out() + 1;
        self.close(self.highest + 1);
        self.open.start = seq;
        self.open.shift = seq.wrapping_sub(out);
        self.highest = seq - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: fn(u8) -> bool = |_| true;

    #[test]
    fn left_out_packets_leave_no_hole_and_missing_ones_keep_theirs() {
        let mut places = Places::new(500);
        places.begin(70_000, 0, 0);
        assert_eq!(places.take(70_000).out, 500);
        places.leave_out(70_001, 1);
        places.leave_out(70_002, 0);
        // 70_003 is missing.
        let place = places.take(70_004);
        assert_eq!((place.out, place.id_shift), (502, 1));
        assert_eq!(places.find(70_003, ANY).unwrap().out, 501);
        assert_eq!(places.find(70_001, ANY), None);
        assert_eq!(places.find(70_000, ANY).unwrap().out, 500);
        assert_eq!(places.find(70_005, ANY), None);
        assert_eq!(places.next_out(), 503);
    }

    #[test]
    fn after_a_switch_only_what_had_a_place_is_found() {
        let mut places = Places::new(500);
        places.begin(70_000, 0, 0);
        places.take(70_000);
        places.take(70_002);
        places.begin(90_000, 9, 1);
        assert_eq!(places.take(90_000).out, 503);
        assert_eq!(places.find(70_001, |s| s == 0).unwrap().out, 501);
        assert_eq!(places.find(70_003, |s| s == 0), None);
        assert_eq!(places.find(89_999, |s| s == 1), None);
        places.forget_segment(0);
        assert_eq!(places.find(70_001, |s| s == 0), None);
    }

    #[test]
    fn a_packet_of_our_own_moves_those_after_it() {
        let mut places = Places::new(500);
        assert_eq!(places.insert(), 500);
        places.begin(70_000, 0, 0);
        assert_eq!(places.take(70_000).out, 501);
        assert_eq!(places.take(70_002).out, 503);
        assert_eq!(places.insert(), 504);
        assert_eq!(places.insert(), 505);
        assert_eq!(places.take(70_003).out, 506);
        assert_eq!(places.find(70_001, ANY).unwrap().out, 502);
    }

    #[test]
    fn a_gap_that_nobody_can_fill_becomes_one_place() {
        let mut places = Places::new(500);
        places.begin(70_000, 0, 0);
        assert_eq!(places.take(70_000).out, 500);
        assert_eq!(places.take(70_000 + MAX_GAP + 1).out, 500 + MAX_GAP + 1);
        assert_eq!(places.take(90_000).out, 500 + MAX_GAP + 3);
        places.leave_out(95_000, 1);
        assert_eq!(places.take(95_001).out, 500 + MAX_GAP + 5);
    }
}
