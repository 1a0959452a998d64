//! The task of a room: inputs one by one, and between batches what they led to.

use std::time::Instant;

use kith_net::Event;
use kith_proto::livekit::{DisconnectReason, SignalRequest};
use tokio::sync::{mpsc, oneshot};

use super::{ParticipantId, state::Room};
use crate::signal::{JoinError, SessionRequest, SignalChannel};

/// Inputs that may wait for a room. A client whose room is slow is read slower.
pub(super) const MAILBOX: usize = 1024;

/// Events of the media plane that may wait for a room; the media plane holds back what does not fit.
pub(super) const EVENTS: usize = 8 * kith_net::EVENT_SINK_CAPACITY;

/// Inputs that are handled before what they led to is sent. Only what is there already is taken together; the bound keeps a
/// flood from delaying the answers.
const BATCH: usize = 64;

/// What a room is told.
#[derive(Debug)]
pub(super) enum Input {
    /// Somebody wants in.
    Join(Box<Join>),
    /// A participant asks something.
    Request {
        /// Who.
        from: ParticipantId,
        /// On which of its connections.
        generation: u64,
        /// What.
        request: Box<SignalRequest>,
    },
    /// A signalling connection ended.
    SignalClosed {
        /// Whose.
        from: ParticipantId,
        /// Which of its connections.
        generation: u64,
    },
    /// The room ends.
    Close {
        /// Why.
        reason: DisconnectReason,
        /// Told when the farewells are queued.
        done: oneshot::Sender<()>,
    },
}

/// A request to join.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) request: SessionRequest,
    pub(super) channel: SignalChannel,
    pub(super) reply: oneshot::Sender<JoinReply>,
}

/// What became of a request to join.
#[derive(Debug)]
pub(super) enum JoinReply {
    /// The first message is on the channel.
    Joined,
    /// Not allowed.
    Refused(JoinError),
    /// The room has ended in the meantime; it has to be made anew.
    Ended(Box<(SessionRequest, SignalChannel)>),
}

impl Join {
    /// Tells the one who wants in that this room is over.
    pub(super) fn ended(self) {
        let _ = self
            .reply
            .send(JoinReply::Ended(Box::new((self.request, self.channel))));
    }
}

/// Runs a room until it ends.
pub(super) async fn run(
    mut room: Room,
    mut inputs: mpsc::Receiver<Input>,
    mut events: mpsc::Receiver<Event>,
) {
    while !room.closed {
        let deadline = room.timers.next();
        let timeout = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(input) = inputs.recv() => {
                room.now = now();
                handle(&mut room, input);
            }
            Some(event) = events.recv() => {
                room.now = now();
                room.on_event(event);
            }
            () = timeout => {}
        }
        room.now = now();
        for _ in 0..BATCH {
            let mut idle = true;
            if let Ok(input) = inputs.try_recv() {
                handle(&mut room, input);
                idle = false;
            }
            if let Ok(event) = events.try_recv() {
                room.on_event(event);
                idle = false;
            }
            if idle || room.closed {
                break;
            }
        }
        room.on_timers();
        room.flush();
    }
    // Whoever comes now has to make the room anew.
    inputs.close();
    while let Some(input) = inputs.recv().await {
        match input {
            Input::Join(join) => join.ended(),
            Input::Close { done, .. } => _ = done.send(()),
            Input::Request { .. } | Input::SignalClosed { .. } => {}
        }
    }
}

/// The runtime's clock, which a test may hold.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn handle(room: &mut Room, input: Input) {
    match input {
        Input::Join(join) => room.on_join(*join),
        Input::Request {
            from,
            generation,
            request,
        } => room.on_request(from, generation, *request),
        Input::SignalClosed { from, generation } => room.on_signal_closed(from, generation),
        Input::Close { reason, done } => {
            room.close(reason);
            let _ = done.send(());
        }
    }
}

/// Carries the requests of one signalling connection to its room.
pub(super) async fn pump(
    mut requests: mpsc::Receiver<SignalRequest>,
    mailbox: mpsc::Sender<Input>,
    from: ParticipantId,
    generation: u64,
) {
    while let Some(request) = requests.recv().await {
        let input = Input::Request {
            from,
            generation,
            request: Box::new(request),
        };
        if mailbox.send(input).await.is_err() {
            return;
        }
    }
    let _ = mailbox.send(Input::SignalClosed { from, generation }).await;
}
