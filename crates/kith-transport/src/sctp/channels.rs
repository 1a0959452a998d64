//! The table of data channels: which stream carries which label, and how far each of them is.

use crate::api::DataLabel;
use crate::dcep::Reliability;

/// Data channels per connection, ours and the peer's. LiveKit clients use three.
pub(crate) const MAX_CHANNELS: usize = 64;

/// Bytes that may wait in a reliable channel.
pub(crate) const MAX_BUFFERED_RELIABLE: usize = 1 << 20;
/// Bytes that may wait in a channel whose messages may get lost: what waits there is late, and late is as bad as lost.
pub(crate) const MAX_BUFFERED_LOSSY: usize = 256 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChannelState {
    /// We have asked, the peer has not acknowledged.
    Opening,
    Open,
}

#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) stream: u16,
    pub(crate) label: DataLabel,
    pub(crate) unordered: bool,
    pub(crate) reliability: Reliability,
    pub(crate) state: ChannelState,
    pub(crate) opened_by_peer: bool,
    /// A message was refused; the owner waits to hear that there is room.
    pub(crate) refused: bool,
    /// Reading goes on after a pause, and the peer does not know yet.
    pub(crate) resumed: bool,
}

impl Channel {
    pub(crate) fn max_buffered(&self) -> usize {
        match self.reliability {
            Reliability::Reliable => MAX_BUFFERED_RELIABLE,
            _ => MAX_BUFFERED_LOSSY,
        }
    }
}

/// A few channels, searched from end to end.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    entries: Vec<Channel>,
    paused: Vec<DataLabel>,
}

impl Channels {
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= MAX_CHANNELS
    }

    pub(crate) fn insert(&mut self, channel: Channel) {
        self.entries.push(channel);
    }

    pub(crate) fn get(&self, stream: u16) -> Option<&Channel> {
        self.entries.iter().find(|channel| channel.stream == stream)
    }

    pub(crate) fn get_mut(&mut self, stream: u16) -> Option<&mut Channel> {
        self.entries
            .iter_mut()
            .find(|channel| channel.stream == stream)
    }

    pub(crate) fn remove(&mut self, stream: u16) -> Option<Channel> {
        let at = self
            .entries
            .iter()
            .position(|channel| channel.stream == stream)?;
        Some(self.entries.remove(at))
    }

    pub(crate) fn drain(&mut self) -> Vec<Channel> {
        std::mem::take(&mut self.entries)
    }

    /// The channel that messages with this label are sent on. If the peer opened one, that: some clients listen on no other.
    pub(crate) fn outgoing(&mut self, label: &DataLabel) -> Option<&mut Channel> {
        self.entries
            .iter_mut()
            .filter(|channel| channel.state == ChannelState::Open && channel.label == *label)
            .max_by_key(|channel| channel.opened_by_peer)
    }

    pub(crate) fn is_paused(&self, stream: u16) -> bool {
        self.get(stream)
            .is_some_and(|channel| self.paused.contains(&channel.label))
    }

    /// Stops reading a label, on channels that exist and that will. Returns whether there is room to remember it.
    pub(crate) fn pause(&mut self, label: &DataLabel) -> bool {
        if !self.paused.contains(label) {
            if self.paused.len() >= MAX_CHANNELS {
                return false;
            }
            self.paused.push(label.clone());
        }
        true
    }

    pub(crate) fn resume(&mut self, label: &DataLabel) {
        let paused = self.paused.len();
        self.paused.retain(|paused| paused != label);
        if self.paused.len() != paused {
            self.entries
                .iter_mut()
                .filter(|channel| channel.label == *label)
                .for_each(|channel| channel.resumed = true);
        }
    }
}
