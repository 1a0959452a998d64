//! The way into a shard: a queue that many threads may push to, and a waker that costs nothing while the shard is awake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crossbeam_queue::SegQueue;
use mio::Waker;

/// How many messages may wait in a shard before data messages are refused. A shard takes tens of thousands of commands in the
/// time of one scheduling hiccup; more than this means that it is stuck or that somebody floods it. Everything but data is always
/// taken: those commands are few, bounded by the number of sessions, and losing one would leave the planes apart.
pub const MAX_QUEUED_COMMANDS: usize = 65_536;

/// A shard's queue and waker, shared with everyone who sends to it.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    queue: SegQueue<T>,
    waker: Waker,
    /// Set while the shard may be blocked in `poll`. Who pushes and finds it set wakes the shard.
    sleeping: AtomicBool,
}

impl<T> Inbox<T> {
    pub(crate) fn new(waker: Waker) -> Arc<Self> {
        Arc::new(Inbox {
            queue: SegQueue::new(),
            waker,
            sleeping: AtomicBool::new(false),
        })
    }

    /// Messages that wait, about.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Adds a message and wakes the shard.
    pub(crate) fn push(&self, message: T) {
        self.queue.push(message);
        self.wake();
    }

    /// Wakes the shard if it sleeps. To be called after something was made visible to it, here or in a ring.
    pub(crate) fn wake(&self) {
        // Pairs with the fence in `prepare_to_sleep`: either we see that it sleeps, or it sees what we pushed.
        fence(Ordering::SeqCst);
        if self.sleeping.swap(false, Ordering::Relaxed)
            && let Err(error) = self.waker.wake()
        {
            // eventfd writes fail only when the counter would overflow, which mio resets; nothing is lost but time, since the
            // shard also wakes for its timers.
            tracing::warn!(%error, "cannot wake a shard");
        }
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    /// The shard is about to block. After this call it looks at its queues once more, and blocks only when they are empty.
    pub(crate) fn prepare_to_sleep(&self) {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The shard is awake.
    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }
}
