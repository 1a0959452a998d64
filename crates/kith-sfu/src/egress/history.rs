//! The recent packets of one encoding: their bytes once in a flat ring, what was read from them beside it.

use super::descriptor::Dependencies;
use super::stored::StoredPacket;

/// How far back a history shall reach, in µs, memory allowing. A subscriber asks for a packet again within a few round
/// trips; after a second the jitter buffer has given up and asks for a key frame.
const KEEP_US: u64 = 1_000_000;

/// Longest packet that is stored: one that crossed a network without fragments is much shorter.
pub(super) const MAX_RECORD_LEN: usize = 4096;

/// First and last sizes of a history. All are powers of two.
#[derive(Clone, Copy, Debug)]
pub(super) struct HistoryLimits {
    pub(super) first_slots: usize,
    pub(super) max_slots: usize,
    pub(super) first_bytes: usize,
    pub(super) max_bytes: usize,
}

impl HistoryLimits {
    /// 50 packets a second and 200 in all, as LiveKit keeps them.
    pub(super) const AUDIO: HistoryLimits = HistoryLimits {
        first_slots: 64,
        max_slots: 256,
        first_bytes: 8 << 10,
        max_bytes: 64 << 10,
    };

    /// 500 packets in all, as LiveKit keeps them: two seconds of 720p.
    pub(super) const VIDEO: HistoryLimits = HistoryLimits {
        first_slots: 64,
        max_slots: 512,
        first_bytes: 32 << 10,
        max_bytes: 1 << 20,
    };
}

/// The recent packets of one encoding.
#[derive(Debug)]
pub(super) struct History {
    limits: HistoryLimits,
    /// Records in order of arrival. A record lies where `position % bytes.len()` says and never wraps.
    bytes: Vec<u8>,
    /// Position behind the newest record; positions only grow.
    end: u64,
    /// Records from this position on are intact.
    intact_from: u64,
    /// When the ring of bytes last came round, and at which position.
    bytes_turned: u64,
    turned_at: u64,
    /// What was read from the packet with number `seq` is at `seq % slots.len()`.
    slots: Vec<StoredPacket>,
    /// Dependency descriptors, parallel to `slots`; empty until the first one.
    dependencies: Vec<Dependencies>,
    slots_turned: u64,
    /// Highest sequence number stored; 0 if none (numbers start far above it).
    newest: u64,
    /// Where the slots come round next.
    turn_at: u64,
}

impl History {
    pub(super) fn new(limits: HistoryLimits) -> Self {
        History {
            limits,
            bytes: Vec::new(),
            end: 0,
            intact_from: 0,
            bytes_turned: 0,
            turned_at: 0,
            slots: Vec::new(),
            dependencies: Vec::new(),
            slots_turned: 0,
            newest: 0,
            turn_at: 0,
        }
    }

    /// Forgets all packets and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.slots.fill(StoredPacket::EMPTY);
        self.newest = 0;
        self.turn_at = 0;
    }

    /// Highest sequence number stored, 0 if none.
    #[inline]
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
            + self.slots.capacity() * size_of::<StoredPacket>()
            + self.dependencies.capacity() * size_of::<Dependencies>()
    }

    /// What is stored about packet `seq`, if its bytes are still there.
    #[inline]
    pub(super) fn get(&self, seq: u64) -> Option<&StoredPacket> {
        let slot = self.slots.get(self.slot_of(seq))?;
        (slot.seq == seq && slot.position >= self.intact_from).then_some(slot)
    }

    /// The dependency descriptor of packet `seq`, which [`Self::get`] found to have one.
    #[inline]
    pub(super) fn dependencies(&self, seq: u64) -> Option<&Dependencies> {
        self.dependencies.get(self.slot_of(seq))
    }

    /// The record of a packet that [`Self::get`] returned: extension values, then payload.
    #[inline]
    pub(super) fn record(&self, packet: &StoredPacket) -> &[u8] {
        let start = (packet.position as usize) & self.bytes.len().wrapping_sub(1);
        self.bytes
            .get(start..start + packet.record_len())
            .unwrap_or(&[])
    }

    /// Stores a packet whose record is the concatenation of `parts` and as long as `packet` says. False: it is a
    /// duplicate, older than the history, or too long.
    pub(super) fn push(
        &mut self,
        mut packet: StoredPacket,
        dependencies: Option<&Dependencies>,
        parts: &[&[u8]],
    ) -> bool {
        let len = packet.record_len();
        if len > MAX_RECORD_LEN || self.is_known_or_old(packet.seq) {
            return false;
        }
        self.make_room(packet.seq, len, packet.arrival);

        packet.position = self.end;
        let start = (self.end as usize) & self.bytes.len().wrapping_sub(1);
        let Some(mut record) = self.bytes.get_mut(start..start + len) else {
            return false;
        };
        for part in parts {
            let Some((front, rest)) = record.split_at_mut_checked(part.len()) else {
                return false;
            };
            front.copy_from_slice(part);
            record = rest;
        }
        self.end += len as u64;
        self.intact_from = self
            .intact_from
            .max(self.end.saturating_sub(self.bytes.len() as u64));
        self.newest = self.newest.max(packet.seq);

        let at = self.slot_of(packet.seq);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = packet;
        }
        if let Some(dependencies) = dependencies {
            if self.dependencies.is_empty() {
                self.dependencies = vec![Dependencies::default(); self.slots.len()];
            }
            if let Some(slot) = self.dependencies.get_mut(at) {
                *slot = *dependencies;
            }
        }
        true
    }

    #[inline]
    fn slot_of(&self, seq: u64) -> usize {
        (seq as usize) & self.slots.len().wrapping_sub(1)
    }

    fn is_known_or_old(&self, seq: u64) -> bool {
        let known = self
            .slots
            .get(self.slot_of(seq))
            .is_some_and(|slot| slot.seq == seq);
        known || (self.newest != 0 && seq + self.slots.len() as u64 <= self.newest)
    }

    /// Allocates and grows. A ring grows when it came round in less time than it shall reach back, at the moment at
    /// which it comes round.
    fn make_room(&mut self, seq: u64, len: usize, now: u64) {
        if self.slots.is_empty() {
            self.slots = vec![StoredPacket::EMPTY; self.limits.first_slots];
            self.bytes = vec![0; self.limits.first_bytes];
            self.bytes_turned = now;
        }
        if seq >= self.turn_at {
            let first = self.turn_at == 0;
            let soon = now.saturating_sub(self.slots_turned) < KEEP_US;
            if !first && soon && self.slots.len() < self.limits.max_slots {
                self.grow_slots();
            }
            self.slots_turned = now;
            self.turn_at = seq + self.slots.len() as u64;
        }
        let left = self.bytes.len() - ((self.end as usize) & (self.bytes.len().wrapping_sub(1)));
        if left < len || (left == self.bytes.len() && self.end > 0) {
            if left < self.bytes.len() {
                self.end += left as u64;
            }
            // What was written in the time since gives the rate; since it grew last it was less than a full turn.
            let elapsed = now.saturating_sub(self.bytes_turned);
            let written = self.end - self.turned_at;
            let holds_too_little =
                elapsed.saturating_mul(self.bytes.len() as u64) < KEEP_US.saturating_mul(written);
            if holds_too_little && self.bytes.len() < self.limits.max_bytes {
                self.grow_bytes();
            }
            self.bytes_turned = now;
            self.turned_at = self.end;
        }
    }

    fn grow_slots(&mut self) {
        let len = self.slots.len() * 2;
        let old = std::mem::replace(&mut self.slots, vec![StoredPacket::EMPTY; len]);
        let old_dependencies = std::mem::take(&mut self.dependencies);
        if !old_dependencies.is_empty() {
            self.dependencies = vec![Dependencies::default(); len];
        }
        for (at, packet) in old.into_iter().enumerate() {
            let new = self.slot_of(packet.seq);
            if let Some(slot) = self.slots.get_mut(new).filter(|_| packet.seq != 0) {
                *slot = packet;
            }
            if let (Some(slot), Some(dependencies)) = (
                self.dependencies.get_mut(new).filter(|_| packet.seq != 0),
                old_dependencies.get(at),
            ) {
                *slot = *dependencies;
            }
        }
    }

    /// Called with `end` at a multiple of the length: all records lie in one turn of the ring, so they stay where they
    /// are or move up as a whole.
    fn grow_bytes(&mut self) {
        let len = self.bytes.len();
        self.intact_from = self.end - len as u64;
        self.bytes.resize(len * 2, 0);
        let turn = self.end / len as u64 - 1;
        if turn % 2 == 1 {
            self.bytes.copy_within(..len, len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(history: &mut History, seq: u64, arrival: u64, payload: &[u8]) -> bool {
        let packet = StoredPacket {
            seq,
            arrival,
            payload_len: payload.len() as u16,
            ..StoredPacket::EMPTY
        };
        history.push(packet, None, &[payload])
    }

    fn payload(seq: u64) -> Vec<u8> {
        vec![seq as u8; 900 + (seq % 300) as usize]
    }

    #[test]
    fn every_packet_that_is_found_has_its_own_bytes_while_both_rings_grow() {
        let mut history = History::new(HistoryLimits::VIDEO);
        for seq in 70_000..80_000u64 {
            assert!(push(&mut history, seq, seq * 1_000, &payload(seq)));
            for back in [0, 1, 30, 63, 64, 200, 400, 511, 512, 600] {
                let old = seq - back;
                if let Some(packet) = history.get(old) {
                    assert_eq!(history.record(packet), payload(old), "{old}");
                }
            }
        }
        assert!(history.get(79_600).is_some());
        assert_eq!(history.slots.len(), 512);
        assert_eq!(history.bytes.len(), 1 << 20);
    }

    #[test]
    fn a_slow_stream_takes_little_memory() {
        let mut history = History::new(HistoryLimits::AUDIO);
        for seq in 70_000..71_000u64 {
            assert!(push(&mut history, seq, seq * 20_000, &[0; 80]));
        }
        assert!(history.memory() < 16 << 10, "{}", history.memory());
        assert!(history.get(70_950).is_some());
    }

    #[test]
    fn duplicates_and_what_is_older_than_the_ring_are_refused() {
        let mut history = History::new(HistoryLimits::AUDIO);
        assert!(push(&mut history, 70_000, 0, &[1]));
        assert!(!push(&mut history, 70_000, 0, &[1]));
        assert!(push(&mut history, 70_063, 0, &[1]));
        assert!(push(&mut history, 70_001, 0, &[1]));
        assert!(push(&mut history, 70_064, 0, &[1]));
        assert!(!push(&mut history, 69_000, 0, &[1]));
        assert!(!push(&mut history, 70_100, 0, &[1; MAX_RECORD_LEN + 1]));
        history.clear();
        assert!(history.get(70_064).is_none());
        assert!(push(&mut history, 70_064, 0, &[1]));
    }
}
