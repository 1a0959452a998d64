//! What a viewer sees: which pictures can be decoded, and when.

use std::time::{Duration, Instant};

use crate::client::Received;

/// How a video played, if every picture is shown as soon as it can be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playback {
    /// When the first picture was shown.
    pub first: Instant,
    /// Pictures shown.
    pub shown: usize,
    /// Pictures that came in part, or without one that they need.
    pub not_shown: usize,
    /// The longest time between two pictures.
    pub longest_gap: Duration,
}

/// Plays VP8 without temporal layers: a picture needs all its packets, and all pictures since the last keyframe. `packets` are those
/// of one stream in the order of their numbers. `None`: nothing could be shown.
#[must_use]
pub fn play(packets: &[&Received]) -> Option<Playback> {
    let mut shown: Vec<Instant> = Vec::new();
    let mut not_shown = 0;
    // Sequence number that would go on with what was shown.
    let mut next = None;
    for picture in packets.chunk_by(|a, b| a.time == b.time) {
        let (first, last) = (picture[0], picture[picture.len() - 1]);
        let whole = last.marker && last.seq - first.seq + 1 == picture.len() as u64;
        let refers = first.keyframe || next == Some(first.seq);
        if !whole || !refers {
            not_shown += 1;
            next = None;
            continue;
        }
        next = Some(last.seq + 1);
        let complete = picture.iter().map(|packet| packet.at).max()?;
        // Decoding is in order.
        let at = shown
            .last()
            .map_or(complete, |before| complete.max(*before));
        shown.push(at);
    }
    let gaps = shown.windows(2).map(|pair| pair[1] - pair[0]);
    Some(Playback {
        first: *shown.first()?,
        shown: shown.len(),
        not_shown,
        longest_gap: gaps.max().unwrap_or_default(),
    })
}
