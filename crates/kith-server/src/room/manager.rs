//! The rooms of a server by name.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kith_proto::livekit::DisconnectReason;
use tokio::sync::{mpsc, oneshot};

use super::{
    Media, RoomSettings,
    actor::{self, Input, Join, JoinReply},
    state::{Room, Shared},
};
use crate::{
    auth::Keys,
    signal::{JoinError, Rooms, RoomsFuture, SessionRequest, SignalChannel},
};

/// How often a join is tried on a room that ends at that moment. Each try finds another room; more than one is rare.
const JOIN_TRIES: usize = 4;

struct Entry {
    mailbox: mpsc::Sender<Input>,
    /// Tells this room from one of the same name before it.
    number: u64,
}

#[derive(Default)]
struct Registry {
    rooms: HashMap<String, Entry>,
    made: u64,
    stopping: bool,
}

struct Inner {
    shared: Arc<Shared>,
    registry: Mutex<Registry>,
}

/// All rooms. Cheap to clone. Must be used inside a tokio runtime.
#[derive(Clone)]
pub struct RoomManager {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for RoomManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoomManager").finish_non_exhaustive()
    }
}

impl RoomManager {
    /// No rooms yet. `keys` sign refresh tokens.
    #[must_use]
    pub fn new(settings: RoomSettings, keys: Keys, media: Arc<dyn Media>) -> Self {
        RoomManager {
            inner: Arc::new(Inner {
                shared: Arc::new(Shared {
                    settings,
                    keys,
                    media,
                }),
                registry: Mutex::default(),
            }),
        }
    }

    /// Names of the rooms that are there, in no order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.registry().rooms.keys().cloned().collect()
    }

    /// The lock is held for a lookup at a time, never while something is called.
    fn registry(&self) -> MutexGuard<'_, Registry> {
        // A panic elsewhere leaves the map as it was: every change is a single insertion or removal.
        self.inner
            .registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The mailbox of the room that `request` names, which is made if need be.
    fn room_for(&self, request: &SessionRequest) -> Result<mpsc::Sender<Input>, JoinError> {
        let mut registry = self.registry();
        if registry.stopping {
            return Err(JoinError::ShuttingDown);
        }
        if let Some(entry) = registry.rooms.get(&request.room)
            && !entry.mailbox.is_closed()
        {
            return Ok(entry.mailbox.clone());
        }
        self.may_create(request)?;
        registry.made += 1;
        let number = registry.made;
        let (mailbox, inputs) = mpsc::channel(actor::MAILBOX);
        let (sink, events) = mpsc::channel(actor::EVENTS);
        let room = Room::new(
            Arc::clone(&self.inner.shared),
            request.room.clone(),
            request.room_config.as_ref(),
            mailbox.clone(),
            sink,
            actor::now(),
        );
        let manager = self.clone();
        let name = request.room.clone();
        tokio::spawn(async move {
            actor::run(room, inputs, events).await;
            manager.forget(&name, number);
        });
        registry.rooms.insert(
            request.room.clone(),
            Entry {
                mailbox: mailbox.clone(),
                number,
            },
        );
        Ok(mailbox)
    }

    fn may_create(&self, request: &SessionRequest) -> Result<(), JoinError> {
        if !self.inner.shared.settings.auto_create && !request.grants.room_create {
            return Err(JoinError::RoomNotFound);
        }
        if !request.room_preset.is_empty() {
            return Err(JoinError::UnknownPreset);
        }
        Ok(())
    }

    fn forget(&self, name: &str, number: u64) {
        let mut registry = self.registry();
        if registry
            .rooms
            .get(name)
            .is_some_and(|entry| entry.number == number)
        {
            registry.rooms.remove(name);
        }
    }

    async fn join_room(
        &self,
        request: SessionRequest,
        channel: SignalChannel,
    ) -> Result<(), JoinError> {
        let (mut request, mut channel) = (request, channel);
        for _ in 0..JOIN_TRIES {
            let mailbox = self.room_for(&request)?;
            let (reply, answer) = oneshot::channel();
            let join = Box::new(Join {
                request,
                channel,
                reply,
            });
            if let Err(mpsc::error::SendError(input)) = mailbox.send(Input::Join(join)).await {
                // The room ended between lookup and send; the next lookup makes a new one.
                let Input::Join(join) = input else { break };
                (request, channel) = (join.request, join.channel);
                continue;
            }
            match answer.await {
                Ok(JoinReply::Joined) => return Ok(()),
                Ok(JoinReply::Refused(error)) => return Err(error),
                Ok(JoinReply::Ended(back)) => (request, channel) = *back,
                Err(_) => break,
            }
        }
        Err(JoinError::Internal(
            "the room ended while it was joined".to_owned(),
        ))
    }

    async fn stop(&self) {
        let rooms: Vec<mpsc::Sender<Input>> = {
            let mut registry = self.registry();
            registry.stopping = true;
            registry
                .rooms
                .values()
                .map(|entry| entry.mailbox.clone())
                .collect()
        };
        for room in rooms {
            let (done, farewell) = oneshot::channel();
            let close = Input::Close {
                reason: DisconnectReason::ServerShutdown,
                done,
            };
            if room.send(close).await.is_ok() {
                let _ = farewell.await;
            }
        }
    }
}

impl Rooms for RoomManager {
    fn join(
        &self,
        request: SessionRequest,
        channel: SignalChannel,
    ) -> RoomsFuture<'_, Result<(), JoinError>> {
        Box::pin(self.join_room(request, channel))
    }

    fn check<'a>(&'a self, request: &'a SessionRequest) -> RoomsFuture<'a, Result<(), JoinError>> {
        let exists = self.registry().rooms.contains_key(&request.room);
        let result = if exists {
            Ok(())
        } else {
            self.may_create(request)
        };
        Box::pin(std::future::ready(result))
    }

    fn shutdown(&self) -> RoomsFuture<'_, ()> {
        Box::pin(self.stop())
    }
}
