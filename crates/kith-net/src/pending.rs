//! Stand-ins for types of `kith-sfu` until that crate lands them; the names and fields are those of the contract.
#![allow(missing_docs)]

use kith_rtp::{Codec, ExtensionMap, MediaKind, PayloadType, Ssrc};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicationId(pub u64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveSpec {
    pub extensions: ExtensionMap,
    pub sections: Vec<ReceiveSection>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveSection {
    pub mid: String,
    pub publication: PublicationId,
    pub kind: MediaKind,
    pub codecs: Vec<ReceiveCodec>,
    pub layers: Vec<LayerSpec>,
    pub measure_audio_level: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveCodec {
    pub codec: Codec,
    pub payload_type: PayloadType,
    pub rtx: Option<PayloadType>,
    pub nack: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSpec {
    pub rid: Option<String>,
    pub ssrc: Option<Ssrc>,
    pub rtx_ssrc: Option<Ssrc>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownTrackSpec {
    pub ssrc: Ssrc,
    pub rtx_ssrc: Option<Ssrc>,
    pub codecs: Vec<SendCodec>,
    pub extensions: ExtensionMap,
    pub mid: String,
    pub cname: String,
    pub nack: bool,
    pub seed: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendCodec {
    pub codec: Codec,
    pub payload_type: PayloadType,
    pub rtx: Option<PayloadType>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerTarget {
    pub max_spatial: u8,
    pub max_temporal: u8,
    pub paused: bool,
}
