//! Which packets of a stream a subscriber gets: temporal and spatial layers inside of one encoding.
//!
//! A choice is made for a frame as a whole, at its first packet, so that no frame is cut in two.

mod dependencies;
mod recent;
mod temporal;
mod vp9;

use kith_rtp::{Codec, LayerId};

use super::descriptor::{Dependencies, Structure};
use super::stored::{Flags, StoredPacket};
use dependencies::TargetSelector;
use recent::RecentFrames;
use temporal::TemporalSelector;
use vp9::Vp9Selector;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) forward: bool,
    /// It is the last packet of its picture that the subscriber gets.
    pub(super) last_of_picture: bool,
    /// The decode target that is to be signalled as the active one.
    pub(super) signal: Option<u8>,
    /// It is the first packet of its frame that was seen.
    pub(super) new_frame: bool,
}

/// By which facts a stream is thinned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Not at all.
    Everything,
    /// By the temporal id in each packet.
    Temporal,
    /// By VP9's payload descriptor.
    Vp9,
    /// By the dependency descriptor.
    Dependencies,
}

/// Selects layers inside of one stream.
#[derive(Debug)]
pub(super) struct Selector {
    mode: Mode,
    frames: Frames,
    /// Picture ids of frames that were left out. Their ids are given to later frames, so nothing of them may leave any
    /// more.
    left_out: RecentFrames,
    temporal: TemporalSelector,
    vp9: Vp9Selector,
    target: TargetSelector,
}

/// Tells frames apart: by timestamp, and by picture id where there is one.
#[derive(Clone, Copy, Debug, Default)]
struct Frames {
    timestamp: u32,
    picture_id: u16,
    forward: bool,
    any: bool,
}

impl Frames {
    /// Whether `packet` begins a frame that was not seen yet.
    #[inline]
    fn is_new(&mut self, packet: &StoredPacket) -> bool {
        let new =
            !self.any || self.timestamp != packet.timestamp || self.picture_id != packet.picture_id;
        self.timestamp = packet.timestamp;
        self.picture_id = packet.picture_id;
        self.any = true;
        new
    }
}

impl Selector {
    pub(super) fn new() -> Self {
        Selector {
            mode: Mode::Everything,
            frames: Frames::default(),
            left_out: RecentFrames::default(),
            temporal: TemporalSelector::default(),
            vp9: Vp9Selector::default(),
            target: TargetSelector::default(),
        }
    }

    /// For a stream that begins with the key frame that `packet` starts. `has_descriptor`: the subscriber negotiated the
    /// dependency descriptor.
    pub(super) fn begin(packet: &StoredPacket, has_descriptor: bool) -> Self {
        let dependencies = packet.flags.has(Flags::DEPENDENCIES);
        let mode = match packet.codec {
            Codec::Vp8 => Mode::Temporal,
            Codec::Vp9 if !(dependencies && has_descriptor) => Mode::Vp9,
            Codec::Vp9 | Codec::Av1 | Codec::H264 | Codec::H265 if dependencies => {
                Mode::Dependencies
            }
            Codec::H265 => Mode::Temporal,
            _ => Mode::Everything,
        };
        Selector {
            mode,
            temporal: TemporalSelector::all(),
            ..Selector::new()
        }
    }

    /// Chooses for a packet in order. `limit` is the highest layer wanted.
    #[inline]
    pub(super) fn choose(
        &mut self,
        packet: &StoredPacket,
        dependencies: Option<&Dependencies>,
        structure: Option<&Structure>,
        limit: LayerId,
    ) -> Choice {
        match self.mode {
            Mode::Everything => Choice {
                forward: true,
                last_of_picture: packet.flags.has(Flags::MARKER),
                ..Choice::default()
            },
            Mode::Temporal => {
                let new_frame = self.frames.is_new(packet);
                if new_frame {
                    self.frames.forward = self.temporal.choose(packet, limit.temporal);
                    if !self.frames.forward {
                        self.left_out.note(packet.picture_id);
                    }
                }
                Choice {
                    forward: self.frames.forward,
                    last_of_picture: packet.flags.has(Flags::MARKER),
                    signal: None,
                    new_frame,
                }
            }
            Mode::Vp9 => {
                let new_frame = self.frames.is_new(packet);
                self.vp9
                    .choose(&mut self.temporal, packet, new_frame, limit)
            }
            Mode::Dependencies => self.target.choose(packet, dependencies, structure, limit),
        }
    }

    /// Whether a late packet of this stream belongs to what was forwarded.
    pub(super) fn wants_late(
        &mut self,
        packet: &StoredPacket,
        dependencies: Option<&Dependencies>,
        limit: LayerId,
    ) -> bool {
        match self.mode {
            Mode::Everything => true,
            Mode::Temporal => {
                let has_id = packet.flags.has(Flags::PICTURE_ID);
                let wanted = self.temporal.is_open(packet.temporal, limit.temporal)
                    && !(has_id && self.left_out.has(packet.picture_id));
                if !wanted {
                    self.left_out.note(packet.picture_id);
                }
                wanted
            }
            Mode::Vp9 => {
                packet.spatial <= self.vp9.spatial()
                    && self.temporal.is_open(packet.temporal, limit.temporal)
            }
            Mode::Dependencies => self.target.wants_late(dependencies),
        }
    }

    /// Whether a late packet ends the picture for the subscriber.
    pub(super) fn ends_picture(&self, packet: &StoredPacket) -> bool {
        packet.flags.has(Flags::MARKER)
            || (packet.flags.has(Flags::FRAME_END) && self.spatial() == Some(packet.spatial))
    }

    /// The spatial layer that is being forwarded, if the stream has any to select.
    pub(super) fn spatial(&self) -> Option<u8> {
        match self.mode {
            Mode::Everything | Mode::Temporal => None,
            Mode::Vp9 => Some(self.vp9.spatial()),
            Mode::Dependencies => Some(self.target.layer().spatial),
        }
    }

    /// The highest temporal layer that is being forwarded, if the stream has any to select.
    pub(super) fn temporal(&self, limit: LayerId) -> Option<u8> {
        match self.mode {
            Mode::Everything => None,
            Mode::Temporal | Mode::Vp9 => Some(self.temporal.highest(limit.temporal)),
            Mode::Dependencies => Some(self.target.layer().temporal),
        }
    }

    /// Whether only a key frame leads to the layers that are wanted: spatial layers up to `spatial` exist.
    pub(super) fn needs_keyframe(&self, spatial: u8) -> bool {
        match self.mode {
            Mode::Everything => false,
            Mode::Temporal => self.temporal.is_stuck(),
            Mode::Vp9 => self.vp9.spatial() < spatial || self.temporal.is_stuck(),
            Mode::Dependencies => self.target.is_stuck(),
        }
    }
}
