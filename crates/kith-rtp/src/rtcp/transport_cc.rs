//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

use super::{take_ssrc, take_u32};
use crate::{SeqNo, Ssrc};

/// Unit of arrival deltas, in microseconds.
const TICK_MICROS: u64 = 250;
/// Unit of the reference time, in ticks: 64 ms.
const REFERENCE_TICKS: u64 = 256;
/// Longest run that a run length chunk can say: 13 bits.
const MAX_RUN: u16 = 0x1FFF;
/// Symbols of a one-bit vector chunk.
const ONE_BIT_CAPACITY: usize = 14;
/// Symbols of a two-bit vector chunk.
const TWO_BIT_CAPACITY: usize = 7;

/// What a chunk says of one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Symbol {
    #[default]
    Missing = 0,
    /// Delta of one byte, 0 to 255 ticks.
    Small = 1,
    /// Delta of two bytes, signed.
    Large = 2,
    Reserved = 3,
}

impl Symbol {
    fn from_bits(bits: u16) -> Self {
        match bits & 3 {
            0 => Symbol::Missing,
            1 => Symbol::Small,
            2 => Symbol::Large,
            _ => Symbol::Reserved,
        }
    }
}

/// Which packets of a transport arrived, and when.
#[derive(Clone, Copy, Debug)]
pub struct TransportFeedback<'a> {
    /// Who received.
    pub sender_ssrc: Ssrc,
    /// One of the streams concerned; of no importance.
    pub media_ssrc: Ssrc,
    /// Transport-wide number of the first packet reported.
    pub base_sequence: SeqNo,
    /// How many packets are reported.
    pub status_count: u16,
    /// Reference time in units of 64 ms, 24 bits that wrap.
    pub reference_time: u32,
    /// Running number of feedback packets.
    pub feedback_count: u8,
    chunks: &'a [[u8; 2]],
    deltas: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    pub(super) fn parse(mut body: &'a [u8]) -> Option<Self> {
        let sender_ssrc = take_ssrc(&mut body)?;
        let media_ssrc = take_ssrc(&mut body)?;
        let range = take_u32(&mut body)?;
        let time = take_u32(&mut body)?;
        let status_count = range as u16;

        let (all_chunks, odd) = body.as_chunks::<2>();
        let mut left = status_count;
        let mut chunk_count = 0;
        let mut delta_len = 0;
        while left > 0 {
            let chunk = Chunk::parse(*all_chunks.get(chunk_count)?);
            delta_len += chunk.delta_len(left)?;
            left -= chunk.len().min(left);
            chunk_count += 1;
        }
        let (chunks, _) = all_chunks.split_at_checked(chunk_count)?;
        let deltas = body.get(chunk_count * 2..)?.get(..delta_len)?;
        debug_assert!(odd.len() < 2);
        Some(TransportFeedback {
            sender_ssrc,
            media_ssrc,
            base_sequence: SeqNo((range >> 16) as u16),
            status_count,
            reference_time: time >> 8,
            feedback_count: time as u8,
            chunks,
            deltas,
        })
    }

    /// The reference time in microseconds; it wraps after 2²⁴ × 64 ms.
    pub fn reference_micros(&self) -> u64 {
        u64::from(self.reference_time) * REFERENCE_TICKS * TICK_MICROS
    }

    /// What is said of each packet, in order of their numbers.
    pub fn statuses(&self) -> PacketStatuses<'a> {
        PacketStatuses {
            chunks: self.chunks.iter(),
            chunk: Chunk {
                kind: ChunkKind::Run(Symbol::Missing),
                left: 0,
            },
            deltas: self.deltas,
            ticks: 0,
            next: self.base_sequence.0,
            left: self.status_count,
        }
    }
}

/// What feedback says of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketStatus {
    /// Transport-wide number.
    pub sequence_number: SeqNo,
    /// When it arrived, in microseconds after the feedback's reference time (negative: before); `None` if it did not.
    pub arrival: Option<i64>,
}

/// See [`TransportFeedback::statuses`].
#[derive(Clone, Debug)]
pub struct PacketStatuses<'a> {
    chunks: std::slice::Iter<'a, [u8; 2]>,
    chunk: Chunk,
    deltas: &'a [u8],
    ticks: i64,
    next: u16,
    left: u16,
}

impl Iterator for PacketStatuses<'_> {
    type Item = PacketStatus;

    fn next(&mut self) -> Option<PacketStatus> {
        self.left = self.left.checked_sub(1)?;
        if self.chunk.left == 0 {
            self.chunk = Chunk::parse(*self.chunks.next()?);
        }
        let sequence_number = SeqNo(self.next);
        self.next = self.next.wrapping_add(1);
        let delta = match self.chunk.next_symbol() {
            Symbol::Missing | Symbol::Reserved => None,
            Symbol::Small => {
                let (&delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                Some(i64::from(delta))
            }
            Symbol::Large => {
                let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                Some(i64::from(i16::from_be_bytes(*delta)))
            }
        };
        let arrival = delta.map(|delta| {
            // At most 65535 deltas of 16 bits: no overflow.
            self.ticks += delta;
            self.ticks * TICK_MICROS as i64
        });
        Some(PacketStatus {
            sequence_number,
            arrival,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(usize::from(self.left)))
    }
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    kind: ChunkKind,
    /// Symbols not read yet.
    left: u16,
}

#[derive(Clone, Copy, Debug)]
enum ChunkKind {
    Run(Symbol),
    /// The next symbol is the highest of the 14 bits.
    OneBit(u16),
    TwoBit(u16),
}

impl Chunk {
    fn parse(bytes: [u8; 2]) -> Self {
        let bits = u16::from_be_bytes(bytes);
        match bits >> 14 {
            0b10 => Chunk {
                kind: ChunkKind::OneBit(bits),
                left: ONE_BIT_CAPACITY as u16,
            },
            0b11 => Chunk {
                kind: ChunkKind::TwoBit(bits),
                left: TWO_BIT_CAPACITY as u16,
            },
            _ => Chunk {
                kind: ChunkKind::Run(Symbol::from_bits(bits >> 13)),
                left: bits & MAX_RUN,
            },
        }
    }

    fn len(&self) -> u16 {
        self.left
    }

    /// Bytes of delta that the first `count` symbols have; `None` if one of them is reserved.
    fn delta_len(mut self, count: u16) -> Option<usize> {
        if self.left == 0 {
            // A run of nothing would let a packet hold the walk forever without progress.
            return None;
        }
        let size = |symbol| match symbol {
            Symbol::Missing => Some(0),
            Symbol::Small => Some(1),
            Symbol::Large => Some(2),
            Symbol::Reserved => None,
        };
        let count = count.min(self.left);
        match self.kind {
            ChunkKind::Run(symbol) => Some(size(symbol)? * usize::from(count)),
            ChunkKind::OneBit(bits) => {
                // The two bits of the form shifted out, the symbols beyond the count too.
                let symbols = u32::from(bits << 2) >> (16 - count);
                Some(symbols.count_ones() as usize)
            }
            ChunkKind::TwoBit(_) => {
                let mut sum = 0;
                for _ in 0..count {
                    sum += size(self.next_symbol())?;
                }
                Some(sum)
            }
        }
    }

    fn next_symbol(&mut self) -> Symbol {
        self.left = self.left.saturating_sub(1);
        match &mut self.kind {
            ChunkKind::Run(symbol) => *symbol,
            ChunkKind::OneBit(bits) => {
                let symbol = Symbol::from_bits(*bits >> 13 & 1);
                *bits <<= 1;
                symbol
            }
            ChunkKind::TwoBit(bits) => {
                let symbol = Symbol::from_bits(*bits >> 12);
                *bits <<= 2;
                symbol
            }
        }
    }
}

/// Most bytes of chunks and deltas in one feedback packet: with SRTCP, UDP and IPv6 around it the packet stays below
/// 1200 bytes.
const MAX_LIST_LEN: usize = 1100;
/// Most chunks, so that half of the packet is left for deltas.
const MAX_CHUNKS: usize = MAX_LIST_LEN / 4;

/// The feedback packet has no room for the status, or the arrival is too far from the one before, or the number is
/// not above the one before. Write the packet out and begin the next one with this status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transport feedback has no room for the packet")]
pub struct TransportFeedbackFull;

/// Gathers arrivals for one feedback packet. About 1.7 KiB, meant to be kept and [`clear`](Self::clear)ed.
#[derive(Clone, Debug)]
pub struct TransportFeedbackBuilder {
    begun: bool,
    base_sequence: u16,
    status_count: u16,
    reference_time: u64,
    last_ticks: u64,
    chunks: [u16; MAX_CHUNKS],
    chunk_count: usize,
    deltas: [u8; MAX_LIST_LEN],
    delta_len: usize,
    open: OpenChunk,
}

impl Default for TransportFeedbackBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl TransportFeedbackBuilder {
    /// Nothing gathered.
    pub fn new() -> Self {
        TransportFeedbackBuilder {
            begun: false,
            base_sequence: 0,
            status_count: 0,
            reference_time: 0,
            last_ticks: 0,
            chunks: [0; MAX_CHUNKS],
            chunk_count: 0,
            deltas: [0; MAX_LIST_LEN],
            delta_len: 0,
            open: OpenChunk::default(),
        }
    }

    /// Forgets what was gathered.
    pub fn clear(&mut self) {
        self.begun = false;
        self.status_count = 0;
        self.chunk_count = 0;
        self.delta_len = 0;
        self.open = OpenChunk::default();
    }

    /// Nothing gathered.
    pub fn is_empty(&self) -> bool {
        self.status_count == 0
    }

    /// Packets reported so far, those in gaps included.
    pub fn status_count(&self) -> u16 {
        self.status_count
    }

    /// Begins the report with `base`, which may be missing: the numbers from it to the first packet pushed are then
    /// reported missing. The reference time is that of `arrival_micros`. Only for a builder that is empty; without it
    /// the first packet pushed is the base.
    pub fn begin(&mut self, base: SeqNo, arrival_micros: u64) {
        if self.is_empty() {
            self.begun = true;
            self.base_sequence = base.0;
            self.reference_time = arrival_micros / TICK_MICROS / REFERENCE_TICKS;
            self.last_ticks = self.reference_time * REFERENCE_TICKS;
        }
    }

    /// Adds a packet that arrived `arrival_micros` microseconds after an epoch that is the same for all packets of
    /// the transport. Numbers must ascend; those between the last one and this one are reported missing. On an error
    /// nothing has changed.
    pub fn push(
        &mut self,
        sequence_number: SeqNo,
        arrival_micros: u64,
    ) -> Result<(), TransportFeedbackFull> {
        let ticks = arrival_micros / TICK_MICROS;
        let mut missing = 0;
        if self.is_empty() && !self.begun {
            self.begin(sequence_number, arrival_micros);
        } else {
            let expected = self.base_sequence.wrapping_add(self.status_count);
            missing = sequence_number.0.wrapping_sub(expected);
            if missing >= 0x8000 {
                return Err(TransportFeedbackFull);
            }
        }
        let status_count = self
            .status_count
            .checked_add(missing)
            .and_then(|count| count.checked_add(1))
            .ok_or(TransportFeedbackFull)?;
        let delta = ticks.wrapping_sub(self.last_ticks) as i64;
        let delta = i16::try_from(delta).map_err(|_| TransportFeedbackFull)?;

        // The gap can close the open chunk in two steps and add runs; this packet's symbol can close one more. One
        // chunk is kept free for what is open at the end, and a delta takes two bytes at most.
        let new_chunks = 4 + usize::from(missing / MAX_RUN);
        let list_len = (self.chunk_count + new_chunks) * 2 + self.delta_len + 2;
        if self.chunk_count + new_chunks > MAX_CHUNKS || list_len > MAX_LIST_LEN {
            return Err(TransportFeedbackFull);
        }

        while missing > 0 {
            missing -= self.open.push_run(Symbol::Missing, missing, |chunk| {
                append(&mut self.chunks, &mut self.chunk_count, &[chunk]);
            });
        }
        let symbol = match u8::try_from(delta) {
            Ok(delta) => {
                append(&mut self.deltas, &mut self.delta_len, &[delta]);
                Symbol::Small
            }
            Err(_) => {
                append(&mut self.deltas, &mut self.delta_len, &delta.to_be_bytes());
                Symbol::Large
            }
        };
        self.open.push_run(symbol, 1, |chunk| {
            append(&mut self.chunks, &mut self.chunk_count, &[chunk]);
        });
        self.last_ticks = ticks;
        self.status_count = status_count;
        Ok(())
    }

    /// Base number, status count and reference time as in the packet.
    pub(super) fn head(&self) -> (u16, u16, u32) {
        (
            self.base_sequence,
            self.status_count,
            self.reference_time as u32 & 0x00FF_FFFF,
        )
    }

    /// Chunks, the one that is still open last.
    pub(super) fn chunks(&self) -> impl Iterator<Item = u16> + '_ {
        let closed = self.chunks.get(..self.chunk_count).unwrap_or_default();
        closed.iter().copied().chain(self.open.encode())
    }

    pub(super) fn deltas(&self) -> &[u8] {
        self.deltas.get(..self.delta_len).unwrap_or_default()
    }
}

/// Appends to a list with a fixed room. `push` has made sure that the room is there.
fn append<T: Copy>(list: &mut [T], len: &mut usize, items: &[T]) {
    if let Some(slots) = list.get_mut(*len..*len + items.len()) {
        slots.copy_from_slice(items);
        *len += items.len();
    } else {
        debug_assert!(false, "no room, though it was counted");
    }
}

/// Symbols that are not in a chunk yet. Which form the chunk takes is decided when the next symbol fits no more.
#[derive(Clone, Copy, Debug, Default)]
struct OpenChunk {
    /// The first symbols; only the first one counts while `uniform`.
    symbols: [Symbol; ONE_BIT_CAPACITY],
    /// At most the capacity of `symbols`, unless `uniform`: then at most [`MAX_RUN`].
    len: u16,
    /// All symbols are the same.
    uniform: bool,
    has_large: bool,
}

impl OpenChunk {
    /// Takes up to `count` times the symbol, at least one; says how many. Chunks that fill up go to `close`.
    fn push_run(&mut self, symbol: Symbol, count: u16, mut close: impl FnMut(u16)) -> u16 {
        while !self.can_take(symbol) {
            close(self.close());
        }
        let first = self.symbols.first().copied().unwrap_or_default();
        let mut taken = 1;
        if self.len == 0 {
            self.uniform = true;
            self.has_large = false;
        }
        if self.len == 0 || (self.uniform && first == symbol) {
            taken = count.min(MAX_RUN - self.len);
        } else {
            self.uniform = false;
        }
        let from = usize::from(self.len);
        for slot in self.symbols.iter_mut().skip(from).take(usize::from(taken)) {
            *slot = symbol;
        }
        self.has_large |= symbol == Symbol::Large;
        self.len += taken;
        taken
    }

    fn can_take(&self, symbol: Symbol) -> bool {
        let len = usize::from(self.len);
        let same = self.uniform && self.symbols.first() == Some(&symbol);
        let narrow = !self.has_large && symbol != Symbol::Large;
        len < TWO_BIT_CAPACITY || (narrow && len < ONE_BIT_CAPACITY) || (same && self.len < MAX_RUN)
    }

    /// Takes one chunk's worth of symbols out.
    fn close(&mut self) -> u16 {
        let narrow = self.len as usize == ONE_BIT_CAPACITY && !self.has_large;
        if self.uniform || narrow {
            let chunk = self.encode_all();
            *self = OpenChunk::default();
            return chunk;
        }
        let chunk = self.two_bit();
        self.symbols.rotate_left(TWO_BIT_CAPACITY);
        self.len = self.len.saturating_sub(TWO_BIT_CAPACITY as u16);
        let left = self
            .symbols
            .get(..usize::from(self.len))
            .unwrap_or_default();
        self.has_large = left.contains(&Symbol::Large);
        self.uniform = left.iter().all(|symbol| Some(symbol) == left.first());
        chunk
    }

    /// What is open, as a chunk.
    fn encode(&self) -> Option<u16> {
        (self.len > 0).then(|| self.encode_all())
    }

    fn encode_all(&self) -> u16 {
        if self.uniform {
            let symbol = self.symbols.first().copied().unwrap_or_default();
            return (symbol as u16) << 13 | self.len;
        }
        if self.has_large {
            self.two_bit()
        } else {
            self.one_bit()
        }
    }

    fn one_bit(&self) -> u16 {
        let symbols = self.symbols.iter().take(usize::from(self.len));
        symbols
            .zip((0..ONE_BIT_CAPACITY).rev())
            .fold(0x8000, |chunk, (symbol, shift)| {
                chunk | (*symbol as u16) << shift
            })
    }

    fn two_bit(&self) -> u16 {
        let symbols = self
            .symbols
            .iter()
            .take(usize::from(self.len).min(TWO_BIT_CAPACITY));
        symbols
            .zip((0..TWO_BIT_CAPACITY).rev())
            .fold(0xC000, |chunk, (symbol, place)| {
                chunk | (*symbol as u16) << (place * 2)
            })
    }
}
