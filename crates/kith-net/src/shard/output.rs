//! What goes out to subscribers.
//!
//! New packets are first only stored in their hub. When they are due, feed by feed, each subscription in turn takes all the new
//! packets: its state and that of its transport are then brought into the cache once per burst rather than once per packet, and
//! packets of equal length to the same destination lie next to each other in the outbox, as segments of one message.

use std::time::Instant;

use kith_rtp::ext::AbsSendTime;
use kith_sfu::{Outgoing, SendStamp, TrackHub};

use super::media::Subscription;
use super::net::{Net, Way};
use super::peer::Peer;
use super::{PENDING_PER_FLUSH, Shard};
use crate::api::EventKind;

impl Shard {
    /// Writes what is pending if the first would wait too long for the last, or the histories must not move on without it.
    pub(super) fn write_pending_if_many(&mut self, now: Instant) {
        let late = self
            .dirty
            .since
            .is_some_and(|since| now.saturating_duration_since(since) >= self.max_flush_interval);
        if late || self.dirty.full || self.dirty.packets >= PENDING_PER_FLUSH {
            self.write_pending(now);
            self.net.flush();
        }
    }

    /// Writes everything pending into the outboxes.
    pub(super) fn write_pending(&mut self, now: Instant) {
        if self.dirty.since.take().is_none() {
            return;
        }
        self.dirty.packets = 0;
        self.dirty.full = false;
        let micros = now.saturating_duration_since(self.clock.0).as_micros();
        let abs_send_time = AbsSendTime::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)).0;
        let mut keys = std::mem::take(&mut self.dirty.peers);
        for key in keys.drain(..) {
            self.write_repeats_of(key, abs_send_time);
        }
        self.dirty.peers = keys;
        let mut keys = std::mem::take(&mut self.dirty.feeds);
        for key in keys.drain(..) {
            self.write_feed(key, abs_send_time, now);
        }
        self.dirty.feeds = keys;
    }

    /// Writes the new packets of a feed for all its subscribers.
    fn write_feed(&mut self, key: usize, abs_send_time: u32, now: Instant) {
        let Some(feed) = self.media.feeds.get_mut(key) else {
            return;
        };
        let mut fresh = std::mem::take(&mut feed.fresh);
        let mut decided = std::mem::take(&mut self.media.decided);
        if let Some(hub) = &feed.hub {
            for subscription_key in &feed.subscribers {
                let Some(subscription) = self.media.subscriptions.get_mut(*subscription_key) else {
                    continue;
                };
                let peer_key = subscription.peer;
                let Some(peer) = self.peers.get_mut(peer_key) else {
                    continue;
                };
                let Some(way) = peer.way.filter(|_| peer.ready) else {
                    continue;
                };
                let started = subscription.started;
                // All decisions first, then all packets: each of the two loops fits the caches better than one of both.
                for packet in &fresh {
                    subscription
                        .down
                        .forward_each(hub, *packet, now, |outgoing| decided.push(outgoing));
                }
                for outgoing in decided.drain(..) {
                    self.media.forwarded += 1;
                    write(
                        &mut self.net,
                        &way,
                        peer,
                        subscription,
                        hub,
                        &outgoing,
                        abs_send_time,
                    );
                }
                // The event may have to wait for its sink.
                if subscription.started != started && !peer.touched {
                    peer.touched = true;
                    self.touched.push(peer_key);
                }
            }
        }
        self.media.decided = decided;
        fresh.clear();
        feed.fresh = fresh;
    }

    /// Writes the packets that the subscriber behind a transport has asked for again.
    fn write_repeats_of(&mut self, key: usize, abs_send_time: u32) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let mut repeats = std::mem::take(&mut peer.repeats);
        for packet in repeats.drain(..) {
            let Some(way) = peer.way.filter(|_| peer.ready) else {
                break;
            };
            let Some(subscription) = self
                .media
                .subscriptions
                .get_mut(packet.subscription as usize)
            else {
                continue;
            };
            let hub = self
                .media
                .feeds
                .get(subscription.feed)
                .and_then(|feed| feed.hub.as_ref());
            if let Some(hub) = hub {
                write(
                    &mut self.net,
                    &way,
                    peer,
                    subscription,
                    hub,
                    &packet.outgoing,
                    abs_send_time,
                );
            }
        }
        peer.repeats = repeats;
    }
}

/// Writes, seals and hands over one packet.
#[inline]
fn write(
    net: &mut Net,
    way: &Way,
    peer: &mut Peer,
    subscription: &mut Subscription,
    hub: &TrackHub,
    outgoing: &Outgoing,
    abs_send_time: u32,
) {
    let transport = &peer.transport;
    let overhead = transport.srtp_overhead();
    let stamp = SendStamp {
        transport_sequence: peer
            .counts_transport_sequence
            .then_some(peer.transport_sequence),
        abs_send_time,
    };
    let sent = net.send(way, |room| {
        let plain = room.len().checked_sub(overhead)?;
        let written = subscription
            .down
            .write(hub, outgoing, &stamp, room.get_mut(..plain)?)?;
        transport.seal_rtp(written.roc, room, written.len).ok()
    });
    let Some(len) = sent else { return };
    peer.transport_sequence = peer.transport_sequence.wrapping_add(1);
    peer.sent(len);
    if !subscription.started {
        subscription.started = true;
        peer.outlet.push(EventKind::SubscriptionStarted {
            subscription: subscription.id,
        });
    }
}
