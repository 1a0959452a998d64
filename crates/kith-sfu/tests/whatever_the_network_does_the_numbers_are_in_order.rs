//! A simulcast publisher over a bad network, a subscriber that changes its mind: what leaves is one stream.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "test helpers count what they index"
)]

mod egress_support;

use std::collections::BTreeMap;

use egress_support::{Harness, Packet, RTX_SSRC, Received, Vp8Frame};
use proptest::prelude::*;

/// A small generator of numbers; the seed is proptest's.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

#[derive(Clone, Copy, Debug)]
struct Network {
    seed: u64,
    loss_per_mille: u64,
    late_per_mille: u64,
    duplicate_per_mille: u64,
    max_delay_packets: u64,
    /// Whether the subscriber pauses and the publisher restarts.
    interruptions: bool,
}

/// One encoding of the publisher.
#[derive(Clone, Copy, Debug)]
struct Encoding {
    seq: u64,
    epoch: u32,
    picture_id: u16,
    tl0: u8,
    key_idx: u8,
    clock: u32,
    frames: u64,
}

const FRAMES: u64 = 400;
const PATTERN: [u8; 4] = [0, 2, 1, 2];

/// What a source packet carries behind the descriptor, to know it again.
fn mark(layer: u8, frame: u64, part: u8) -> [u8; 4] {
    [layer, (frame >> 8) as u8, frame as u8, part]
}

struct Run {
    harness: Harness,
    got: BTreeMap<u64, Received>,
    lost: u64,
}

fn run(network: Network) -> Run {
    let mut random = Random(network.seed | 1);
    let mut harness = Harness::vp8(3);
    let mut encodings: Vec<Encoding> = (0..3)
        .map(|_| Encoding {
            seq: 70_000 + random.below(1 << 20),
            epoch: 0,
            picture_id: random.next() as u16 & 0x7FFF,
            tl0: random.next() as u8,
            key_idx: random.next() as u8 & 0x1F,
            clock: random.next() as u32,
            frames: 0,
        })
        .collect();
    let mut under_way: Vec<(u64, Packet)> = Vec::new();
    let mut got = BTreeMap::new();
    let mut lost = 0;
    let mut tick = 0;
    for frame in 0..FRAMES {
        harness.wait_ms(33);
        if random.chance(30) {
            harness.target(random.below(3) as u8, random.below(3) as u8);
        }
        if network.interruptions && random.chance(10) {
            harness.pause();
        }
        for layer in 0..3u8 {
            let encoding = &mut encodings[usize::from(layer)];
            if network.interruptions && random.chance(3) {
                encoding.epoch += 1;
                encoding.seq += 1 << 16;
                encoding.picture_id = random.next() as u16 & 0x7FFF;
                encoding.clock = random.next() as u32;
                encoding.frames = 0;
            }
            let key = encoding.frames == 0 || random.chance(40);
            if key {
                encoding.frames = 0;
                encoding.key_idx = (encoding.key_idx + 1) & 0x1F;
            }
            let temporal = PATTERN[(encoding.frames % 4) as usize];
            encoding.tl0 = encoding.tl0.wrapping_add(u8::from(temporal == 0));
            encoding.picture_id = (encoding.picture_id + 1) & 0x7FFF;
            let source = Vp8Frame {
                keyframe: key,
                picture_id: encoding.picture_id,
                wide: true,
                tl0: encoding.tl0,
                temporal,
                sync: encoding.frames % 8 < 4 && temporal > 0,
                key_idx: encoding.key_idx,
            };
            encoding.frames += 1;
            let count = 1 + random.below(3);
            let timestamp = encoding.clock.wrapping_add(frame as u32 * 2970);
            let packets = source.packets(encoding.seq, timestamp, count);
            encoding.seq += count;
            for (part, mut packet) in packets.into_iter().enumerate() {
                packet.layer = layer;
                packet.epoch = encoding.epoch;
                packet.payload.truncate(7);
                packet.payload.extend(mark(layer, frame, part as u8));
                tick += 1;
                if random.chance(network.loss_per_mille) {
                    lost += 1;
                    continue;
                }
                let delay = if random.chance(network.late_per_mille) {
                    1 + random.below(network.max_delay_packets)
                } else {
                    0
                };
                if random.chance(network.duplicate_per_mille) {
                    under_way.push((tick + random.below(20), packet.clone()));
                }
                under_way.push((tick + delay, packet));
            }
            under_way.sort_by_key(|(due, _)| *due);
            let due = under_way.partition_point(|(due, _)| *due <= tick);
            for (_, packet) in under_way.drain(..due) {
                deliver(&mut harness, &packet, &mut got);
            }
        }
    }
    for (_, packet) in under_way {
        deliver(&mut harness, &packet, &mut got);
    }
    Run { harness, got, lost }
}

fn deliver(harness: &mut Harness, packet: &Packet, got: &mut BTreeMap<u64, Received>) {
    for received in harness.push(packet) {
        let before = got.insert(received.seq, received);
        assert_eq!(before, None, "a number was used twice");
    }
}

fn check(run: &Run) {
    let packets: Vec<_> = run.got.values().collect();
    let media: Vec<_> = packets.iter().filter(|it| !it.is_padding()).collect();
    for pair in packets.windows(2) {
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32;
        assert!(step >= 0, "timestamps go back: {pair:?}");
    }
    for pair in media.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        let between = after.seq - before.seq - 1;
        let id_step = u64::from(after.picture_id().wrapping_sub(before.picture_id()) & 0x7FFF);
        let same_frame = before.payload[7..10] == after.payload[7..10];
        if same_frame {
            assert_eq!(id_step, 0, "{pair:?}");
            assert_eq!(after.timestamp, before.timestamp);
        } else {
            // Frames that are missing or left out late keep their ids; each has a packet at least.
            assert!(
                (1..=1 + between).contains(&id_step),
                "{id_step} {between} {pair:?}"
            );
            assert_ne!(after.timestamp, before.timestamp);
        }
        let switched = before.payload[7] != after.payload[7];
        if switched {
            let descriptor = after.vp8();
            assert!(descriptor.starts_keyframe(&after.payload), "{pair:?}");
        } else if !same_frame {
            let frame = |it: &Received| u16::from_be_bytes([it.payload[8], it.payload[9]]);
            assert!(frame(after) > frame(before), "{pair:?}");
        }
    }
}

fn missing(run: &Run) -> u64 {
    let first = *run.got.keys().next().unwrap();
    let last = *run.got.keys().last().unwrap();
    last - first + 1 - run.got.len() as u64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_loss_there_is_no_gap(seed: u64, late_per_mille in 0u64..300, max_delay_packets in 1u64..60) {
        let run = run(Network {
            seed,
            loss_per_mille: 0,
            late_per_mille,
            duplicate_per_mille: 50,
            max_delay_packets,
            interruptions: false,
        });
        prop_assert!(run.got.len() > 200);
        prop_assert_eq!(missing(&run), 0);
        check(&run);
    }

    #[test]
    fn with_loss_only_what_is_lost_is_missing(
        seed: u64,
        loss_per_mille in 1u64..200,
        late_per_mille in 0u64..200,
        max_delay_packets in 1u64..60,
    ) {
        let run = run(Network {
            seed,
            loss_per_mille,
            late_per_mille,
            duplicate_per_mille: 50,
            max_delay_packets,
            interruptions: false,
        });
        prop_assert!(missing(&run) <= run.lost);
        check(&run);
    }

    #[test]
    fn pauses_and_restarts_keep_the_order(seed: u64, loss_per_mille in 0u64..100, late_per_mille in 0u64..200) {
        let run = run(Network {
            seed,
            loss_per_mille,
            late_per_mille,
            duplicate_per_mille: 50,
            max_delay_packets: 40,
            interruptions: true,
        });
        if !run.got.is_empty() {
            check(&run);
        }
    }

    #[test]
    fn retransmissions_are_what_was_sent(seed: u64, late_per_mille in 0u64..200) {
        let mut run = run(Network {
            seed,
            loss_per_mille: 20,
            late_per_mille,
            duplicate_per_mille: 50,
            max_delay_packets: 40,
            interruptions: false,
        });
        let last = *run.got.keys().last().unwrap();
        let mut answered = 0;
        for number in last - 200..=last + 50 {
            let sent = run.got.get(&number).filter(|it| !it.is_padding()).cloned();
            let answers = run.harness.nack(&[number]);
            if let Some(answer) = answers.first() {
                let sent = sent.unwrap_or_else(|| panic!("{number} was never sent"));
                prop_assert_eq!(answer.ssrc, RTX_SSRC);
                prop_assert_eq!(&answer.payload[..2], &(number as u16).to_be_bytes()[..]);
                prop_assert_eq!(&answer.payload[2..], &sent.payload[..]);
                prop_assert_eq!(answer.timestamp, sent.timestamp);
                answered += 1;
            }
        }
        prop_assert!(answered > 5, "{} answered", answered);
    }
}
