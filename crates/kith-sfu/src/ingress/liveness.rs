//! Whether an encoding carries media.

use std::time::{Duration, Instant};

use super::section::MAX_LAYERS;

/// How often silence is looked for while anything is alive.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// An encoding has stopped when it is silent for this long while another one of the same section goes on. Longer than
/// three frames at the 5 fps that are the least for moving pictures, so that with the tick it is known within 0.8 s.
const SILENT_BESIDE_OTHERS: Duration = Duration::from_millis(600);

/// "Goes on": so many frames since the silence began. Fewer may be the lower frame rate of a layer.
const FRAMES_OF_OTHERS: u64 = 3;

/// An encoding has stopped when it is silent for this long, whatever the others do. A still screen share repeats its
/// picture once a second, Opus DTX sends each 400 ms.
const SILENT: Duration = Duration::from_secs(2);

/// Liveness of one encoding. **Alive from its first media packet on, at once.**
#[derive(Debug, Default)]
pub(super) struct Liveness {
    last_media: Option<Instant>,
    alive: bool,
    /// The next packet starts something, alive or not.
    begins: bool,
    heard_since_tick: bool,
    /// Frame counts of all encodings of the section when this one was last heard.
    frames_then: [u64; MAX_LAYERS],
}

impl Liveness {
    pub(super) fn is_alive(&self) -> bool {
        self.alive
    }

    /// Another stream begins with the next packet.
    pub(super) fn begins_stream(&mut self) {
        self.begins = true;
    }

    /// Takes a media packet. True if it starts the encoding, or another stream of it.
    pub(super) fn on_media(&mut self, now: Instant) -> bool {
        let starts = self.begins || !self.alive;
        self.begins = false;
        self.alive = true;
        self.last_media = Some(now);
        self.heard_since_tick = true;
        starts
    }

    pub(super) fn stop(&mut self) {
        self.alive = false;
    }

    /// Looks for silence; `frames` are the frame counts of all encodings of the section. True if the encoding stopped.
    pub(super) fn on_tick(&mut self, now: Instant, frames: &[u64; MAX_LAYERS]) -> bool {
        if !self.alive {
            return false;
        }
        if std::mem::take(&mut self.heard_since_tick) {
            self.frames_then = *frames;
            return false;
        }
        let silence = self
            .last_media
            .map_or(Duration::MAX, |last| now.saturating_duration_since(last));
        let others_go_on = frames
            .iter()
            .zip(&self.frames_then)
            .any(|(now, then)| now.saturating_sub(*then) >= FRAMES_OF_OTHERS);
        silence >= SILENT || (silence >= SILENT_BESIDE_OTHERS && others_go_on)
    }
}
