//! Bytes from one shard to another: media of publications that have subscribers there, and datagrams that arrived at the wrong
//! shard. One ring per ordered pair of shards, a record being a header and the bytes of one packet.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use kith_rtp::Codec;
use kith_sfu::{PublicationId, ReceivedPacket};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::demux::LocalIndex;

/// Bytes per ring. At 100 Mbit/s from one shard to another this is 80 ms, longer than a thread is kept from running unless the
/// machine is overloaded, and then dropping is right.
const RING_LEN: usize = 1 << 20;

/// Longest packet that crosses. More than a network delivers.
pub(crate) const MAX_RECORD: usize = 2048;

/// Length of a record's header.
const HEADER_LEN: usize = 40;

/// Time is sent as nanoseconds since a moment that all shards know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(pub(crate) Instant);

impl Clock {
    fn encode(self, time: Instant) -> u64 {
        u64::try_from(time.saturating_duration_since(self.0).as_nanos()).unwrap_or(u64::MAX)
    }

    fn decode(self, nanos: u64) -> Instant {
        // Our own other threads wrote it; a century is not exceeded.
        self.0
            .checked_add(Duration::from_nanos(nanos))
            .unwrap_or(self.0)
    }
}

/// What crosses.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    /// A packet of a publication, for the hub on this shard.
    Media(ReceivedPacket<'a>),
    /// A UDP datagram for a transport of this shard.
    Stray(Stray<'a>),
}

/// A datagram that arrived at another shard.
#[derive(Debug)]
pub(crate) struct Stray<'a> {
    pub(crate) source: SocketAddr,
    pub(crate) local: LocalIndex,
    pub(crate) bytes: &'a mut [u8],
}

const MEDIA: u8 = 1;
const STRAY_V4: u8 = 2;
const STRAY_V6: u8 = 3;

/// Makes the ring from one shard to another.
pub(crate) fn ring(clock: Clock) -> (RingSender, RingReceiver) {
    let (producer, consumer) = RingBuffer::new(RING_LEN);
    let receiver = RingReceiver {
        consumer,
        clock,
        joined: vec![0; MAX_RECORD].into_boxed_slice(),
    };
    (RingSender { producer, clock }, receiver)
}

/// The sending end. Neither push wakes the other shard.
#[derive(Debug)]
pub(crate) struct RingSender {
    producer: Producer<u8>,
    clock: Clock,
}

impl RingSender {
    /// Copies a media packet in. `false`: there was no room.
    pub(crate) fn push_media(&mut self, packet: &ReceivedPacket<'_>) -> bool {
        let mut header = Header::default();
        header.put_u8(MEDIA);
        header.put_u8(packet.layer);
        header.put_u8(packet.codec as u8);
        header.put_u8(0);
        header.put(&packet.epoch.to_le_bytes());
        header.put(&packet.publication.0.to_le_bytes());
        header.put(&packet.seq.to_le_bytes());
        header.put(&self.clock.encode(packet.arrival).to_le_bytes());
        self.push(header, packet.packet)
    }

    /// Copies a datagram in. `false`: there was no room.
    pub(crate) fn push_stray(
        &mut self,
        source: SocketAddr,
        local: LocalIndex,
        bytes: &[u8],
    ) -> bool {
        let mut header = Header::default();
        header.put_u8(if source.is_ipv4() { STRAY_V4 } else { STRAY_V6 });
        header.put_u8(local.0);
        header.put(&source.port().to_le_bytes());
        match source.ip() {
            IpAddr::V4(ip) => header.put(&ip.octets()),
            IpAddr::V6(ip) => header.put(&ip.octets()),
        }
        self.push(header, bytes)
    }

    fn push(&mut self, mut header: Header, bytes: &[u8]) -> bool {
        if bytes.len() > MAX_RECORD || self.producer.slots() < HEADER_LEN + bytes.len() {
            return false;
        }
        header.put_len(bytes.len() as u16);
        // There is room for both. The receiver may see the first without the second and waits then.
        self.producer.push_entire_slice(&header.bytes).is_ok()
            && self.producer.push_entire_slice(bytes).is_ok()
    }
}

/// The receiving end.
#[derive(Debug)]
pub(crate) struct RingReceiver {
    consumer: Consumer<u8>,
    clock: Clock,
    /// For records that lie around the ring's end.
    joined: Box<[u8]>,
}

impl RingReceiver {
    pub(crate) fn is_empty(&self) -> bool {
        self.consumer.slots() < HEADER_LEN
    }

    /// Hands the next record to `handle`. `false`: there is none.
    pub(crate) fn pop(&mut self, handle: impl FnOnce(Record<'_>)) -> bool {
        let mut header = Header::default();
        let Ok(chunk) = self.consumer.read_chunk(HEADER_LEN) else {
            return false;
        };
        let (first, second) = chunk.as_slices();
        header.put(first);
        header.put(second);
        let len = header.len();
        let Ok(mut chunk) = self.consumer.read_chunk(HEADER_LEN + len) else {
            return false;
        };
        let (first, second) = chunk.as_mut_slices();
        let bytes = match first.len().checked_sub(HEADER_LEN) {
            // The record starts in the first part ...
            Some(there) if there >= len => first.get_mut(HEADER_LEN..),
            // ... and goes on in the second,
            Some(there) if there > 0 => {
                if let (Some(a), Some(b)) = (self.joined.get_mut(..there), first.get(HEADER_LEN..))
                {
                    a.copy_from_slice(b);
                }
                if let (Some(a), Some(b)) =
                    (self.joined.get_mut(there..len), second.get(..len - there))
                {
                    a.copy_from_slice(b);
                }
                self.joined.get_mut(..len)
            }
            // or lies in the second as a whole, where the header may end as well.
            _ => {
                let skip = HEADER_LEN.saturating_sub(first.len());
                second.get_mut(skip..)
            }
        };
        if let Some(record) = bytes.and_then(|bytes| header.record(self.clock, bytes)) {
            handle(record);
        } else {
            debug_assert!(false, "a record that no shard writes");
        }
        chunk.commit_all();
        true
    }
}

/// Header of a record: kind at 0, fields behind it, length of the bytes in the last two.
#[derive(Debug)]
struct Header {
    bytes: [u8; HEADER_LEN],
    at: usize,
}

impl Default for Header {
    fn default() -> Self {
        Header {
            bytes: [0; HEADER_LEN],
            at: 0,
        }
    }
}

impl Header {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
            self.at += bytes.len();
        }
    }

    fn put_u8(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    fn put_len(&mut self, len: u16) {
        self.at = HEADER_LEN - 2;
        self.put(&len.to_le_bytes());
    }

    fn get<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..at + N)?.try_into().ok()
    }

    fn len(&self) -> usize {
        self.get(HEADER_LEN - 2)
            .map_or(0, u16::from_le_bytes)
            .into()
    }

    fn record<'a>(&self, clock: Clock, bytes: &'a mut [u8]) -> Option<Record<'a>> {
        let [kind, second, codec, _] = self.get(0)?;
        Some(match kind {
            MEDIA => Record::Media(ReceivedPacket {
                publication: PublicationId(u64::from_le_bytes(self.get(8)?)),
                layer: second,
                epoch: u32::from_le_bytes(self.get(4)?),
                seq: u64::from_le_bytes(self.get(16)?),
                arrival: clock.decode(u64::from_le_bytes(self.get(24)?)),
                codec: Codec::ALL.into_iter().find(|known| *known as u8 == codec)?,
                packet: bytes,
            }),
            STRAY_V4 | STRAY_V6 => {
                let ip = if kind == STRAY_V4 {
                    IpAddr::from(self.get::<4>(4)?)
                } else {
                    IpAddr::from(self.get::<16>(4)?)
                };
                let source = SocketAddr::new(ip, u16::from_le_bytes(self.get(2)?));
                Record::Stray(Stray {
                    source,
                    local: LocalIndex(second),
                    bytes,
                })
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_arrive_whole_and_in_order_however_they_lie() {
        let clock = Clock(Instant::now());
        let (mut sender, mut receiver) = ring(clock);
        let arrival = clock.0 + Duration::from_nanos(123_456_789);
        let mut sent = 0u64;
        let mut got = 0u64;
        // Odd lengths: after some rounds every split at the ring's end has occurred.
        for round in 0..40_000usize {
            let len = 1 + round * 7 % 1300;
            let bytes: Vec<u8> = (0..len).map(|i| (i + round) as u8).collect();
            let packet = ReceivedPacket {
                publication: PublicationId(7 << 48 | 9),
                layer: 2,
                epoch: 3,
                seq: sent,
                arrival,
                codec: Codec::ALL[round % Codec::ALL.len()],
                packet: &bytes,
            };
            assert!(sender.push_media(&packet));
            sent += 1;
            if round % 3 == 0 {
                continue;
            }
            while receiver.pop(|record| {
                let Record::Media(packet) = record else {
                    panic!("{record:?}")
                };
                assert_eq!(packet.seq, got);
                let round = got as usize;
                assert_eq!(packet.packet.len(), 1 + round * 7 % 1300);
                assert!(
                    packet
                        .packet
                        .iter()
                        .enumerate()
                        .all(|(i, byte)| *byte == (i + round) as u8)
                );
                assert_eq!(
                    (packet.layer, packet.epoch, packet.arrival),
                    (2, 3, arrival)
                );
                assert_eq!(packet.codec, Codec::ALL[round % Codec::ALL.len()]);
                got += 1;
            }) {}
        }
        assert!(receiver.is_empty() || got < sent);
        assert!(got > 39_000);
    }

    #[test]
    fn strays_keep_their_addresses() {
        let (mut sender, mut receiver) = ring(Clock(Instant::now()));
        for source in ["192.0.2.1:4000", "[2001:db8::7]:65535"] {
            let source: SocketAddr = source.parse().unwrap();
            assert!(sender.push_stray(source, LocalIndex(5), b"hello"));
            assert!(receiver.pop(|record| {
                let Record::Stray(stray) = record else {
                    panic!("{record:?}")
                };
                assert_eq!(
                    (stray.source, stray.local, &*stray.bytes),
                    (source, LocalIndex(5), &b"hello"[..])
                );
            }));
        }
        assert!(!receiver.pop(|_| ()));
    }

    #[test]
    fn a_full_ring_takes_nothing_more_and_recovers() {
        let (mut sender, mut receiver) = ring(Clock(Instant::now()));
        let source = "192.0.2.1:4000".parse().unwrap();
        let mut count = 0;
        while sender.push_stray(source, LocalIndex(0), &[0; 1200]) {
            count += 1;
        }
        assert_eq!(count, RING_LEN / (1200 + HEADER_LEN));
        assert!(!sender.push_stray(source, LocalIndex(0), &[0; MAX_RECORD + 1]));
        assert!(receiver.pop(|_| ()));
        assert!(sender.push_stray(source, LocalIndex(0), &[0; 1200]));
    }
}
