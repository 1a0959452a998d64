//! The template structure: what descriptors refer to.

use super::{
    ChainDiffs, DecodeTargetIndication, DecodeTargetIndications, DependencyDescriptorError,
    FrameDiffs, MAX_CHAINS, MAX_DECODE_TARGETS, MAX_SPATIAL_LAYERS, MAX_TEMPLATES,
    MAX_TEMPORAL_LAYERS,
};
use crate::bits::{BitReader, BitWriter};
use crate::{LayerId, Resolution, WriteError};

/// What many frames have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Layer of the frame.
    pub layer: LayerId,
    /// Relation to each decode target.
    pub indications: DecodeTargetIndications,
    /// Distances to the frames referred to, 1 to 16.
    pub frame_diffs: FrameDiffs,
    /// Distance to the previous frame of each chain, 0 to 15.
    pub chain_diffs: ChainDiffs,
}

/// The templates of a coded video sequence. About 5 KiB: to be kept behind a box, once for each stream.
#[derive(Clone, PartialEq, Eq)]
pub struct TemplateStructure {
    template_id_offset: u8,
    templates: [Template; MAX_TEMPLATES],
    template_count: u8,
    decode_target_count: u8,
    chain_count: u8,
    protected_by: [u8; MAX_DECODE_TARGETS],
    decode_target_layers: [LayerId; MAX_DECODE_TARGETS],
    resolutions: Option<[Resolution; MAX_SPATIAL_LAYERS]>,
}

/// Fills the places of layers that do not exist.
const NO_RESOLUTION: Resolution = Resolution {
    width: 1,
    height: 1,
};

impl TemplateStructure {
    /// A structure for writing.
    ///
    /// - `template_id_offset`: id of the first template, 0 to 63.
    /// - `templates`: 1 to 64, in the order that the format can say: each one in the same layer as the one before, one
    ///   temporal layer up, or at temporal layer 0 one spatial layer up. All have the same count of indications
    ///   (1 to 32) and the same count of chains.
    /// - `protected_by`: the chain of each decode target; empty if there are no chains.
    /// - `resolutions`: of each spatial layer, 1 to 65536 each way; empty if not told.
    pub fn new(
        template_id_offset: u8,
        templates: &[Template],
        protected_by: &[u8],
        resolutions: &[Resolution],
    ) -> Result<Self, WriteError> {
        let first = templates.first().ok_or(WriteError::OutOfRange)?;
        let decode_target_count = first.indications.len();
        let chain_count = first.chain_diffs.as_slice().len();
        let spatial_layers = templates
            .last()
            .map_or(0, |last| usize::from(last.layer.spatial) + 1);
        let protection_len = if chain_count == 0 {
            0
        } else {
            decode_target_count
        };
        let uniform = templates.iter().all(|template| {
            template.indications.len() == decode_target_count
                && template.chain_diffs.as_slice().len() == chain_count
                && usize::from(template.layer.temporal) < MAX_TEMPORAL_LAYERS
        });
        let in_range = template_id_offset < 64
            && uniform
            && (1..=MAX_DECODE_TARGETS).contains(&decode_target_count)
            && chain_count <= decode_target_count
            && spatial_layers <= MAX_SPATIAL_LAYERS
            && first.layer == LayerId::default()
            && templates
                .is_sorted_by(|before, after| layer_step(before.layer, after.layer).is_some())
            && protected_by.len() == protection_len
            && protected_by
                .iter()
                .all(|chain| usize::from(*chain) < chain_count)
            && (resolutions.is_empty() || resolutions.len() == spatial_layers)
            && resolutions.iter().all(|size| {
                (1..=65536).contains(&size.width) && (1..=65536).contains(&size.height)
            });
        if !in_range {
            return Err(WriteError::OutOfRange);
        }
        let mut structure = TemplateStructure {
            template_id_offset,
            templates: [Template::default(); MAX_TEMPLATES],
            template_count: templates.len() as u8,
            decode_target_count: decode_target_count as u8,
            chain_count: chain_count as u8,
            protected_by: [0; MAX_DECODE_TARGETS],
            decode_target_layers: [LayerId::default(); MAX_DECODE_TARGETS],
            resolutions: (!resolutions.is_empty()).then_some([NO_RESOLUTION; MAX_SPATIAL_LAYERS]),
        };
        structure
            .templates
            .get_mut(..templates.len())
            .ok_or(WriteError::OutOfRange)?
            .copy_from_slice(templates);
        for (slot, chain) in structure.protected_by.iter_mut().zip(protected_by) {
            *slot = *chain;
        }
        for (slot, size) in structure.resolutions.iter_mut().flatten().zip(resolutions) {
            *slot = *size;
        }
        structure.derive_decode_target_layers();
        Ok(structure)
    }

    /// Id of the first template, 0 to 63; ids wrap after 63.
    pub fn template_id_offset(&self) -> u8 {
        self.template_id_offset
    }

    /// The templates, in order of their ids.
    #[inline]
    pub fn templates(&self) -> &[Template] {
        self.templates
            .get(..usize::from(self.template_count))
            .unwrap_or_default()
    }

    /// The template that a descriptor names by `id`.
    #[inline]
    pub fn template(&self, id: u8) -> Option<&Template> {
        let index = id.wrapping_sub(self.template_id_offset) & 0x3F;
        self.templates().get(usize::from(index))
    }

    /// How many decode targets there are, 1 to 32.
    #[inline]
    pub fn decode_target_count(&self) -> usize {
        usize::from(self.decode_target_count)
    }

    /// How many chains there are, 0 to 32.
    #[inline]
    pub fn chain_count(&self) -> usize {
        usize::from(self.chain_count)
    }

    /// The chain that protects decode target `target`; `None` without chains or without such a target.
    pub fn protecting_chain(&self, target: usize) -> Option<u8> {
        if self.chain_count == 0 || target >= self.decode_target_count() {
            return None;
        }
        self.protected_by.get(target).copied()
    }

    /// The highest layer of each decode target, target 0 first.
    pub fn decode_target_layers(&self) -> &[LayerId] {
        self.decode_target_layers
            .get(..self.decode_target_count())
            .unwrap_or_default()
    }

    /// The decode targets whose layers are at or below `layer` both ways, one bit each, target 0 lowest.
    pub fn decode_targets_up_to(&self, layer: LayerId) -> u32 {
        let fits =
            |target: &LayerId| target.spatial <= layer.spatial && target.temporal <= layer.temporal;
        self.decode_target_layers()
            .iter()
            .rev()
            .fold(0, |mask, target| mask << 1 | u32::from(fits(target)))
    }

    /// How many spatial layers there are, 1 to 4.
    pub fn spatial_layer_count(&self) -> usize {
        self.templates()
            .last()
            .map_or(0, |last| usize::from(last.layer.spatial) + 1)
    }

    /// Largest render size of a spatial layer, if told.
    #[inline]
    pub fn resolution(&self, spatial: u8) -> Option<Resolution> {
        if usize::from(spatial) >= self.spatial_layer_count() {
            return None;
        }
        self.resolutions
            .as_ref()?
            .get(usize::from(spatial))
            .copied()
    }

    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Self, DependencyDescriptorError> {
        let truncated = DependencyDescriptorError::Truncated;
        let template_id_offset = bits.bits(6).ok_or(truncated)? as u8;
        let decode_target_count = bits.bits(5).ok_or(truncated)? as u8 + 1;
        let mut structure = TemplateStructure {
            template_id_offset,
            templates: [Template::default(); MAX_TEMPLATES],
            template_count: 0,
            decode_target_count,
            chain_count: 0,
            protected_by: [0; MAX_DECODE_TARGETS],
            decode_target_layers: [LayerId::default(); MAX_DECODE_TARGETS],
            resolutions: None,
        };
        structure.read_layers(bits)?;
        let targets = structure.decode_target_count();
        for template in structure.templates_mut() {
            template.indications = DecodeTargetIndications::read(bits, targets).ok_or(truncated)?;
        }
        for template in structure.templates_mut() {
            template.frame_diffs = FrameDiffs::read_template(bits)?;
        }
        structure.read_chains(bits).ok_or(truncated)?;
        structure.derive_decode_target_layers();
        if bits.flag().ok_or(truncated)? {
            let mut resolutions = [NO_RESOLUTION; MAX_SPATIAL_LAYERS];
            for slot in resolutions.iter_mut().take(structure.spatial_layer_count()) {
                slot.width = bits.bits(16).ok_or(truncated)? + 1;
                slot.height = bits.bits(16).ok_or(truncated)? + 1;
            }
            structure.resolutions = Some(resolutions);
        }
        Ok(structure)
    }

    fn read_layers(&mut self, bits: &mut BitReader<'_>) -> Result<(), DependencyDescriptorError> {
        let mut layer = LayerId::default();
        loop {
            let slot = self
                .templates
                .get_mut(usize::from(self.template_count))
                .ok_or(DependencyDescriptorError::Limit("64 templates"))?;
            slot.layer = layer;
            self.template_count += 1;
            match bits.bits(2).ok_or(DependencyDescriptorError::Truncated)? {
                0 => {}
                1 => layer.temporal += 1,
                2 => {
                    layer.temporal = 0;
                    layer.spatial += 1;
                }
                _ => return Ok(()),
            }
            if usize::from(layer.temporal) >= MAX_TEMPORAL_LAYERS {
                return Err(DependencyDescriptorError::Limit("8 temporal layers"));
            }
            if usize::from(layer.spatial) >= MAX_SPATIAL_LAYERS {
                return Err(DependencyDescriptorError::Limit("4 spatial layers"));
            }
        }
    }

    fn read_chains(&mut self, bits: &mut BitReader<'_>) -> Option<()> {
        let chain_count = bits.non_symmetric(u32::from(self.decode_target_count) + 1)?;
        debug_assert!(chain_count as usize <= MAX_CHAINS);
        if chain_count == 0 {
            return Some(());
        }
        self.chain_count = chain_count as u8;
        let targets = self.decode_target_count();
        for slot in self.protected_by.get_mut(..targets)? {
            *slot = bits.non_symmetric(chain_count)? as u8;
        }
        for template in self.templates_mut() {
            template.chain_diffs = ChainDiffs::read(bits, chain_count as usize, 4)?;
        }
        Some(())
    }

    pub(super) fn write(&self, bits: &mut BitWriter<'_>) -> Result<(), WriteError> {
        bits.put(u32::from(self.template_id_offset), 6)?;
        bits.put(u32::from(self.decode_target_count).wrapping_sub(1), 5)?;
        for (before, after) in self.templates().iter().zip(self.templates().iter().skip(1)) {
            let step = layer_step(before.layer, after.layer).ok_or(WriteError::OutOfRange)?;
            bits.put(step, 2)?;
        }
        bits.put(3, 2)?;
        for template in self.templates() {
            template.indications.write(bits)?;
        }
        for template in self.templates() {
            template.frame_diffs.write_template(bits)?;
        }
        let chain_count = u32::from(self.chain_count);
        bits.put_non_symmetric(chain_count, u32::from(self.decode_target_count) + 1)?;
        if chain_count > 0 {
            for chain in self.protected_by.iter().take(self.decode_target_count()) {
                bits.put_non_symmetric(u32::from(*chain), chain_count)?;
            }
            for template in self.templates() {
                template.chain_diffs.write(bits, 4)?;
            }
        }
        bits.put(u32::from(self.resolutions.is_some()), 1)?;
        for size in self
            .resolutions
            .iter()
            .flatten()
            .take(self.spatial_layer_count())
        {
            bits.put(size.width.wrapping_sub(1), 16)?;
            bits.put(size.height.wrapping_sub(1), 16)?;
        }
        Ok(())
    }

    fn templates_mut(&mut self) -> &mut [Template] {
        self.templates
            .get_mut(..usize::from(self.template_count))
            .unwrap_or_default()
    }

    fn derive_decode_target_layers(&mut self) {
        for (target, slot) in self.decode_target_layers.iter_mut().enumerate() {
            let templates = self
                .templates
                .iter()
                .take(usize::from(self.template_count))
                .filter(|template| {
                    template.indications.get(target) != DecodeTargetIndication::NotPresent
                });
            *slot = templates.fold(LayerId::default(), |highest, template| LayerId {
                spatial: highest.spatial.max(template.layer.spatial),
                temporal: highest.temporal.max(template.layer.temporal),
            });
        }
    }
}

impl std::fmt::Debug for TemplateStructure {
    /// Shows the places in use only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let protected_by = self.protected_by.get(..self.decode_target_count());
        f.debug_struct("TemplateStructure")
            .field("template_id_offset", &self.template_id_offset)
            .field("templates", &self.templates())
            .field("decode_target_layers", &self.decode_target_layers())
            .field("chain_count", &self.chain_count)
            .field("protected_by", &protected_by.unwrap_or_default())
            .field("resolutions", &self.resolutions)
            .finish()
    }
}

/// `next_layer_idc`: how the format says the step from one template's layer to the next.
fn layer_step(before: LayerId, after: LayerId) -> Option<u32> {
    if after == before {
        Some(0)
    } else if after.spatial == before.spatial && after.temporal == before.temporal + 1 {
        Some(1)
    } else if after.spatial == before.spatial + 1 && after.temporal == 0 {
        Some(2)
    } else {
        None
    }
}
