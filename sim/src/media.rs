//! Sources of media that looks like VP8 and Opus, with a mark in each packet that says which one it is.

use std::time::{Duration, Instant};

use crate::client::{OPUS, Send, VP8};

/// What a source writes at the end of each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The SSRC of the source.
    pub source: u32,
    /// Counts its pictures (or audio packets) from 0.
    pub picture: u32,
    /// Which packet of the picture.
    pub part: u8,
}

/// Tells a mark from other bytes.
const MAGIC: [u8; 3] = *b"sim";

impl Mark {
    /// Length of a mark.
    const LEN: usize = 12;

    fn write(self, payload: &mut [u8]) {
        let at = payload.len() - Self::LEN;
        let mark = &mut payload[at..];
        mark[..4].copy_from_slice(&self.source.to_be_bytes());
        mark[4..8].copy_from_slice(&self.picture.to_be_bytes());
        mark[8] = self.part;
        mark[9..].copy_from_slice(&MAGIC);
    }

    /// Reads the mark of a payload.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Mark> {
        let mark: &[u8; Self::LEN] = payload.last_chunk()?;
        let number =
            |at: usize| u32::from_be_bytes([mark[at], mark[at + 1], mark[at + 2], mark[at + 3]]);
        (mark[9..] == MAGIC).then(|| Mark {
            source: number(0),
            picture: number(4),
            part: mark[8],
        })
    }
}

/// Ticks of a clock in a duration.
#[must_use]
pub fn ticks(duration: Duration, clock_rate: u64) -> u64 {
    duration.as_micros() as u64 * clock_rate / 1_000_000
}

/// A source of VP8, one stream.
#[derive(Clone, Debug)]
pub struct Vp8Source {
    /// Its SSRC; change it for another stream of the same encoder.
    pub ssrc: u32,
    /// Pictures so far.
    pub pictures: u32,
    /// The next sequence number.
    pub seq: u64,
    /// Timestamp at `start`.
    pub first_time: u32,
    /// When its clock began.
    pub start: Instant,
    /// Id of the next picture.
    pub picture_id: u16,
    /// Packets of a picture.
    pub parts: u8,
    /// Bytes of a payload.
    pub len: usize,
}

impl Vp8Source {
    /// A source with start values that follow from its SSRC.
    #[must_use]
    pub fn new(start: Instant, ssrc: u32, parts: u8, len: usize) -> Self {
        let mixed = ssrc.wrapping_mul(0x9e37_79b9);
        Vp8Source {
            ssrc,
            pictures: 0,
            seq: u64::from(mixed >> 16 & 0x7fff) + 1,
            first_time: mixed,
            start,
            picture_id: (mixed >> 3) as u16 & 0x7fff,
            parts,
            len,
        }
    }

    /// The packets of the picture that is captured now.
    pub fn picture(&mut self, now: Instant, keyframe: bool) -> Vec<Send> {
        let time = self
            .first_time
            .wrapping_add(ticks(now - self.start, 90_000) as u32);
        let packets = (0..self.parts)
            .map(|part| {
                // X, S; I; 15-bit picture id.
                let mut payload = vec![
                    0x80 | if part == 0 { 0x10 } else { 0 },
                    0x80,
                    0x80 | (self.picture_id >> 8) as u8,
                    self.picture_id as u8,
                ];
                match (part, keyframe) {
                    // A keyframe of 640×360.
                    (0, true) => payload.extend_from_slice(&[
                        0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01,
                    ]),
                    (0, false) => payload.extend_from_slice(&[0x11, 0x02, 0x00]),
                    _ => {}
                }
                payload.resize(self.len, self.pictures as u8);
                let mark = Mark {
                    source: self.ssrc,
                    picture: self.pictures,
                    part,
                };
                mark.write(&mut payload);
                let seq = self.seq;
                self.seq += 1;
                Send {
                    ssrc: self.ssrc,
                    payload_type: VP8,
                    seq,
                    time,
                    marker: part + 1 == self.parts,
                    payload,
                }
            })
            .collect();
        self.pictures += 1;
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        packets
    }
}

/// A source of Opus.
#[derive(Clone, Debug)]
pub struct OpusSource {
    /// Its SSRC.
    pub ssrc: u32,
    /// Packets so far.
    pub packets: u32,
    /// The next sequence number.
    pub seq: u64,
    /// Timestamp at `start`.
    pub first_time: u32,
    /// When its clock began.
    pub start: Instant,
}

impl OpusSource {
    /// A source with start values that follow from its SSRC.
    #[must_use]
    pub fn new(start: Instant, ssrc: u32) -> Self {
        let mixed = ssrc.wrapping_mul(0x85eb_ca6b);
        OpusSource {
            ssrc,
            packets: 0,
            seq: u64::from(mixed >> 16 & 0x7fff) + 1,
            first_time: mixed,
            start,
        }
    }

    /// The packet that is captured now.
    pub fn packet(&mut self, now: Instant) -> Send {
        let time = self
            .first_time
            .wrapping_add(ticks(now - self.start, 48_000) as u32);
        let mut payload = vec![0x78; 80];
        let mark = Mark {
            source: self.ssrc,
            picture: self.packets,
            part: 0,
        };
        mark.write(&mut payload);
        let seq = self.seq;
        self.seq += 1;
        self.packets += 1;
        Send {
            ssrc: self.ssrc,
            payload_type: OPUS,
            seq,
            time,
            marker: false,
            payload,
        }
    }
}
