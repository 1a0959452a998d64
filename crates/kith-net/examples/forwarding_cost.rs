//! What forwarding costs a shard: one publisher, many subscribers, real loopback sockets, everything in this process.
//!
//! `cargo run --release -p kith-net --example forwarding_cost -- [subscribers] [packets per frame] [shards] [bytes]`
//!
//! Subscribers connect as str0m clients; then their sockets are only drained, so that the shards have the machine nearly to
//! themselves. The time printed is the CPU time of the shards' threads per forwarded packet, the kernel's work on loopback included (which is
//! the receiver's as well).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement, not a library"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Client, Over, VP8, connect, plane, run_for, some_range, stats, vp8};
use kith_net::ShardId;
use kith_rtp::MediaKind;

const FRAMES: u64 = 30 * 8;

/// CPU time of every shard's thread, of others' none: the machine may be busy with something else.
fn cpu_times() -> Vec<Duration> {
    let mut times = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if let Some(index) = name.trim().strip_prefix("kith-shard-") {
            if std::env::var_os("SPLIT").is_some() {
                let stat = std::fs::read_to_string(task.path().join("stat")).unwrap();
                let fields: Vec<&str> = stat.split(' ').collect();
                println!(
                    "shard {index}: user {} system {} (10 ms)",
                    fields[13], fields[14]
                );
            }
            let schedule = std::fs::read_to_string(task.path().join("schedstat")).unwrap();
            let nanos = schedule.split(' ').next().unwrap().parse().unwrap();
            times.push((index.parse::<usize>().unwrap(), Duration::from_nanos(nanos)));
        }
    }
    times.sort();
    times.into_iter().map(|(_, time)| time).collect()
}

fn main() {
    let arguments: Vec<u64> = std::env::args()
        .skip(1)
        .map(|argument| argument.parse().unwrap())
        .collect();
    let argument = |index: usize, default| arguments.get(index).copied().unwrap_or(default);
    let (subscribers, per_frame, shards, bytes) = (
        argument(0, 100),
        argument(1, 8),
        argument(2, 1),
        argument(3, 1100),
    );

    let plane = plane(shards as u16, some_range());
    let mut publisher = Client::new(&plane, ShardId(0), Over::Udp);
    let (_, video) = publisher.publish(1000, 2000);
    let mut clients: Vec<Client> = Vec::new();
    for index in 0..subscribers {
        let mut client = Client::new(&plane, ShardId((index % shards) as u16), Over::Udp);
        client.subscribe(video, MediaKind::Video, 4000);
        clients.push(client);
        // In groups, so that nobody's handshake times out.
        if clients.len().is_multiple_of(20) || clients.len() as u64 == subscribers {
            let mut all: Vec<&mut Client> = std::iter::once(&mut publisher)
                .chain(&mut clients)
                .collect();
            connect(&mut all);
        }
    }

    let stop = Arc::new(AtomicBool::new(false));
    let arrived = Arc::new(AtomicU64::new(0));
    let sockets: Vec<_> = clients.iter().map(Client::socket).collect();
    let drain = std::thread::spawn({
        let (stop, arrived) = (Arc::clone(&stop), Arc::clone(&arrived));
        move || {
            let mut buffer = [0; 2048];
            while !stop.load(Ordering::Relaxed) {
                for socket in &sockets {
                    while socket.recv(&mut buffer).is_ok() {
                        arrived.fetch_add(1, Ordering::Relaxed);
                    }
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    });

    let mut before = stats(&plane);
    let mut cpu_before = cpu_times();
    let mut begun = Instant::now();
    for frame in 0..FRAMES {
        if frame == FRAMES / 4 {
            (before, cpu_before, begun) = (stats(&plane), cpu_times(), Instant::now());
        }
        let next = Instant::now() + Duration::from_millis(33);
        for part in 0..per_frame {
            let payload = vp8(
                frame as u16,
                part == 0,
                frame.is_multiple_of(30),
                bytes as usize,
            );
            let marker = part + 1 == per_frame;
            publisher.write(
                2000,
                VP8,
                500 + frame * per_frame + part,
                frame as u32 * 3000,
                marker,
                &payload,
            );
        }
        run_for(
            &mut [&mut publisher],
            next.saturating_duration_since(Instant::now()),
        );
    }
    let elapsed = begun.elapsed();
    let (after, cpu_after) = (stats(&plane), cpu_times());
    stop.store(true, Ordering::Relaxed);
    drain.join().unwrap();
    for (index, (before, after)) in before.iter().zip(&after).enumerate() {
        let forwarded = after.forwarded - before.forwarded;
        let busy = cpu_after[index] - cpu_before[index];
        let out = after.packets_out - before.packets_out;
        let messages = after.send_messages - before.send_messages;
        let calls = after.send_calls - before.send_calls;
        println!(
            "shard {index}: {forwarded} forwarded in {elapsed:.1?}, cpu {busy:.0?}, {} ns each, busy {:.0} %, {:.1} datagrams per message, {:.1} messages per call; {} in per receive; drops {} {} {}",
            busy.as_nanos() / u128::from(forwarded.max(1)),
            busy.as_secs_f64() / elapsed.as_secs_f64() * 100.0,
            out as f64 / messages.max(1) as f64,
            messages as f64 / calls.max(1) as f64,
            (after.packets_in - before.packets_in)
                / (after.receive_calls - before.receive_calls).max(1),
            after.send_drops,
            after.ring_drops,
            after.pending_drops,
        );
    }
    plane.shutdown();
}
