//! What sealing and opening a packet costs on this machine: `cargo run --release -p kith-transport --example srtp_cost`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement, not part of the server"
)]

use std::hint::black_box;
use std::time::Instant;

use kith_transport::srtp::{MAX_OVERHEAD, SrtpProfile, SrtpReceiver, SrtpSender};

const ROUNDS: u32 = 200_000;

fn rtp(seq: u16, len: usize) -> Vec<u8> {
    let mut packet = vec![0x5a; len + MAX_OVERHEAD];
    let header = [
        0x90,
        96,
        (seq >> 8) as u8,
        seq as u8,
        0,
        0,
        0,
        1,
        1,
        2,
        3,
        4,
        0xbe,
        0xde,
        0,
        1,
        0x10,
        1,
        0,
        0,
    ];
    packet.splice(..header.len(), header);
    packet
}

/// Nanoseconds per round, the best of five.
fn measure(mut round: impl FnMut(u32)) -> f64 {
    (0..5)
        .map(|_| {
            let start = Instant::now();
            (0..ROUNDS).for_each(&mut round);
            start.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
        })
        .fold(f64::MAX, f64::min)
}

fn main() {
    println!(
        "{:>22} {:>6} {:>8} {:>8}",
        "profile", "bytes", "seal ns", "open ns"
    );
    for profile in [
        SrtpProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm,
        SrtpProfile::Aes128CmHmacSha1_80,
    ] {
        let (key, salt) = (vec![7; profile.key_len()], vec![9; profile.salt_len()]);
        let sender = SrtpSender::new(profile, &key, &salt).unwrap();
        for len in [100, 1200] {
            let mut buf = rtp(0, len);
            let seal = measure(|n| {
                buf.get_mut(2..4)
                    .unwrap()
                    .copy_from_slice(&(n as u16).to_be_bytes());
                black_box(sender.seal_rtp(n >> 16, &mut buf, len).unwrap());
            });

            let mut receiver = SrtpReceiver::new(profile, &key, &salt).unwrap();
            let now = Instant::now();
            let mut index = 0u32;
            let open = (0..5)
                .map(|_| {
                    let mut packets: Vec<Vec<u8>> = (0..20_000)
                        .map(|_| {
                            index += 1;
                            let mut packet = rtp(index as u16, len);
                            let protected = sender.seal_rtp(index >> 16, &mut packet, len).unwrap();
                            packet.truncate(protected);
                            packet
                        })
                        .collect();
                    let start = Instant::now();
                    for packet in &mut packets {
                        black_box(receiver.open_rtp(now, packet).unwrap());
                    }
                    start.elapsed().as_nanos() as f64 / packets.len() as f64
                })
                .fold(f64::MAX, f64::min);
            println!(
                "{:>22} {len:>6} {seal:>8.0} {open:>8.0}",
                format!("{profile:?}")
            );
        }
    }
}
