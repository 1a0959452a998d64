//! Publications and subscriptions of one shard: who gets a packet.
//!
//! A [`Feed`] is this shard's side of one publication. On the shard of the publisher it also knows which other shards take part; on
//! those it is fed through a ring. **A feed lives as long as somebody here needs it**: its publisher, a subscription, or another
//! shard. So a subscription may come before its publication and outlive it, in any order.

use std::time::{Duration, Instant};

use kith_sfu::{
    DownTrack, HubSpec, Outgoing, PacketRef, PublicationId, ReceivedPacket, SenderReportInfo,
    TrackHub,
};
use rustc_hash::FxHashMap;
use slab::Slab;

use super::peer::Peer;
use crate::api::{ShardId, SubscriptionId};
use crate::ring::RingSender;

/// One publication, as this shard sees it.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) id: PublicationId,
    /// What the publisher said; `None` while the publication does not exist (yet, or any more).
    pub(super) spec: Option<HubSpec>,
    /// The packets, while somebody here subscribes to a publication that exists or has existed.
    pub(super) hub: Option<TrackHub>,
    /// Only on the publisher's shard: what is added to the epochs that the receive side counts. It grows when a publication that
    /// was removed comes back, for which the receive side counts anew.
    pub(super) epoch_base: u32,
    /// Packets of the hub that the subscribers have not got yet.
    pub(super) fresh: Vec<PacketRef>,
    /// Slab keys of the subscriptions here.
    pub(super) subscribers: Vec<usize>,
    /// Only on the publisher's shard: its slab key.
    pub(super) publisher: Option<usize>,
    /// Only on the publisher's shard: the other shards that take part.
    pub(super) shards: Vec<ShardId>,
    /// When a sender report last went to the other shards, and which layers' did at that time, one bit each.
    pub(super) reported: Option<Instant>,
    pub(super) reported_layers: u8,
    /// Layers of which a keyframe is wanted, one bit each; asked for at the end of the turn.
    pub(super) keyframes: u8,
}

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: SubscriptionId,
    pub(super) down: DownTrack,
    /// Slab key of its feed.
    pub(super) feed: usize,
    /// Slab key of its transport.
    pub(super) peer: usize,
    /// Whether a packet has left.
    pub(super) started: bool,
}

/// A packet that a subscriber asked for again, decided on and not written yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeat {
    /// Slab key of the subscription.
    pub(super) subscription: u32,
    pub(super) outgoing: Outgoing,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// Slab keys of feeds with new packets, each once.
    pub(super) feeds: Vec<usize>,
    /// Slab keys of transports with repeats, each once.
    pub(super) peers: Vec<usize>,
    /// How many packets that makes, about.
    pub(super) packets: usize,
    /// When the first was added.
    pub(super) since: Option<Instant>,
    /// A feed has as many new packets as may wait.
    pub(super) full: bool,
    /// Repeats dropped because a transport had too many.
    pub(super) dropped: u64,
}

/// New packets of one feed that may wait: its history must still hold them all when they are written, and 64 segments is what one
/// message takes.
const MAX_FRESH: usize = 64;

/// Repeats that may be pending for one transport. A NACK asks for some dozens; more than this between two flushes is a flood.
const MAX_REPEATS: usize = 1024;

impl Dirty {
    /// Adds a repeat for a transport.
    pub(super) fn push_repeat(
        &mut self,
        key: usize,
        peer: &mut Peer,
        subscription: usize,
        outgoing: Outgoing,
        now: Instant,
    ) {
        if peer.repeats.len() >= MAX_REPEATS {
            self.dropped += 1;
            return;
        }
        if peer.repeats.is_empty() {
            self.peers.push(key);
        }
        // A slab with more entries than that does not fit into memory.
        peer.repeats.push(Repeat {
            subscription: subscription as u32,
            outgoing,
        });
        self.packets += 1;
        self.since.get_or_insert(now);
    }
}

/// Rings to the other shards.
#[derive(Debug)]
pub(super) struct Links {
    /// By shard; `None` for this one.
    pub(super) rings: Vec<Option<RingSender>>,
    /// Shards that got something this turn and are to be woken.
    pub(super) fed: Vec<bool>,
    pub(super) dropped: u64,
}

impl Links {
    /// Does something with the ring to `shard`; `false` from `push` counts as a drop.
    pub(super) fn push(&mut self, shard: ShardId, push: impl FnOnce(&mut RingSender) -> bool) {
        let Some(Some(ring)) = self.rings.get_mut(shard.index()) else {
            return;
        };
        if push(ring) {
            if let Some(fed) = self.fed.get_mut(shard.index()) {
                *fed = true;
            }
        } else {
            self.dropped += 1;
        }
    }
}

/// Epochs that a publication may have before it is removed and comes back: each is another SSRC or a restart of the publisher.
const EPOCHS_PER_LIFE: u32 = 1 << 16;

/// Sender reports come about once a second. A publisher that sends them like media does not flood the other shards.
const REPORT_INTERVAL: Duration = Duration::from_millis(200);

/// What to tell another shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FeedChange {
    /// Nothing.
    None,
    /// The publisher's shard: we take part from now on.
    Join,
    /// The publisher's shard: we do not take part any more.
    Leave,
}

/// The tables.
#[derive(Debug, Default)]
pub(super) struct Media {
    pub(super) feeds: Slab<Feed>,
    by_publication: FxHashMap<PublicationId, usize>,
    pub(super) subscriptions: Slab<Subscription>,
    by_subscription: FxHashMap<SubscriptionId, usize>,
    /// Feeds with wanted keyframes.
    pub(super) wanting: Vec<usize>,
    pub(super) forwarded: u64,
    /// What one subscriber gets of a burst, while it is written. Empty otherwise; kept for its memory, which a burst bounds:
    /// at most [`MAX_FRESH`] packets before a flush is due, each of which gives at most three.
    pub(super) decided: Vec<Outgoing>,
}

impl Media {
    pub(super) fn feed_key(&self, publication: PublicationId) -> Option<usize> {
        self.by_publication.get(&publication).copied()
    }

    pub(super) fn feed(&self, publication: PublicationId) -> Option<&Feed> {
        self.feeds.get(self.feed_key(publication)?)
    }

    pub(super) fn feed_mut(&mut self, publication: PublicationId) -> Option<&mut Feed> {
        self.feeds.get_mut(self.feed_key(publication)?)
    }

    pub(super) fn subscription_key(&self, subscription: SubscriptionId) -> Option<usize> {
        self.by_subscription.get(&subscription).copied()
    }

    /// The feed of a publication, made if need be.
    pub(super) fn feed_entry(&mut self, publication: PublicationId) -> (usize, &mut Feed) {
        let Media {
            feeds,
            by_publication,
            ..
        } = self;
        let key = *by_publication.entry(publication).or_insert_with(|| {
            feeds.insert(Feed {
                id: publication,
                spec: None,
                hub: None,
                epoch_base: 0,
                fresh: Vec::new(),
                subscribers: Vec::new(),
                publisher: None,
                shards: Vec::new(),
                reported: None,
                reported_layers: 0,
                keyframes: 0,
            })
        });
        // The table holds keys of existing feeds only: release() removes both at once.
        (key, &mut feeds[key])
    }

    /// Adds a subscription. Returns its key, and what to tell the publisher's shard if that is another.
    pub(super) fn subscribe(
        &mut self,
        id: SubscriptionId,
        publication: PublicationId,
        peer: usize,
        down: DownTrack,
    ) -> (usize, FeedChange) {
        let (feed_key, feed) = self.feed_entry(publication);
        let change = if feed.subscribers.is_empty() {
            FeedChange::Join
        } else {
            FeedChange::None
        };
        let key = self.subscriptions.insert(Subscription {
            id,
            down,
            feed: feed_key,
            peer,
            started: false,
        });
        self.by_subscription.insert(id, key);
        if let Some(feed) = self.feeds.get_mut(feed_key) {
            feed.subscribers.push(key);
            feed.update_hub();
        }
        (key, change)
    }

    /// Removes a subscription. Returns it with what to tell the publisher's shard if that is another.
    pub(super) fn unsubscribe(
        &mut self,
        key: usize,
    ) -> Option<(Subscription, PublicationId, FeedChange)> {
        let subscription = self.subscriptions.try_remove(key)?;
        self.by_subscription.remove(&subscription.id);
        let feed = self.feeds.get_mut(subscription.feed)?;
        feed.subscribers.retain(|other| *other != key);
        feed.update_hub();
        let publication = feed.id;
        let change = if feed.subscribers.is_empty() {
            FeedChange::Leave
        } else {
            FeedChange::None
        };
        self.release(subscription.feed);
        Some((subscription, publication, change))
    }

    /// Removes a feed that nobody needs.
    pub(super) fn release(&mut self, key: usize) {
        let needed = |feed: &Feed| {
            feed.publisher.is_some() || !feed.subscribers.is_empty() || !feed.shards.is_empty()
        };
        if self.feeds.get(key).is_some_and(|feed| !needed(feed)) {
            let feed = self.feeds.remove(key);
            self.by_publication.remove(&feed.id);
            self.wanting.retain(|other| *other != key);
        }
    }

    /// Stores a packet for the subscribers on this shard; they get it with the next flush.
    pub(super) fn store(&mut self, packet: &ReceivedPacket<'_>, dirty: &mut Dirty, now: Instant) {
        let Some(key) = self.feed_key(packet.publication) else {
            return;
        };
        let Some(feed) = self.feeds.get_mut(key) else {
            return;
        };
        let Some(hub) = &mut feed.hub else { return };
        let Some(stored) = hub.push(packet) else {
            return;
        };
        if feed.fresh.is_empty() {
            dirty.feeds.push(key);
        }
        feed.fresh.push(stored);
        dirty.full |= feed.fresh.len() >= MAX_FRESH;
        dirty.packets += feed.subscribers.len();
        dirty.since.get_or_insert(now);
    }

    /// Hands on the publisher's timing.
    pub(super) fn on_sender_report(&mut self, report: &SenderReportInfo) {
        let feed = self
            .by_publication
            .get(&report.publication)
            .and_then(|key| self.feeds.get_mut(*key));
        if let Some(hub) = feed.and_then(|feed| feed.hub.as_mut()) {
            hub.on_sender_report(report);
        }
    }

    /// Asks a down-track whether it needs a keyframe, and remembers it for the end of the turn.
    pub(super) fn poll_keyframe(&mut self, subscription: usize, now: Instant) {
        let Some(subscription) = self.subscriptions.get_mut(subscription) else {
            return;
        };
        let Some(feed) = self.feeds.get_mut(subscription.feed) else {
            return;
        };
        let Some(hub) = feed.hub.as_ref().filter(|_| feed.spec.is_some()) else {
            return;
        };
        if let Some(layer) = subscription.down.poll_keyframe_request(hub, now) {
            want_keyframe(
                feed,
                subscription.feed,
                &mut self.wanting,
                1u8.checked_shl(layer.into()).unwrap_or(0),
            );
        }
    }

    /// Remembers for the end of the turn that keyframes of these layers (one bit each) are wanted.
    pub(super) fn want_keyframes(&mut self, feed_key: usize, layers: u8) {
        if let Some(feed) = self.feeds.get_mut(feed_key) {
            want_keyframe(feed, feed_key, &mut self.wanting, layers);
        }
    }
}

fn want_keyframe(feed: &mut Feed, key: usize, wanting: &mut Vec<usize>, layers: u8) {
    if feed.keyframes == 0 && layers != 0 {
        wanting.push(key);
    }
    feed.keyframes |= layers;
}

impl Feed {
    /// Learns what the publication is now. Returns whether that is news.
    pub(super) fn set_spec(&mut self, spec: Option<HubSpec>) -> bool {
        if self.spec == spec {
            return false;
        }
        if self.spec.is_none() {
            self.epoch_base = self.epoch_base.wrapping_add(EPOCHS_PER_LIFE);
        }
        self.spec = spec;
        self.update_hub();
        true
    }

    /// Whether a sender report may go to the other shards now: each layer's once per [`REPORT_INTERVAL`].
    pub(super) fn may_report(&mut self, layer: u8, now: Instant) -> bool {
        let bit = 1u8.checked_shl(layer.into()).unwrap_or(0);
        if self
            .reported
            .is_none_or(|at| now.saturating_duration_since(at) >= REPORT_INTERVAL)
        {
            self.reported = Some(now);
            self.reported_layers = 0;
        }
        let first = self.reported_layers & bit == 0;
        self.reported_layers |= bit;
        first
    }

    /// Every layer, one bit each.
    pub(super) fn all_layers(&self) -> u8 {
        let count = self.spec.map_or(0, |spec| spec.layer_count);
        u8::MAX
            .checked_shr(8u32.saturating_sub(count.into()))
            .unwrap_or(0)
    }

    /// Makes, changes or drops the hub so that it exists while it is of use. A publication that nobody here subscribes to is not
    /// stored. The hub of a removed one stays, for the subscribers' clocks to go on should it come back.
    fn update_hub(&mut self) {
        if self.subscribers.is_empty() {
            self.hub = None;
            return;
        }
        let Some(spec) = self.spec else { return };
        match &mut self.hub {
            Some(hub)
                if HubSpec {
                    extensions: spec.extensions,
                    ..*hub.spec()
                } == spec =>
            {
                hub.set_extensions(spec.extensions);
            }
            hub => *hub = Some(TrackHub::new(spec)),
        }
    }
}
