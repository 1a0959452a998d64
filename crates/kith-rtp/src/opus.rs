//! Opus packets: the table of contents byte (RFC 6716 section 3.1).

/// Longest duration of an Opus packet, in samples of 48 kHz: 120 ms (RFC 6716 section 3.4).
pub const MAX_DURATION: u32 = 5760;

/// Longest packet that holds no sound: the encoder's discontinuous transmission sends nothing but the table of contents,
/// or a frame of one byte after it (RFC 6716 section 2.1.9, libopus).
const MAX_DTX_LEN: usize = 2;

/// Why bytes are no Opus packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpusError {
    /// No table of contents, or no frame count behind it.
    #[error("Opus packet is truncated")]
    Truncated,
    /// No frames, or more than 120 ms of them.
    #[error("Opus packet has no duration between 2.5 and 120 ms")]
    Duration,
}

/// What an Opus packet says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusDescriptor {
    /// Configuration number, 0 to 31: mode, bandwidth, frame size.
    pub config: u8,
    /// Two channels are coded.
    pub stereo: bool,
    /// How many frames, 1 to 48.
    pub frame_count: u8,
    /// Duration in samples of 48 kHz, 120 to 5760.
    pub duration: u32,
    /// The packet holds no sound: discontinuous transmission.
    pub dtx: bool,
}

impl OpusDescriptor {
    /// Reads the table of contents of an RTP payload.
    pub fn parse(payload: &[u8]) -> Result<Self, OpusError> {
        let (&head, rest) = payload.split_first().ok_or(OpusError::Truncated)?;
        let config = head >> 3;
        let frame_count = match head & 0x03 {
            0 => 1,
            1 | 2 => 2,
            _ => rest.first().ok_or(OpusError::Truncated)? & 0x3F,
        };
        let duration = frame_duration(config) * u32::from(frame_count);
        if duration == 0 || duration > MAX_DURATION {
            return Err(OpusError::Duration);
        }
        Ok(OpusDescriptor {
            config,
            stereo: head & 0x04 != 0,
            frame_count,
            duration,
            dtx: payload.len() <= MAX_DTX_LEN,
        })
    }
}

/// Duration of one frame in samples of 48 kHz (RFC 6716 table 2).
fn frame_duration(config: u8) -> u32 {
    match (config, config & 0x03) {
        (0..=11, 0) => 480,
        (0..=11, 1) => 960,
        (0..=11, 2) => 1920,
        (0..=11, _) => 2880,
        (12..=15, size) => 480 << (size & 1),
        (_, size) => 120 << size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_chromium_sends_is_20_ms_of_fullband() {
        let descriptor = OpusDescriptor::parse(&[0x78, 1, 2, 3]).unwrap();
        assert_eq!((descriptor.config, descriptor.duration), (15, 960));
        assert!(!descriptor.stereo && !descriptor.dtx);
        let silence = OpusDescriptor::parse(&[0xFC, 0xFF, 0xFE]).unwrap();
        assert_eq!(
            (silence.config, silence.stereo, silence.duration),
            (31, true, 960)
        );
    }

    #[test]
    fn durations_follow_the_table() {
        let duration = |config: u8| {
            OpusDescriptor::parse(&[config << 3, 0, 0])
                .unwrap()
                .duration
        };
        let milliseconds: Vec<_> = (0..32)
            .map(|config| duration(config) as f32 / 48.0)
            .collect();
        let silk = [10.0, 20.0, 40.0, 60.0].repeat(3);
        let hybrid = [10.0, 20.0].repeat(2);
        let celt = [2.5, 5.0, 10.0, 20.0].repeat(4);
        assert_eq!(milliseconds, [silk, hybrid, celt].concat());
    }

    #[test]
    fn several_frames_add_up_and_120_ms_is_the_limit() {
        assert_eq!(OpusDescriptor::parse(&[0x79, 0, 0]).unwrap().duration, 1920);
        assert_eq!(OpusDescriptor::parse(&[0x7B, 6]).unwrap().duration, 5760);
        assert_eq!(OpusDescriptor::parse(&[0x7B, 7]), Err(OpusError::Duration));
        assert_eq!(OpusDescriptor::parse(&[0x7B, 0]), Err(OpusError::Duration));
        assert_eq!(OpusDescriptor::parse(&[0x7B]), Err(OpusError::Truncated));
        assert_eq!(OpusDescriptor::parse(&[]), Err(OpusError::Truncated));
    }

    #[test]
    fn packets_of_one_or_two_bytes_are_silence() {
        assert!(OpusDescriptor::parse(&[0x78]).unwrap().dtx);
        assert!(OpusDescriptor::parse(&[0x78, 0]).unwrap().dtx);
        assert!(!OpusDescriptor::parse(&[0x78, 0, 0]).unwrap().dtx);
    }
}
