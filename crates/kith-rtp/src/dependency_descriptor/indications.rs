//! The lists that templates and descriptors have in common.

use super::{DependencyDescriptorError, MAX_CHAINS, MAX_DECODE_TARGETS, MAX_FRAME_DIFFS};
use crate::WriteError;
use crate::bits::{BitReader, BitWriter};

/// Relation of a frame to a decode target (table A.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DecodeTargetIndication {
    /// The frame is no part of the target.
    #[default]
    NotPresent,
    /// No other frame of the target refers to it.
    Discardable,
    /// All later frames of the target can be decoded if this one can.
    Switch,
    /// Part of the target, nothing more.
    Required,
}

impl DecodeTargetIndication {
    fn from_bits(bits: u32) -> Self {
        match bits & 3 {
            0 => DecodeTargetIndication::NotPresent,
            1 => DecodeTargetIndication::Discardable,
            2 => DecodeTargetIndication::Switch,
            _ => DecodeTargetIndication::Required,
        }
    }
}

/// One indication for each decode target, at most [`MAX_DECODE_TARGETS`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct DecodeTargetIndications {
    /// Two bits each as they come in the descriptor: the last target lowest.
    packed: u64,
    len: u8,
}

impl DecodeTargetIndications {
    /// How many decode targets there are.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// True only for a list made by hand: a structure has at least one decode target.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The indication for `target`; not present for targets that do not exist.
    #[inline]
    pub fn get(&self, target: usize) -> DecodeTargetIndication {
        if target >= self.len() {
            return DecodeTargetIndication::NotPresent;
        }
        let shift = (self.len() - 1 - target) * 2;
        DecodeTargetIndication::from_bits((self.packed >> shift) as u32)
    }

    /// All of them, target 0 first.
    pub fn iter(&self) -> impl Iterator<Item = DecodeTargetIndication> + use<> {
        let indications = *self;
        (0..self.len()).map(move |target| indications.get(target))
    }

    pub(super) fn read(bits: &mut BitReader<'_>, count: usize) -> Option<Self> {
        if count > MAX_DECODE_TARGETS {
            return None;
        }
        // At most 64 bits, in two reads.
        let first = count.min(16);
        let high = u64::from(bits.bits(first as u32 * 2)?);
        let rest = (count - first) as u32 * 2;
        let low = u64::from(bits.bits(rest)?);
        Some(DecodeTargetIndications {
            packed: high << rest | low,
            len: count as u8,
        })
    }

    pub(super) fn write(&self, bits: &mut BitWriter<'_>) -> Result<(), WriteError> {
        self.iter()
            .try_for_each(|indication| bits.put(indication as u32, 2))
    }

    fn push(&mut self, indication: DecodeTargetIndication) -> Result<(), WriteError> {
        if self.len() >= MAX_DECODE_TARGETS {
            return Err(WriteError::OutOfRange);
        }
        self.packed = self.packed << 2 | indication as u64;
        self.len += 1;
        Ok(())
    }

    /// A list for writing; more than [`MAX_DECODE_TARGETS`] are refused.
    pub fn from_slice(indications: &[DecodeTargetIndication]) -> Result<Self, WriteError> {
        let mut list = DecodeTargetIndications::default();
        indications
            .iter()
            .try_for_each(|indication| list.push(*indication))?;
        Ok(list)
    }
}

impl std::fmt::Debug for DecodeTargetIndications {
    /// Writes the symbols of table A.1, such as `SSR-`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.iter().try_for_each(|indication| {
            f.write_str(match indication {
                DecodeTargetIndication::NotPresent => "-",
                DecodeTargetIndication::Discardable => "D",
                DecodeTargetIndication::Switch => "S",
                DecodeTargetIndication::Required => "R",
            })
        })
    }
}

/// Distances to the frames that a frame refers to, at most [`MAX_FRAME_DIFFS`], each 1 to 4096.
#[derive(Clone, Copy, Default)]
pub struct FrameDiffs {
    diffs: [u16; MAX_FRAME_DIFFS],
    len: u8,
}

impl FrameDiffs {
    /// A list for writing. Refused are more than [`MAX_FRAME_DIFFS`] and distances that are not 1 to 4096.
    pub fn from_slice(diffs: &[u16]) -> Result<Self, WriteError> {
        let mut list = FrameDiffs::default();
        for diff in diffs {
            if !(1..=4096).contains(diff) {
                return Err(WriteError::OutOfRange);
            }
            list.push(*diff).map_err(|_| WriteError::OutOfRange)?;
        }
        Ok(list)
    }

    /// The distances.
    #[inline]
    pub fn as_slice(&self) -> &[u16] {
        self.diffs.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn push(&mut self, diff: u16) -> Result<(), DependencyDescriptorError> {
        let slot = self
            .diffs
            .get_mut(usize::from(self.len))
            .ok_or(DependencyDescriptorError::Limit("16 frame diffs"))?;
        *slot = diff;
        self.len += 1;
        Ok(())
    }

    /// The form that templates have: four bits each, a flag before each.
    pub(super) fn read_template(
        bits: &mut BitReader<'_>,
    ) -> Result<Self, DependencyDescriptorError> {
        let truncated = DependencyDescriptorError::Truncated;
        let mut list = FrameDiffs::default();
        while bits.flag().ok_or(truncated)? {
            list.push(bits.bits(4).ok_or(truncated)? as u16 + 1)?;
        }
        Ok(list)
    }

    pub(super) fn write_template(&self, bits: &mut BitWriter<'_>) -> Result<(), WriteError> {
        for diff in self.as_slice() {
            if *diff > 16 {
                return Err(WriteError::OutOfRange);
            }
            bits.put(0x10 | u32::from(*diff - 1), 5)?;
        }
        bits.put(0, 1)
    }

    /// The form that frames have: 4, 8 or 12 bits each, their size before each.
    pub(super) fn read_custom(bits: &mut BitReader<'_>) -> Result<Self, DependencyDescriptorError> {
        let truncated = DependencyDescriptorError::Truncated;
        let mut list = FrameDiffs::default();
        loop {
            let size = bits.bits(2).ok_or(truncated)?;
            if size == 0 {
                return Ok(list);
            }
            list.push(bits.bits(size * 4).ok_or(truncated)? as u16 + 1)?;
        }
    }

    pub(super) fn write_custom(&self, bits: &mut BitWriter<'_>) -> Result<(), WriteError> {
        for diff in self.as_slice() {
            let value = u32::from(*diff - 1);
            let size = (u32::BITS - value.leading_zeros()).div_ceil(4).max(1);
            bits.put(size, 2)?;
            bits.put(value, size * 4)?;
        }
        bits.put(0, 2)
    }
}

impl PartialEq for FrameDiffs {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for FrameDiffs {}

impl std::fmt::Debug for FrameDiffs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// Distance to the previous frame of each chain, at most [`MAX_CHAINS`], each 0 to 255.
#[derive(Clone, Copy, Default)]
pub struct ChainDiffs {
    diffs: [u8; MAX_CHAINS],
    len: u8,
}

impl ChainDiffs {
    /// A list for writing; more than [`MAX_CHAINS`] are refused.
    pub fn from_slice(diffs: &[u8]) -> Result<Self, WriteError> {
        let mut list = ChainDiffs::default();
        let slots = list
            .diffs
            .get_mut(..diffs.len())
            .ok_or(WriteError::OutOfRange)?;
        slots.copy_from_slice(diffs);
        list.len = diffs.len() as u8;
        Ok(list)
    }

    /// The distances, chain 0 first.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.diffs.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Templates have 4 bits for each, frames 8.
    pub(super) fn read(bits: &mut BitReader<'_>, count: usize, width: u32) -> Option<Self> {
        let mut list = ChainDiffs::default();
        for slot in list.diffs.get_mut(..count)? {
            *slot = bits.bits(width)? as u8;
        }
        list.len = count as u8;
        Some(list)
    }

    pub(super) fn write(&self, bits: &mut BitWriter<'_>, width: u32) -> Result<(), WriteError> {
        for diff in self.as_slice() {
            if u32::from(*diff) >> width != 0 {
                return Err(WriteError::OutOfRange);
            }
            bits.put(u32::from(*diff), width)?;
        }
        Ok(())
    }
}

impl PartialEq for ChainDiffs {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for ChainDiffs {}

impl std::fmt::Debug for ChainDiffs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(f)
    }
}
