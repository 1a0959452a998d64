//! What is known about a stored packet without looking at its bytes.

use kith_rtp::Codec;

/// Facts about a packet, combined with `|`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    /// RTP marker.
    pub(super) const MARKER: Flags = Flags(1);
    /// A decoder that knows nothing can begin here: first packet of a key frame.
    pub(super) const KEYFRAME_START: Flags = Flags(1 << 1);
    /// Last packet of a frame of one spatial layer.
    pub(super) const FRAME_END: Flags = Flags(1 << 2);
    /// Temporal layers can be added from here: VP8's layer sync, VP9's switching-up point, H.265's TSA and STSA.
    pub(super) const SYNC: Flags = Flags(1 << 3);
    /// VP9: first packet of a frame of one spatial layer.
    pub(super) const FRAME_START: Flags = Flags(1 << 4);
    /// VP9: predicted from earlier pictures.
    pub(super) const INTER_PICTURE: Flags = Flags(1 << 5);
    /// The picture id field is present (VP8, VP9).
    pub(super) const PICTURE_ID: Flags = Flags(1 << 6);
    /// The picture id field has 15 bits.
    pub(super) const PICTURE_ID_WIDE: Flags = Flags(1 << 7);
    /// TL0PICIDX is present (VP8, VP9).
    pub(super) const TL0: Flags = Flags(1 << 8);
    /// VP8: KEYIDX is present.
    pub(super) const KEY_IDX: Flags = Flags(1 << 9);
    /// An audio level is stored.
    pub(super) const AUDIO_LEVEL: Flags = Flags(1 << 10);
    /// A video orientation is stored.
    pub(super) const ORIENTATION: Flags = Flags(1 << 11);
    /// The record has a playout delay.
    pub(super) const PLAYOUT_DELAY: Flags = Flags(1 << 12);
    /// The record has a dependency descriptor, and what is known of it is stored beside.
    pub(super) const DEPENDENCIES: Flags = Flags(1 << 13);

    #[inline]
    pub(super) const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    #[inline]
    pub(super) const fn set(&mut self, other: Flags, on: bool) {
        if on {
            self.0 |= other.0;
        }
    }
}

/// Length of a playout delay in a record.
pub(super) const PLAYOUT_DELAY_LEN: usize = 3;

/// What is known about a stored packet. Its record in the history is: absolute capture time, playout delay, dependency
/// descriptor, payload, each as long as said here.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredPacket {
    /// Extended sequence number of the encoding; 0 in an empty slot.
    pub(super) seq: u64,
    /// Where the record is, see [`super::history::History`].
    pub(super) position: u64,
    /// Arrival, in µs of the hub's clock.
    pub(super) arrival: u64,
    /// The publisher's RTP timestamp.
    pub(super) timestamp: u32,
    /// Bytes of payload.
    pub(super) payload_len: u16,
    /// Picture id of VP8 and VP9, counted on to 16 bits.
    pub(super) picture_id: u16,
    /// VP8, VP9: bytes of payload descriptor. RED: bytes before the primary encoding.
    pub(super) split: u16,
    pub(super) flags: Flags,
    pub(super) codec: Codec,
    /// 0, 8 or 16.
    pub(super) capture_time_len: u8,
    pub(super) dependencies_len: u8,
    pub(super) spatial: u8,
    pub(super) temporal: u8,
    /// TL0PICIDX of VP8 and VP9.
    pub(super) tl0: u8,
    /// KEYIDX of VP8.
    pub(super) key_idx: u8,
    /// The value of the audio level or video orientation extension.
    pub(super) level_or_orientation: u8,
}

impl StoredPacket {
    pub(super) const EMPTY: StoredPacket = StoredPacket {
        seq: 0,
        position: 0,
        arrival: 0,
        timestamp: 0,
        payload_len: 0,
        picture_id: 0,
        split: 0,
        flags: Flags(0),
        codec: Codec::Opus,
        capture_time_len: 0,
        dependencies_len: 0,
        spatial: 0,
        temporal: 0,
        tl0: 0,
        key_idx: 0,
        level_or_orientation: 0,
    };

    /// Length of the extension values at the front of the record.
    #[inline]
    pub(super) fn extensions_len(&self) -> usize {
        let delay = if self.flags.has(Flags::PLAYOUT_DELAY) {
            PLAYOUT_DELAY_LEN
        } else {
            0
        };
        usize::from(self.capture_time_len) + delay + usize::from(self.dependencies_len)
    }

    /// Length of the record.
    #[inline]
    pub(super) fn record_len(&self) -> usize {
        self.extensions_len() + usize::from(self.payload_len)
    }
}

const _: () = assert!(size_of::<StoredPacket>() <= 64, "a slot fits a cache line");
