//! What waits to leave through one UDP socket: a slab of bytes and a list of messages, each one or several datagrams to the same
//! destination. Datagrams of equal length that follow each other share a message (GSO).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use super::sys::{self, Message};

/// Longest datagram that is accepted for sending. WebRTC stays below an Ethernet MTU; DTLS and SCTP are told to as well.
pub(crate) const MAX_DATAGRAM: usize = 1500;

/// Room for some 170 full datagrams: enough that a system call carries many, small enough to stay in a core's L2 cache together
/// with the media that is copied into it.
const SLAB_LEN: usize = 256 << 10;

/// Messages that may wait. 1300 datagrams of audio size fill a slab as well.
const MAX_MESSAGES: usize = 2048;

/// The kernel's UDP_MAX_SEGMENTS before Linux 6.9 (128 since).
const MAX_SEGMENTS: usize = 64;

/// Longest payload of one message: the IP length field holds 65535 with IP and UDP headers in it.
const MAX_MESSAGE_LEN: usize = 65_000;

/// So many messages in a row that the kernel refuses as a whole but takes one by one mean that GSO does not work here at all.
const GSO_REFUSALS: u8 = 8;

/// What a flush came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flush {
    /// Datagrams that the kernel took.
    pub(crate) datagrams: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Messages that they were in.
    pub(crate) messages: u64,
    /// System calls made.
    pub(crate) calls: u64,
    /// Datagrams that the kernel refused.
    pub(crate) dropped: u64,
    /// The socket's buffer is full; the rest waits for the next flush.
    pub(crate) blocked: bool,
}

/// The outgoing queue of one socket.
#[derive(Debug)]
pub(crate) struct Outbox {
    slab: Box<[u8]>,
    /// Bytes of the slab that are taken.
    used: usize,
    messages: Vec<Message>,
    /// Messages before this one are gone already.
    next: usize,
    /// Whether the last message takes further datagrams.
    open: bool,
    gso: bool,
    mmsg: bool,
    gso_refusals: u8,
}

impl Outbox {
    /// `gso` and `mmsg` say what to try; both switch themselves off where the kernel refuses them.
    pub(crate) fn new(gso: bool, mmsg: bool) -> Self {
        Outbox {
            slab: vec![0; SLAB_LEN].into_boxed_slice(),
            used: 0,
            messages: Vec::with_capacity(MAX_MESSAGES),
            next: 0,
            open: false,
            gso,
            mmsg,
            gso_refusals: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether segmentation offload is in use.
    #[cfg(test)]
    pub(crate) fn gso(&self) -> bool {
        self.gso
    }

    /// Room to write the next datagram into, [`MAX_DATAGRAM`] bytes. `None` when the outbox is full: flush, then try again.
    pub(crate) fn room(&mut self) -> Option<&mut [u8]> {
        if self.messages.len() >= MAX_MESSAGES {
            return None;
        }
        self.slab.get_mut(self.used..self.used + MAX_DATAGRAM)
    }

    /// Makes the first `len` bytes of [`Self::room`] a datagram to `destination`, from `source` where that is known.
    pub(crate) fn commit(&mut self, len: usize, destination: SocketAddr, source: Option<IpAddr>) {
        debug_assert!(len <= MAX_DATAGRAM && self.used + len <= self.slab.len());
        if len == 0 {
            return;
        }
        if self.open
            && let Some(last) = self.messages.last_mut()
            && len <= last.segment
            && last.destination == destination
            && last.source == source
            && last.datagrams() < MAX_SEGMENTS
            && last.len + len <= MAX_MESSAGE_LEN
        {
            last.len += len;
            // Only the last segment of a message may be shorter.
            self.open = len == last.segment;
        } else {
            self.messages.push(Message {
                destination,
                source,
                offset: self.used,
                len,
                segment: len,
            });
            self.open = self.gso;
        }
        self.used += len;
    }

    /// Sends what waits. Never blocks.
    pub(crate) fn flush(&mut self, fd: BorrowedFd<'_>) -> Flush {
        self.flush_with(|slab, messages, mmsg| sys::send_messages(fd, slab, messages, mmsg))
    }

    /// `send` is the system call: it sends the first messages and returns how many, or why not the first.
    fn flush_with(
        &mut self,
        mut send: impl FnMut(&[u8], &[Message], bool) -> io::Result<usize>,
    ) -> Flush {
        let mut flush = Flush::default();
        self.open = false;
        while let Some(rest) = self
            .messages
            .get(self.next..)
            .filter(|rest| !rest.is_empty())
        {
            flush.calls += 1;
            match send(&self.slab, rest, self.mmsg) {
                Ok(taken) => {
                    for message in rest.iter().take(taken) {
                        flush.count(message);
                        if message.datagrams() > 1 {
                            self.gso_refusals = 0;
                        }
                    }
                    self.next += taken.max(1);
                }
                Err(error) => match self.refused(&mut send, error, &mut flush) {
                    Refusal::Next => self.next += 1,
                    Refusal::Again => {}
                    Refusal::Wait => {
                        flush.blocked = true;
                        return flush;
                    }
                },
            }
        }
        self.messages.clear();
        self.next = 0;
        self.used = 0;
        flush
    }

    /// The first waiting message was refused.
    fn refused(
        &mut self,
        send: &mut impl FnMut(&[u8], &[Message], bool) -> io::Result<usize>,
        error: io::Error,
        flush: &mut Flush,
    ) -> Refusal {
        let Some(message) = self.messages.get(self.next).copied() else {
            return Refusal::Next;
        };
        match error.raw_os_error() {
            Some(libc::EAGAIN) => Refusal::Wait,
            Some(libc::EINTR) => Refusal::Again,
            Some(libc::ENOSYS) if self.mmsg => {
                tracing::info!("no sendmmsg here, sending message by message");
                self.mmsg = false;
                Refusal::Again
            }
            // EIO: the device cannot do checksums, and so no segmentation. EINVAL: a segment is longer than the path's MTU, or the
            // kernel knows no GSO. Others: seen with odd drivers and sandboxes.
            Some(
                code @ (libc::EIO
                | libc::EINVAL
                | libc::EOPNOTSUPP
                | libc::ENOPROTOOPT
                | libc::EMSGSIZE),
            ) if message.datagrams() > 1 => {
                let before = flush.datagrams;
                let refusal = self.one_by_one(send, message, flush);
                if flush.datagrams > before {
                    self.gso_refusals = self.gso_refusals.saturating_add(1);
                    if matches!(code, libc::EIO | libc::EOPNOTSUPP)
                        || self.gso_refusals >= GSO_REFUSALS
                    {
                        tracing::info!(%error, "segmentation offload refused, sending without it");
                        self.gso = false;
                    }
                }
                refusal
            }
            _ => {
                tracing::debug!(%error, destination = %message.destination, "datagram refused by the kernel");
                flush.dropped += message.datagrams() as u64;
                Refusal::Next
            }
        }
    }

    /// Sends the datagrams of one message each on its own.
    fn one_by_one(
        &mut self,
        send: &mut impl FnMut(&[u8], &[Message], bool) -> io::Result<usize>,
        message: Message,
        flush: &mut Flush,
    ) -> Refusal {
        let mut rest = message;
        while rest.len > 0 {
            let single = Message {
                len: rest.len.min(rest.segment),
                ..rest
            };
            flush.calls += 1;
            match send(&self.slab, std::slice::from_ref(&single), false) {
                Ok(_) => flush.count(&single),
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {
                    // The rest stays, as a message of its own.
                    if let Some(slot) = self.messages.get_mut(self.next) {
                        *slot = rest;
                    }
                    return Refusal::Wait;
                }
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => continue,
                Err(_) => flush.dropped += 1,
            }
            rest.offset += single.len;
            rest.len -= single.len;
        }
        Refusal::Next
    }
}

impl Flush {
    fn count(&mut self, message: &Message) {
        self.datagrams += message.datagrams() as u64;
        self.bytes += message.len as u64;
        self.messages += 1;
    }
}

enum Refusal {
    Next,
    Again,
    Wait,
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::*;

    fn receiver(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        socket
    }

    fn put(
        outbox: &mut Outbox,
        fill: u8,
        len: usize,
        destination: SocketAddr,
        source: Option<IpAddr>,
    ) {
        outbox.room().unwrap()[..len].fill(fill);
        outbox.commit(len, destination, source);
    }

    fn arrive(socket: &UdpSocket, expected: &[(u8, usize)]) {
        let mut buffer = [0; 65_536];
        for (fill, len) in expected {
            let (got, _) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!((buffer[0], got), (*fill, *len));
            assert!(buffer[..got].iter().all(|byte| byte == fill));
        }
    }

    #[test]
    fn segments_arrive_as_separate_datagrams() {
        for (address, gso, mmsg) in [
            ("127.0.0.1:0", true, true),
            ("127.0.0.1:0", false, true),
            ("127.0.0.1:0", true, false),
            ("127.0.0.1:0", false, false),
            ("[::1]:0", true, true),
        ] {
            let (a, b) = (receiver(address), receiver(address));
            let sender = receiver(address);
            let source = Some(sender.local_addr().unwrap().ip());
            let (to_a, to_b) = (a.local_addr().unwrap(), b.local_addr().unwrap());
            let mut outbox = Outbox::new(gso, mmsg);
            put(&mut outbox, 1, 1000, to_a, source);
            put(&mut outbox, 2, 1000, to_a, source);
            put(&mut outbox, 3, 400, to_a, source); // closes the run
            put(&mut outbox, 4, 400, to_a, source);
            put(&mut outbox, 5, 900, to_b, None);
            put(&mut outbox, 6, 901, to_b, None); // longer: a run of its own
            assert_eq!(outbox.messages.len(), if gso { 4 } else { 6 });
            let flush = outbox.flush(sender.as_fd());
            assert_eq!(
                (flush.datagrams, flush.bytes, flush.dropped),
                (6, 4601, 0),
                "{address} {gso} {mmsg}"
            );
            assert!(!flush.blocked && outbox.is_empty());
            assert_eq!(outbox.gso(), gso, "loopback supports segmentation offload");
            if mmsg {
                assert_eq!(flush.calls, 1);
            }
            arrive(&a, &[(1, 1000), (2, 1000), (3, 400), (4, 400)]);
            arrive(&b, &[(5, 900), (6, 901)]);
        }
    }

    #[test]
    fn a_run_ends_at_64_segments() {
        let a = receiver("127.0.0.1:0");
        let to_a = a.local_addr().unwrap();
        let mut outbox = Outbox::new(true, true);
        for fill in 0..70 {
            put(&mut outbox, fill, 100, to_a, None);
        }
        assert_eq!(outbox.messages.len(), 2);
        let flush = outbox.flush(receiver("127.0.0.1:0").as_fd());
        assert_eq!((flush.datagrams, flush.messages, flush.calls), (70, 2, 1));
        let expected: Vec<_> = (0..70).map(|fill| (fill, 100)).collect();
        arrive(&a, &expected);
    }

    #[test]
    fn a_refused_destination_costs_only_its_own_datagrams() {
        let a = receiver("127.0.0.1:0");
        let to_a = a.local_addr().unwrap();
        let mut outbox = Outbox::new(true, true);
        put(&mut outbox, 1, 100, to_a, None);
        // Port 0 is refused with EINVAL.
        put(&mut outbox, 2, 100, "127.0.0.1:0".parse().unwrap(), None);
        put(&mut outbox, 2, 100, "127.0.0.1:0".parse().unwrap(), None);
        put(&mut outbox, 3, 100, to_a, None);
        let flush = outbox.flush(receiver("127.0.0.1:0").as_fd());
        assert_eq!((flush.datagrams, flush.dropped), (2, 2));
        assert!(outbox.gso(), "a bad destination does not tell against GSO");
        arrive(&a, &[(1, 100), (3, 100)]);
    }

    #[test]
    fn gso_that_is_refused_for_a_run_is_sent_one_by_one() {
        // A message of more than 65507 bytes is refused by the kernel; make one by hand.
        let a = receiver("127.0.0.1:0");
        let to_a = a.local_addr().unwrap();
        let mut outbox = Outbox::new(true, true);
        for fill in 0..60 {
            put(&mut outbox, fill, 1200, to_a, None);
        }
        let whole = Message {
            len: 60 * 1200,
            ..outbox.messages[0]
        };
        outbox.messages = vec![whole];
        let flush = outbox.flush(receiver("127.0.0.1:0").as_fd());
        assert_eq!((flush.datagrams, flush.dropped), (60, 0));
        let expected: Vec<_> = (0..60).map(|fill| (fill, 1200)).collect();
        arrive(&a, &expected);
    }

    #[test]
    fn a_full_outbox_has_no_room_until_it_is_flushed() {
        let a = receiver("127.0.0.1:0");
        let mut outbox = Outbox::new(true, true);
        let mut count = 0;
        while outbox.room().is_some() {
            outbox.commit(MAX_DATAGRAM, a.local_addr().unwrap(), None);
            count += 1;
        }
        assert!(count > 150);
        let flush = outbox.flush(receiver("127.0.0.1:0").as_fd());
        assert_eq!(flush.datagrams + flush.dropped, count);
        assert!(outbox.room().is_some());
    }

    const TO: &str = "192.0.2.1:9";

    fn filled(count: usize) -> Outbox {
        let mut outbox = Outbox::new(true, true);
        for fill in 0..count {
            // Two datagrams per message.
            put(&mut outbox, fill as u8, 1000, TO.parse().unwrap(), None);
            put(&mut outbox, fill as u8, 999, TO.parse().unwrap(), None);
        }
        outbox
    }

    fn error<T>(code: i32) -> io::Result<T> {
        Err(io::Error::from_raw_os_error(code))
    }

    #[test]
    fn what_a_full_socket_does_not_take_leaves_with_the_next_flush() {
        let mut outbox = filled(10);
        let mut calls = 0;
        let flush = outbox.flush_with(|_, messages, _| {
            calls += 1;
            if calls == 1 {
                Ok(messages.len() - 3)
            } else {
                error(libc::EAGAIN)
            }
        });
        assert!(flush.blocked && !outbox.is_empty());
        assert_eq!((flush.datagrams, flush.dropped), (14, 0));
        // More may be added meanwhile.
        put(&mut outbox, 99, 500, TO.parse().unwrap(), None);
        let mut fills = Vec::new();
        let flush = outbox.flush_with(|slab, messages, _| {
            fills.extend(messages.iter().map(|message| slab[message.offset]));
            Ok(messages.len())
        });
        assert_eq!(fills, [7, 8, 9, 99]);
        assert_eq!((flush.datagrams, flush.blocked), (7, false));
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_device_without_checksums_turns_segmentation_off_and_loses_nothing() {
        let mut outbox = filled(3);
        let mut sent = Vec::new();
        let flush = outbox.flush_with(|_, messages, _| match messages[0].datagrams() {
            1 => {
                sent.push(messages[0].len);
                Ok(1)
            }
            _ => error(libc::EIO),
        });
        assert_eq!(sent, [1000, 999, 1000, 999, 1000, 999]);
        assert_eq!((flush.datagrams, flush.dropped), (6, 0));
        assert!(!outbox.gso());
    }

    #[test]
    fn a_socket_that_fills_up_within_a_split_run_keeps_the_rest_of_it() {
        let mut outbox = filled(2);
        let mut calls = 0;
        let flush = outbox.flush_with(|_, messages, _| {
            calls += 1;
            match calls {
                1 => error(libc::EINVAL),
                2 => Ok(1),
                _ => {
                    assert_eq!(messages[0].datagrams(), 1);
                    error(libc::EAGAIN)
                }
            }
        });
        assert!(flush.blocked);
        let mut sent = Vec::new();
        outbox.flush_with(|_, messages, _| {
            sent.push((messages[0].len, messages[0].datagrams()));
            Ok(1)
        });
        assert_eq!(sent, [(999, 1), (1999, 2)]);
    }

    #[test]
    fn a_kernel_without_sendmmsg_is_served_one_message_at_a_time() {
        let mut outbox = filled(3);
        let mut calls = 0;
        let flush = outbox.flush_with(|_, _, mmsg| {
            calls += 1;
            if mmsg { error(libc::ENOSYS) } else { Ok(1) }
        });
        assert_eq!((flush.datagrams, calls), (6, 4));
    }

    #[test]
    fn an_interrupted_call_is_made_again() {
        let mut outbox = filled(1);
        let mut calls = 0;
        let flush = outbox.flush_with(|_, _, _| {
            calls += 1;
            if calls < 3 { error(libc::EINTR) } else { Ok(1) }
        });
        assert_eq!((flush.datagrams, flush.dropped), (2, 0));
    }
}
