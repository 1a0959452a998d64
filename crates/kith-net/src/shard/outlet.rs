//! Events of one transport on their way to the control plane.

use std::collections::VecDeque;

use tokio::sync::mpsc::error::TrySendError;

use crate::api::{Event, EventKind, EventSink, TransportId};

/// Events that wait for a full sink. Data does not add to it for long, since reading stops; the rest is a few per publication.
const MAX_WAITING: usize = 4096;

/// The events of one transport.
#[derive(Debug)]
pub(super) struct Outlet {
    transport: TransportId,
    sink: EventSink,
    waiting: VecDeque<EventKind>,
    /// Nobody listens any more.
    closed: bool,
    pub(super) dropped: u64,
}

impl Outlet {
    pub(super) fn new(transport: TransportId, sink: EventSink) -> Self {
        Outlet {
            transport,
            sink,
            waiting: VecDeque::new(),
            closed: false,
            dropped: 0,
        }
    }

    /// Sends an event, or keeps it until the sink has room.
    pub(super) fn push(&mut self, kind: EventKind) {
        if self.closed {
            self.dropped += 1;
            return;
        }
        self.drain();
        if self.waiting.is_empty() {
            match self.sink.try_send(Event {
                transport: self.transport,
                kind,
            }) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => self.closed = true,
                Err(TrySendError::Full(event)) => self.keep(event.kind),
            }
        } else {
            self.keep(kind);
        }
    }

    /// Whether events wait, so that reading of data shall stop.
    pub(super) fn is_full(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the receiver is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.closed || self.sink.is_closed()
    }

    /// Sends what waits as far as the sink has room. Returns whether nothing waits any more.
    pub(super) fn drain(&mut self) -> bool {
        while let Some(kind) = self.waiting.pop_front() {
            match self.sink.try_send(Event {
                transport: self.transport,
                kind,
            }) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.waiting.push_front(event.kind);
                    return false;
                }
                Err(TrySendError::Closed(_)) => {
                    self.closed = true;
                    self.dropped += 1 + self.waiting.len() as u64;
                    self.waiting = VecDeque::new();
                }
            }
        }
        true
    }

    fn keep(&mut self, kind: EventKind) {
        // Measurements are worth nothing when they are late.
        let measurement = matches!(
            kind,
            EventKind::AudioLevel { .. } | EventKind::ReceiveEstimate { .. }
        );
        if measurement || self.waiting.len() >= MAX_WAITING {
            self.dropped += 1;
        } else {
            self.waiting.push_back(kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::api::{DataLabel, ShardId};

    fn closed(label: &str) -> EventKind {
        EventKind::DataChannelClosed {
            label: DataLabel::from(label),
        }
    }

    #[test]
    fn events_wait_for_a_full_sink_in_order_and_measurements_do_not() {
        let (sink, mut source) = mpsc::channel(1);
        let mut outlet = Outlet::new(TransportId(ShardId(0).id(1)), sink);
        outlet.push(closed("a"));
        assert!(!outlet.is_full());
        outlet.push(closed("b"));
        outlet.push(EventKind::ReceiveEstimate { bitrate: 1 });
        outlet.push(closed("c"));
        assert!(outlet.is_full());
        let mut got = Vec::new();
        while let Ok(event) = source.try_recv() {
            got.push(event.kind);
            outlet.drain();
        }
        assert_eq!(got, [closed("a"), closed("b"), closed("c")]);
        assert_eq!(outlet.dropped, 1);
        assert!(!outlet.is_full());
    }

    #[test]
    fn a_sink_without_a_receiver_takes_nothing_and_keeps_nothing() {
        let (sink, source) = mpsc::channel(1);
        let mut outlet = Outlet::new(TransportId(ShardId(0).id(1)), sink);
        outlet.push(closed("a"));
        outlet.push(closed("b"));
        drop(source);
        assert!(outlet.is_closed());
        outlet.push(closed("c"));
        assert!(!outlet.is_full());
    }
}
