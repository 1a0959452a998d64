//! One bound UDP socket: receiving in batches, sending through an outbox.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

use super::outbox::{Flush, Outbox};
use super::sys;

/// A receive buffer takes the largest bundle of datagrams that the kernel makes (GRO).
const BUFFER_LEN: usize = 65_536;

/// Connections that may wait to be accepted. More at once is a flood or a stalled shard.
const TCP_BACKLOG: i32 = 256;

/// How a socket is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BindOptions {
    /// Whether other sockets of ours shall share the port.
    pub(crate) shared: bool,
    /// Kernel buffer per direction, bytes.
    pub(crate) buffer: usize,
    /// Whether to try segmentation offload.
    pub(crate) gso: bool,
}

/// Opens a socket that belongs to one family only, with address and port sharing as asked.
fn open(address: SocketAddr, shared: bool, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own.
        socket.set_only_v6(true)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Listens for TCP connections.
pub(crate) fn listen_tcp(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = open(address, shared, Type::STREAM, Protocol::TCP)?;
    // Connections of a former process in TIME_WAIT do not keep us from the port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(TCP_BACKLOG)?;
    Ok(socket.into())
}

/// One bound UDP socket.
#[derive(Debug)]
pub(crate) struct UdpPort {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    pub(crate) outbox: Outbox,
}

impl UdpPort {
    /// Opens a socket on `address`.
    pub(crate) fn bind(address: SocketAddr, options: BindOptions) -> io::Result<Self> {
        let socket = open(address, options.shared, Type::DGRAM, Protocol::UDP)?;
        socket.bind(&address.into())?;
        let socket: UdpSocket = socket.into();
        for receive in [true, false] {
            if let Err(error) = sys::set_buffer(socket.as_fd(), receive, options.buffer) {
                tracing::warn!(%error, receive, "cannot size a socket buffer");
            }
        }
        let state = UdpSocketState::new((&socket).into())?;
        let gso = options.gso && sys::knows_gso(socket.as_fd());
        Ok(UdpPort {
            local: socket.local_addr()?,
            state,
            outbox: Outbox::new(gso, true),
            socket,
        })
    }

    /// The address it is bound to; possibly unspecified.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// What the kernel granted, bytes: receive, send.
    pub(crate) fn buffers(&self) -> io::Result<(usize, usize)> {
        let socket = (&self.socket).into();
        // The kernel answers with twice the value, its own bookkeeping included.
        Ok((
            self.state.recv_buffer_size(socket)? / 2,
            self.state.send_buffer_size((&self.socket).into())? / 2,
        ))
    }

    /// Receives one batch with one system call. An error of kind `WouldBlock` means that nothing waits.
    pub(crate) fn receive(&self, buffers: &mut ReceiveBuffers) -> io::Result<()> {
        buffers.filled = 0;
        let mut chunks = buffers.bytes.chunks_exact_mut(BUFFER_LEN);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        buffers.filled = self
            .state
            .recv((&self.socket).into(), &mut slices, &mut buffers.meta)?;
        Ok(())
    }

    /// Sends what waits in the outbox.
    pub(crate) fn flush(&mut self) -> Flush {
        self.outbox.flush(self.socket.as_fd())
    }
}

/// Buffers for one batch, reused for every socket of a shard.
#[derive(Debug)]
pub(crate) struct ReceiveBuffers {
    bytes: Box<[u8]>,
    meta: [RecvMeta; BATCH_SIZE],
    filled: usize,
}

/// Datagrams of one buffer: all from one source to one destination.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    pub(crate) source: SocketAddr,
    /// Where it was sent to, when the kernel said so.
    pub(crate) destination: Option<IpAddr>,
    /// The datagrams, one after the other, `stride` bytes each but the last.
    pub(crate) bytes: &'a mut [u8],
    pub(crate) stride: usize,
}

impl ReceiveBuffers {
    pub(crate) fn new() -> Self {
        ReceiveBuffers {
            bytes: vec![0; BUFFER_LEN * BATCH_SIZE].into_boxed_slice(),
            meta: [RecvMeta::default(); BATCH_SIZE],
            filled: 0,
        }
    }

    /// What the last batch brought.
    pub(crate) fn received(&mut self) -> impl Iterator<Item = Received<'_>> {
        self.bytes
            .chunks_exact_mut(BUFFER_LEN)
            .zip(&self.meta)
            .take(self.filled)
            .filter_map(|(buffer, meta)| {
                let bytes = buffer.get_mut(..meta.len)?;
                // A bundle has a stride; a single datagram (or an empty one) is its own.
                Some(Received {
                    source: meta.addr,
                    destination: meta.dst_ip,
                    stride: meta.stride.max(1),
                    bytes,
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: BindOptions = BindOptions {
        shared: false,
        buffer: 1 << 20,
        gso: true,
    };

    fn receive_all(port: &UdpPort, count: usize) -> Vec<(SocketAddr, Option<IpAddr>, Vec<u8>)> {
        let mut buffers = ReceiveBuffers::new();
        let mut all = Vec::new();
        for _ in 0..1000 {
            match port.receive(&mut buffers) {
                Ok(()) => {
                    for received in buffers.received() {
                        for datagram in received.bytes.chunks(received.stride) {
                            all.push((received.source, received.destination, datagram.to_vec()));
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if all.len() >= count {
                        break;
                    }
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                Err(error) => panic!("{error}"),
            }
        }
        all
    }

    #[test]
    fn a_batch_keeps_boundaries_and_tells_the_real_destination() {
        for (bind, to) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1")] {
            let to: IpAddr = to.parse().unwrap();
            let receiver = UdpPort::bind(bind.parse().unwrap(), OPTIONS).unwrap();
            let mut sender = UdpPort::bind(SocketAddr::new(to, 0), OPTIONS).unwrap();
            let destination = SocketAddr::new(to, receiver.local().port());
            for fill in 0..40u8 {
                let len = if fill == 20 { 300 } else { 700 };
                sender.outbox.room().unwrap()[..len].fill(fill);
                sender.outbox.commit(len, destination, Some(to));
            }
            let flush = sender.flush();
            assert_eq!((flush.datagrams, flush.messages), (40, 2));
            let all = receive_all(&receiver, 40);
            assert_eq!(all.len(), 40);
            for (index, (source, destination, bytes)) in all.iter().enumerate() {
                assert_eq!(*source, sender.local());
                assert_eq!(*destination, Some(to));
                assert_eq!(bytes.len(), if index == 20 { 300 } else { 700 });
                assert!(bytes.iter().all(|byte| usize::from(*byte) == index));
            }
        }
    }

    #[test]
    fn a_shared_port_can_be_bound_twice_and_an_unshared_one_cannot() {
        let shared = BindOptions {
            shared: true,
            ..OPTIONS
        };
        let first = UdpPort::bind("127.0.0.1:0".parse().unwrap(), shared).unwrap();
        UdpPort::bind(first.local(), shared).unwrap();
        let alone = UdpPort::bind("127.0.0.1:0".parse().unwrap(), OPTIONS).unwrap();
        assert!(UdpPort::bind(alone.local(), OPTIONS).is_err());
        assert!(alone.buffers().unwrap().0 > 100_000);
    }
}
