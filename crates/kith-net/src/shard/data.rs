//! Data channel messages that a transport does not take yet.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use kith_transport::{DataLabel, SendDataError, Transport};

/// Bytes that may wait for one channel, on top of what the transport holds itself. A peer that is this far behind will not catch
/// up; the control plane is told how much it lost.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// Messages that may wait for one channel: bounds what tiny messages cost.
const MAX_WAITING_MESSAGES: usize = 8192;

/// Channels with waiting messages per transport. LiveKit has three.
const MAX_CHANNELS: usize = 16;

/// A lossy channel with more than this in flight drops what comes: 100 ms at 5 Mbit/s. Late messages are worth less than a short
/// queue.
const LOSSY_IN_FLIGHT: usize = 64 << 10;

#[derive(Debug)]
struct Waiting {
    label: DataLabel,
    messages: VecDeque<Bytes>,
    bytes: usize,
    /// Messages given up since the last report.
    dropped: u32,
}

/// The waiting messages of one transport.
#[derive(Debug, Default)]
pub(super) struct DataQueue {
    channels: Vec<Waiting>,
}

/// Whether messages may be dropped without a word.
fn is_lossy(label: &DataLabel) -> bool {
    matches!(label, DataLabel::Lossy | DataLabel::DataTrack)
}

impl DataQueue {
    /// Sends a message or lets it wait. `false`: it was given up.
    pub(super) fn send(
        &mut self,
        now: Instant,
        transport: &mut Transport,
        label: &DataLabel,
        payload: &Bytes,
    ) -> bool {
        if is_lossy(label) {
            // A channel that is not open yet has nothing in flight and refuses by itself.
            return transport.buffered_amount(label) <= LOSSY_IN_FLIGHT
                && transport.send_data(now, label, payload, true).is_ok();
        }
        let position = self
            .channels
            .iter()
            .position(|waiting| waiting.label == *label);
        if let Some(waiting) = position.and_then(|position| self.channels.get_mut(position))
            && !waiting.messages.is_empty()
        {
            return waiting.push(payload);
        }
        match transport.send_data(now, label, payload, true) {
            Ok(()) => true,
            Err(SendDataError::NotOpen | SendDataError::Full) => match self.channel(label) {
                Some(waiting) => waiting.push(payload),
                None => false,
            },
            Err(error @ SendDataError::TooLong { .. }) => {
                tracing::debug!(%error, %label, "data message refused");
                if let Some(waiting) = self.channel(label) {
                    waiting.dropped += 1;
                }
                false
            }
        }
    }

    /// Sends what waits for a channel that opened or has room again.
    pub(super) fn drain(&mut self, now: Instant, transport: &mut Transport, label: &DataLabel) {
        let Some(waiting) = self
            .channels
            .iter_mut()
            .find(|waiting| waiting.label == *label)
        else {
            return;
        };
        while let Some(message) = waiting.messages.front() {
            match transport.send_data(now, label, message, true) {
                Err(SendDataError::NotOpen | SendDataError::Full) => return,
                result => {
                    if result.is_err() {
                        waiting.dropped += 1;
                    }
                    waiting.bytes -= message.len();
                    waiting.messages.pop_front();
                }
            }
        }
        waiting.messages.shrink_to(16);
    }

    /// The next report of messages given up.
    pub(super) fn poll_dropped(&mut self) -> Option<(DataLabel, u32)> {
        let waiting = self
            .channels
            .iter_mut()
            .find(|waiting| waiting.dropped > 0)?;
        Some((waiting.label.clone(), std::mem::take(&mut waiting.dropped)))
    }

    fn channel(&mut self, label: &DataLabel) -> Option<&mut Waiting> {
        let position = match self
            .channels
            .iter()
            .position(|waiting| waiting.label == *label)
        {
            Some(position) => position,
            None if self.channels.len() < MAX_CHANNELS => {
                self.channels.push(Waiting {
                    label: label.clone(),
                    messages: VecDeque::new(),
                    bytes: 0,
                    dropped: 0,
                });
                self.channels.len() - 1
            }
            None => return None,
        };
        self.channels.get_mut(position)
    }
}

impl Waiting {
    fn push(&mut self, payload: &Bytes) -> bool {
        if self.bytes + payload.len() > MAX_WAITING_BYTES
            || self.messages.len() >= MAX_WAITING_MESSAGES
        {
            self.dropped += 1;
            return false;
        }
        self.bytes += payload.len();
        self.messages.push_back(payload.clone());
        true
    }
}
