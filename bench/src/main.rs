//! What forwarding costs, in time and memory: `cargo run --release -p bench`. See `docs/benchmarks.md`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement, not a server"
)]

mod counting;
mod live;
mod measure;
mod model;
mod pair;
mod socket;
mod source;

#[path = "../../crates/kith-net/tests/common/mod.rs"]
mod common;

use std::time::Instant;

use kith_rtp::Codec;

use counting::Counting;
use measure::Row;
use model::Case;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is aimed at: ns per packet with 100 subscribers, and how much 200 m-lines may cost of one.
const GOAL_LARGE: f64 = 450.0;
const GOAL_SMALL: f64 = 300.0;
const GOAL_M_LINES: f64 = 1.3;
const GOAL_DOWN_TRACK: f64 = 12.0 * 1024.0;
const GOAL_PARTICIPANT: f64 = 150.0 * 1024.0;

const LARGE: usize = 1200;
const SMALL: usize = 100;

/// Packets that are prepared in `--instructions` mode.
const MOST_BURSTS: usize = 400;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| -> usize { arguments[at].parse().unwrap() };
    match arguments.first().map(String::as_str) {
        None => {
            let start = Instant::now();
            in_memory();
            m_lines();
            with_kernel();
            memory();
            println!("\ntook {:.0?}", start.elapsed());
        }
        Some("memory") => in_memory(),
        Some("m-lines") => m_lines(),
        Some("kernel") => with_kernel(),
        Some("bytes") => memory(),
        // subscribers, bytes: for a profiler.
        Some("plane") => plane_row(number(1), number(2)),
        // subscribers, bytes, m-lines, bursts to process: for a profiler.
        Some("--instructions") => {
            let case = Case {
                tracks: number(3),
                active: number(3),
                ..Case::video(number(2), number(1))
            };
            measure::instructions(case, number(4).min(MOST_BURSTS), MOST_BURSTS);
        }
        Some(other) => {
            panic!("{other}: not one of memory, m-lines, kernel, plane, bytes, --instructions")
        }
    }
}

fn verdict(value: f64, goal: f64) -> String {
    let met = if value <= goal { "met" } else { "MISSED" };
    format!("goal {goal:.0}: {met}")
}

fn head(title: &str, floor: &str) {
    println!("\n{title}");
    println!(
        "{:<36} {:>8} {:>8} {:>12} {:>8} {:>12}",
        "ns per forwarded packet", "best", "usual", floor, "rest", "alloc/packet"
    );
}

fn print(name: &str, row: &Row, note: &str) {
    println!(
        "{name:<36} {:>8.0} {:>8.0} {:>12.0} {:>8.0} {:>12}  {note}",
        row.best,
        row.usual,
        row.floor,
        row.best - row.floor,
        if row.allocations == 0 {
            "0".to_owned()
        } else {
            format!("{:.5}", row.allocations as f64 / row.packets as f64)
        },
    );
}

fn in_memory() {
    head(
        "Kernel excluded: open, ingress, store, then per subscriber decide, write, seal",
        "crypto alone",
    );
    for (len, goal) in [(LARGE, GOAL_LARGE), (SMALL, GOAL_SMALL)] {
        for subscribers in [1, 10, 100, 1000] {
            let row = measure::in_memory(Case::video(len, subscribers));
            let note = if subscribers == 100 {
                verdict(row.best, goal)
            } else {
                String::new()
            };
            print(&format!("{len} B, {subscribers} subscribers"), &row, &note);
        }
    }
    let audio = Case {
        codec: Codec::Opus,
        burst: 1,
        ..Case::video(SMALL, 100)
    };
    print(
        "Opus 100 B one by one, 100 subscribers",
        &measure::in_memory(audio),
        "",
    );
}

fn m_lines() {
    head(
        "Kernel excluded, 10 subscribers with several m-lines each",
        "crypto alone",
    );
    for (all_active, what) in [(false, "one active"), (true, "all active")] {
        for len in [LARGE, SMALL] {
            let mut one = 0.0;
            for tracks in [1, 10, 50, 200] {
                let row = measure::in_memory(Case {
                    tracks,
                    active: if all_active { tracks } else { 1 },
                    ..Case::video(len, 10)
                });
                let note = match tracks {
                    1 => {
                        one = row.best;
                        String::new()
                    }
                    _ => {
                        let ratio = row.best / one;
                        let goal = match (tracks, ratio <= GOAL_M_LINES) {
                            (200, true) => ", goal 1.3: met",
                            (200, false) => ", goal 1.3: MISSED",
                            _ => "",
                        };
                        format!("{ratio:.2} of one m-line{goal}")
                    }
                };
                print(&format!("{len} B, {tracks} m-lines, {what}"), &row, &note);
            }
        }
    }
}

fn with_kernel() {
    head(
        "Kernel included: the same, sent over loopback sockets by one thread (receiving excluded)",
        "send alone",
    );
    for len in [LARGE, SMALL] {
        for subscribers in [1, 10, 100, 1000] {
            let row = measure::over_sockets(Case::video(len, subscribers));
            let note = format!("{:.1} datagrams per message", row.per_message);
            print(&format!("{len} B, {subscribers} subscribers"), &row, &note);
        }
    }
    println!(
        "\nThe whole media plane: CPU time of the shard's thread (receiving, epoll, timers, RTCP included), str0m publishing"
    );
    println!(
        "{:<36} {:>8} {:>8} {:>14} {:>12}",
        "ns per forwarded packet", "best", "median", "per message", "alloc/packet"
    );
    for len in [LARGE, SMALL] {
        for subscribers in [1, 10, 100] {
            plane_row(subscribers, len);
        }
    }
}

fn plane_row(subscribers: usize, len: usize) {
    let runs: Vec<_> = (0..3).map(|_| live::forwarding(subscribers, len)).collect();
    let mut times: Vec<f64> = runs.iter().map(|run| run.ns).collect();
    let usual = measure::median(&mut times);
    let best = runs.iter().min_by(|a, b| a.ns.total_cmp(&b.ns)).unwrap();
    println!(
        "{:<36} {:>8.0} {usual:>8.0} {:>14.1} {:>12.5}  {} drops",
        format!("{len} B, {subscribers} subscribers"),
        best.ns,
        best.per_message,
        best.allocations as f64 / best.packets as f64,
        best.drops,
    );
}

fn memory() {
    println!("\nMemory, bytes that the allocator was asked for");
    let track = measure::down_track_bytes(Case::video(LARGE, 100));
    println!(
        "{:<36} {track:>8.0}  {}",
        "active video down-track",
        verdict(track, GOAL_DOWN_TRACK)
    );
    let audio = Case {
        codec: Codec::Opus,
        burst: 1,
        ..Case::video(SMALL, 100)
    };
    println!(
        "{:<36} {:>8.0}",
        "active audio down-track",
        measure::down_track_bytes(audio)
    );
    let participant = live::participant_bytes(50);
    println!(
        "{:<36} {participant:>8.0}  {}",
        "participant: 2 connected transports",
        verdict(participant, GOAL_PARTICIPANT)
    );
}
