//! What was sent under which sequence number, so that it can be sent again.

use kith_rtp::Codec;

/// How far back the record shall reach, in ms, memory allowing: as far as the hub's history.
const KEEP_MS: u64 = 1_000;

/// First size of the ring.
const FIRST_SLOTS: usize = 64;

/// How often one packet is sent again. After three losses in a row a fourth helps nobody in time.
pub(super) const MAX_ANSWERS: u8 = 3;

/// How many bits of the source's sequence number are kept. Histories are far shorter than 2²⁸ packets.
const SOURCE_SEQ_BITS: u32 = 28;

/// Which stored packet: layer (2 bits), the lowest bits of the layer's epoch (2 bits) and of the sequence number (28).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Source(u32);

impl Source {
    #[inline]
    pub(super) fn new(layer: u8, epoch: u32, seq: u64) -> Self {
        let seq = seq as u32 & ((1 << SOURCE_SEQ_BITS) - 1);
        Source((u32::from(layer) & 3) << 30 | (epoch & 3) << SOURCE_SEQ_BITS | seq)
    }

    #[inline]
    pub(super) fn layer(self) -> u8 {
        (self.0 >> 30) as u8
    }

    /// The two lowest bits of the layer's epoch.
    #[inline]
    pub(super) fn epoch_bits(self) -> u32 {
        self.0 >> SOURCE_SEQ_BITS & 3
    }

    /// The sequence number, which is not more than half its range from `newest`.
    #[inline]
    pub(super) fn seq(self, newest: u64) -> u64 {
        let unused = u32::BITS - SOURCE_SEQ_BITS;
        let distance = ((newest as u32) << unused).wrapping_sub(self.0 << unused) as i32 >> unused;
        newest.wrapping_sub(i64::from(distance) as u64)
    }
}

/// How a packet was rewritten: everything that a retransmission needs beside the stored packet. 16 bytes, as there is
/// one for each packet that can be asked for again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) source: Source,
    pub(super) timestamp: u32,
    /// Picture id (VP8, VP9 without dependency descriptor) or frame number (dependency descriptor).
    pub(super) id: u16,
    /// When it was last sent, ms of the hub's clock, wrapping.
    pub(super) sent_at: u16,
    /// TL0PICIDX; with a dependency descriptor, the decode target to be signalled as the active one.
    pub(super) tl0: u8,
    /// KEYIDX.
    pub(super) key_idx: u8,
    pub(super) form: Form,
    /// Bits 6 to 13 of the sequence number: tells a slot's packet from one of an earlier turn.
    tag: u8,
}

const _: () = assert!(size_of::<Sent>() == 16);

impl Sent {
    #[inline]
    pub(super) fn new(source: Source, timestamp: u32, form: Form) -> Self {
        Sent {
            source,
            timestamp,
            form,
            ..Sent::default()
        }
    }

    /// The decode target to signal, if the form says that one is.
    #[inline]
    pub(super) fn target(&self) -> u8 {
        self.tl0
    }

    /// A packet without payload, in a place of a stream of `codec` that stays empty otherwise.
    pub(super) fn filler(timestamp: u32, codec: Codec) -> Self {
        Sent {
            timestamp,
            tl0: codec as u8,
            form: Form(Form::PRESENT | Form::FILLER),
            ..Sent::default()
        }
    }

    /// The codec of a filler's payload type.
    pub(super) fn filler_codec(&self) -> Option<Codec> {
        if !self.form.is_filler() {
            return None;
        }
        Codec::ALL
            .into_iter()
            .find(|codec| *codec as u8 == self.tl0)
    }
}

/// How a packet is written, packed: which part of the stored packet, marker, and how often it was sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Form(u8);

impl Form {
    const PRESENT: u8 = 1;
    const MARKER: u8 = 1 << 1;
    const SIGNAL_TARGET: u8 = 1 << 2;
    const FILLER: u8 = 1 << 3;
    const BLOCK_SHIFT: u8 = 4;
    const ANSWERS_SHIFT: u8 = 6;

    #[inline]
    pub(super) fn new(marker: bool, signal_target: bool) -> Self {
        let marker = if marker { Self::MARKER } else { 0 };
        let signal = if signal_target {
            Self::SIGNAL_TARGET
        } else {
            0
        };
        Form(Self::PRESENT | marker | signal)
    }

    /// The redundant encoding that stands `block` packets before the packet that carries it: 1, 2 or 3.
    #[inline]
    pub(super) fn redundancy(block: u8) -> Self {
        Form(Self::PRESENT | (block & 3) << Self::BLOCK_SHIFT)
    }

    #[inline]
    pub(super) fn marker(self) -> bool {
        self.0 & Self::MARKER != 0
    }

    /// Whether the active decode targets are to be written into the dependency descriptor.
    #[inline]
    pub(super) fn signals_target(self) -> bool {
        self.0 & Self::SIGNAL_TARGET != 0
    }

    #[inline]
    pub(super) fn is_filler(self) -> bool {
        self.0 & Self::FILLER != 0
    }

    #[inline]
    pub(super) fn block(self) -> u8 {
        self.0 >> Self::BLOCK_SHIFT & 3
    }

    #[inline]
    fn answers(self) -> u8 {
        self.0 >> Self::ANSWERS_SHIFT
    }

    #[inline]
    fn is_present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }
}

/// A ring of what was sent, by sequence number.
#[derive(Debug)]
pub(super) struct Sequencer {
    slots: Vec<Sent>,
    max_slots: usize,
    newest: u64,
    turn_at: u64,
    turned_ms: u64,
}

impl Sequencer {
    /// `max_slots` is a power of two, at least [`FIRST_SLOTS`].
    pub(super) fn new(max_slots: usize) -> Self {
        Sequencer {
            slots: Vec::new(),
            max_slots,
            newest: 0,
            turn_at: 0,
            turned_ms: 0,
        }
    }

    /// Highest sequence number sent.
    #[inline]
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Sent>()
    }

    /// Notes that `sent` goes out as number `out`.
    #[inline]
    pub(super) fn insert(&mut self, out: u64, mut sent: Sent, now_ms: u64) {
        if out >= self.turn_at {
            self.turn(out, now_ms);
        }
        sent.tag = tag_of(out);
        sent.sent_at = now_ms as u16;
        self.newest = self.newest.max(out);
        let at = self.slot_of(out);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = sent;
        }
    }

    /// What was sent as number `out`, if that is still known.
    #[inline]
    pub(super) fn get(&self, out: u64) -> Option<&Sent> {
        let sent = self.slots.get(self.slot_of(out))?;
        (sent.form.is_present() && sent.tag == tag_of(out)).then_some(sent)
    }

    /// Whether the ring reaches back to number `out`.
    #[inline]
    pub(super) fn reaches(&self, out: u64) -> bool {
        out + self.slots.len() as u64 > self.newest
    }

    /// What to send again for number `out`. `None`: unknown, sent often enough, or sent again less than `interval_ms`
    /// ago.
    pub(super) fn answer(&mut self, out: u64, now_ms: u64, interval_ms: u16) -> Option<Sent> {
        let at = self.slot_of(out);
        let sent = self.slots.get_mut(at)?;
        if !sent.form.is_present() || sent.tag != tag_of(out) || sent.form.answers() >= MAX_ANSWERS
        {
            return None;
        }
        let since = (now_ms as u16).wrapping_sub(sent.sent_at);
        if sent.form.answers() > 0 && since < interval_ms {
            return None;
        }
        sent.form.0 += 1 << Form::ANSWERS_SHIFT;
        sent.sent_at = now_ms as u16;
        Some(*sent)
    }

    #[inline]
    fn slot_of(&self, out: u64) -> usize {
        (out as usize) & self.slots.len().wrapping_sub(1)
    }

    /// The ring came round; it grows if that took less time than it shall reach back.
    #[cold]
    fn turn(&mut self, out: u64, now_ms: u64) {
        if self.slots.is_empty() {
            self.slots = vec![Sent::default(); FIRST_SLOTS];
        } else if now_ms.saturating_sub(self.turned_ms) < KEEP_MS
            && self.slots.len() < self.max_slots
        {
            let len = self.slots.len() * 2;
            let old = std::mem::replace(&mut self.slots, vec![Sent::default(); len]);
            for (at, sent) in old.into_iter().enumerate() {
                let number = number_near(self.newest, sent.tag, at);
                let at = self.slot_of(number);
                if let Some(slot) = self.slots.get_mut(at).filter(|_| sent.form.is_present()) {
                    *slot = sent;
                }
            }
        }
        self.turned_ms = now_ms;
        self.turn_at = out + self.slots.len() as u64;
    }
}

#[inline]
fn tag_of(out: u64) -> u8 {
    (out >> 6) as u8
}

/// The number at most 2¹⁴ below `newest` that has this tag and stands at this place of the ring.
fn number_near(newest: u64, tag: u8, at: usize) -> u64 {
    let low = u64::from(tag) << 6 | (at as u64 & 63);
    newest.wrapping_sub(newest.wrapping_sub(low) & 0x3FFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(out: u64) -> Sent {
        Sent {
            source: Source::new(1, 7, out + 1_000_000),
            timestamp: out as u32,
            form: Form::new(false, false),
            ..Sent::default()
        }
    }

    #[test]
    fn a_source_comes_back_whole() {
        for newest in [70_000, 1 << 28, (1 << 40) + 5] {
            for back in [0, 1, 500] {
                let source = Source::new(2, 7, newest - back);
                assert_eq!(source.seq(newest), newest - back);
                assert_eq!(source.layer(), 2);
                assert_eq!(source.epoch_bits(), 3);
            }
            assert_eq!(Source::new(2, 7, newest + 3).seq(newest), newest + 3);
        }
    }

    #[test]
    fn the_ring_grows_with_the_rate_and_keeps_what_it_had() {
        let mut ring = Sequencer::new(512);
        for out in 30_000..60_000u64 {
            ring.insert(out, sent(out), out);
            let reach = if out < 30_064 { out - 30_000 } else { 63 };
            for back in [0, reach / 2, reach] {
                assert_eq!(ring.get(out - back).unwrap().timestamp, (out - back) as u32);
            }
        }
        assert_eq!(ring.memory(), 512 * 16);
        let mut slow = Sequencer::new(512);
        for out in 30_000..60_000u64 {
            slow.insert(out, sent(out), out * 20);
        }
        assert_eq!(slow.memory(), 64 * 16);
    }

    #[test]
    fn numbers_that_were_skipped_are_not_found() {
        let mut ring = Sequencer::new(512);
        for out in (30_000..32_000u64).step_by(3) {
            ring.insert(out, sent(out), out * 10);
            assert!(ring.get(out - 1).is_none());
            assert!(ring.get(out + 1).is_none());
        }
    }

    #[test]
    fn three_answers_and_a_pause_between_them() {
        let mut ring = Sequencer::new(512);
        ring.insert(30_000, sent(30_000), 0);
        assert!(ring.answer(30_001, 10, 100).is_none());
        assert!(ring.answer(30_000, 10, 100).is_some());
        assert!(ring.answer(30_000, 109, 100).is_none());
        assert!(ring.answer(30_000, 110, 100).is_some());
        assert!(ring.answer(30_000, 300, 100).is_some());
        assert!(ring.answer(30_000, 900, 100).is_none());
    }
}
