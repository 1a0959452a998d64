//! The end of a turn for one transport: what it wants to send and to tell, and when it wants to be looked at again.

use std::time::Instant;

use kith_sfu::IngressEvent;
use kith_transport::{Protocol, Transmit, TransportEvent};

use super::net::{Net, Way};
use super::peer::{Peer, TICK};
use super::{Message, Shard};
use crate::api::{EventKind, ShardId};

/// Datagrams and events that one transport may produce in one turn. What is left comes with the next.
const MAX_POLLS: usize = 4096;

/// Sender reports are put into one packet up to this length, which every path carries.
const MAX_COMPOUND: usize = 1000;

impl Shard {
    /// Polls every transport that was touched.
    pub(super) fn settle_touched(&mut self, now: Instant) {
        let mut keys = std::mem::take(&mut self.touched);
        for key in keys.drain(..) {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.touched = false;
                if settle(peer, key, &mut self.net, now) {
                    peer.touched = true;
                    self.touched.push(key);
                }
                let again = peer.next_timeout(now);
                self.wheel.set(key, again);
                if let Some(rtt) = peer.new_rtt.take() {
                    for subscription in &peer.subscriptions {
                        if let Some(subscription) = self.media.subscriptions.get_mut(*subscription)
                        {
                            subscription.down.set_rtt(rtt);
                        }
                    }
                }
            }
        }
        // Whoever was touched meanwhile is in the new list.
        keys.append(&mut self.touched);
        self.touched = keys;
    }

    /// Asks the down-tracks of a transport for sender reports and keyframe requests.
    pub(super) fn tick(&mut self, key: usize, now: Instant) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.next_tick = (!peer.subscriptions.is_empty()).then(|| now + TICK);
        if !peer.ready {
            return;
        }
        let Some(way) = peer.way else { return };
        let mut next = 0;
        while next < peer.subscriptions.len() {
            let subscriptions = peer.subscriptions.get(next..).unwrap_or_default();
            let media = &mut self.media;
            let transport = &mut peer.transport;
            let mut taken = 0;
            let sent = self.net.send(&way, |room| {
                let mut len = 0;
                for subscription in subscriptions {
                    if len >= MAX_COMPOUND {
                        break;
                    }
                    taken += 1;
                    let Some(subscription) = media.subscriptions.get_mut(*subscription) else {
                        continue;
                    };
                    let Some(hub) = media
                        .feeds
                        .get(subscription.feed)
                        .and_then(|feed| feed.hub.as_ref())
                    else {
                        continue;
                    };
                    let out = room.get_mut(len..).unwrap_or_default();
                    len += subscription.down.sender_report(now, hub, out).unwrap_or(0);
                }
                if len == 0 {
                    return None;
                }
                transport.seal_rtcp(room, len).ok()
            });
            if let Some(len) = sent {
                peer.sent(len);
            }
            // Without room in the outbox nobody was asked; the reports come with the next tick.
            if taken == 0 {
                break;
            }
            next += taken;
        }
        for subscription in &peer.subscriptions {
            self.media.poll_keyframe(*subscription, now);
        }
    }

    /// Passes the keyframe requests of this turn on to the publishers, each layer once.
    pub(super) fn ask_for_keyframes(&mut self, now: Instant) {
        let mut wanting = std::mem::take(&mut self.media.wanting);
        for feed_key in wanting.drain(..) {
            let Some(feed) = self.media.feeds.get_mut(feed_key) else {
                continue;
            };
            let layers = std::mem::take(&mut feed.keyframes);
            let publication = feed.id;
            if let Some(publisher) = feed.publisher {
                if let Some(peer) = self.peers.get_mut(publisher) {
                    for layer in (0..8).filter(|layer| layers >> layer & 1 == 1) {
                        peer.receiver.request_keyframe(now, publication, layer);
                    }
                }
                self.touch(publisher);
            } else if publication.shard() != self.id.0 {
                self.tell(
                    ShardId(publication.shard()),
                    Message::Keyframes {
                        publication,
                        layers,
                    },
                );
            }
        }
        self.media.wanting = wanting;
    }
}

/// Polls one transport until it has nothing more, or (`true`) until the others shall have their turn.
pub(super) fn settle(peer: &mut Peer, key: usize, net: &mut Net, now: Instant) -> bool {
    peer.update_path(key, net);
    let mut more = poll_transport(peer, key, net, now);
    peer.update_path(key, net);
    tell_connected(peer);
    send_rtcp(peer, net, now);
    while let Some(event) = peer.receiver.poll_event() {
        on_ingress_event(peer, event);
    }
    while let Some((label, messages)) = peer.data.poll_dropped() {
        peer.outlet.push(EventKind::DataDropped { label, messages });
    }
    if peer.outlet.drain() && !peer.paused.is_empty() {
        for label in std::mem::take(&mut peer.paused) {
            peer.transport.resume_reading(now, &label);
        }
        // What the transport has held back meanwhile comes now.
        more |= poll_transport(peer, key, net, now);
    }
    more
}

/// Takes events, which may give the transport more to send, then what there is to send. Returns whether there is more.
fn poll_transport(peer: &mut Peer, key: usize, net: &mut Net, now: Instant) -> bool {
    for _ in 0..MAX_POLLS {
        if let Some(event) = peer.transport.poll_event() {
            on_transport_event(peer, key, net, event, now);
        } else if let Some(transmit) = peer.transport.poll_transmit() {
            send(peer, key, net, &transmit);
        } else {
            return false;
        }
    }
    true
}

/// Says that the transport is connected, once, and with the path.
fn tell_connected(peer: &mut Peer) {
    if peer.owes_connected
        && let Some(path) = peer.path()
    {
        peer.owes_connected = false;
        peer.outlet.push(EventKind::Connected { path });
    }
}

/// Sends a datagram of the transport's own: STUN, DTLS, SCTP.
fn send(peer: &mut Peer, key: usize, net: &mut Net, transmit: &Transmit) {
    let way = match transmit.proto {
        Protocol::Udp => net.udp_way(transmit.source, transmit.destination),
        Protocol::Tcp => {
            let mut keys = peer.connections.iter().copied();
            keys.find(|connection| {
                net.tcp
                    .is(*connection, key, transmit.destination, transmit.source)
            })
            .map(|connection| Way::Tcp { connection })
        }
    };
    let Some(way) = way else { return };
    let sent = net.send(&way, |room| {
        let len = transmit.data.len();
        room.get_mut(..len)?.copy_from_slice(&transmit.data);
        Some(len)
    });
    if let Some(len) = sent {
        peer.sent(len);
    }
}

/// Sends the receive side's feedback.
fn send_rtcp(peer: &mut Peer, net: &mut Net, now: Instant) {
    for _ in 0..MAX_POLLS {
        let mut more = false;
        let way = peer.way.filter(|_| peer.ready);
        if let Some(way) = way {
            let Peer {
                receiver,
                transport,
                ..
            } = peer;
            let sent = net.send(&way, |room| {
                let len = receiver.poll_rtcp(now, room)?;
                more = true;
                transport.seal_rtcp(room, len).ok()
            });
            if let Some(len) = sent {
                peer.sent(len);
            }
        } else {
            // Nowhere to send it: what is due now is not due any more.
            let mut nowhere = [0; crate::socket::MAX_DATAGRAM];
            more = peer.receiver.poll_rtcp(now, &mut nowhere).is_some();
        }
        if !more {
            break;
        }
    }
}

fn on_transport_event(
    peer: &mut Peer,
    key: usize,
    net: &mut Net,
    event: TransportEvent,
    now: Instant,
) {
    let kind = match event {
        TransportEvent::IceConnected => {
            peer.update_path(key, net);
            EventKind::IceConnected
        }
        TransportEvent::IceDisconnected => {
            peer.update_path(key, net);
            EventKind::IceDisconnected
        }
        TransportEvent::PathChanged(path) => {
            peer.update_path(key, net);
            EventKind::PathChanged { path }
        }
        TransportEvent::Connected => {
            // A handshake can finish before ICE has nominated a path; then the news waits for one.
            peer.owes_connected = true;
            peer.update_path(key, net);
            tell_connected(peer);
            return;
        }
        TransportEvent::DataChannelOpen { label } => {
            peer.data.drain(now, &mut peer.transport, &label);
            EventKind::DataChannelOpen { label }
        }
        TransportEvent::BufferedLow { label } => {
            peer.data.drain(now, &mut peer.transport, &label);
            return;
        }
        TransportEvent::Data { label, payload, .. } => {
            peer.outlet.push(EventKind::Data {
                label: label.clone(),
                payload,
            });
            if peer.outlet.is_full() && !peer.paused.contains(&label) {
                let _ = peer.transport.pause_reading(&label);
                peer.paused.push(label);
            }
            return;
        }
        TransportEvent::DataChannelClosed { label } => {
            peer.paused.retain(|paused| *paused != label);
            EventKind::DataChannelClosed { label }
        }
        TransportEvent::Closed => EventKind::Closed,
        TransportEvent::Failed(reason) => EventKind::Failed { reason },
    };
    peer.outlet.push(kind);
}

fn on_ingress_event(peer: &mut Peer, event: IngressEvent) {
    let kind = match event {
        IngressEvent::LayerStarted {
            publication,
            layer,
            codec,
            ssrc,
        } => EventKind::LayerStarted {
            publication,
            layer,
            codec,
            ssrc,
        },
        IngressEvent::LayerStopped { publication, layer } => {
            EventKind::LayerStopped { publication, layer }
        }
        IngressEvent::VideoSize {
            publication,
            layer,
            width,
            height,
        } => EventKind::VideoSize {
            publication,
            layer,
            width,
            height,
        },
        IngressEvent::AudioLevel {
            publication,
            level,
            active,
        } => EventKind::AudioLevel {
            publication,
            level,
            active,
        },
        IngressEvent::RttUpdated { rtt } => {
            peer.counters.rtt = Some(rtt);
            peer.new_rtt = Some(rtt);
            return;
        }
    };
    peer.outlet.push(kind);
}
