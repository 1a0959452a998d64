//! The room's end of one signalling connection.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use kith_proto::livekit::signal_response;
use tokio::{sync::mpsc, task::AbortHandle};

use crate::signal::Outbound;

/// Set when a client of the room could not be written to; the room then looks for it.
pub(crate) type FailureFlag = Arc<AtomicBool>;

/// A signalling connection of one participant. Dropping it closes the socket, after what was sent before.
#[derive(Debug)]
pub(crate) struct Signal {
    responses: mpsc::Sender<Outbound>,
    /// The task that carries requests to the room.
    pump: AbortHandle,
    /// Tells this connection from the one before.
    generation: u64,
    failed: bool,
    flag: FailureFlag,
}

impl Signal {
    pub(crate) fn new(
        responses: mpsc::Sender<Outbound>,
        pump: AbortHandle,
        generation: u64,
        flag: FailureFlag,
    ) -> Self {
        Signal {
            responses,
            pump,
            generation,
            failed: false,
            flag,
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the client could not be written to.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Sends, unless the client is gone. A client that does not read counts as gone: it lost a message, and what follows
    /// would not make sense to it.
    pub(crate) fn send(&mut self, message: impl Into<Outbound>) {
        if self.failed {
            return;
        }
        if self.responses.try_send(message.into()).is_err() {
            self.failed = true;
            self.flag.store(true, Ordering::Relaxed);
        }
    }

    /// Says a last word and closes.
    pub(crate) fn close(mut self, last: Option<signal_response::Message>) {
        if let Some(last) = last {
            self.send(last);
        }
        self.send(Outbound::Close);
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.pump.abort();
    }
}
