//! ICE-TCP (RFC 6544, passive): connections that strangers open, each bound to a transport by its first connectivity check.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use kith_transport::tcp_framing::{self, Deframer, MAX_FRAME};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use slab::Slab;

/// Connections of one shard. Each peer has one or two.
const MAX_CONNECTIONS: usize = 8192;

/// Connections of one shard that have not shown a connectivity check yet. Beyond this, the oldest is closed: an honest client shows
/// one within a round trip, and strangers that only connect do not keep it out.
const MAX_UNBOUND: usize = if cfg!(test) { 4 } else { 1024 };

/// A connection that shows no connectivity check for this long is closed. Clients send it at once; a slow network retransmits it
/// a few times.
const UNBOUND_TIMEOUT: Duration = Duration::from_secs(10);

/// A bound connection that is silent for this long is closed. Peers renew consent every few seconds (RFC 7675).
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes that may wait for the peer's window. Beyond, frames are dropped as a UDP path would: at 8 Mbit/s this is a second, and
/// media older than that is of no use.
const MAX_WAITING: usize = 1 << 20;

/// Bytes read in one call.
const READ_LEN: usize = 16 << 10;

/// Reads of one connection before others get their turn.
const READS_PER_TURN: usize = 4;

/// Connections accepted in one turn.
const ACCEPTS_PER_TURN: usize = 64;

/// One connection.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    remote: SocketAddr,
    local: SocketAddr,
    /// Slab key of the transport it belongs to.
    peer: Option<usize>,
    /// Until it is bound: what arrived of the first frame.
    head: Vec<u8>,
    deframer: Deframer,
    /// Frames that wait for the peer's window, from `sent` on.
    waiting: Vec<u8>,
    sent: usize,
    /// In the list of those with something to write.
    dirty: bool,
    /// In the list of those with something to read.
    readable: bool,
    last_heard: Instant,
    /// Tells it from others that have or had its key.
    serial: u64,
}

/// A connection on its way to the shard that owns its transport.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) stream: TcpStream,
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
    /// What was read from it so far.
    pub(crate) head: Vec<u8>,
}

/// What a turn of reading came to.
#[derive(Debug)]
pub(super) enum Reading {
    /// The first frame of an unbound connection is complete: find its transport, then [`Connections::bind`] or
    /// [`Connections::hand`].
    Head,
    /// Bytes of a bound connection were read into the buffer: this many.
    Bytes(usize),
    /// Nothing more for now.
    Blocked,
    /// The connection is over; it was removed.
    Gone,
}

/// The connections of one shard.
#[derive(Debug)]
pub(super) struct Connections {
    listeners: Vec<TcpListener>,
    connections: Slab<Connection>,
    unbound: usize,
    /// Keys and serials of unbound connections in the order of their arrival, those that are no longer unbound among them.
    arrivals: VecDeque<(usize, u64)>,
    serial: u64,
    /// Keys of connections that may have something to read.
    pub(super) readable: Vec<usize>,
    dirty: Vec<usize>,
    /// Bound connections that were closed: transport, key and addresses (remote, local). Their transports are to be told.
    pub(super) closed: Vec<(usize, usize, SocketAddr, SocketAddr)>,
    registry: Registry,
    first_token: usize,
    /// Buffer for reads and, while a frame is written, for that.
    pub(super) buffer: Box<[u8]>,
    pub(super) dropped: u64,
    pub(super) packets_out: u64,
    pub(super) bytes_out: u64,
}

impl Connections {
    /// Connections get tokens from `first_token` on.
    pub(super) fn new(registry: Registry, listeners: Vec<TcpListener>, first_token: usize) -> Self {
        Connections {
            listeners,
            connections: Slab::new(),
            unbound: 0,
            arrivals: VecDeque::new(),
            serial: 0,
            readable: Vec::new(),
            dirty: Vec::new(),
            closed: Vec::new(),
            registry,
            first_token,
            buffer: vec![0; READ_LEN].into_boxed_slice(),
            dropped: 0,
            packets_out: 0,
            bytes_out: 0,
        }
    }

    /// Registers the listeners, under the tokens that [`Self::listener`] is then given the index of.
    pub(super) fn register_listeners(&mut self, first_token: usize) -> io::Result<()> {
        for (index, listener) in self.listeners.iter().enumerate() {
            let token = Token(first_token + index);
            self.registry.register(
                &mut SourceFd(&listener.as_raw_fd()),
                token,
                Interest::READABLE,
            )?;
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Accepts what waits at a listener. `admit` says whether a local address is one of ours. Returns whether more may wait.
    pub(super) fn accept(
        &mut self,
        listener: usize,
        now: Instant,
        admit: impl Fn(SocketAddr) -> bool,
    ) -> bool {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(accepted) = self.listeners.get(listener).map(TcpListener::accept) else {
                return false;
            };
            match accepted {
                Ok((stream, remote)) => {
                    let Ok(local) = stream.local_addr() else {
                        continue;
                    };
                    if !admit(local) {
                        // Dropping it closes it.
                        continue;
                    }
                    if self.unbound >= MAX_UNBOUND {
                        self.close_oldest_unbound();
                    }
                    self.add(
                        Handed {
                            stream,
                            remote,
                            local,
                            head: Vec::new(),
                        },
                        now,
                    );
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error)
                    if error.kind() == ErrorKind::Interrupted
                        || error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Out of descriptors, most likely. The listener is asked again when somebody else connects.
                    tracing::warn!(%error, "cannot accept an ICE-TCP connection");
                    return false;
                }
            }
        }
        true
    }

    /// Takes a connection in; unbound. Its key, or `None` when there are too many.
    pub(super) fn add(&mut self, handed: Handed, now: Instant) -> Option<usize> {
        if self.connections.len() >= MAX_CONNECTIONS {
            self.dropped += 1;
            return None;
        }
        let Handed {
            stream,
            remote,
            local,
            head,
        } = handed;
        // Media is late enough without Nagle's algorithm; where this fails it is merely later.
        let _ = stream.set_nodelay(true);
        stream.set_nonblocking(true).ok()?;
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.registry.register(
            &mut SourceFd(&stream.as_raw_fd()),
            Token(self.first_token + key),
            interest,
        ) {
            tracing::warn!(%error, "cannot watch an ICE-TCP connection");
            return None;
        }
        entry.insert(Connection {
            stream,
            remote,
            local,
            peer: None,
            head,
            deframer: Deframer::new(),
            waiting: Vec::new(),
            sent: 0,
            dirty: false,
            readable: true,
            last_heard: now,
            serial: self.serial,
        });
        self.arrivals.push_back((key, self.serial));
        self.serial += 1;
        self.unbound += 1;
        self.readable.push(key);
        Some(key)
    }

    /// The system says that a connection can be read or written.
    pub(super) fn ready(&mut self, token: Token, readable: bool, writable: bool) {
        let Some(key) = token.0.checked_sub(self.first_token) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if readable && !connection.readable {
            connection.readable = true;
            self.readable.push(key);
        }
        if writable && !connection.waiting.is_empty() && !connection.dirty {
            connection.dirty = true;
            self.dirty.push(key);
        }
    }

    /// Reads from a connection: once from a bound one, into [`Self::buffer`]; from an unbound one until its first frame is there.
    pub(super) fn read(&mut self, key: usize, now: Instant) -> Reading {
        loop {
            let Some(connection) = self.connections.get_mut(key) else {
                return Reading::Gone;
            };
            if connection.peer.is_none() && head_is_complete(&connection.head) {
                return Reading::Head;
            }
            let room = match connection.peer {
                Some(_) => self.buffer.as_mut(),
                // No more than a first frame needs; what comes with it is kept.
                None => self
                    .buffer
                    .get_mut(..tcp_framing::HEADER_LEN + MAX_FRAME)
                    .unwrap_or_default(),
            };
            match connection.stream.read(room) {
                Ok(0) => {
                    self.remove(key);
                    return Reading::Gone;
                }
                Ok(len) => {
                    connection.last_heard = now;
                    if connection.peer.is_some() {
                        return Reading::Bytes(len);
                    }
                    connection
                        .head
                        .extend_from_slice(room.get(..len).unwrap_or_default());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    connection.readable = false;
                    return Reading::Blocked;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.remove(key);
                    return Reading::Gone;
                }
            }
        }
    }

    /// How often [`Self::read`] may be called for one connection in one turn.
    pub(super) const fn reads_per_turn() -> usize {
        READS_PER_TURN
    }

    /// The first frame of an unbound connection.
    pub(super) fn head(&self, key: usize) -> &[u8] {
        let head = self
            .connections
            .get(key)
            .map_or(&[][..], |connection| &connection.head);
        first_frame(head).unwrap_or_default()
    }

    /// Binds a connection to a transport and returns what was read so far, to be deframed.
    pub(super) fn bind(&mut self, key: usize, peer: usize) -> Vec<u8> {
        let Some(connection) = self.connections.get_mut(key) else {
            return Vec::new();
        };
        if connection.peer.replace(peer).is_none() {
            self.unbound -= 1;
        }
        std::mem::take(&mut connection.head)
    }

    /// Takes a connection out to hand it to another shard.
    pub(super) fn hand(&mut self, key: usize) -> Option<Handed> {
        let connection = self.remove(key)?;
        Some(Handed {
            stream: connection.stream,
            remote: connection.remote,
            local: connection.local,
            head: connection.head,
        })
    }

    /// Takes the deframer out while its frames are handled; [`Self::put_deframer`] gives it back.
    pub(super) fn take_deframer(
        &mut self,
        key: usize,
    ) -> Option<(Deframer, SocketAddr, SocketAddr, usize)> {
        let connection = self.connections.get_mut(key)?;
        let deframer = std::mem::take(&mut connection.deframer);
        Some((
            deframer,
            connection.remote,
            connection.local,
            connection.peer?,
        ))
    }

    pub(super) fn put_deframer(&mut self, key: usize, deframer: Deframer) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.deframer = deframer;
        }
    }

    /// Whether `key` is the connection from `remote` to `local` of transport `peer`.
    pub(super) fn is(
        &self,
        key: usize,
        peer: usize,
        remote: SocketAddr,
        local: SocketAddr,
    ) -> bool {
        self.connections.get(key).is_some_and(|connection| {
            connection.peer == Some(peer)
                && connection.remote == remote
                && connection.local == local
        })
    }

    /// Appends a frame. It leaves with the next [`Self::flush`]. `false`: too much waits already.
    pub(super) fn send(&mut self, key: usize, frame: &[u8]) -> bool {
        let Some(connection) = self.connections.get_mut(key) else {
            return false;
        };
        let Ok(header) = tcp_framing::header(frame.len()) else {
            return false;
        };
        if connection.waiting.len() - connection.sent + frame.len() > MAX_WAITING {
            self.dropped += 1;
            return false;
        }
        connection.waiting.extend_from_slice(&header);
        connection.waiting.extend_from_slice(frame);
        self.packets_out += 1;
        self.bytes_out += frame.len() as u64;
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(key);
        }
        true
    }

    /// Writes what waits, as far as the peers' windows allow.
    pub(super) fn flush(&mut self) {
        // A connection that blocks gets into the list again by its next event.
        while let Some(key) = self.dirty.pop() {
            let Some(connection) = self.connections.get_mut(key) else {
                continue;
            };
            connection.dirty = false;
            while let Some(rest) = connection
                .waiting
                .get(connection.sent..)
                .filter(|rest| !rest.is_empty())
            {
                match connection.stream.write(rest) {
                    Ok(written) if written > 0 => connection.sent += written,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        // Moving the rest to the front now and then keeps the buffer within its bound.
                        if connection.sent > MAX_WAITING {
                            connection.waiting.drain(..connection.sent);
                            connection.sent = 0;
                        }
                        break;
                    }
                    _ => {
                        self.remove(key);
                        break;
                    }
                }
            }
            if let Some(connection) = self.connections.get_mut(key)
                && connection.sent == connection.waiting.len()
            {
                connection.waiting.clear();
                connection.sent = 0;
            }
        }
    }

    /// Closes the connections of a transport.
    pub(super) fn close_all_of(&mut self, peer: usize, keys: &[usize]) {
        for key in keys {
            if self
                .connections
                .get(*key)
                .is_some_and(|connection| connection.peer == Some(peer))
            {
                self.remove(*key);
            }
        }
    }

    /// Closes one connection.
    pub(super) fn close(&mut self, key: usize) {
        self.remove(key);
    }

    fn close_oldest_unbound(&mut self) {
        while let Some((key, serial)) = self.arrivals.pop_front() {
            if is_unbound(&self.connections, key, serial) {
                self.dropped += 1;
                self.remove(key);
                return;
            }
        }
    }

    /// Closes connections that are silent for too long. To be called about once a second.
    pub(super) fn close_silent(&mut self, now: Instant) {
        let silent = |connection: &Connection| {
            let limit = if connection.peer.is_some() {
                IDLE_TIMEOUT
            } else {
                UNBOUND_TIMEOUT
            };
            now.saturating_duration_since(connection.last_heard) > limit
        };
        let keys: Vec<usize> = self
            .connections
            .iter()
            .filter(|(_, connection)| silent(connection))
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            self.remove(key);
        }
        let connections = &self.connections;
        self.arrivals
            .retain(|(key, serial)| is_unbound(connections, *key, *serial));
    }

    fn remove(&mut self, key: usize) -> Option<Connection> {
        let connection = self.connections.try_remove(key)?;
        match connection.peer {
            Some(peer) => self
                .closed
                .push((peer, key, connection.remote, connection.local)),
            None => self.unbound -= 1,
        }
        // Fails only for descriptors that are not watched.
        let _ = self
            .registry
            .deregister(&mut SourceFd(&connection.stream.as_raw_fd()));
        Some(connection)
    }
}

fn is_unbound(connections: &Slab<Connection>, key: usize, serial: u64) -> bool {
    connections
        .get(key)
        .is_some_and(|connection| connection.serial == serial && connection.peer.is_none())
}

/// The first frame of `bytes`, if it is all there.
fn first_frame(bytes: &[u8]) -> Option<&[u8]> {
    let (header, rest) = bytes.split_first_chunk::<{ tcp_framing::HEADER_LEN }>()?;
    rest.get(..usize::from(u16::from_be_bytes(*header)))
}

/// Whether the first frame is there, or is none that will ever be.
fn head_is_complete(bytes: &[u8]) -> bool {
    first_frame(bytes).is_some() || bytes.len() >= tcp_framing::HEADER_LEN + MAX_FRAME
}

#[cfg(test)]
mod tests {
    use mio::Poll;

    use super::*;
    use crate::socket::listen_tcp;

    fn closed(stream: &mut TcpStream) -> bool {
        stream.set_nonblocking(true).unwrap();
        match stream.read(&mut [0; 10]) {
            Ok(len) => len == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    #[test]
    fn too_many_strangers_push_out_the_oldest_of_them() {
        let poll = Poll::new().unwrap();
        let listener = listen_tcp("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = listener.local_addr().unwrap();
        let mut connections =
            Connections::new(poll.registry().try_clone().unwrap(), vec![listener], 10);
        let now = Instant::now();
        let mut clients = Vec::new();
        for index in 0..MAX_UNBOUND + 2 {
            clients.push(TcpStream::connect(address).unwrap());
            assert!(!connections.accept(0, now, |_| true));
            if index == 0 {
                // The first shows what it is, and stays.
                let key = connections.readable[0];
                assert!(connections.bind(key, 77).is_empty());
            }
        }
        std::thread::sleep(Duration::from_millis(20));
        let closed: Vec<bool> = clients.iter_mut().map(closed).collect();
        assert_eq!(closed, [false, true, false, false, false, false]);
        assert_eq!(
            (connections.len(), connections.unbound),
            (MAX_UNBOUND + 1, MAX_UNBOUND)
        );
        connections.close_silent(now + UNBOUND_TIMEOUT + Duration::from_secs(1));
        assert_eq!(
            (
                connections.len(),
                connections.unbound,
                connections.arrivals.len()
            ),
            (1, 0, 0)
        );
        connections.close_silent(now + IDLE_TIMEOUT + Duration::from_secs(1));
        assert_eq!(connections.len(), 0);
        assert_eq!(connections.closed.len(), 1, "its transport is to be told");
    }

    #[test]
    fn a_window_that_is_full_keeps_frames_until_a_bound_and_then_drops_whole_ones() {
        let poll = Poll::new().unwrap();
        let listener = listen_tcp("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = listener.local_addr().unwrap();
        let mut connections =
            Connections::new(poll.registry().try_clone().unwrap(), vec![listener], 10);
        let mut client = TcpStream::connect(address).unwrap();
        connections.accept(0, Instant::now(), |_| true);
        let key = connections.readable[0];
        connections.bind(key, 0);
        let mut taken = 0u32;
        while connections.send(key, &[&taken.to_be_bytes()[..], &[7; 1000]].concat()) {
            taken += 1;
            connections.flush();
        }
        assert!(connections.connections[key].waiting.len() <= 2 * MAX_WAITING + 2000);
        // Now the client reads.
        client.set_nonblocking(true).unwrap();
        let (mut stream, mut buffer) = (Vec::new(), [0; 65_536]);
        while stream.len() < taken as usize * 1006 {
            match client.read(&mut buffer) {
                Ok(len) => stream.extend_from_slice(&buffer[..len]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    connections.ready(Token(10 + key), false, true);
                    connections.flush();
                }
            }
        }
        for (index, frame) in stream.chunks(1006).enumerate() {
            assert_eq!(
                frame[..6],
                [&1004u16.to_be_bytes()[..], &(index as u32).to_be_bytes()].concat()
            );
        }
        assert!(connections.send(key, &[1; 1000]), "there is room again");
    }
}
