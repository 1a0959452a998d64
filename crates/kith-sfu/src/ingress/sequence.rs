//! Where a packet stands in its stream: extended numbers, duplicates, late packets, restarts.

use kith_rtp::SeqNo;

/// How far behind the newest packet a late one may be. 2048 packets are 2 s of a 10 Mbit/s stream, longer than a
/// sequence number is asked for again.
pub(super) const WINDOW: u64 = 2048;

/// A jump ahead by more than this is no loss but another stream (RFC 3550 appendix A.1, MAX_DROPOUT).
const MAX_AHEAD: u64 = 3000;

/// How far before the first packet of a stream another one of it may be (RFC 3550 appendix A.1, MAX_MISORDER).
const MAX_BEFORE_FIRST: u64 = 100;

/// So many odd packets that follow each other are a stream that began anew.
const RESTART_AFTER: u8 = 5;

/// The same for packets that could as well be a burst that the network delivered twice: numbers seen before, timestamps
/// near the newest.
const RESTART_AFTER_DUPLICATES: u8 = 30;

/// Two odd packets belong together when the later number is higher by at most this (some loss among them is fine).
const MAX_ODD_STEP: i16 = 16;

/// A timestamp within this many units of the newest may belong to the same stream: 5 s of video, 9 s of Opus.
const NEAR_TIMESTAMP: u32 = 450_000;

/// One bit for each of the last `WINDOW` numbers.
#[derive(Debug)]
struct Bits([u64; (WINDOW / 64) as usize]);

impl Bits {
    const NONE: Bits = Bits([0; (WINDOW / 64) as usize]);

    fn get(&self, number: u64) -> bool {
        self.0
            .get((number % WINDOW / 64) as usize)
            .is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn set(&mut self, number: u64, value: bool) {
        if let Some(word) = self.0.get_mut((number % WINDOW / 64) as usize) {
            *word = *word & !(1 << (number % 64)) | u64::from(value) << (number % 64);
        }
    }

    /// Forgets what was there a window before `after + 1 ..= upto`.
    fn clear(&mut self, after: u64, upto: u64) {
        if upto - after >= WINDOW {
            *self = Bits::NONE;
        } else {
            for number in after + 1..=upto {
                self.set(number, false);
            }
        }
    }
}

/// What a packet is to its stream. Numbers are extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The first packet of the stream. Earlier ones may follow.
    First { number: u64 },
    /// The newest so far; everything in `previous + 1 .. number` is missing.
    Newest { number: u64, previous: u64 },
    /// Older than the newest and not seen before.
    Late { number: u64 },
    /// Seen before. `original` is: so far only a retransmission brought it, and this is the original.
    Duplicate { number: u64, original: bool },
    /// Too old, or part of no order known yet.
    Odd,
    /// The stream began anew under the same SSRC, with `first`; what lies between `first` and `number` can be asked for
    /// again, `first` included.
    Restart { number: u64, first: u64 },
}

#[derive(Clone, Copy, Debug)]
struct OddRun {
    first: SeqNo,
    last: SeqNo,
    count: u8,
}

/// Follows the sequence numbers of one SSRC.
///
/// **An extended number never occurs twice in the life of a tracker**: a new stream starts in the period after the next
/// one, so that even its reordered first packets lie above everything before.
#[derive(Debug)]
pub(super) struct SequenceTracker {
    started: bool,
    first: u64,
    newest: u64,
    newest_timestamp: u32,
    seen: Bits,
    /// Those of `seen` that only a retransmission brought.
    by_rtx: Bits,
    odd: Option<OddRun>,
}

impl SequenceTracker {
    pub(super) const fn new() -> Self {
        SequenceTracker {
            started: false,
            first: 0,
            // The first stream then starts above 2¹⁶.
            newest: 0,
            newest_timestamp: 0,
            seen: Bits::NONE,
            by_rtx: Bits::NONE,
            odd: None,
        }
    }

    /// The highest number so far.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// The next packet is the first of another stream.
    pub(super) fn start_anew(&mut self) {
        self.started = false;
        self.odd = None;
    }

    /// Takes a packet of the primary stream.
    pub(super) fn on_primary(&mut self, seq: SeqNo, timestamp: u32) -> Place {
        if !self.started {
            let number = self.begin(seq, timestamp);
            self.seen.set(number, true);
            return Place::First { number };
        }
        let number = seq.extend(self.newest);
        if number > self.newest {
            if number - self.newest > MAX_AHEAD {
                return self.on_odd(seq, timestamp, RESTART_AFTER);
            }
            self.odd = None;
            let previous = self.advance(number, timestamp);
            return Place::Newest { number, previous };
        }
        if self.newest - number >= WINDOW || number + MAX_BEFORE_FIRST < self.first {
            return self.on_odd(seq, timestamp, RESTART_AFTER);
        }
        if self.seen.get(number) {
            if self.by_rtx.get(number) {
                self.by_rtx.set(number, false);
                self.odd = None;
                return Place::Duplicate {
                    number,
                    original: true,
                };
            }
            let distance = timestamp.wrapping_sub(self.newest_timestamp) as i32;
            let limit = if distance.unsigned_abs() < NEAR_TIMESTAMP {
                RESTART_AFTER_DUPLICATES
            } else {
                RESTART_AFTER
            };
            return match self.on_odd(seq, timestamp, limit) {
                Place::Odd => Place::Duplicate {
                    number,
                    original: false,
                },
                restart => restart,
            };
        }
        self.odd = None;
        self.seen.set(number, true);
        Place::Late { number }
    }

    /// Takes an unwrapped retransmission. It never starts or restarts a stream.
    pub(super) fn on_rtx(&mut self, seq: SeqNo, timestamp: u32) -> Place {
        if !self.started {
            return Place::Odd;
        }
        let number = seq.extend(self.newest);
        if number > self.newest {
            if number - self.newest > MAX_AHEAD {
                return Place::Odd;
            }
            let previous = self.advance(number, timestamp);
            self.by_rtx.set(number, true);
            return Place::Newest { number, previous };
        }
        if self.newest - number >= WINDOW || number + MAX_BEFORE_FIRST < self.first {
            return Place::Odd;
        }
        if self.seen.get(number) {
            return Place::Duplicate {
                number,
                original: false,
            };
        }
        self.seen.set(number, true);
        self.by_rtx.set(number, true);
        Place::Late { number }
    }

    fn begin(&mut self, seq: SeqNo, timestamp: u32) -> u64 {
        let period = if self.newest == 0 {
            1
        } else {
            (self.newest >> 16) + 2
        };
        let number = period << 16 | u64::from(seq.0);
        *self = SequenceTracker {
            started: true,
            first: number,
            newest: number,
            newest_timestamp: timestamp,
            ..SequenceTracker::new()
        };
        number
    }

    /// Makes `number` the newest and returns the one before.
    fn advance(&mut self, number: u64, timestamp: u32) -> u64 {
        let previous = self.newest;
        self.seen.clear(previous, number);
        self.by_rtx.clear(previous, number);
        self.seen.set(number, true);
        self.newest = number;
        self.newest_timestamp = timestamp;
        previous
    }

    fn on_odd(&mut self, seq: SeqNo, timestamp: u32, limit: u8) -> Place {
        let run = match self.odd {
            Some(run) if (1..=MAX_ODD_STEP).contains(&seq.distance_from(run.last)) => OddRun {
                first: run.first,
                last: seq,
                count: run.count.saturating_add(1),
            },
            _ => OddRun {
                first: seq,
                last: seq,
                count: 1,
            },
        };
        if run.count < limit {
            self.odd = Some(run);
            return Place::Odd;
        }
        let first = self.begin(run.first, timestamp);
        let number = seq.extend(first);
        self.advance(number, timestamp);
        Place::Restart { number, first }
    }
}
