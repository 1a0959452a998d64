//! Dependency descriptor header extension (AV1 RTP payload specification, appendix A). Chromium sends it with AV1, and
//! with VP8 and VP9 too when it is negotiated.
//!
//! A descriptor refers to templates that an earlier packet attached, so reading one needs that packet's
//! [`TemplateStructure`]; the receiver keeps the last one of each stream. When [`DependencyDescriptor::structure`] is
//! there, it replaces the one kept.

mod indications;
mod structure;
mod write;

pub use indications::{ChainDiffs, DecodeTargetIndication, DecodeTargetIndications, FrameDiffs};
pub use structure::{Template, TemplateStructure};
pub use write::{DescriptorFields, set_frame_number};

use crate::bits::BitReader;
use crate::{LayerId, Resolution};

/// Longest descriptor in bytes: what an extension element can hold (RFC 8285 section 4.3).
pub const MAX_DESCRIPTOR_LEN: usize = 255;
/// Most decode targets: the count has five bits.
pub const MAX_DECODE_TARGETS: usize = 32;
/// Most chains: at most one for each decode target.
pub const MAX_CHAINS: usize = MAX_DECODE_TARGETS;
/// Most templates: their id has six bits.
pub const MAX_TEMPLATES: usize = 64;
/// Most spatial layers: AV1 has two bits for them.
pub const MAX_SPATIAL_LAYERS: usize = 4;
/// Most temporal layers: AV1 has three bits for them.
pub const MAX_TEMPORAL_LAYERS: usize = 8;
/// Most frames that one frame refers to. AV1 has 7 references, H.264 has 16, VP8 and VP9 have 3.
pub const MAX_FRAME_DIFFS: usize = 16;

/// Length of what every descriptor has: start, end, template, frame number.
const MANDATORY_LEN: usize = 3;

/// Why bytes are no dependency descriptor, or none that can be understood now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DependencyDescriptorError {
    /// Fewer bits than the flags and the structure announce.
    #[error("dependency descriptor is truncated")]
    Truncated,
    /// More than [`MAX_DESCRIPTOR_LEN`] bytes.
    #[error("dependency descriptor is longer than 255 bytes")]
    TooLong,
    /// It refers to templates, but none were attached yet.
    #[error("no template structure is known yet")]
    NoStructure,
    /// It names a template that the structure does not have: a new structure was lost or is late.
    #[error("template {0} is not in the structure")]
    UnknownTemplate(u8),
    /// More than [`MAX_TEMPLATES`], [`MAX_SPATIAL_LAYERS`], [`MAX_TEMPORAL_LAYERS`] or [`MAX_FRAME_DIFFS`].
    #[error("dependency descriptor exceeds the limit of {0}")]
    Limit(&'static str),
}

/// What one packet says about its frame.
#[derive(Clone, Copy, Debug)]
pub struct DependencyDescriptor<'a> {
    /// The packet is the first of its frame.
    pub start_of_frame: bool,
    /// The packet is the last of its frame.
    pub end_of_frame: bool,
    /// Template id, 0 to 63.
    pub template_id: u8,
    /// Number of the frame, wraps.
    pub frame_number: u16,
    /// Spatial and temporal layer of the frame.
    pub layer: LayerId,
    /// The structure that this packet attaches: a new coded video sequence begins.
    pub structure: Option<AttachedStructure<'a>>,
    /// Which decode targets are available from here on, one bit each, target 0 lowest; `None` when the packet does not
    /// say it. See [`active_decode_targets_update`](Self::active_decode_targets_update).
    pub active_decode_targets: Option<u32>,
    /// Relation of the frame to each decode target.
    pub indications: DecodeTargetIndications,
    /// Distances to the frames referred to, in frame numbers, 1 to 4096.
    pub frame_diffs: FrameDiffs,
    /// Distance to the previous frame of each chain, in frame numbers; 0 begins the chain anew.
    pub chain_diffs: ChainDiffs,
    /// Largest render size of the frame's spatial layer, if the structure says it.
    pub resolution: Option<Resolution>,
    bytes: &'a [u8],
    flags: ExtendedFlags,
    /// Bit position after the structure, or after the flags.
    structure_end: u16,
    /// Bit position of the frame's own definition, after the active decode targets.
    definition_start: u16,
    /// Bit position after the definition.
    definition_end: u16,
}

/// The five flags of a descriptor longer than the mandatory fields.
#[derive(Clone, Copy, Debug, Default)]
struct ExtendedFlags {
    structure: bool,
    active_decode_targets: bool,
    custom_indications: bool,
    custom_frame_diffs: bool,
    custom_chains: bool,
}

impl<'a> DependencyDescriptor<'a> {
    /// Reads the extension element `bytes`. `known` is the structure that the stream attached last.
    #[inline]
    pub fn parse(
        bytes: &'a [u8],
        known: Option<&TemplateStructure>,
    ) -> Result<Self, DependencyDescriptorError> {
        if bytes.len() > MAX_DESCRIPTOR_LEN {
            return Err(DependencyDescriptorError::TooLong);
        }
        let (mandatory, extended) = bytes
            .split_first_chunk::<MANDATORY_LEN>()
            .ok_or(DependencyDescriptorError::Truncated)?;
        if extended.is_empty() {
            let structure = known.ok_or(DependencyDescriptorError::NoStructure)?;
            return Self::from_template(bytes, mandatory, structure);
        }
        Self::parse_extended(bytes, mandatory, known)
    }

    /// The decode targets that are available from this packet on, if it changes them: said explicitly, or all of them
    /// when a structure is attached (section A.4).
    pub fn active_decode_targets_update(&self) -> Option<u32> {
        self.active_decode_targets
            .or_else(|| self.structure.map(|_| mask_of(self.indications.len())))
    }

    /// The element's bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    fn from_template(
        bytes: &'a [u8],
        mandatory: &[u8; MANDATORY_LEN],
        structure: &TemplateStructure,
    ) -> Result<Self, DependencyDescriptorError> {
        let template_id = mandatory[0] & 0x3F;
        let template = structure
            .template(template_id)
            .ok_or(DependencyDescriptorError::UnknownTemplate(template_id))?;
        let end = (MANDATORY_LEN * 8) as u16;
        Ok(DependencyDescriptor {
            start_of_frame: mandatory[0] & 0x80 != 0,
            end_of_frame: mandatory[0] & 0x40 != 0,
            template_id,
            frame_number: u16::from_be_bytes([mandatory[1], mandatory[2]]),
            layer: template.layer,
            structure: None,
            active_decode_targets: None,
            indications: template.indications,
            frame_diffs: template.frame_diffs,
            chain_diffs: template.chain_diffs,
            resolution: structure.resolution(template.layer.spatial),
            bytes,
            flags: ExtendedFlags::default(),
            structure_end: end,
            definition_start: end,
            definition_end: end,
        })
    }

    fn parse_extended(
        bytes: &'a [u8],
        mandatory: &[u8; MANDATORY_LEN],
        known: Option<&TemplateStructure>,
    ) -> Result<Self, DependencyDescriptorError> {
        let truncated = DependencyDescriptorError::Truncated;
        let mut bits = BitReader::at(bytes, MANDATORY_LEN * 8);
        let flags = ExtendedFlags::from_bits(bits.bits(5).ok_or(truncated)?);
        let attached;
        let structure = if flags.structure {
            attached = TemplateStructure::read(&mut bits)?;
            &attached
        } else {
            known.ok_or(DependencyDescriptorError::NoStructure)?
        };
        let structure_end = bits.position();
        let mut active_decode_targets = None;
        if flags.active_decode_targets {
            let count = structure.decode_target_count() as u32;
            active_decode_targets = Some(bits.bits(count).ok_or(truncated)?);
        }
        let definition_start = bits.position();

        let mut descriptor = Self::from_template(bytes, mandatory, structure)?;
        if flags.custom_indications {
            descriptor.indications =
                DecodeTargetIndications::read(&mut bits, structure.decode_target_count())
                    .ok_or(truncated)?;
        }
        if flags.custom_frame_diffs {
            descriptor.frame_diffs = FrameDiffs::read_custom(&mut bits)?;
        }
        if flags.custom_chains {
            descriptor.chain_diffs =
                ChainDiffs::read(&mut bits, structure.chain_count(), 8).ok_or(truncated)?;
        }
        descriptor.flags = flags;
        descriptor.active_decode_targets = active_decode_targets;
        descriptor.structure = flags.structure.then_some(AttachedStructure { bytes });
        // The element has at most MAX_DESCRIPTOR_LEN * 8 bits.
        descriptor.structure_end = structure_end as u16;
        descriptor.definition_start = definition_start as u16;
        descriptor.definition_end = bits.position() as u16;
        Ok(descriptor)
    }
}

/// A template structure that a descriptor attaches, still in its bytes: it is large, and most readers only want to know
/// that it is there.
#[derive(Clone, Copy, Debug)]
pub struct AttachedStructure<'a> {
    bytes: &'a [u8],
}

impl AttachedStructure<'_> {
    /// Reads the structure, to be kept for the packets that follow.
    pub fn read(&self) -> Result<TemplateStructure, DependencyDescriptorError> {
        // Five flags lie between the mandatory fields and the structure.
        let mut bits = BitReader::at(self.bytes, MANDATORY_LEN * 8 + 5);
        TemplateStructure::read(&mut bits)
    }
}

/// The lowest `count` bits.
pub(crate) fn mask_of(count: usize) -> u32 {
    match count {
        0..=31 => (1 << count) - 1,
        _ => u32::MAX,
    }
}
