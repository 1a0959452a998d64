//! Data channels (RFC 8831): `sctp-proto` below, DCEP and the table of channels here.
//!
//! - **An association is believed when its handshake is complete.** A peer that restarts asks for a new one; the old one lives until
//!   the new one is there.
//! - **Messages are read when they are asked for.** What is not read stays in the receive window, and then with the peer.

mod association;
mod channels;
mod guard;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp_proto::{
    Event, PayloadProtocolIdentifier as Kind, ReliabilityType, StreamEvent, TransportConfig,
};

use crate::api::{DataChannelSpec, DataLabel, DtlsRole, TransportEvent};
use crate::dcep::{self, Reliability};
use crate::error::{DataChannelError, SendDataError};
use association::{Association, Message};
use channels::{Channel, ChannelState, Channels};
pub(crate) use channels::{MAX_BUFFERED_LOSSY, MAX_BUFFERED_RELIABLE, MAX_CHANNELS};

/// As the DTLS server we let the peer ask for the association, as all browsers do. A peer that waits as well is asked after this long.
const ASK_AFTER: Duration = Duration::from_secs(2);

/// See the module.
pub(crate) struct Sctp {
    config: Arc<TransportConfig>,
    specs: Vec<DataChannelSpec>,
    max_send: usize,
    role: DtlsRole,
    /// Boxed, as most transports of a server wait for a peer or have no data.
    current: Option<Box<Association>>,
    /// One that the peer asked for and that is not complete.
    pending: Option<Box<Association>>,
    ask_at: Option<Instant>,
    channels: Channels,
    /// Streams with messages to read, each once.
    readable: VecDeque<u16>,
    events: VecDeque<TransportEvent>,
}

impl Sctp {
    pub(crate) fn new(specs: Vec<DataChannelSpec>, max_message_size: u32) -> Self {
        Self {
            config: association::config(max_message_size),
            specs,
            max_send: crate::Transport::MAX_MESSAGE_SIZE as usize,
            role: DtlsRole::Server,
            current: None,
            pending: None,
            ask_at: None,
            channels: Channels::default(),
            readable: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// What the peer takes at most, bytes; 0 means any length.
    pub(crate) fn set_peer_max_message_size(&mut self, max: u32) {
        let ours = crate::Transport::MAX_MESSAGE_SIZE;
        self.max_send = (if max == 0 { ours } else { max.min(ours) }) as usize;
    }

    /// DTLS is up.
    pub(crate) fn start(&mut self, now: Instant, role: DtlsRole) {
        self.role = role;
        match role {
            DtlsRole::Client => self.current = Association::connect(&self.config).map(Box::new),
            DtlsRole::Server if !self.specs.is_empty() => self.ask_at = Some(now + ASK_AFTER),
            DtlsRole::Server => {}
        }
    }

    /// Takes a packet of the verified peer.
    pub(crate) fn handle(&mut self, now: Instant, packet: Bytes) {
        if guard::kind(&packet) == guard::Kind::Init {
            self.handle_init(now, packet);
        } else {
            let taken = self
                .current
                .as_mut()
                .is_some_and(|current| current.handle(now, &packet));
            if !taken && let Some(pending) = &mut self.pending {
                pending.handle(now, &packet);
            }
        }
        self.progress();
    }

    fn handle_init(&mut self, now: Instant, packet: Bytes) {
        let tag = guard::initiate_tag(&packet);
        self.ask_at = None;
        match &self.current {
            // A copy that comes late. The engine would take it for an error and close.
            Some(current) if current.is_connected() && current.peer_tag() == tag => return,
            Some(current) if current.is_connected() => {}
            // Both ask: the answer to the client's counts (RFC 9260 section 5.2.1 lets the peer answer ours).
            Some(_) if self.role == DtlsRole::Client => return,
            Some(_) => self.current = None,
            None => {}
        }
        match &mut self.pending {
            Some(pending) if pending.peer_tag() == tag => {
                pending.handle(now, &packet);
            }
            pending => *pending = Association::accept(now, &self.config, packet).map(Box::new),
        }
    }

    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Vec<Bytes>> {
        [&mut self.pending, &mut self.current]
            .into_iter()
            .flatten()
            .find_map(|association| association.poll_transmit(now))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let associations = [&self.pending, &self.current].into_iter().flatten();
        associations
            .filter_map(|association| association.poll_timeout())
            .chain(self.ask_at)
            .min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.ask_at.is_some_and(|at| now >= at) {
            self.ask_at = None;
            if self.current.is_none() && self.pending.is_none() {
                self.current = Association::connect(&self.config).map(Box::new);
            }
        }
        [&mut self.pending, &mut self.current]
            .into_iter()
            .flatten()
            .for_each(|association| association.handle_timeout(now));
        self.progress();
    }

    /// What happened, or the next message.
    pub(crate) fn poll_event(&mut self, now: Instant) -> Option<TransportEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        // Each stream has its turn, so that a busy one does not hold up the others.
        for _ in 0..self.readable.len() {
            let stream = self.readable.pop_front()?;
            if self.channels.is_paused(stream) {
                self.readable.push_back(stream);
                continue;
            }
            while let Some(message) = self
                .current
                .as_mut()
                .and_then(|current| current.read(stream))
            {
                if let Some(event) = self.handle_message(stream, message) {
                    self.readable.push_back(stream);
                    return Some(event);
                }
            }
            if let Some(channel) = self.channels.get_mut(stream)
                && std::mem::take(&mut channel.resumed)
                && let Some(current) = &mut self.current
            {
                current.announce_window(now);
                self.progress();
            }
        }
        // Reading the last message of a closed channel ends it.
        self.progress();
        self.events.pop_front()
    }

    pub(crate) fn send(
        &mut self,
        label: &DataLabel,
        payload: &[u8],
        binary: bool,
    ) -> Result<(), SendDataError> {
        let channel = self
            .channels
            .outgoing(label)
            .ok_or(SendDataError::NotOpen)?;
        let association = self.current.as_mut().ok_or(SendDataError::NotOpen)?;
        if payload.len() > self.max_send {
            return Err(SendDataError::TooLong {
                len: payload.len(),
                max: self.max_send,
            });
        }
        let buffered = association.buffered(channel.stream);
        if buffered > 0 && buffered + payload.len() > channel.max_buffered() {
            channel.refused = true;
            return Err(SendDataError::Full);
        }
        // SCTP has no empty messages: RFC 8831 section 6.6 sends one byte and says that it does not count.
        let (kind, payload) = match (binary, payload.is_empty()) {
            (true, false) => (Kind::Binary, payload),
            (false, false) => (Kind::String, payload),
            (true, true) => (Kind::BinaryEmpty, &[0][..]),
            (false, true) => (Kind::StringEmpty, &[0][..]),
        };
        if association.write(channel.stream, kind, payload) {
            Ok(())
        } else {
            Err(SendDataError::NotOpen)
        }
    }

    pub(crate) fn buffered_amount(&mut self, label: &DataLabel) -> usize {
        match (self.channels.outgoing(label), &mut self.current) {
            (Some(channel), Some(association)) => association.buffered(channel.stream),
            _ => 0,
        }
    }

    pub(crate) fn pause_reading(&mut self, label: &DataLabel) -> Result<(), DataChannelError> {
        if self.channels.pause(label) {
            Ok(())
        } else {
            Err(DataChannelError::TooMany(MAX_CHANNELS))
        }
    }

    pub(crate) fn resume_reading(&mut self, label: &DataLabel) {
        self.channels.resume(label);
    }

    /// Takes what the associations have to say.
    fn progress(&mut self) {
        if self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.is_connected())
        {
            self.lose_channels();
            self.current = self.pending.take();
        }
        while let Some(event) = self
            .current
            .as_mut()
            .and_then(|current| current.poll_event())
        {
            match event {
                Event::Connected => self.open_ours(),
                Event::AssociationLost { reason } | Event::HandshakeFailed { reason } => {
                    tracing::debug!(%reason, "SCTP association lost");
                    self.current = None;
                    self.lose_channels();
                }
                Event::Stream(StreamEvent::Readable { id }) => self.handle_readable(id),
                Event::Stream(StreamEvent::Finished { id }) => self.handle_finished(id),
                Event::Stream(StreamEvent::BufferedAmountLow { id }) => {
                    if let Some(channel) = self.channels.get_mut(id)
                        && std::mem::take(&mut channel.refused)
                    {
                        self.events.push_back(TransportEvent::BufferedLow {
                            label: channel.label.clone(),
                        });
                    }
                }
                _ => {}
            }
        }
    }

    fn open_ours(&mut self) {
        let Some(association) = &mut self.current else {
            return;
        };
        // RFC 8832 section 6: the DTLS client uses even streams.
        let first = match self.role {
            DtlsRole::Client => 0,
            DtlsRole::Server => 1,
        };
        for (spec, stream) in self
            .specs
            .iter()
            .zip((first..guard::MAX_STREAMS).step_by(2))
        {
            let reliability = spec.max_retransmits.map_or(Reliability::Reliable, |n| {
                Reliability::Retransmits(n.into())
            });
            let open = dcep::Open {
                unordered: !spec.ordered,
                reliability,
                label: spec.label.as_str(),
            };
            // Everything is ordered and reliable until the peer has acknowledged.
            if association.open(stream)
                && association.write(stream, Kind::Dcep, &dcep::Message::Open(open).to_vec())
            {
                self.channels.insert(Channel {
                    stream,
                    label: spec.label.clone(),
                    unordered: !spec.ordered,
                    reliability,
                    state: ChannelState::Opening,
                    opened_by_peer: false,
                    refused: false,
                    resumed: false,
                });
            }
        }
    }

    fn handle_readable(&mut self, stream: u16) {
        // Opening and acknowledging is done at once, whether or not anybody reads.
        while self
            .channels
            .get(stream)
            .is_none_or(|channel| channel.state == ChannelState::Opening)
        {
            let Some(message) = self
                .current
                .as_mut()
                .and_then(|current| current.read(stream))
            else {
                return;
            };
            let event = self.handle_message(stream, message);
            self.events.extend(event);
        }
        if !self.readable.contains(&stream) {
            self.readable.push_back(stream);
        }
    }

    fn handle_message(&mut self, stream: u16, message: Message) -> Option<TransportEvent> {
        let (binary, payload) = match message.kind {
            Kind::Dcep => {
                self.handle_dcep(stream, &message.payload);
                return None;
            }
            Kind::Binary => (true, message.payload),
            Kind::String => (false, message.payload),
            Kind::BinaryEmpty => (true, Bytes::new()),
            Kind::StringEmpty => (false, Bytes::new()),
            Kind::Unknown => return None,
        };
        // Whoever sends data knows that the channel is open.
        self.opened(stream);
        let label = self.channels.get(stream)?.label.clone();
        Some(TransportEvent::Data {
            label,
            payload,
            binary,
        })
    }

    fn handle_dcep(&mut self, stream: u16, message: &[u8]) {
        match dcep::Message::parse(message) {
            Ok(dcep::Message::Ack) => self.opened(stream),
            Ok(dcep::Message::Open(open))
                if self.channels.get(stream).is_none() && !self.channels.is_full() =>
            {
                let acknowledged = self.current.as_mut().is_some_and(|current| {
                    current.write(stream, Kind::Dcep, &dcep::Message::Ack.to_vec())
                });
                if acknowledged {
                    self.channels.insert(Channel {
                        stream,
                        label: open.label.into(),
                        unordered: open.unordered,
                        reliability: open.reliability,
                        state: ChannelState::Opening,
                        opened_by_peer: true,
                        refused: false,
                        resumed: false,
                    });
                    self.opened(stream);
                }
            }
            // Opened twice: the first one stands.
            Ok(dcep::Message::Open(_)) if self.channels.get(stream).is_some() => {}
            Ok(dcep::Message::Open(_)) | Err(_) => {
                tracing::debug!(stream, "data channel refused");
                if self.channels.get(stream).is_none()
                    && let Some(current) = &mut self.current
                {
                    current.reset(stream);
                }
            }
        }
    }

    /// Moves a channel on to open, if it is not.
    fn opened(&mut self, stream: u16) {
        let Some(channel) = self
            .channels
            .get_mut(stream)
            .filter(|channel| channel.state == ChannelState::Opening)
        else {
            return;
        };
        channel.state = ChannelState::Open;
        let reliability = match channel.reliability {
            Reliability::Reliable => (ReliabilityType::Reliable, 0),
            Reliability::Retransmits(count) => (ReliabilityType::Rexmit, count),
            Reliability::Lifetime(ms) => (ReliabilityType::Timed, ms),
        };
        if let Some(current) = &mut self.current {
            current.configure(
                stream,
                channel.unordered,
                reliability,
                channel.max_buffered() / 2,
            );
        }
        self.events.push_back(TransportEvent::DataChannelOpen {
            label: channel.label.clone(),
        });
    }

    fn handle_finished(&mut self, stream: u16) {
        self.readable.retain(|readable| *readable != stream);
        if let Some(channel) = self.channels.remove(stream) {
            self.events.push_back(TransportEvent::DataChannelClosed {
                label: channel.label,
            });
        }
    }

    fn lose_channels(&mut self) {
        self.readable.clear();
        for channel in self.channels.drain() {
            if channel.state == ChannelState::Open {
                self.events.push_back(TransportEvent::DataChannelClosed {
                    label: channel.label,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
