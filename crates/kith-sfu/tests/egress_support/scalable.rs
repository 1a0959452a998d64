//! Scalable streams with dependency descriptors, as encoders produce them.

use kith_rtp::Codec;
use kith_rtp::LayerId;
use kith_rtp::dependency_descriptor::{
    ChainDiffs, DecodeTargetIndication, DecodeTargetIndications, DependencyDescriptor,
    DescriptorFields, FrameDiffs, Template, TemplateStructure,
};

use super::{DD, Packet};

/// How spatial layers depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Always (L3T3).
    Always,
    /// On key pictures only (L3T3_KEY).
    OnKeyPictures,
    /// Never (S3T3).
    Never,
}

/// An encoder of a scalable stream. Every frame is two packets.
#[derive(Debug)]
pub struct Encoder {
    pub codec: Codec,
    pub between: Between,
    pub spatial_layers: u8,
    pub temporal_layers: u8,
    pub seq: u64,
    pub frame_number: u16,
    pub timestamp: u32,
    picture: usize,
    /// The frame that a chain had last.
    chains: Vec<u16>,
    /// The last frame of each spatial layer in each temporal layer.
    last: Vec<[Option<u16>; 3]>,
    structure: TemplateStructure,
}

/// One packet and which frame it is of.
#[derive(Clone, Debug)]
pub struct LayerPacket {
    pub packet: Packet,
    pub layer: LayerId,
    pub frame_number: u16,
    pub key_picture: bool,
    /// The frames that it refers to.
    pub references: Vec<u16>,
}

impl Encoder {
    pub fn new(codec: Codec, between: Between, spatial_layers: u8, temporal_layers: u8) -> Self {
        let mut encoder = Encoder {
            codec,
            between,
            spatial_layers,
            temporal_layers,
            seq: 70_000,
            frame_number: 65_500,
            timestamp: 4_294_900_000,
            picture: 0,
            chains: vec![0; usize::from(spatial_layers)],
            last: vec![[None; 3]; usize::from(spatial_layers)],
            structure: TemplateStructure::new(
                0,
                &[Template {
                    indications: DecodeTargetIndications::from_slice(&[
                        DecodeTargetIndication::Switch,
                    ])
                    .unwrap(),
                    ..Template::default()
                }],
                &[],
                &[],
            )
            .unwrap(),
        };
        let mut templates = Vec::new();
        for spatial in 0..spatial_layers {
            for temporal in 0..temporal_layers {
                let layer = LayerId { spatial, temporal };
                templates.push(Template {
                    layer,
                    indications: encoder.indications(layer, false),
                    frame_diffs: FrameDiffs::default(),
                    chain_diffs: ChainDiffs::from_slice(&vec![0; spatial_layers.into()]).unwrap(),
                });
            }
        }
        let protected_by: Vec<u8> = (0..spatial_layers)
            .flat_map(|spatial| std::iter::repeat_n(spatial, temporal_layers.into()))
            .collect();
        encoder.structure = TemplateStructure::new(5, &templates, &protected_by, &[]).unwrap();
        encoder
    }

    pub fn structure(&self) -> &TemplateStructure {
        &self.structure
    }

    fn depends(&self, key_picture: bool) -> bool {
        match self.between {
            Between::Always => true,
            Between::OnKeyPictures => key_picture,
            Between::Never => false,
        }
    }

    fn indications(&self, layer: LayerId, key_picture: bool) -> DecodeTargetIndications {
        let mut list = Vec::new();
        for spatial in 0..self.spatial_layers {
            for temporal in 0..self.temporal_layers {
                let in_spatial = layer.spatial == spatial
                    || (layer.spatial < spatial && self.depends(key_picture));
                list.push(if !in_spatial || layer.temporal > temporal {
                    DecodeTargetIndication::NotPresent
                } else if layer.temporal > 0 && layer.temporal == temporal {
                    DecodeTargetIndication::Discardable
                } else if layer.spatial == spatial || key_picture {
                    DecodeTargetIndication::Switch
                } else {
                    DecodeTargetIndication::Required
                });
            }
        }
        DecodeTargetIndications::from_slice(&list).unwrap()
    }

    /// The next picture: two packets for each spatial layer in `layers`.
    pub fn picture(&mut self, key_picture: bool, layers: &[u8]) -> Vec<LayerPacket> {
        if key_picture {
            self.picture = 0;
        }
        let pattern: &[u8] = match self.temporal_layers {
            1 => &[0],
            2 => &[0, 1],
            _ => &[0, 2, 1, 2],
        };
        let temporal = pattern[self.picture % pattern.len()];
        self.picture += 1;
        self.timestamp = self.timestamp.wrapping_add(3000);
        let mut packets = Vec::new();
        for spatial in layers {
            let layer = LayerId {
                spatial: *spatial,
                temporal,
            };
            let last = spatial == layers.last().unwrap();
            packets.extend(self.frame(layer, key_picture, last));
        }
        packets
    }

    fn frame(&mut self, layer: LayerId, key_picture: bool, last: bool) -> Vec<LayerPacket> {
        self.frame_number = self.frame_number.wrapping_add(1);
        let number = self.frame_number;
        let independent = key_picture && (layer.spatial == 0 || self.between == Between::Never);
        let mut chain_diffs = Vec::new();
        for chain in 0..self.spatial_layers {
            let at = usize::from(chain);
            let restarts = key_picture
                && (layer.spatial == 0
                    || (self.between == Between::Never && layer.spatial == chain));
            chain_diffs.push(if restarts {
                0
            } else {
                number.wrapping_sub(self.chains[at]).min(255) as u8
            });
            let in_chain = layer.temporal == 0
                && (layer.spatial == chain || (layer.spatial < chain && self.depends(key_picture)));
            if in_chain || (restarts && layer.spatial == 0 && key_picture) {
                self.chains[at] = number;
            }
        }
        let references = self.references(layer, key_picture);
        let diffs: Vec<u16> = references
            .iter()
            .map(|frame| number.wrapping_sub(*frame))
            .collect();
        let at = usize::from(layer.spatial);
        if key_picture {
            self.last[at] = [None; 3];
        }
        self.last[at][usize::from(layer.temporal)] = Some(number);
        let structure = self.structure.clone();
        let template = layer.spatial * self.temporal_layers + layer.temporal;
        (0..2)
            .map(|n| {
                let fields = DescriptorFields {
                    start_of_frame: n == 0,
                    end_of_frame: n == 1,
                    template_id: (5 + template) & 0x3F,
                    frame_number: number,
                    structure: (independent && layer.spatial == 0 && n == 0).then_some(&structure),
                    active_decode_targets: None,
                    indications: Some(self.indications(layer, key_picture)),
                    frame_diffs: Some(FrameDiffs::from_slice(&diffs).unwrap()),
                    chain_diffs: Some(ChainDiffs::from_slice(&chain_diffs).unwrap()),
                };
                let mut descriptor = [0; 255];
                let len = fields.write(&mut descriptor).unwrap();
                let packet = Packet::new(
                    self.codec,
                    self.seq,
                    self.timestamp,
                    &self.payload(n, layer),
                )
                .marker(last && n == 1)
                .with(DD, &descriptor[..len]);
                self.seq += 1;
                LayerPacket {
                    packet,
                    layer,
                    frame_number: number,
                    key_picture,
                    references: references.clone(),
                }
            })
            .collect()
    }

    /// The base temporal layer refers to itself, the others to the newest frame below; and to the spatial layer below if
    /// that is how layers depend on each other.
    fn references(&self, layer: LayerId, key_picture: bool) -> Vec<u16> {
        let mut references = Vec::new();
        let ahead = |number: u16| number.wrapping_sub(self.frame_number) as i16;
        if !key_picture {
            let own = &self.last[usize::from(layer.spatial)];
            let up_to = usize::from(layer.temporal.max(1));
            let newest = own[..up_to].iter().flatten().max_by_key(|it| ahead(**it));
            references.extend(newest);
        }
        if layer.spatial > 0 && self.depends(key_picture) {
            references.push(self.frame_number.wrapping_sub(1));
        }
        references
    }

    fn payload(&self, n: u8, layer: LayerId) -> Vec<u8> {
        let marks = [layer.spatial, layer.temporal, n, 0xCC];
        let head: &[u8] = match self.codec {
            // One OBU element: a frame.
            Codec::Av1 => &[0x10, 0x30],
            Codec::H264 => &[0x61],
            _ => &[],
        };
        [head, &marks].concat()
    }

    /// Reads a descriptor that a subscriber got.
    pub fn read<'a>(&self, bytes: &'a [u8]) -> DependencyDescriptor<'a> {
        DependencyDescriptor::parse(bytes, Some(&self.structure)).unwrap()
    }
}
