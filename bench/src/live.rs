//! A real media plane with str0m clients: what its threads take of the processor and of memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kith_net::{MediaPlane, ShardId};
use kith_rtp::MediaKind;

use crate::common::{Client, Over, VP8, connect, plane, run_for, some_range, stats, vp8};
use crate::counting;

/// Between two bursts. Shorter than frames are apart, so that it does not take all day.
const INTERVAL: Duration = Duration::from_millis(15);
const FRAMES: u64 = 240;
const WARM_UP: u64 = 80;

/// CPU time of the shard's thread: the machine may be busy with something else.
fn cpu_time() -> Duration {
    let mut total = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if name.starts_with("kith-shard-") {
            let schedule = std::fs::read_to_string(task.path().join("schedstat")).unwrap();
            let nanos = schedule.split(' ').next().unwrap().parse().unwrap();
            total += Duration::from_nanos(nanos);
        }
    }
    total
}

pub(crate) struct Live {
    /// CPU ns per forwarded packet.
    pub(crate) ns: f64,
    pub(crate) packets: u64,
    pub(crate) allocations: u64,
    pub(crate) per_message: f64,
    pub(crate) drops: u64,
}

/// Connects clients in groups, so that nobody's handshake times out.
fn connect_all(plane: &MediaPlane, count: usize, mut each: impl FnMut(&mut Client)) -> Vec<Client> {
    let mut clients: Vec<Client> = Vec::new();
    while clients.len() < count {
        let group = (count - clients.len()).min(20);
        for _ in 0..group {
            let mut client = Client::new(plane, ShardId(0), Over::Udp);
            each(&mut client);
            clients.push(client);
        }
        connect(&mut clients.iter_mut().collect::<Vec<_>>());
    }
    clients
}

pub(crate) fn forwarding(subscribers: usize, bytes: usize) -> Live {
    counting::this_thread_is_a_client();
    let plane = plane(1, some_range());
    let mut publisher = Client::new(&plane, ShardId(0), Over::Udp);
    let (_, video) = publisher.publish(1000, 2000);
    connect(&mut [&mut publisher]);
    let clients = connect_all(&plane, subscribers, |client| {
        client.subscribe(video, MediaKind::Video, 4000);
    });
    run_for(&mut [&mut publisher], Duration::from_millis(20));
    let stop = Arc::new(AtomicBool::new(false));
    let sockets: Vec<_> = clients.iter().map(Client::socket).collect();
    let drain = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            counting::this_thread_is_a_client();
            let mut buffer = [0; 2048];
            while !stop.load(Ordering::Relaxed) {
                for socket in &sockets {
                    while socket.recv(&mut buffer).is_ok() {}
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let read = || (stats(&plane), cpu_time(), counting::server_allocations());
    let mut before = read();
    for frame in 0..FRAMES {
        if frame == WARM_UP {
            before = read();
        }
        let next = Instant::now() + INTERVAL;
        for part in 0..8 {
            // Some 30 bytes are header and extensions.
            let payload = vp8(frame as u16, part == 0, frame == 0, bytes - 30);
            publisher.write(
                2000,
                VP8,
                500 + frame * 8 + part,
                frame as u32 * 3000,
                part == 7,
                &payload,
            );
        }
        run_for(
            &mut [&mut publisher],
            next.saturating_duration_since(Instant::now()),
        );
    }
    let after = read();
    stop.store(true, Ordering::Relaxed);
    drain.join().unwrap();
    plane.shutdown();
    let (old, new) = (before.0[0], after.0[0]);
    let packets = new.forwarded - old.forwarded;
    Live {
        ns: (after.1 - before.1).as_nanos() as f64 / packets as f64,
        packets,
        allocations: after.2 - before.2,
        per_message: (new.packets_out - old.packets_out) as f64
            / (new.send_messages - old.send_messages).max(1) as f64,
        drops: new.send_drops - old.send_drops + new.ring_drops + new.pending_drops,
    }
}

/// Bytes that two idle, connected transports take, on the media plane's side.
pub(crate) fn participant_bytes(participants: usize) -> f64 {
    counting::this_thread_is_a_client();
    let plane = plane(1, some_range());
    // Tables and buffers of the plane itself.
    let mut first = connect_all(&plane, 2, |_| ());
    let rest = |clients: &mut Vec<Client>| {
        run_for(
            &mut clients.iter_mut().collect::<Vec<_>>(),
            Duration::from_millis(1500),
        );
        stats(&plane);
    };
    rest(&mut first);
    let before = counting::server_bytes();
    let mut clients = connect_all(&plane, participants * 2, |client| {
        client.publish(1000, 2000);
    });
    rest(&mut clients);
    let bytes = counting::server_bytes() - before;
    plane.shutdown();
    bytes as f64 / participants as f64
}
