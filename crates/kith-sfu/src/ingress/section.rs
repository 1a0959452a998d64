//! One receiving m-section: which payload types it takes and which encodings it has.

use std::ops::Range;

use kith_rtp::{Codec, PayloadType};

use crate::spec::{ReceiveCodec, ReceiveSection};

/// Encodings of one section: the three spatial layers of LiveKit.
pub(super) const MAX_LAYERS: usize = 3;

/// Codecs of one section that are looked at; offers of browsers have about 20.
const MAX_CODECS: usize = 64;

/// Marks an entry of the payload type table as RTX.
const RTX: u8 = 0x80;

/// What a payload type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) codec: Codec,
    /// Of the media; differs from the packet's own when that is RTX.
    pub(super) payload_type: PayloadType,
    pub(super) rtx: bool,
    /// Whether lost packets can be asked for again.
    pub(super) nack: bool,
}

#[derive(Debug)]
pub(super) struct Section {
    pub(super) mid: Box<[u8]>,
    /// Which of the receiver's encodings are its own.
    pub(super) layers: Range<usize>,
    codecs: Vec<ReceiveCodec>,
    /// Index into `codecs` plus one, and whether it is RTX; 0 is none.
    payload_types: [u8; 128],
}

impl Section {
    pub(super) fn new(spec: &ReceiveSection, layers: Range<usize>) -> Self {
        let mut codecs = spec.codecs.clone();
        codecs.truncate(MAX_CODECS);
        let mut payload_types = [0; 128];
        for (codec, entry) in codecs.iter().zip(1u8..) {
            let media = (codec.payload_type, entry);
            let rtx = codec.rtx.map(|rtx| (rtx, entry | RTX));
            for (payload_type, entry) in [Some(media), rtx].into_iter().flatten() {
                if let Some(slot) = payload_types.get_mut(usize::from(payload_type.0)) {
                    *slot = entry;
                }
            }
        }
        Section {
            mid: spec.mid.as_bytes().into(),
            layers,
            codecs,
            payload_types,
        }
    }

    /// What `payload_type` is here.
    pub(super) fn payload(&self, payload_type: PayloadType) -> Option<Payload> {
        let entry = *self.payload_types.get(usize::from(payload_type.0))?;
        let codec = self.codecs.get(usize::from(entry & !RTX).checked_sub(1)?)?;
        Some(Payload {
            codec: codec.codec,
            payload_type: codec.payload_type,
            rtx: entry & RTX != 0,
            nack: codec.nack && codec.codec != Codec::Red,
        })
    }
}
