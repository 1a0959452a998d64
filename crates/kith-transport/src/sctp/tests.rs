//! Two ends without DTLS between them: a peer that restarts, and one that is hostile. Whoever can send here is authenticated, and
//! still must not bring down a shard that others are on.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::Transport;

struct Pair {
    now: Instant,
    ends: [Sctp; 2],
    events: [Vec<TransportEvent>; 2],
    /// What each end sent.
    sent: [Vec<Bytes>; 2],
}

fn client(specs: Vec<DataChannelSpec>, now: Instant) -> Sctp {
    let mut sctp = Sctp::new(specs, Transport::MAX_MESSAGE_SIZE);
    sctp.start(now, DtlsRole::Client);
    sctp
}

fn server(specs: Vec<DataChannelSpec>, now: Instant) -> Sctp {
    let mut sctp = Sctp::new(specs, Transport::MAX_MESSAGE_SIZE);
    sctp.start(now, DtlsRole::Server);
    sctp
}

impl Pair {
    fn new(server_specs: Vec<DataChannelSpec>, client_specs: Vec<DataChannelSpec>) -> Self {
        let now = Instant::now();
        let ends = [server(server_specs, now), client(client_specs, now)];
        Self {
            now,
            ends,
            events: Default::default(),
            sent: Default::default(),
        }
    }

    /// Lets both ends talk until they are silent.
    fn settle(&mut self) {
        loop {
            let mut silent = true;
            for (from, to) in [(0, 1), (1, 0)] {
                while let Some(event) = self.ends[from].poll_event(self.now) {
                    self.events[from].push(event);
                }
                while let Some(packets) = self.ends[from].poll_transmit(self.now) {
                    silent = false;
                    for packet in packets {
                        self.sent[from].push(packet.clone());
                        self.ends[to].handle(self.now, packet);
                    }
                }
            }
            if silent {
                break;
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.settle();
            let next = self.ends.iter().filter_map(Sctp::poll_timeout).min();
            let Some(next) = next.filter(|next| *next <= until) else {
                break;
            };
            self.now = self.now.max(next);
            self.ends
                .iter_mut()
                .for_each(|end| end.handle_timeout(self.now));
        }
        self.now = until;
    }

    fn count(&self, end: usize, wanted: &TransportEvent) -> usize {
        self.events[end]
            .iter()
            .filter(|event| *event == wanted)
            .count()
    }
}

fn opened(label: DataLabel) -> TransportEvent {
    TransportEvent::DataChannelOpen { label }
}

#[test]
fn a_peer_that_restarts_gets_new_channels() {
    for ours_open in [true, false] {
        let specs = || {
            if ours_open {
                DataChannelSpec::livekit()
            } else {
                vec![]
            }
        };
        let theirs = || {
            if ours_open {
                vec![]
            } else {
                DataChannelSpec::livekit()
            }
        };
        let mut pair = Pair::new(specs(), theirs());
        pair.run(Duration::from_secs(1));
        assert_eq!(pair.count(0, &opened(DataLabel::Reliable)), 1);
        assert!(
            pair.ends[0]
                .send(&DataLabel::Reliable, b"before", true)
                .is_ok()
        );
        pair.run(Duration::from_secs(1));

        pair.ends[1] = client(theirs(), pair.now);
        pair.run(Duration::from_secs(1));
        assert_eq!(
            pair.count(
                0,
                &TransportEvent::DataChannelClosed {
                    label: DataLabel::Reliable
                }
            ),
            1
        );
        assert_eq!(pair.count(0, &opened(DataLabel::Reliable)), 2);
        assert!(
            pair.ends[0]
                .send(&DataLabel::Reliable, b"after", true)
                .is_ok()
        );
        assert!(pair.ends[1].send(&DataLabel::Lossy, b"too", true).is_ok());
        pair.run(Duration::from_secs(1));
        let data = |label, text: &'static [u8]| TransportEvent::Data {
            label,
            payload: Bytes::from_static(text),
            binary: true,
        };
        assert_eq!(pair.count(1, &data(DataLabel::Reliable, b"after")), 1);
        assert_eq!(pair.count(0, &data(DataLabel::Lossy, b"too")), 1);
    }
}

#[test]
fn repeated_packets_of_the_whole_handshake_change_nothing() {
    let mut pair = Pair::new(DataChannelSpec::livekit(), vec![]);
    pair.run(Duration::from_secs(1));
    let events = pair.events[0].len();
    for _ in 0..3 {
        for packet in pair.sent[1].clone() {
            let now = pair.now;
            pair.ends[0].handle(now, packet);
        }
        pair.run(Duration::from_secs(3));
    }
    assert_eq!(
        pair.events[0].len(),
        events,
        "{:?}",
        &pair.events[0][events..]
    );
    assert!(
        pair.ends[0]
            .send(&DataLabel::Reliable, b"still", true)
            .is_ok()
    );
    pair.run(Duration::from_secs(1));
    assert!(matches!(
        pair.events[1].last(),
        Some(TransportEvent::Data { .. })
    ));
}

#[test]
fn both_ask_at_once() {
    // Browsers ask in either role.
    let mut pair = Pair::new(DataChannelSpec::livekit(), vec![]);
    pair.ends[0] = client(DataChannelSpec::livekit(), pair.now);
    pair.ends[1] = client(vec![], pair.now);
    pair.ends[1].role = DtlsRole::Server;
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.count(0, &opened(DataLabel::Reliable)), 1);
    assert_eq!(pair.count(1, &opened(DataLabel::Reliable)), 1);
}

/// CRC-32C as SCTP has it.
fn sign(packet: &mut [u8]) {
    packet[8..12].fill(0);
    let mut crc = !0u32;
    for byte in packet.iter() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(crc & 1));
        }
    }
    packet[8..12].copy_from_slice(&(!crc).to_le_bytes());
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// Makes one packet out of the chunks of several genuine ones, and breaks some of it.
fn breed(random: &mut Random, genuine: &[Bytes]) -> Vec<u8> {
    let mut packet = genuine[random.below(genuine.len())].to_vec();
    for _ in 0..random.below(4) {
        let other = &genuine[random.below(genuine.len())];
        packet.extend_from_slice(&other[12..]);
    }
    for _ in 0..random.below(6) {
        let at = random.below(packet.len());
        match random.below(4) {
            0 => packet[at] = random.below(256) as u8,
            1 => packet[at] ^= 1 << random.below(8),
            2 => packet[at] = [0, 1, 4, 0xff, 0x80][random.below(5)],
            _ => packet.truncate(at.max(12)),
        }
        if packet.len() <= 12 {
            break;
        }
    }
    // Chunk types that the engine knows, in place of the first one.
    if random.below(4) == 0 && packet.len() > 12 {
        packet[12] = [
            0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 14, 130, 192, 194, 64, 132,
        ][random.below(17)];
    }
    sign(&mut packet);
    packet
}

#[test]
fn a_hostile_peer_brings_down_nothing_but_its_own_channels() {
    // More of them by hand, when the engine or the guard has changed.
    let seeds = std::env::var("KITH_SCTP_SEEDS").map_or(30, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let mut random = Random(seed);
        let mut pair = Pair::new(DataChannelSpec::livekit(), DataChannelSpec::livekit());
        pair.run(Duration::from_secs(1));
        for label in [DataLabel::Reliable, DataLabel::Lossy] {
            let _ = pair.ends[1].send(&label, &[7; 5000], true);
            let _ = pair.ends[0].send(&label, &[7; 5000], true);
        }
        pair.run(Duration::from_secs(1));
        for stream in 0..8 {
            if let Some(current) = &mut pair.ends[1].current {
                current.reset(stream);
            }
        }
        pair.run(Duration::from_secs(1));
        let genuine = pair.sent[1].clone();
        for round in 0..400 {
            let packet = breed(&mut random, &genuine);
            let now = pair.now;
            pair.ends[0].handle(now, packet.into());
            while pair.ends[0].poll_event(now).is_some() {}
            while pair.ends[0].poll_transmit(now).is_some() {}
            if round % 50 == 0 {
                pair.now += Duration::from_millis(700);
                pair.ends[0].handle_timeout(pair.now);
                let _ = pair.ends[0].send(&DataLabel::Reliable, &[1; 3000], true);
            }
        }
        // Whatever became of it, the next association works.
        pair.now += Duration::from_secs(1);
        pair.ends[1] = client(DataChannelSpec::livekit(), pair.now);
        pair.events = Default::default();
        pair.run(Duration::from_secs(5));
        let opened = pair.count(1, &opened(DataLabel::Reliable));
        assert_eq!(opened, 2, "one of each side, seed {seed}");
    }
}

fn data_chunk(tsn: u32, stream: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut chunk = vec![0, flags];
    chunk.extend((16 + payload.len() as u16).to_be_bytes());
    chunk.extend(tsn.to_be_bytes());
    chunk.extend(stream.to_be_bytes());
    chunk.extend([0, 0, 0, 0, 0, 53]);
    chunk.extend(payload);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

#[test]
fn chunks_behind_a_gap_are_bounded() {
    let mut pair = Pair::new(vec![], DataChannelSpec::livekit());
    pair.run(Duration::from_secs(1));
    // The header of the peer's packets, and a TSN near its last one.
    let header = pair.sent[1].last().unwrap()[..12].to_vec();
    let last_tsn = pair.sent[1]
        .iter()
        .filter(|packet| packet[12] == 0)
        .map(|packet| u32::from_be_bytes(packet[16..20].try_into().unwrap()))
        .next_back()
        .unwrap();
    let now = pair.now;
    let start = Instant::now();
    let mut highest = 0;
    // Unordered, complete, one byte each: all of them readable at once, none of them ever acknowledged.
    for n in 0..40_000u32 {
        let mut packet = header.clone();
        packet.extend(data_chunk(last_tsn.wrapping_add(10 + n), 0, 7, &[1]));
        sign(&mut packet);
        pair.ends[0].handle(now, packet.into());
        while pair.ends[0].poll_event(now).is_some() {
            highest = n;
        }
        if n % 100 == 0 {
            while pair.ends[0].poll_transmit(now).is_some() {}
        }
    }
    assert!(highest < 17_000, "{highest}");
    println!("{:?} for 40000 chunks", start.elapsed());
}
