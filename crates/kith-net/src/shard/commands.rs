//! What the control plane and other shards ask for.

use std::time::Instant;

use kith_rtp::{ExtensionKind, Ssrc};
use kith_sfu::{DownTrack, HubSpec, PublicationId, ReceiveSpec, TransportReceiver};
use kith_transport::{DataLabel, IceCredentials, Protocol, Transport, TransportConfig};

use super::media::FeedChange;
use super::outlet::Outlet;
use super::peer::Peer;
use super::settle;
use super::{Message, Shard};
use crate::api::{
    CandidateFilter, Command, EventKind, ShardId, SubscriptionSpec, TransportId, TransportSpec,
    TransportStats,
};
use crate::demux::Owner;

/// Longest data channel message that we take: what LiveKit announces.
const MAX_MESSAGE_SIZE: u32 = 65_535;

impl Shard {
    pub(super) fn handle_message(&mut self, message: Message, now: Instant) {
        match message {
            Message::Command(command) => self.handle_command(command, now),
            Message::ReadStats(reply) => {
                // Nobody waits any more: nothing lost.
                let _ = reply.send(self.stats());
            }
            Message::Shutdown => self.shutdown = true,
            Message::JoinFeed { publication, shard } => {
                let (_, feed) = self.media.feed_entry(publication);
                if !feed.shards.contains(&shard) {
                    feed.shards.push(shard);
                }
                let spec = feed.spec;
                if spec.is_some() {
                    self.tell(shard, Message::FeedSpec { publication, spec });
                }
            }
            Message::LeaveFeed { publication, shard } => {
                if let Some(key) = self.media.feed_key(publication) {
                    if let Some(feed) = self.media.feeds.get_mut(key) {
                        feed.shards.retain(|other| *other != shard);
                    }
                    self.media.release(key);
                }
            }
            Message::FeedSpec { publication, spec } => self.on_feed_spec(publication, spec, now),
            Message::SenderReport(report) => self.media.on_sender_report(&report),
            Message::Keyframes {
                publication,
                layers,
            } => {
                if let Some(key) = self.media.feed_key(publication) {
                    self.media.want_keyframes(key, layers);
                }
            }
            Message::Ufrag {
                ufrag,
                owner,
                present: true,
            } => self.demux.insert_ufrag(&ufrag, Owner::There(owner)),
            Message::Ufrag {
                ufrag,
                owner,
                present: false,
            } => self.demux.remove_ufrag(&ufrag, Owner::There(owner)),
            Message::Route {
                source,
                local,
                owner,
                present: true,
            } => {
                // An address that one of ours uses stays with it: the owner of a stale one is told nothing and loses nothing.
                if !matches!(self.demux.by_address(source, local), Some(Owner::Here(_))) {
                    self.demux
                        .insert_address(source, local, Owner::There(owner));
                }
            }
            Message::Route {
                source,
                local,
                owner,
                present: false,
            } => {
                self.demux
                    .remove_address(source, local, Owner::There(owner));
            }
            Message::Connection(handed) => {
                self.net.tcp.add(handed, now);
            }
        }
    }

    fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::CreateTransport(spec) => self.create_transport(spec, now),
            Command::SetRemote { transport, remote } => {
                self.with_transport(transport, |transport| {
                    if let Err(error) = transport.set_remote(now, remote) {
                        tracing::debug!(%error, "remote description refused");
                    }
                });
            }
            Command::RestartIce {
                transport,
                local_ice,
            } => self.restart_ice(transport, local_ice),
            Command::AddRemoteCandidate {
                transport,
                candidate,
            } => {
                self.with_transport(transport, |transport| {
                    if let Err(error) = transport.add_remote_candidate(&candidate) {
                        tracing::debug!(%error, %candidate, "remote candidate not used");
                    }
                });
            }
            Command::CloseTransport { transport } => {
                if let Some(key) = self.by_id.get(&transport).copied() {
                    self.close_transport(key, now);
                }
            }
            Command::SetReceive { transport, spec } => self.set_receive(transport, spec, now),
            Command::Subscribe(spec) => self.subscribe(spec, now),
            Command::SetTarget {
                subscription,
                target,
            } => {
                if let Some(key) = self.media.subscription_key(subscription) {
                    if let Some(subscription) = self.media.subscriptions.get_mut(key) {
                        subscription.down.set_target(target);
                    }
                    self.media.poll_keyframe(key, now);
                }
            }
            Command::Unsubscribe { subscription } => {
                if let Some(key) = self.media.subscription_key(subscription) {
                    // Pending packets name subscriptions by key, and the key may be given anew.
                    self.write_pending(now);
                    self.unsubscribe(key);
                }
            }
            Command::RequestKeyframe { publication } => {
                if let Some(key) = self.media.feed_key(publication) {
                    let layers = self
                        .media
                        .feeds
                        .get(key)
                        .map_or(0, |feed| feed.all_layers());
                    self.media.want_keyframes(key, layers);
                }
            }
            Command::SendData {
                transport,
                label,
                payload,
            } => self.send_data(transport, &label, &payload, now),
            Command::SendDataMany {
                transports,
                label,
                payload,
            } => {
                let id = self.id;
                for transport in transports
                    .iter()
                    .filter(|transport| transport.shard() == id)
                {
                    self.send_data(*transport, &label, &payload, now);
                }
            }
            Command::ReadTransport { transport, reply } => {
                if let Some(peer) = self
                    .by_id
                    .get(&transport)
                    .and_then(|key| self.peers.get(*key))
                {
                    let _ = reply.send(self.transport_stats(peer));
                }
            }
        }
    }

    /// Does something with a transport and polls it afterwards.
    fn with_transport(&mut self, transport: TransportId, act: impl FnOnce(&mut Transport)) {
        let Some(key) = self.by_id.get(&transport).copied() else {
            tracing::debug!(?transport, "command for a transport that does not exist");
            return;
        };
        if let Some(peer) = self.peers.get_mut(key) {
            act(&mut peer.transport);
        }
        self.touch(key);
    }

    fn create_transport(&mut self, spec: TransportSpec, now: Instant) {
        let TransportSpec {
            id,
            local_ice,
            ice_lite,
            controlling,
            candidates,
            data_channels,
            events,
        } = spec;
        if self.by_id.contains_key(&id) {
            tracing::warn!(transport = ?id, "transport made twice");
            return;
        }
        let mut entropy = [0; 36];
        if let Err(error) = getrandom::fill(&mut entropy) {
            tracing::error!(%error, "no randomness: transport not made");
            return;
        }
        let Some((ssrc, entropy)) = entropy.split_first_chunk::<4>() else {
            return;
        };
        let config = TransportConfig {
            local_ice: local_ice.clone(),
            ice_lite,
            controlling,
            entropy: entropy.try_into().unwrap_or_default(),
            data_channels,
            max_message_size: MAX_MESSAGE_SIZE,
        };
        let transport = Transport::new(now, &self.context, config);
        let receiver = TransportReceiver::new(now, Ssrc(u32::from_ne_bytes(*ssrc)));
        let mut peer = Peer::new(id, transport, receiver, Outlet::new(id, events));
        for candidate in &self.candidates {
            let wanted = candidates == CandidateFilter::All || candidate.proto == Protocol::Tcp;
            if wanted
                && let Err(error) = peer
                    .transport
                    .add_local_candidate(candidate.proto, candidate.base)
            {
                tracing::warn!(%error, base = %candidate.base, "local candidate refused");
            }
        }
        let key = self.peers.insert(peer);
        self.by_id.insert(id, key);
        self.add_ufrag(key, &local_ice);
        self.touch(key);
    }

    fn add_ufrag(&mut self, key: usize, local_ice: &IceCredentials) {
        let ufrag = local_ice.ufrag();
        self.demux.insert_ufrag(ufrag, Owner::Here(key));
        // The other shards were told by `MediaPlane::send`, before anybody could know the ufrag.
        if let Some(peer) = self.peers.get_mut(key) {
            peer.ufrags.push(ufrag.into());
        }
    }

    fn remove_ufrag(&mut self, key: usize, ufrag: &str) {
        self.demux.remove_ufrag(ufrag, Owner::Here(key));
        self.tell_all(|| Message::Ufrag {
            ufrag: ufrag.into(),
            owner: self.id,
            present: false,
        });
    }

    fn restart_ice(&mut self, transport: TransportId, local_ice: IceCredentials) {
        let Some(key) = self.by_id.get(&transport).copied() else {
            return;
        };
        self.with_transport(transport, |transport| {
            transport.restart_ice(local_ice.clone())
        });
        self.add_ufrag(key, &local_ice);
        // Those before the last restart are of no use to anybody.
        let mut stale: Vec<Box<str>> = Vec::new();
        if let Some(Peer {
            ufrags, transport, ..
        }) = self.peers.get_mut(key)
        {
            ufrags.retain(|ufrag| {
                let kept = transport.accepts_ufrag(ufrag);
                if !kept {
                    stale.push(std::mem::take(ufrag));
                }
                kept
            });
        }
        for ufrag in stale {
            self.remove_ufrag(key, &ufrag);
        }
    }

    fn close_transport(&mut self, key: usize, now: Instant) {
        self.write_pending(now);
        let subscriptions = match self.peers.get_mut(key) {
            Some(peer) => {
                peer.transport.close(now);
                std::mem::take(&mut peer.subscriptions)
            }
            None => return,
        };
        for subscription in subscriptions {
            self.unsubscribe(subscription);
        }
        self.set_publications(key, &[], now);
        let Some(mut peer) = self.peers.try_remove(key) else {
            return;
        };
        // What `close` has to say to the peer. Its events interest nobody.
        settle::settle(&mut peer, key, &mut self.net, now);
        self.net.flush();
        self.net.tcp.close_all_of(key, &peer.connections);
        for address in peer.addresses {
            self.forget_address(key, address);
        }
        for ufrag in &peer.ufrags {
            self.remove_ufrag(key, ufrag);
        }
        self.net.stats.event_drops += peer.outlet.dropped;
        self.by_id.remove(&peer.id);
        self.wheel.set(key, None);
        self.touched.retain(|touched| *touched != key);
    }

    /// Closes the transports whose event receiver is gone: nobody could ever do it.
    pub(super) fn close_deserted(&mut self, now: Instant) {
        let deserted: Vec<usize> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.outlet.is_closed())
            .map(|(key, _)| key)
            .collect();
        for key in deserted {
            self.close_transport(key, now);
        }
    }

    pub(super) fn close_everything(&mut self) {
        let now = Instant::now();
        let keys: Vec<usize> = self.peers.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.close_transport(key, now);
        }
    }

    fn set_receive(&mut self, transport: TransportId, spec: ReceiveSpec, now: Instant) {
        let Some(key) = self.by_id.get(&transport).copied() else {
            return;
        };
        let hubs: Vec<HubSpec> = spec
            .sections
            .iter()
            .filter(|section| {
                let ours = section.publication.shard() == self.id.0;
                if !ours {
                    tracing::warn!(publication = ?section.publication, "a publication's id names another shard");
                }
                ours
            })
            .map(|section| HubSpec {
                publication: section.publication,
                kind: section.kind,
                layer_count: u8::try_from(section.layers.len()).unwrap_or(u8::MAX).max(1),
                extensions: spec.extensions,
            })
            .collect();
        if let Some(peer) = self.peers.get_mut(key) {
            peer.receiver.configure(now, spec);
        }
        self.set_publications(key, &hubs, now);
        self.touch(key);
    }

    /// Makes these the publications of a transport.
    fn set_publications(&mut self, key: usize, hubs: &[HubSpec], now: Instant) {
        let publications: Vec<PublicationId> = hubs.iter().map(|hub| hub.publication).collect();
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut peer.publications, publications.clone());
        for hub in hubs {
            let (_, feed) = self.media.feed_entry(hub.publication);
            feed.publisher = Some(key);
            self.apply_spec(hub.publication, Some(*hub), now);
        }
        for publication in before
            .into_iter()
            .filter(|publication| !publications.contains(publication))
        {
            let Some(feed_key) = self.media.feed_key(publication) else {
                continue;
            };
            if let Some(feed) = self.media.feeds.get_mut(feed_key) {
                feed.publisher = None;
            }
            self.apply_spec(publication, None, now);
            self.media.release(feed_key);
        }
    }

    /// A publication of ours is this now: tells the subscribers here and the other shards.
    fn apply_spec(&mut self, publication: PublicationId, spec: Option<HubSpec>, now: Instant) {
        if let Some(feed) = self
            .media
            .feed_key(publication)
            .and_then(|key| self.media.feeds.get(key))
            && feed.spec != spec
        {
            for shard in &feed.shards {
                self.tell(*shard, Message::FeedSpec { publication, spec });
            }
        }
        self.on_feed_spec(publication, spec, now);
    }

    /// A publication, of ours or of another shard, is this now.
    fn on_feed_spec(&mut self, publication: PublicationId, spec: Option<HubSpec>, now: Instant) {
        let Some(key) = self.media.feed_key(publication) else {
            return;
        };
        // Pending packets are written from the hub that they were decided on.
        self.write_pending(now);
        let Some(feed) = self.media.feeds.get_mut(key) else {
            return;
        };
        if !feed.set_spec(spec) {
            return;
        }
        for subscription in feed.subscribers.clone() {
            if spec.is_some() {
                self.media.poll_keyframe(subscription, now);
            } else if let Some(subscription) = self.media.subscriptions.get(subscription) {
                let peer_key = subscription.peer;
                if let Some(peer) = self.peers.get_mut(peer_key) {
                    peer.outlet.push(EventKind::PublicationRemoved {
                        subscription: subscription.id,
                        publication,
                    });
                }
                self.touch(peer_key);
            }
        }
    }

    fn subscribe(&mut self, spec: SubscriptionSpec, now: Instant) {
        let SubscriptionSpec {
            id,
            publication,
            transport,
            down,
            target,
        } = spec;
        let Some(peer_key) = self.by_id.get(&transport).copied() else {
            tracing::debug!(subscription = ?id, ?transport, "subscription of a transport that does not exist");
            return;
        };
        if self.media.subscription_key(id).is_some() {
            tracing::warn!(subscription = ?id, "subscription made twice");
            return;
        }
        let counts_transport_sequence =
            down.extensions.id(ExtensionKind::TransportWideCc).is_some();
        let ssrcs = [Some(down.ssrc), down.rtx_ssrc];
        let mut down = DownTrack::new(down);
        down.set_target(target);
        if let Some(rtt) = self.peers.get(peer_key).and_then(|peer| peer.counters.rtt) {
            down.set_rtt(rtt);
        }
        let (key, change) = self.media.subscribe(id, publication, peer_key, down);
        if let Some(peer) = self.peers.get_mut(peer_key) {
            peer.subscriptions.push(key);
            peer.by_ssrc
                .extend(ssrcs.into_iter().flatten().map(|ssrc| (ssrc, key)));
            peer.counts_transport_sequence |= counts_transport_sequence;
            peer.next_tick.get_or_insert(now + super::peer::TICK);
        }
        self.tell_publisher(publication, change);
        self.media.poll_keyframe(key, now);
        self.touch(peer_key);
    }

    fn unsubscribe(&mut self, key: usize) {
        let Some((subscription, publication, change)) = self.media.unsubscribe(key) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(subscription.peer) {
            peer.subscriptions.retain(|other| *other != key);
            peer.by_ssrc.retain(|_, other| *other != key);
        }
        self.tell_publisher(publication, change);
    }

    fn tell_publisher(&self, publication: PublicationId, change: FeedChange) {
        let home = ShardId(publication.shard());
        if home == self.id {
            return;
        }
        match change {
            FeedChange::None => {}
            FeedChange::Join => self.tell(
                home,
                Message::JoinFeed {
                    publication,
                    shard: self.id,
                },
            ),
            FeedChange::Leave => self.tell(
                home,
                Message::LeaveFeed {
                    publication,
                    shard: self.id,
                },
            ),
        }
    }

    fn send_data(
        &mut self,
        transport: TransportId,
        label: &DataLabel,
        payload: &bytes::Bytes,
        now: Instant,
    ) {
        let Some(key) = self.by_id.get(&transport).copied() else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(key) {
            peer.data.send(now, &mut peer.transport, label, payload);
        }
        self.touch(key);
    }

    fn transport_stats(&self, peer: &Peer) -> TransportStats {
        let subscriptions = peer
            .subscriptions
            .iter()
            .filter_map(|key| self.media.subscriptions.get(*key))
            .map(|subscription| (subscription.id, subscription.down.stats()))
            .collect();
        TransportStats {
            packets_in: peer.counters.packets_in,
            bytes_in: peer.counters.bytes_in,
            packets_out: peer.counters.packets_out,
            bytes_out: peer.counters.bytes_out,
            path: peer.path(),
            rtt: peer.counters.rtt,
            receive_estimate: peer.counters.receive_estimate,
            layers: peer.receiver.stats().collect(),
            subscriptions,
        }
    }
}
