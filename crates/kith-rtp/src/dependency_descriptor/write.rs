//! Writing descriptors: anew, or copied with other active decode targets.

use super::{
    ChainDiffs, DecodeTargetIndications, DependencyDescriptor, ExtendedFlags, FrameDiffs,
    MANDATORY_LEN, TemplateStructure, mask_of,
};
use crate::WriteError;
use crate::bits::{BitReader, BitWriter};

impl DependencyDescriptor<'_> {
    /// Writes the descriptor again with `active_decode_targets` in place of its own (target 0 in the lowest bit, bits
    /// beyond the last target are ignored), or without any for `None`. Everything else is copied. Returns the length:
    /// at most five bytes more than it was.
    pub fn write_with_active_decode_targets(
        &self,
        active_decode_targets: Option<u32>,
        out: &mut [u8],
    ) -> Result<usize, WriteError> {
        let mandatory = self
            .bytes
            .first_chunk::<MANDATORY_LEN>()
            .ok_or(WriteError::OutOfRange)?;
        let flags = ExtendedFlags {
            active_decode_targets: active_decode_targets.is_some(),
            ..self.flags
        };
        let mut bits = BitWriter::new(out);
        for byte in mandatory {
            bits.put(u32::from(*byte), 8)?;
        }
        let Some(flag_bits) = flags.to_bits() else {
            return Ok(bits.len());
        };
        bits.put(flag_bits, 5)?;
        if flags.structure {
            let start = MANDATORY_LEN * 8 + 5;
            let mut source = BitReader::at(self.bytes, start);
            bits.copy(&mut source, usize::from(self.structure_end) - start)?;
        }
        if let Some(mask) = active_decode_targets {
            let targets = self.indications.len();
            bits.put(mask & mask_of(targets), targets as u32)?;
        }
        let mut source = BitReader::at(self.bytes, usize::from(self.definition_start));
        let definition_len = self.definition_end - self.definition_start;
        bits.copy(&mut source, usize::from(definition_len))?;
        Ok(bits.len())
    }
}

impl ExtendedFlags {
    pub(super) fn from_bits(bits: u32) -> Self {
        ExtendedFlags {
            structure: bits & 0x10 != 0,
            active_decode_targets: bits & 0x08 != 0,
            custom_indications: bits & 0x04 != 0,
            custom_frame_diffs: bits & 0x02 != 0,
            custom_chains: bits & 0x01 != 0,
        }
    }

    /// The five bits; `None` if none is set, so that the mandatory fields suffice.
    fn to_bits(self) -> Option<u32> {
        let bits = u32::from(self.structure) << 4
            | u32::from(self.active_decode_targets) << 3
            | u32::from(self.custom_indications) << 2
            | u32::from(self.custom_frame_diffs) << 1
            | u32::from(self.custom_chains);
        (bits != 0).then_some(bits)
    }
}

/// Overwrites the frame number of the descriptor in `bytes`; shorter bytes stay as they are.
#[inline]
pub fn set_frame_number(bytes: &mut [u8], frame_number: u16) {
    if let Some(mandatory) = bytes.first_chunk_mut::<MANDATORY_LEN>() {
        [mandatory[1], mandatory[2]] = frame_number.to_be_bytes();
    }
}

/// A descriptor to be written anew.
#[derive(Clone, Copy, Debug)]
pub struct DescriptorFields<'s> {
    /// The packet is the first of its frame.
    pub start_of_frame: bool,
    /// The packet is the last of its frame.
    pub end_of_frame: bool,
    /// Template id, 0 to 63.
    pub template_id: u8,
    /// Number of the frame.
    pub frame_number: u16,
    /// The structure that the packet attaches.
    pub structure: Option<&'s TemplateStructure>,
    /// Mask of the active decode targets and how many targets there are.
    pub active_decode_targets: Option<(u32, usize)>,
    /// Indications other than the template's.
    pub indications: Option<DecodeTargetIndications>,
    /// References other than the template's.
    pub frame_diffs: Option<FrameDiffs>,
    /// Chains other than the template's.
    pub chain_diffs: Option<ChainDiffs>,
}

impl DescriptorFields<'_> {
    /// Writes the descriptor to the front of `out` and returns its length.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let mut bits = BitWriter::new(out);
        bits.put(u32::from(self.start_of_frame), 1)?;
        bits.put(u32::from(self.end_of_frame), 1)?;
        bits.put(u32::from(self.template_id), 6)?;
        bits.put(u32::from(self.frame_number), 16)?;
        let flags = ExtendedFlags {
            structure: self.structure.is_some(),
            active_decode_targets: self.active_decode_targets.is_some(),
            custom_indications: self.indications.is_some(),
            custom_frame_diffs: self.frame_diffs.is_some(),
            custom_chains: self.chain_diffs.is_some(),
        };
        let Some(flag_bits) = flags.to_bits() else {
            return Ok(bits.len());
        };
        bits.put(flag_bits, 5)?;
        if let Some(structure) = self.structure {
            structure.write(&mut bits)?;
        }
        if let Some((mask, targets)) = self.active_decode_targets {
            if !(1..=32).contains(&targets) {
                return Err(WriteError::OutOfRange);
            }
            bits.put(mask & mask_of(targets), targets as u32)?;
        }
        if let Some(indications) = self.indications {
            indications.write(&mut bits)?;
        }
        if let Some(frame_diffs) = self.frame_diffs {
            frame_diffs.write_custom(&mut bits)?;
        }
        if let Some(chain_diffs) = self.chain_diffs {
            chain_diffs.write(&mut bits, 8)?;
        }
        Ok(bits.len())
    }
}
