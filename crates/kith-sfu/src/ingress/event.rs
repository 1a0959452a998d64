//! What the receive side reports to the control plane.

use std::time::Duration;

use kith_rtp::{Codec, Ssrc};

use crate::ids::PublicationId;

/// Something the control plane wants to know. Values, not history: what changes twice between two polls is reported once,
/// as it is at the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum IngressEvent {
    /// An encoding carries media now (first packet ever, after a stop, with another SSRC or another codec).
    LayerStarted {
        /// The publication.
        publication: PublicationId,
        /// The encoding, lowest first.
        layer: u8,
        /// What it carries.
        codec: Codec,
        /// Its SSRC.
        ssrc: Ssrc,
    },
    /// An encoding carries no media any more.
    LayerStopped {
        /// The publication.
        publication: PublicationId,
        /// The encoding.
        layer: u8,
    },
    /// A key frame has another size than the one before.
    VideoSize {
        /// The publication.
        publication: PublicationId,
        /// The encoding.
        layer: u8,
        /// In pixels.
        width: u16,
        /// In pixels.
        height: u16,
    },
    /// The loudness of an audio publication; after each window (400 ms) with speech, and once with 0 when speech ended.
    AudioLevel {
        /// The publication.
        publication: PublicationId,
        /// Linear and smoothed, 0 (silence) to 1 (full scale).
        level: f32,
        /// Whether someone speaks.
        active: bool,
    },
    /// The round-trip time of this transport was measured; at most once a second.
    RttUpdated {
        /// Smoothed.
        rtt: Duration,
    },
}
