//! What comes in: datagrams, frames of TCP connections, records of other shards.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kith_rtp::Ssrc;
use kith_rtp::rtcp::{self, ReportBlock, RtcpPacket};
use kith_rtp::stun::{self, DatagramKind};
use kith_sfu::SenderReportInfo;
use kith_transport::tcp_framing::Deframer;
use kith_transport::{Datagram, Input, Path, Protocol};
use smallvec::SmallVec;

use super::connections::{Connections, Reading};
use super::peer::{Address, MAX_ADDRESSES};
use super::{DATAGRAMS_PER_FLUSH, Message, RECEIVES_PER_TURN, RECORDS_PER_TURN, Shard, tell};
use crate::api::{EventKind, ShardId};
use crate::demux::{LocalIndex, Owner};
use crate::ring::{Record, Stray};

/// Sender reports taken from one compound packet: more than a publisher has encodings in one bundle is not honest.
const MAX_SENDER_REPORTS: usize = 64;

/// How often a peer's bandwidth estimate is reported. Peers send one a second, more often when it falls.
const ESTIMATE_INTERVAL: Duration = Duration::from_millis(250);

/// How a datagram reached this shard.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    proto: Protocol,
    source: SocketAddr,
    destination: SocketAddr,
    local: LocalIndex,
    /// The shard that handed it over.
    via: Option<ShardId>,
}

impl Shard {
    /// Reads the UDP sockets.
    pub(super) fn take_datagrams(&mut self) {
        let Some(mut buffers) = self.buffers.take() else {
            return;
        };
        let mut taken = 0;
        for index in 0..self.net.ports.len() {
            for _ in 0..RECEIVES_PER_TURN {
                if !self.readable.get(index).copied().unwrap_or(false) {
                    break;
                }
                let Some(port) = self.net.ports.get(index) else {
                    break;
                };
                let bound = port.local();
                if let Err(error) = port.receive(&mut buffers) {
                    match error.kind() {
                        ErrorKind::WouldBlock => {
                            if let Some(readable) = self.readable.get_mut(index) {
                                *readable = false;
                            }
                        }
                        ErrorKind::Interrupted => {}
                        // Such as an ICMP error of an earlier datagram: it concerns one peer, who will notice by itself.
                        _ => tracing::debug!(%error, "receiving"),
                    }
                    continue;
                }
                let now = Instant::now();
                self.net.stats.receive_calls += 1;
                for received in buffers.received() {
                    let ip = received.destination.unwrap_or(bound.ip());
                    let count = received.bytes.len().div_ceil(received.stride);
                    self.net.stats.packets_in += count as u64;
                    self.net.stats.bytes_in += received.bytes.len() as u64;
                    let Some(local) = self.net.local_index(ip) else {
                        self.net.stats.rejected += count as u64;
                        continue;
                    };
                    let arrival = Arrival {
                        proto: Protocol::Udp,
                        source: received.source,
                        destination: SocketAddr::new(ip, bound.port()),
                        local,
                        via: None,
                    };
                    let mut owner = None;
                    for datagram in received.bytes.chunks_mut(received.stride) {
                        self.on_datagram(arrival, &mut owner, datagram, now);
                        if self.dirty.full {
                            self.write_pending_if_many(now);
                        }
                    }
                    taken += count;
                    if taken >= DATAGRAMS_PER_FLUSH {
                        taken = 0;
                        self.write_pending_if_many(now);
                    }
                }
            }
        }
        self.buffers = Some(buffers);
    }

    /// Finds the owner of a datagram. `known` keeps the owner by address for the next one from the same source.
    fn on_datagram(
        &mut self,
        arrival: Arrival,
        known: &mut Option<Owner>,
        bytes: &mut [u8],
        now: Instant,
    ) {
        let kind = stun::classify(bytes);
        let owner = match kind {
            DatagramKind::Stun => {
                // It may change whose address this is.
                *known = None;
                let by_ufrag =
                    stun::binding_request_ufrag(bytes).and_then(|ufrag| self.demux.by_ufrag(ufrag));
                by_ufrag.or_else(|| self.demux.by_address(arrival.source, arrival.local))
            }
            DatagramKind::Dtls | DatagramKind::Rtp | DatagramKind::Rtcp => {
                if known.is_none() {
                    *known = self.demux.by_address(arrival.source, arrival.local);
                }
                *known
            }
            DatagramKind::Turn | DatagramKind::Unknown => None,
        };
        match owner {
            Some(Owner::Here(key)) => self.deliver(key, arrival, kind, bytes, now),
            Some(Owner::There(shard)) if arrival.via.is_none() => {
                self.net.stats.handed_over += 1;
                self.links.push(shard, |ring| {
                    ring.push_stray(arrival.source, arrival.local, bytes)
                });
            }
            _ => self.net.stats.rejected += 1,
        }
    }

    /// Gives a datagram to its transport.
    fn deliver(
        &mut self,
        key: usize,
        arrival: Arrival,
        kind: DatagramKind,
        bytes: &mut [u8],
        now: Instant,
    ) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.counters.packets_in += 1;
        peer.counters.bytes_in += bytes.len() as u64;
        let datagram = Datagram {
            proto: arrival.proto,
            source: arrival.source,
            destination: arrival.destination,
            data: bytes,
        };
        match peer.transport.handle_input(now, datagram) {
            Ok(Input::Rtp(packet)) => {
                if let Some(mut packet) = peer.receiver.handle_rtp(now, packet)
                    && let Some(feed) = self.media.feed(packet.publication)
                {
                    packet.epoch = packet.epoch.wrapping_add(feed.epoch_base);
                    for shard in &feed.shards {
                        self.links.push(*shard, |ring| ring.push_media(&packet));
                    }
                    self.media.store(&packet, &mut self.dirty, now);
                }
                self.touch(key);
            }
            Ok(Input::Rtcp(packet)) => {
                self.on_rtcp(key, packet, now);
                self.touch(key);
            }
            Ok(Input::None) => {
                if kind == DatagramKind::Stun && arrival.proto == Protocol::Udp {
                    self.learn_address(key, arrival);
                }
                self.touch(key);
            }
            Err(reason) => {
                self.net.stats.rejected += 1;
                tracing::trace!(%reason, source = %arrival.source, "datagram dropped");
            }
        }
    }

    /// The transport `key` has accepted STUN from an address: what else comes from there is for it as well.
    fn learn_address(&mut self, key: usize, arrival: Arrival) {
        let Arrival {
            source, local, via, ..
        } = arrival;
        match self.demux.by_address(source, local) {
            Some(Owner::Here(other)) if other == key => {}
            // Whoever really sits at that address keeps it.
            Some(Owner::Here(other)) if self.is_validated(other, arrival) => return,
            _ => {
                self.demux.insert_address(source, local, Owner::Here(key));
            }
        }
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let known = peer
            .addresses
            .iter_mut()
            .find(|address| (address.source, address.local) == (source, local));
        match known {
            Some(address) if via.is_none() || address.via == via => return,
            Some(address) => address.via = via,
            None => {
                peer.addresses.push(Address { source, local, via });
                if peer.addresses.len() > MAX_ADDRESSES {
                    let selected = peer.path().map(|path| path.remote);
                    let oldest = peer
                        .addresses
                        .iter()
                        .position(|address| Some(address.source) != selected);
                    if let Some(oldest) = oldest {
                        let address = peer.addresses.remove(oldest);
                        self.forget_address(key, address);
                    }
                }
            }
        }
        if let Some(via) = via {
            self.tell(
                via,
                Message::Route {
                    source,
                    local,
                    owner: self.id,
                    present: true,
                },
            );
        }
    }

    fn is_validated(&self, key: usize, arrival: Arrival) -> bool {
        let path = Path {
            proto: arrival.proto,
            local: arrival.destination,
            remote: arrival.source,
        };
        self.peers
            .get(key)
            .is_some_and(|peer| peer.transport.is_validated(path))
    }

    /// Takes an address of the transport `key` out of the tables.
    pub(super) fn forget_address(&mut self, key: usize, address: Address) {
        self.demux
            .remove_address(address.source, address.local, Owner::Here(key));
        if let Some(via) = address.via {
            let Address { source, local, .. } = address;
            self.tell(
                via,
                Message::Route {
                    source,
                    local,
                    owner: self.id,
                    present: false,
                },
            );
        }
    }

    fn on_rtcp(&mut self, key: usize, bytes: &[u8], now: Instant) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let mut reports: SmallVec<[SenderReportInfo; 8]> = SmallVec::new();
        peer.receiver.handle_rtcp(now, bytes, |report| {
            if reports.len() < MAX_SENDER_REPORTS {
                reports.push(report);
            }
        });
        for report in &mut reports {
            let Some(feed) = self.media.feed_mut(report.publication) else {
                continue;
            };
            report.epoch = report.epoch.wrapping_add(feed.epoch_base);
            if !feed.shards.is_empty() && feed.may_report(report.layer, now) {
                for shard in &feed.shards {
                    tell(&self.shards, *shard, Message::SenderReport(*report));
                }
            }
            self.media.on_sender_report(report);
        }
        for packet in rtcp::packets(bytes).flatten() {
            match packet {
                RtcpPacket::SenderReport(report) => {
                    self.on_report_blocks(key, report.blocks(), now)
                }
                RtcpPacket::ReceiverReport(report) => {
                    self.on_report_blocks(key, report.blocks(), now)
                }
                RtcpPacket::Nack(nack) => self.on_nack(key, &nack, now),
                RtcpPacket::Pli(pli) => self.on_pli(key, pli.media_ssrc, now),
                RtcpPacket::Fir(fir) => {
                    for entry in fir.entries() {
                        self.on_pli(key, entry.media_ssrc, now);
                    }
                }
                RtcpPacket::Remb(remb) => self.on_estimate(key, remb.bitrate, now),
                _ => {}
            }
        }
    }

    fn on_report_blocks(
        &mut self,
        key: usize,
        blocks: impl Iterator<Item = ReportBlock>,
        now: Instant,
    ) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        for block in blocks {
            let Some(subscription) = peer
                .by_ssrc
                .get(&block.ssrc)
                .and_then(|key| self.media.subscriptions.get_mut(*key))
            else {
                continue;
            };
            subscription.down.handle_receiver_report(&block, now);
        }
    }

    fn on_nack(&mut self, key: usize, nack: &rtcp::Nack<'_>, now: Instant) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(subscription_key) = peer.by_ssrc.get(&nack.media_ssrc).copied() else {
            return;
        };
        let Some(subscription) = self.media.subscriptions.get_mut(subscription_key) else {
            return;
        };
        let Some(hub) = self
            .media
            .feeds
            .get(subscription.feed)
            .and_then(|feed| feed.hub.as_ref())
        else {
            return;
        };
        if subscription.down.ssrc() != nack.media_ssrc || !peer.ready {
            return;
        }
        let dirty = &mut self.dirty;
        subscription
            .down
            .handle_nack(hub, nack.sequence_numbers(), now, |outgoing| {
                dirty.push_repeat(key, peer, subscription_key, outgoing, now);
            });
    }

    fn on_pli(&mut self, key: usize, ssrc: Ssrc, now: Instant) {
        let Some(subscription) = self
            .peers
            .get(key)
            .and_then(|peer| peer.by_ssrc.get(&ssrc).copied())
        else {
            return;
        };
        if let Some(subscription) = self.media.subscriptions.get_mut(subscription) {
            subscription.down.handle_pli();
        }
        self.media.poll_keyframe(subscription, now);
    }

    fn on_estimate(&mut self, key: usize, bitrate: u64, now: Instant) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.counters.receive_estimate = Some(bitrate);
        let reported = peer.counters.estimate_reported;
        if reported.is_none_or(|at| now.saturating_duration_since(at) >= ESTIMATE_INTERVAL) {
            peer.counters.estimate_reported = Some(now);
            peer.outlet.push(EventKind::ReceiveEstimate { bitrate });
        }
    }

    /// Takes what other shards have put into the rings.
    pub(super) fn take_records(&mut self, now: Instant) {
        for index in 0..self.receivers.len() {
            let Some(mut ring) = self.receivers.get_mut(index).and_then(Option::take) else {
                continue;
            };
            let from = ShardId(index as u16);
            let mut taken = 0;
            while taken < RECORDS_PER_TURN && ring.pop(|record| self.on_record(record, from, now)) {
                taken += 1;
                if self.dirty.full || taken % DATAGRAMS_PER_FLUSH == 0 {
                    self.write_pending_if_many(now);
                }
            }
            if let Some(slot) = self.receivers.get_mut(index) {
                *slot = Some(ring);
            }
        }
    }

    fn on_record(&mut self, record: Record<'_>, from: ShardId, now: Instant) {
        match record {
            Record::Media(packet) => self.media.store(&packet, &mut self.dirty, now),
            Record::Stray(Stray {
                source,
                local,
                bytes,
            }) => {
                let Some(destination) = self.net.udp_address(local) else {
                    return;
                };
                let arrival = Arrival {
                    proto: Protocol::Udp,
                    source,
                    destination,
                    local,
                    via: Some(from),
                };
                self.on_datagram(arrival, &mut None, bytes, now);
            }
        }
    }

    /// Accepts and reads TCP connections.
    pub(super) fn take_connections(&mut self, now: Instant) {
        for index in 0..self.acceptable.len() {
            if self.acceptable.get(index).copied().unwrap_or(false) {
                let bases = &self.net.bases;
                let ours = |local: SocketAddr| bases.iter().any(|base| base.ip == local.ip());
                let more = self.net.tcp.accept(index, now, ours);
                if let Some(acceptable) = self.acceptable.get_mut(index) {
                    *acceptable = more;
                }
            }
        }
        let mut readable = std::mem::take(&mut self.net.tcp.readable);
        readable.retain(|key| self.read_connection(*key, now));
        // Connections that became readable meanwhile were put into the new list.
        readable.append(&mut self.net.tcp.readable);
        self.net.tcp.readable = readable;
    }

    /// Tells the transports of closed connections that these ways are gone.
    pub(super) fn tell_of_closed_connections(&mut self, now: Instant) {
        while let Some((key, connection, remote, local)) = self.net.tcp.closed.pop() {
            let Some(peer) = self.peers.get_mut(key) else {
                continue;
            };
            let Some(position) = peer
                .connections
                .iter()
                .position(|other| *other == connection)
            else {
                continue;
            };
            peer.connections.remove(position);
            peer.transport.remove_path(
                now,
                Path {
                    proto: Protocol::Tcp,
                    local,
                    remote,
                },
            );
            peer.update_path(key, &self.net);
            self.touch(key);
        }
    }

    /// Reads one connection. Returns whether more may wait.
    fn read_connection(&mut self, key: usize, now: Instant) -> bool {
        for _ in 0..Connections::reads_per_turn() {
            match self.net.tcp.read(key, now) {
                Reading::Head => {
                    if !self.bind_connection(key, now) {
                        return false;
                    }
                }
                Reading::Bytes(len) => {
                    let mut buffer = std::mem::take(&mut self.net.tcp.buffer);
                    let bytes = buffer.get_mut(..len).unwrap_or_default();
                    let open = self.on_stream(key, bytes, now);
                    self.net.tcp.buffer = buffer;
                    if !open {
                        return false;
                    }
                }
                Reading::Blocked | Reading::Gone => return false,
            }
        }
        true
    }

    /// Finds the transport of a connection by its first frame. Returns whether the connection is still here.
    fn bind_connection(&mut self, key: usize, now: Instant) -> bool {
        let owner = stun::binding_request_ufrag(self.net.tcp.head(key))
            .and_then(|ufrag| self.demux.by_ufrag(ufrag));
        match owner {
            Some(Owner::Here(peer_key)) => {
                let mut head = self.net.tcp.bind(key, peer_key);
                if let Some(peer) = self.peers.get_mut(peer_key) {
                    peer.connections.push(key);
                }
                self.on_stream(key, &mut head, now)
            }
            Some(Owner::There(shard)) => {
                if let Some(handed) = self.net.tcp.hand(key) {
                    self.net.stats.handed_over += 1;
                    self.tell(shard, Message::Connection(handed));
                }
                false
            }
            None => {
                self.net.stats.rejected += 1;
                self.net.tcp.close(key);
                false
            }
        }
    }

    /// Takes bytes of a bound connection. Returns whether the connection is still open.
    fn on_stream(&mut self, key: usize, bytes: &mut [u8], now: Instant) -> bool {
        let Some((mut deframer, source, destination, peer)) = self.net.tcp.take_deframer(key)
        else {
            return false;
        };
        let Some(local) = self.net.local_index(destination.ip()) else {
            return false;
        };
        let arrival = Arrival {
            proto: Protocol::Tcp,
            source,
            destination,
            local,
            via: None,
        };
        let mut count = 0;
        let whole = Deframer::push(&mut deframer, bytes, |frame| {
            count += 1;
            self.net.stats.packets_in += 1;
            self.net.stats.bytes_in += frame.len() as u64;
            let kind = stun::classify(frame);
            self.deliver(peer, arrival, kind, frame, now);
            if self.dirty.full {
                self.write_pending_if_many(now);
            }
        });
        self.net.tcp.put_deframer(key, deframer);
        if let Err(error) = whole {
            tracing::debug!(%error, %source, "ICE-TCP connection closed");
            self.net.tcp.close(key);
            return false;
        }
        true
    }
}
