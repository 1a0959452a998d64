//! What goes out to subscribers: pending packets are written, sealed and sent, transport by transport.

use std::time::Instant;

use kith_rtp::ext::AbsSendTime;
use kith_sfu::SendStamp;

use super::{PENDING_PER_FLUSH, Shard};
use crate::api::EventKind;

impl Shard {
    /// Writes what is pending if it is so much that the first would wait too long for the last.
    pub(super) fn write_pending_if_many(&mut self, now: Instant) {
        let late = self
            .dirty
            .since
            .is_some_and(|since| now.saturating_duration_since(since) >= self.max_flush_interval);
        if late || self.dirty.packets >= PENDING_PER_FLUSH {
            self.write_pending(now);
            self.net.flush();
        }
    }

    /// Writes every pending packet into the outboxes, those of one transport next to each other, so that packets of equal length
    /// become segments of one message.
    pub(super) fn write_pending(&mut self, now: Instant) {
        if self.dirty.since.take().is_none() {
            return;
        }
        self.dirty.packets = 0;
        let micros = now.saturating_duration_since(self.clock.0).as_micros();
        let abs_send_time = AbsSendTime::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)).0;
        let mut keys = std::mem::take(&mut self.dirty.peers);
        for key in keys.drain(..) {
            self.write_pending_of(key, abs_send_time);
        }
        self.dirty.peers = keys;
    }

    fn write_pending_of(&mut self, key: usize, abs_send_time: u32) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let mut pending = std::mem::take(&mut peer.pending);
        let overhead = peer.transport.srtp_overhead();
        let mut started = false;
        for packet in pending.drain(..) {
            let Some(way) = peer.way.filter(|_| peer.ready) else {
                break;
            };
            let subscription_key = packet.subscription as usize;
            let Some(subscription) = self.media.subscriptions.get_mut(subscription_key) else {
                continue;
            };
            let Some(hub) = self
                .media
                .feeds
                .get(subscription.feed)
                .and_then(|feed| feed.hub.as_ref())
            else {
                continue;
            };
            let stamp = SendStamp {
                transport_sequence: peer
                    .counts_transport_sequence
                    .then_some(peer.transport_sequence),
                abs_send_time,
            };
            let transport = &mut peer.transport;
            let sent = self.net.send(&way, |room| {
                let plain = room.len().checked_sub(overhead)?;
                let written = subscription.down.write(
                    hub,
                    &packet.outgoing,
                    &stamp,
                    room.get_mut(..plain)?,
                )?;
                transport.seal_rtp(written.roc, room, written.len).ok()
            });
            let Some(len) = sent else { continue };
            peer.transport_sequence = peer.transport_sequence.wrapping_add(1);
            peer.sent(len);
            if !subscription.started {
                subscription.started = true;
                started = true;
                peer.outlet.push(EventKind::SubscriptionStarted {
                    subscription: subscription.id,
                });
            }
        }
        pending.clear();
        peer.pending = pending;
        if started {
            // The event may have to wait for its sink.
            self.touch(key);
        }
    }
}
