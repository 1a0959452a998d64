//! Values of the header extensions that Kith reads or writes. Each `parse` takes the element's bytes and is `None` when
//! they cannot be such a value; each `to_bytes` gives the bytes of the element.

/// Longest MID, RID or repaired RID accepted, in bytes. They are short tokens; RFC 8285 one-byte elements hold 16, and
/// longer ones only cost bandwidth in every packet.
pub const MAX_SDES_TEXT_LEN: usize = 32;

/// The text of a MID, RID or repaired RID element (RFC 9143 section 15.1, RFC 8852 section 3): printable ASCII without
/// blanks, not empty.
pub fn sdes_text(bytes: &[u8]) -> Option<&str> {
    let well_formed = !bytes.is_empty()
        && bytes.len() <= MAX_SDES_TEXT_LEN
        && bytes.iter().all(u8::is_ascii_graphic);
    if !well_formed {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

/// Client-to-mixer audio level (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// The sender's voice activity detector says that this packet holds speech.
    pub voice: bool,
    /// Level in −dBov: 0 is the loudest, 127 is silence.
    pub level: u8,
}

impl AudioLevel {
    /// Reads the element.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let byte = *bytes.first()?;
        Some(AudioLevel {
            voice: byte & 0x80 != 0,
            level: byte & 0x7F,
        })
    }

    /// The element's bytes; a level above 127 becomes 127.
    pub fn to_bytes(self) -> [u8; 1] {
        [u8::from(self.voice) << 7 | self.level.min(127)]
    }
}

/// Absolute send time: seconds modulo 64 as 6.18 bit fixed point, in the low 24 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsSendTime(pub u32);

impl AbsSendTime {
    /// The send time `micros` microseconds after an epoch of the sender's choice.
    pub fn from_micros(micros: u64) -> Self {
        let within_period = micros % 64_000_000;
        AbsSendTime((((within_period << 18) / 1_000_000) & 0x00FF_FFFF) as u32)
    }

    /// Microseconds since the last multiple of 64 seconds, rounded down.
    pub fn micros(self) -> u64 {
        (u64::from(self.0 & 0x00FF_FFFF) * 1_000_000) >> 18
    }

    /// Reads the element.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [a, b, c] = *bytes.first_chunk::<3>()?;
        Some(AbsSendTime(u32::from_be_bytes([0, a, b, c])))
    }

    /// The element's bytes.
    pub fn to_bytes(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }
}

/// Transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportSequence(pub u16);

impl TransportSequence {
    /// Reads the element. The feedback request of version 2 of the extension is ignored.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        bytes
            .first_chunk::<2>()
            .map(|number| TransportSequence(u16::from_be_bytes(*number)))
    }

    /// The element's bytes.
    pub fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }
}

/// When the first frame of the packet was captured (`abs-capture-time`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsCaptureTime {
    /// NTP time in 32.32 fixed point seconds, in the clock of the capturer.
    pub ntp: u64,
    /// Estimated difference of the capturer's clock to the sender's, in 32.32 fixed point seconds.
    pub clock_offset: Option<i64>,
}

impl AbsCaptureTime {
    /// Longest form in bytes.
    pub const MAX_LEN: usize = 16;

    /// Reads the element.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (ntp, rest) = bytes.split_first_chunk::<8>()?;
        Some(AbsCaptureTime {
            ntp: u64::from_be_bytes(*ntp),
            clock_offset: rest
                .first_chunk::<8>()
                .map(|offset| i64::from_be_bytes(*offset)),
        })
    }

    /// The element's bytes and how many of them count: 8 or 16.
    pub fn to_bytes(self) -> ([u8; Self::MAX_LEN], usize) {
        let offset = self.clock_offset.unwrap_or(0);
        let both = u128::from(self.ntp) << 64 | u128::from(offset as u64);
        let len = if self.clock_offset.is_some() { 16 } else { 8 };
        (both.to_be_bytes(), len)
    }
}

/// Playout delay limits, in units of 10 ms, 12 bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutDelay {
    /// Shortest delay, in units of 10 ms, 0 to 4095.
    pub min: u16,
    /// Longest delay, in units of 10 ms, 0 to 4095.
    pub max: u16,
}

impl PlayoutDelay {
    /// The limits in milliseconds, rounded down; at most 40950 ms can be said.
    pub fn from_millis(min: u32, max: u32) -> Self {
        let limit = |millis: u32| (millis / 10).min(0x0FFF) as u16;
        PlayoutDelay {
            min: limit(min),
            max: limit(max),
        }
    }

    /// Reads the element.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [a, b, c] = *bytes.first_chunk::<3>()?;
        Some(PlayoutDelay {
            min: u16::from_be_bytes([a, b]) >> 4,
            max: u16::from_be_bytes([b, c]) & 0x0FFF,
        })
    }

    /// The element's bytes; values above 4095 become 4095.
    pub fn to_bytes(self) -> [u8; 3] {
        let both = u32::from(self.min.min(0x0FFF)) << 12 | u32::from(self.max.min(0x0FFF));
        let [_, a, b, c] = both.to_be_bytes();
        [a, b, c]
    }
}

/// Coordination of video orientation (3GPP TS 26.114 section 7.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoOrientation {
    /// The frame comes from a back-facing camera.
    pub back_camera: bool,
    /// The frame is mirrored horizontally.
    pub flip: bool,
    /// Quarter turns clockwise that show the frame upright, 0 to 3.
    pub quarter_turns: u8,
}

impl VideoOrientation {
    /// Reads the element.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let byte = *bytes.first()?;
        Some(VideoOrientation {
            back_camera: byte & 0x08 != 0,
            flip: byte & 0x04 != 0,
            quarter_turns: byte & 0x03,
        })
    }

    /// The element's bytes.
    pub fn to_bytes(self) -> [u8; 1] {
        [u8::from(self.back_camera) << 3 | u8::from(self.flip) << 2 | self.quarter_turns & 0x03]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_written_by_hand() {
        assert_eq!(
            AudioLevel::parse(&[0x9E]),
            Some(AudioLevel {
                voice: true,
                level: 30
            })
        );
        assert_eq!(
            PlayoutDelay::parse(&[0x12, 0x34, 0x56]),
            Some(PlayoutDelay {
                min: 0x123,
                max: 0x456
            })
        );
        assert_eq!(
            VideoOrientation::parse(&[0x0E]),
            Some(VideoOrientation {
                back_camera: true,
                flip: true,
                quarter_turns: 2
            })
        );
        assert_eq!(
            AbsSendTime::parse(&[0x04, 0x00, 0x00]).map(AbsSendTime::micros),
            Some(1_000_000)
        );
        assert_eq!(sdes_text(b"hi-2"), Some("hi-2"));
    }

    #[test]
    fn values_come_back_from_their_bytes() {
        let level = AudioLevel {
            voice: false,
            level: 127,
        };
        assert_eq!(AudioLevel::parse(&level.to_bytes()), Some(level));
        let time = AbsSendTime::from_micros(64_000_000 * 7 + 63_999_999);
        assert_eq!(AbsSendTime::parse(&time.to_bytes()), Some(time));
        assert!(63_999_999 - time.micros() < 4);
        let sequence = TransportSequence(0xABCD);
        assert_eq!(
            TransportSequence::parse(&sequence.to_bytes()),
            Some(sequence)
        );
        for clock_offset in [None, Some(-5)] {
            let capture = AbsCaptureTime {
                ntp: u64::MAX - 1,
                clock_offset,
            };
            let (bytes, len) = capture.to_bytes();
            assert_eq!(AbsCaptureTime::parse(&bytes[..len]), Some(capture));
        }
        let delay = PlayoutDelay::from_millis(100, 1_000_000);
        assert_eq!(delay, PlayoutDelay { min: 10, max: 4095 });
        assert_eq!(PlayoutDelay::parse(&delay.to_bytes()), Some(delay));
        let turned = VideoOrientation {
            back_camera: false,
            flip: true,
            quarter_turns: 3,
        };
        assert_eq!(VideoOrientation::parse(&turned.to_bytes()), Some(turned));
    }

    #[test]
    fn short_or_strange_values_are_none() {
        assert_eq!(AudioLevel::parse(&[]), None);
        assert_eq!(AbsSendTime::parse(&[1, 2]), None);
        assert_eq!(TransportSequence::parse(&[1]), None);
        assert_eq!(AbsCaptureTime::parse(&[0; 7]), None);
        assert_eq!(PlayoutDelay::parse(&[0; 2]), None);
        assert_eq!(VideoOrientation::parse(&[]), None);
        assert_eq!(sdes_text(b""), None);
        assert_eq!(sdes_text(b"a b"), None);
        assert_eq!(sdes_text(&[0xFF]), None);
        assert_eq!(sdes_text(&[b'a'; 33]), None);
    }
}
