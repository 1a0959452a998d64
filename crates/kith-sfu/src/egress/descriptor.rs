//! Reading a payload once, when a packet is stored, so that no subscriber has to.

use kith_rtp::av1::Av1Descriptor;
use kith_rtp::dependency_descriptor::{
    DecodeTargetIndication, DecodeTargetIndications, DependencyDescriptor, MAX_DESCRIPTOR_LEN,
    TemplateStructure, set_frame_number,
};
use kith_rtp::h264::H264Descriptor;
use kith_rtp::h265::{self, H265Descriptor};
use kith_rtp::red::Red;
use kith_rtp::vp8::{PictureId, Vp8Descriptor};
use kith_rtp::vp9::Vp9Descriptor;
use kith_rtp::{Codec, LayerId};

use super::hub::Layer;
use super::stored::{Flags, StoredPacket};

/// Chains that are looked at. There is one for each spatial layer in all structures in use; targets protected by others
/// are switched to at key frames only.
const MAX_CHAINS: usize = 8;

/// What a dependency descriptor says about a packet's frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dependencies {
    pub(super) frame_number: u16,
    /// Version of the structure it refers to; 0 if that was not there and nothing else is known but the frame number.
    structure: u16,
    /// The decode targets that the publisher sends.
    pub(super) active: u32,
    pub(super) indications: DecodeTargetIndications,
    /// The frames it refers to: bit n is the frame n before it.
    pub(super) references: u128,
    chain_diffs: [u8; MAX_CHAINS],
    chain_count: u8,
    /// The packet carries the structure.
    pub(super) attaches_structure: bool,
}

impl Dependencies {
    /// Whether it refers to this structure.
    #[inline]
    pub(super) fn is_of(&self, structure: &Structure) -> bool {
        self.structure == structure.version
    }

    /// Whether the frame is part of a decode target.
    #[inline]
    pub(super) fn is_in(&self, target: usize) -> bool {
        self.indications.get(target) != DecodeTargetIndication::NotPresent
    }

    /// Distance to the previous frame of each chain, 0 if it begins here. At most eight.
    pub(super) fn chain_diffs(&self) -> &[u8] {
        let count = usize::from(self.chain_count);
        self.chain_diffs.get(..count).unwrap_or_default()
    }
}

/// The template structure that an encoding uses.
#[derive(Debug)]
pub(super) struct Structure {
    /// Never 0.
    version: u16,
    templates: TemplateStructure,
    /// Sequence number of the packet that attached it last.
    attached_at: u64,
    active: u32,
    /// Sequence number of the packet that said so.
    active_at: u64,
}

impl Structure {
    pub(super) fn version(&self) -> u16 {
        self.version
    }

    pub(super) fn templates(&self) -> &TemplateStructure {
        &self.templates
    }

    /// The highest layer of a decode target.
    #[inline]
    pub(super) fn target_layer(&self, target: usize) -> LayerId {
        self.templates
            .decode_target_layers()
            .get(target)
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn chain_of(&self, target: usize) -> Option<u8> {
        self.templates.protecting_chain(target)
    }

    /// The decode targets whose layers are at or below `layer`.
    pub(super) fn targets_up_to(&self, layer: LayerId) -> u32 {
        self.templates.decode_targets_up_to(layer)
    }
}

/// Reads the dependency descriptor of a packet and keeps the structure of its encoding up to date. `None`: it is no
/// descriptor.
pub(super) fn read_dependencies(
    bytes: &[u8],
    kept: &mut Option<Box<Structure>>,
    packet: &mut StoredPacket,
) -> Option<Dependencies> {
    let known = kept.as_deref().map(Structure::templates);
    let frame_number = u16::from_be_bytes(*bytes.get(1..)?.first_chunk()?);
    packet.flags.set(Flags::DEPENDENCIES, true);
    let Ok(descriptor) = DependencyDescriptor::parse(bytes, known) else {
        return Some(Dependencies {
            frame_number,
            ..Dependencies::default()
        });
    };
    let is_of_kept = match descriptor.structure.map(|attached| attached.read()) {
        None => true,
        Some(Ok(templates)) => keep_structure(kept, templates, packet.seq),
        Some(Err(_)) => false,
    };
    let structure = kept.as_deref_mut().filter(|_| is_of_kept);
    let mut dependencies = Dependencies {
        frame_number,
        structure: structure.as_ref().map_or(0, |it| it.version),
        active: structure.as_ref().map_or(u32::MAX, |it| it.active),
        indications: descriptor.indications,
        attaches_structure: descriptor.structure.is_some(),
        ..Dependencies::default()
    };
    if let (Some(active), Some(structure)) = (descriptor.active_decode_targets_update(), structure)
    {
        dependencies.active = active;
        if packet.seq > structure.active_at {
            structure.active = active;
            structure.active_at = packet.seq;
        }
    }
    for diff in descriptor.frame_diffs.as_slice() {
        // Frames further back cannot be known; they count as the furthest.
        dependencies.references |= 1 << (*diff).min(127);
    }
    let diffs = descriptor.chain_diffs.as_slice();
    for (slot, diff) in dependencies.chain_diffs.iter_mut().zip(diffs) {
        *slot = *diff;
    }
    dependencies.chain_count = diffs.len().min(MAX_CHAINS) as u8;

    packet.spatial = descriptor.layer.spatial;
    packet.temporal = descriptor.layer.temporal;
    packet.flags.set(Flags::FRAME_END, descriptor.end_of_frame);
    packet
        .flags
        .set(Flags::FRAME_START, descriptor.start_of_frame);
    let begins = descriptor.start_of_frame
        && descriptor.structure.is_some()
        && descriptor.frame_diffs.as_slice().is_empty()
        && descriptor.layer.spatial == 0;
    packet.flags.set(Flags::KEYFRAME_START, begins);
    Some(dependencies)
}

/// Takes the structure that packet `seq` attaches, and says whether it is the one that is kept now. The same one comes
/// with every key frame; a new version is only what differs. One that comes late is not older than the one it replaces.
fn keep_structure(
    kept: &mut Option<Box<Structure>>,
    templates: TemplateStructure,
    seq: u64,
) -> bool {
    let mut version = 0;
    if let Some(kept) = kept {
        if kept.templates == templates {
            kept.attached_at = kept.attached_at.max(seq);
            return true;
        }
        if seq <= kept.attached_at {
            return false;
        }
        version = kept.version;
    }
    *kept = Some(Box::new(Structure {
        version: version.wrapping_add(1).max(1),
        templates,
        attached_at: seq,
        active: u32::MAX,
        active_at: 0,
    }));
    true
}

/// Copies the dependency descriptor `bytes` of `packet` to the front of `out` with another frame number. With `signal`,
/// its active decode targets become those up to that target; if that is no longer possible, they stay as they are unless
/// `must_signal`. Returns the length.
pub(super) fn copy_descriptor(
    bytes: &[u8],
    frame_number: u16,
    signal: Option<u8>,
    must_signal: bool,
    layer: &Layer,
    packet: &StoredPacket,
    out: &mut [u8],
) -> Option<usize> {
    let signalled = signal.map(|target| copy_with_target(bytes, target, layer, packet, out));
    let len = match signalled {
        Some(Some(len)) => len,
        Some(None) if must_signal => return None,
        _ => {
            out.get_mut(..bytes.len())?.copy_from_slice(bytes);
            bytes.len()
        }
    };
    set_frame_number(out, frame_number);
    Some(len)
}

fn copy_with_target(
    bytes: &[u8],
    target: u8,
    layer: &Layer,
    packet: &StoredPacket,
    out: &mut [u8],
) -> Option<usize> {
    let dependencies = layer.dependencies(packet)?;
    let structure = layer.structure().filter(|it| dependencies.is_of(it))?;
    let selected = structure.targets_up_to(structure.target_layer(target.into()));
    let active = selected & dependencies.active;
    DependencyDescriptor::parse(bytes, Some(structure.templates()))
        .ok()?
        .write_with_active_decode_targets(Some(active), out)
        .ok()
        .filter(|len| *len <= MAX_DESCRIPTOR_LEN)
}

/// Reads the payload of `packet`, whose codec is set. `at_frame_border`: the packet before it is known and belongs to
/// another frame. False: the payload is broken, nobody can use it.
pub(super) fn read_payload(
    payload: &[u8],
    at_frame_border: bool,
    packet: &mut StoredPacket,
) -> bool {
    match packet.codec {
        Codec::Vp8 => read_vp8(payload, packet),
        Codec::Vp9 => read_vp9(payload, packet),
        Codec::Av1 => {
            // Payloads may be encrypted end to end, so one that cannot be read is forwarded all the same.
            if let Ok(descriptor) = Av1Descriptor::parse(payload) {
                let begins = descriptor.starts_keyframe();
                packet.flags.set(Flags::KEYFRAME_START, begins);
            }
            true
        }
        Codec::H264 => {
            if let Ok(descriptor) = H264Descriptor::parse(payload) {
                // A slice whose parameter sets were in a packet that is missing is no place to begin.
                let begins = descriptor.has_sps || (descriptor.starts_idr && at_frame_border);
                packet.flags.set(Flags::KEYFRAME_START, begins);
            }
            true
        }
        Codec::H265 => {
            if let Ok(descriptor) = H265Descriptor::parse(payload) {
                let begins =
                    descriptor.has_vps || (descriptor.starts_keyframe() && at_frame_border);
                packet.flags.set(Flags::KEYFRAME_START, begins);
                packet.temporal = descriptor.layer.temporal;
                let adds_layers =
                    h265::nal_units(payload).any(|unit| H265_TEMPORAL_SWITCH.contains(&unit.kind));
                packet.flags.set(Flags::SYNC, adds_layers);
            }
            true
        }
        Codec::Red => {
            let Ok(red) = Red::parse(payload) else {
                return false;
            };
            // The payload is at most 65535 bytes.
            packet.split = (payload.len() - red.primary().len()) as u16;
            true
        }
        Codec::Opus | Codec::Pcmu | Codec::Pcma => true,
    }
}

/// NAL unit types of pictures from which temporal layers can be added: TSA and STSA (H.265 table 7-1).
const H265_TEMPORAL_SWITCH: std::ops::RangeInclusive<u8> = 2..=5;

fn read_vp8(payload: &[u8], packet: &mut StoredPacket) -> bool {
    let Ok(descriptor) = Vp8Descriptor::parse(payload) else {
        return false;
    };
    packet.split = descriptor.len() as u16;
    read_picture_id(descriptor.picture_id, packet);
    packet
        .flags
        .set(Flags::TL0, descriptor.tl0_pic_idx.is_some());
    packet.tl0 = descriptor.tl0_pic_idx.unwrap_or(0);
    packet
        .flags
        .set(Flags::KEY_IDX, descriptor.key_idx.is_some());
    packet.key_idx = descriptor.key_idx.unwrap_or(0);
    packet.temporal = descriptor.temporal_id.unwrap_or(0);
    packet.flags.set(Flags::SYNC, descriptor.layer_sync);
    packet
        .flags
        .set(Flags::KEYFRAME_START, descriptor.starts_keyframe(payload));
    true
}

fn read_vp9(payload: &[u8], packet: &mut StoredPacket) -> bool {
    let Ok(descriptor) = Vp9Descriptor::parse(payload) else {
        return false;
    };
    packet.split = descriptor.len() as u16;
    read_picture_id(descriptor.picture_id, packet);
    if let Some(layer) = descriptor.layer {
        packet.spatial = layer.id.spatial;
        packet.temporal = layer.id.temporal;
        packet.flags.set(Flags::SYNC, layer.switching_up);
        packet.flags.set(Flags::TL0, layer.tl0_pic_idx.is_some());
        packet.tl0 = layer.tl0_pic_idx.unwrap_or(0);
    }
    packet
        .flags
        .set(Flags::FRAME_START, descriptor.start_of_frame);
    packet.flags.set(Flags::FRAME_END, descriptor.end_of_frame);
    packet
        .flags
        .set(Flags::INTER_PICTURE, descriptor.inter_picture);
    packet
        .flags
        .set(Flags::KEYFRAME_START, descriptor.starts_keyframe());
    true
}

fn read_picture_id(id: Option<PictureId>, packet: &mut StoredPacket) {
    let Some(id) = id else {
        return;
    };
    packet.flags.set(Flags::PICTURE_ID, true);
    packet.flags.set(Flags::PICTURE_ID_WIDE, id.wide);
    packet.picture_id = id.value;
}
