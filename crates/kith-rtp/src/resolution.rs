//! What payload descriptors tell about a frame, in terms common to all codecs.

/// Size of a frame in luma samples, as the bitstream says it. At least 1×1 wherever this crate returns one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resolution {
    /// Width in samples.
    pub width: u32,
    /// Height in samples.
    pub height: u32,
}

/// Place of a frame in a scalable stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LayerId {
    /// Spatial layer, 0 is the base.
    pub spatial: u8,
    /// Temporal layer, 0 is the base.
    pub temporal: u8,
}
