//! Sequence numbers without those that were dropped on purpose.

use std::collections::VecDeque;

/// So many runs of dropped packets are remembered for late packets to find their number. A probe is one run; packets
/// that are late by more than 64 probes are dropped.
const MAX_RUNS: usize = 64;

/// Dropped numbers without one in between that was kept.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    last: u64,
    /// How much lower numbers above `last` come out.
    shift: u64,
}

/// Maps a stream's extended numbers to numbers that have no gap where a packet was dropped on purpose.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    runs: VecDeque<Run>,
    /// Numbers up to this one cannot be mapped any more.
    forgotten: u64,
}

impl Compaction {
    /// The stream began anew.
    pub(super) fn reset(&mut self) {
        self.runs.clear();
        self.forgotten = 0;
    }

    /// Remembered runs.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Takes `number`, the newest of the stream, out of the sequence.
    pub(super) fn drop_newest(&mut self, number: u64) {
        let shift = match self.runs.back_mut() {
            Some(run) if run.last.wrapping_add(1) == number => {
                run.last = number;
                run.shift += 1;
                return;
            }
            Some(run) => run.shift + 1,
            None => 1,
        };
        if self.runs.len() == MAX_RUNS
            && let Some(oldest) = self.runs.pop_front()
        {
            self.forgotten = oldest.last;
        }
        self.runs.push_back(Run {
            first: number,
            last: number,
            shift,
        });
    }

    /// The number that `number` has after compaction; `None` if it was dropped or is too old to know.
    pub(super) fn map(&self, number: u64) -> Option<u64> {
        // Newest first: all but late packets stop at the first run.
        for run in self.runs.iter().rev() {
            if number > run.last {
                return Some(number.wrapping_sub(run.shift));
            }
            if number >= run.first {
                return None;
            }
        }
        let before = self
            .runs
            .front()
            .map_or(0, |run| run.shift - (run.last - run.first + 1));
        (number > self.forgotten).then(|| number.wrapping_sub(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_close_up_after_dropped_ones_and_late_ones_keep_their_place() {
        let mut compaction = Compaction::default();
        assert_eq!(compaction.map(100), Some(100));
        compaction.drop_newest(101);
        compaction.drop_newest(102);
        assert_eq!(compaction.map(103), Some(101));
        compaction.drop_newest(105);
        assert_eq!(compaction.map(106), Some(103));
        assert_eq!(compaction.map(104), Some(102));
        assert_eq!(compaction.map(99), Some(99));
        assert_eq!(compaction.map(101), None);
    }

    #[test]
    fn what_is_older_than_the_remembered_runs_is_unknown() {
        let mut compaction = Compaction::default();
        for run in 0..2 * MAX_RUNS as u64 {
            compaction.drop_newest(1000 + 2 * run);
        }
        assert_eq!(compaction.runs.len(), MAX_RUNS);
        let newest = 1000 + 4 * MAX_RUNS as u64;
        assert_eq!(compaction.map(newest), Some(newest - 2 * MAX_RUNS as u64));
        assert_eq!(compaction.map(1001), None);
        assert_eq!(compaction.map(900), None);
    }
}
