//! The handle that the control plane holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use kith_transport::{ContextError, Fingerprint, TransportContext};
use tokio::sync::oneshot;

use crate::api::{
    Command, CommandError, IceCredentials, LocalCandidate, NetConfig, PublicationId, ShardId,
    ShardStats, SubscriptionId, TransportId,
};
use crate::inbox::{Inbox, MAX_QUEUED_COMMANDS};
use crate::shard::Message;

/// Rooms of at least this many participants are spread over all shards. A shard forwards some hundred thousand packets a second;
/// a room of 50 with everybody's audio and a handful of cameras stays well below, and below that a second shard only costs
/// copies.
pub const LARGE_ROOM: usize = 50;

/// Above this share of its time (in thousandths) a shard counts as busy for [`MediaPlane::place`].
const BUSY_PERMILLE: u64 = 700;

/// By how much a busy shard must be busier than the idlest before a room is placed away from its home.
const BUSY_MARGIN: u64 = 200;

/// Why the media plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No certificate.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A socket could not be opened.
    #[error("cannot listen on {what}: {source}")]
    Bind {
        /// Protocol and port.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system refused a thread, an epoll instance or the like.
    #[error("cannot set up a shard: {0}")]
    System(#[from] std::io::Error),
    /// More shards than ids can name, or nothing to listen on.
    #[error("{0}")]
    Config(&'static str),
}

/// The media plane. Cheap to clone; the shards end with [`MediaPlane::shutdown`] or with the last handle.
#[derive(Clone, Debug)]
pub struct MediaPlane {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    fingerprint: Fingerprint,
    shards: Vec<Handle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    closed: AtomicBool,
}

/// What the control plane has of one shard.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) inbox: Arc<Inbox<Message>>,
    pub(crate) candidates: Vec<LocalCandidate>,
    /// Busy time of the last second in thousandths, written by the shard once a second.
    pub(crate) busy: Arc<AtomicU64>,
    /// For ids.
    pub(crate) count: AtomicU64,
    /// Transports made and not closed, as the control plane sees it.
    pub(crate) transports: AtomicU64,
}

impl MediaPlane {
    /// Opens the sockets and starts the threads.
    pub fn start(config: NetConfig) -> Result<MediaPlane, StartError> {
        let context = TransportContext::generate()?;
        let fingerprint = context.fingerprint();
        let (shards, threads) = crate::start::start(config, context)?;
        Ok(MediaPlane {
            inner: Arc::new(Inner {
                fingerprint,
                shards,
                threads: Mutex::new(threads),
                closed: AtomicBool::new(false),
            }),
        })
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        u16::try_from(self.inner.shards.len()).unwrap_or(u16::MAX)
    }

    /// SHA-256 of the certificate that all transports use.
    pub fn fingerprint(&self) -> Fingerprint {
        self.inner.fingerprint
    }

    /// The local candidates of a shard, to be signalled for the transports on it. Empty for a shard that does not exist.
    pub fn candidates(&self, shard: ShardId) -> &[LocalCandidate] {
        self.shard(shard).map_or(&[], |handle| &handle.candidates)
    }

    /// Where a participant's transports shall live. A small room has a home shard by its hash, and leaves it only when that is
    /// overloaded; participants of a large room ([`LARGE_ROOM`]) go wherever the fewest transports are. To be asked once per
    /// participant: both transports of one belong on the same shard.
    pub fn place(&self, room_hash: u64, room_size: usize) -> ShardId {
        let shards = &self.inner.shards;
        let home = usize::try_from(room_hash % (shards.len().max(1) as u64)).unwrap_or(0);
        if room_size >= LARGE_ROOM {
            // Ties go to the home, so that rooms do not all start on the first shard.
            let least = shards.iter().enumerate().min_by_key(|(index, handle)| {
                (handle.transports.load(Ordering::Relaxed), *index != home)
            });
            return shard_id(least.map_or(home, |(index, _)| index));
        }
        let busy = |index: usize| {
            shards
                .get(index)
                .map_or(0, |handle| handle.busy.load(Ordering::Relaxed))
        };
        let idlest = (0..shards.len())
            .min_by_key(|index| busy(*index))
            .unwrap_or(home);
        if busy(home) > BUSY_PERMILLE && busy(home) > busy(idlest) + BUSY_MARGIN {
            return shard_id(idlest);
        }
        shard_id(home)
    }

    /// A new id for a transport on `shard`.
    pub fn new_transport_id(&self, shard: ShardId) -> TransportId {
        TransportId(self.next_id(shard))
    }

    /// A new id for a publication of `transport`.
    pub fn new_publication_id(&self, transport: TransportId) -> PublicationId {
        PublicationId(self.next_id(transport.shard()))
    }

    /// A new id for a subscription of `transport`.
    pub fn new_subscription_id(&self, transport: TransportId) -> SubscriptionId {
        SubscriptionId(self.next_id(transport.shard()))
    }

    /// Hands a command to the shard it belongs to. Never blocks.
    pub fn send(&self, command: Command) -> Result<(), CommandError> {
        if self.inner.closed.load(Ordering::Relaxed) {
            return Err(CommandError::Shutdown);
        }
        let shard = match &command {
            Command::CreateTransport(spec) => {
                if let Some(handle) = self.shard(spec.id.shard()) {
                    handle.transports.fetch_add(1, Ordering::Relaxed);
                }
                self.announce(spec.id.shard(), &spec.local_ice);
                spec.id.shard()
            }
            Command::RestartIce {
                transport,
                local_ice,
            } => {
                self.announce(transport.shard(), local_ice);
                transport.shard()
            }
            Command::CloseTransport { transport } => {
                if let Some(handle) = self.shard(transport.shard()) {
                    let _ = handle.transports.fetch_update(
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                        |count| count.checked_sub(1),
                    );
                }
                transport.shard()
            }
            Command::SetRemote { transport, .. }
            | Command::AddRemoteCandidate { transport, .. }
            | Command::SetReceive { transport, .. }
            | Command::ReadTransport { transport, .. } => transport.shard(),
            Command::Subscribe(spec) => spec.transport.shard(),
            Command::SetTarget { subscription, .. } | Command::Unsubscribe { subscription } => {
                subscription.shard()
            }
            Command::RequestKeyframe { publication } => ShardId::of(publication.0),
            Command::SendData { transport, .. } => {
                let shard = transport.shard();
                self.admit_data(shard)?;
                shard
            }
            Command::SendDataMany {
                transports,
                label,
                payload,
            } => {
                return self.send_data_many(transports, |transports| Command::SendDataMany {
                    transports: Arc::clone(transports),
                    label: label.clone(),
                    payload: payload.clone(),
                });
            }
        };
        let handle = self.shard(shard).ok_or(CommandError::NoSuchShard)?;
        handle.inbox.push(Message::Command(command));
        Ok(())
    }

    /// What every shard has counted, asked now. A shard that is gone is missing.
    pub async fn stats(&self) -> Vec<ShardStats> {
        let mut replies = Vec::with_capacity(self.inner.shards.len());
        for handle in &self.inner.shards {
            let (reply, answer) = oneshot::channel();
            handle.inbox.push(Message::ReadStats(reply));
            replies.push(answer);
        }
        let mut stats = Vec::with_capacity(replies.len());
        for answer in replies {
            if let Ok(answer) = answer.await {
                stats.push(answer);
            }
        }
        stats
    }

    /// Ends the shards and waits for their threads. Transports close without a word to their event sinks.
    pub fn shutdown(&self) {
        self.inner.shutdown();
    }

    /// Tells the other shards whose connectivity checks those for this ufrag are: whichever shard they arrive at, it knows before
    /// the peer can know the ufrag.
    fn announce(&self, owner: ShardId, local_ice: &IceCredentials) {
        for (index, handle) in self.inner.shards.iter().enumerate() {
            if index != owner.index() {
                handle.inbox.push(Message::Ufrag {
                    ufrag: local_ice.ufrag().into(),
                    owner,
                    present: true,
                });
            }
        }
    }

    fn shard(&self, shard: ShardId) -> Option<&Handle> {
        self.inner.shards.get(shard.index())
    }

    fn next_id(&self, shard: ShardId) -> u64 {
        // Ids start at 1. A shard that does not exist gives ids that no command is accepted for.
        let count = self
            .shard(shard)
            .map_or(0, |handle| handle.count.fetch_add(1, Ordering::Relaxed) + 1);
        shard.id(count)
    }

    fn admit_data(&self, shard: ShardId) -> Result<(), CommandError> {
        let handle = self.shard(shard).ok_or(CommandError::NoSuchShard)?;
        if handle.inbox.len() >= MAX_QUEUED_COMMANDS {
            Err(CommandError::Busy)
        } else {
            Ok(())
        }
    }

    /// Gives every shard that has one of the transports the whole list; it picks its own.
    fn send_data_many(
        &self,
        transports: &Arc<[TransportId]>,
        command: impl Fn(&Arc<[TransportId]>) -> Command,
    ) -> Result<(), CommandError> {
        let mut result = Ok(());
        for (index, handle) in self.inner.shards.iter().enumerate() {
            if !transports
                .iter()
                .any(|transport| transport.shard().index() == index)
            {
                continue;
            }
            match self.admit_data(shard_id(index)) {
                Ok(()) => handle.inbox.push(Message::Command(command(transports))),
                Err(error) => result = Err(error),
            }
        }
        result
    }
}

impl Inner {
    fn shutdown(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for handle in &self.shards {
            handle.inbox.push(Message::Shutdown);
        }
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A shard that panicked has aborted the process before this could see it.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Shard counts are checked to fit 16 bits when the plane starts.
fn shard_id(index: usize) -> ShardId {
    ShardId(u16::try_from(index).unwrap_or(u16::MAX))
}
