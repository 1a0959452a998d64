//! Counts what the shards' threads allocate while packets are forwarded in steady state.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unsafe_code,
    reason = "tests; an allocator is unsafe by its trait"
)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{Client, OPUS, Over, VP8, connect, plane, run_for, some_range, stats, vp8};
use kith_net::ShardId;
use kith_rtp::MediaKind;

thread_local! {
    /// Set on the test's own thread, whose clients may allocate as they like.
    static NOT_COUNTED: Cell<bool> = const { Cell::new(false) };
}

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call is the system allocator's; counting touches no memory that it manages.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !NOT_COUNTED.try_with(Cell::get).unwrap_or(true) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !NOT_COUNTED.try_with(Cell::get).unwrap_or(true) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn forwarding_allocates_nothing() {
    NOT_COUNTED.set(true);
    let plane = plane(2, some_range());
    let mut publisher = Client::new(&plane, ShardId(0), Over::Udp);
    let (audio, video) = publisher.publish(1000, 2000);
    let mut subscribers: Vec<Client> = (0..4)
        .map(|i| Client::new(&plane, ShardId(i % 2), Over::Udp))
        .collect();
    for client in &mut subscribers {
        client.subscribe(audio, MediaKind::Audio, 3000);
        client.subscribe(video, MediaKind::Video, 4000);
    }
    let mut clients: Vec<&mut Client> = std::iter::once(&mut publisher)
        .chain(&mut subscribers)
        .collect();
    connect(&mut clients);

    let mut frame = 0u64;
    let mut send = |clients: &mut Vec<&mut Client>, frames: u64| {
        for _ in 0..frames {
            let time = frame as u32 * 3000;
            clients[0].write(
                1000,
                OPUS,
                100 + frame,
                frame as u32 * 960,
                false,
                &[frame as u8; 80],
            );
            for part in 0..6 {
                let payload = vp8(frame as u16, part == 0, frame.is_multiple_of(100), 1000);
                clients[0].write(2000, VP8, 500 + frame * 6 + part, time, part == 5, &payload);
            }
            frame += 1;
            run_for(clients, Duration::from_millis(5));
            for client in clients.iter_mut() {
                client.packets.clear();
            }
        }
    };
    // Until histories and buffers have their size.
    send(&mut clients, 500);

    let forwarded = || {
        stats(&plane)
            .iter()
            .map(|shard| shard.forwarded)
            .sum::<u64>()
    };
    let (packets, allocations) = (forwarded(), ALLOCATIONS.load(Ordering::Relaxed));
    send(&mut clients, 500);
    let (packets, allocations) = (
        forwarded() - packets,
        ALLOCATIONS.load(Ordering::Relaxed) - allocations,
    );
    println!("{allocations} allocations while {packets} packets were forwarded");
    assert!(packets >= 500 * 7 * 4);
    // Connectivity checks, a few per second for five clients, may allocate; packets may not.
    assert!(
        allocations * 50 < packets,
        "{allocations} allocations for {packets} packets"
    );
    plane.shutdown();
}
