//! How bytes leave a shard: through the outbox of a UDP socket or through a TCP connection.

use std::net::{IpAddr, SocketAddr};

use kith_transport::{Path, Protocol};

use super::connections::Connections;
use crate::api::ShardStats;
use crate::candidates::{self, Base};
use crate::demux::LocalIndex;
use crate::socket::{Flush, MAX_DATAGRAM, UdpPort};

/// Where a transport's media goes, resolved once per path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Through a UDP socket, by its index.
    Udp {
        port: u8,
        destination: SocketAddr,
        source: Option<IpAddr>,
    },
    /// Through a TCP connection, by its key.
    Tcp { connection: usize },
}

/// The sockets of one shard.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) ports: Vec<UdpPort>,
    pub(super) tcp: Connections,
    pub(super) bases: Vec<Base>,
    /// A socket took no more; try again soon.
    pub(super) blocked: bool,
    pub(super) stats: ShardStats,
    /// For frames of TCP connections.
    frame: Box<[u8]>,
}

impl Net {
    pub(super) fn new(ports: Vec<UdpPort>, tcp: Connections, bases: Vec<Base>) -> Self {
        Net {
            ports,
            tcp,
            bases,
            blocked: false,
            stats: ShardStats::default(),
            frame: vec![0; MAX_DATAGRAM].into_boxed_slice(),
        }
    }

    /// Our UDP address behind a local index.
    pub(super) fn udp_address(&self, local: LocalIndex) -> Option<SocketAddr> {
        let base = self.bases.get(usize::from(local.0))?;
        let port = self.port_for(base.ip)?;
        Some(SocketAddr::new(
            base.ip,
            self.ports.get(usize::from(port))?.local().port(),
        ))
    }

    pub(super) fn local_index(&self, ip: IpAddr) -> Option<LocalIndex> {
        candidates::local_index(&self.bases, ip)
    }

    /// The socket that a datagram with this source address leaves through.
    fn port_for(&self, ip: IpAddr) -> Option<u8> {
        let serves = |port: &UdpPort| {
            let bound = port.local().ip();
            bound == ip || bound.is_unspecified() && bound.is_ipv4() == ip.is_ipv4()
        };
        let index = self.ports.iter().position(serves)?;
        u8::try_from(index).ok()
    }

    /// Resolves a UDP path.
    pub(super) fn udp_way(&self, source: SocketAddr, destination: SocketAddr) -> Option<Way> {
        let port = self.port_for(source.ip())?;
        Some(Way::Udp {
            port,
            destination,
            source: Some(source.ip()),
        })
    }

    /// Resolves a path of the transport `peer` with these connections.
    pub(super) fn way(&self, path: Path, peer: usize, connections: &[usize]) -> Option<Way> {
        match path.proto {
            Protocol::Udp => self.udp_way(path.local, path.remote),
            Protocol::Tcp => {
                let mut keys = connections.iter().copied();
                let connection =
                    keys.find(|key| self.tcp.is(*key, peer, path.remote, path.local))?;
                Some(Way::Tcp { connection })
            }
        }
    }

    /// Lets `fill` write one datagram and sends it along `way` with the next flush. `fill` gets [`MAX_DATAGRAM`] bytes and returns
    /// the length. Returns that length if the datagram was taken.
    pub(super) fn send(
        &mut self,
        way: &Way,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        match *way {
            Way::Udp {
                port,
                destination,
                source,
            } => {
                let port = self.ports.get_mut(usize::from(port))?;
                if port.outbox.room().is_none() {
                    let flush = port.flush();
                    self.blocked |= flush.blocked;
                    count(&mut self.stats, flush);
                }
                let Some(room) = port.outbox.room() else {
                    self.stats.send_drops += 1;
                    return None;
                };
                let len = fill(room)?;
                port.outbox.commit(len, destination, source);
                Some(len)
            }
            Way::Tcp { connection } => {
                let len = fill(&mut self.frame)?;
                let frame = self.frame.get(..len)?;
                self.tcp.send(connection, frame).then_some(len)
            }
        }
    }

    /// Sends what waits in all sockets. Never blocks.
    pub(super) fn flush(&mut self) {
        self.blocked = false;
        for port in &mut self.ports {
            if !port.outbox.is_empty() {
                let flush = port.flush();
                self.blocked |= flush.blocked;
                count(&mut self.stats, flush);
            }
        }
        self.tcp.flush();
    }
}

fn count(stats: &mut ShardStats, flush: Flush) {
    stats.packets_out += flush.datagrams;
    stats.bytes_out += flush.bytes;
    stats.send_calls += flush.calls;
    stats.send_messages += flush.messages;
    stats.send_drops += flush.dropped;
}
