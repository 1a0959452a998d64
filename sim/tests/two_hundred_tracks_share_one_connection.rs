//! 200 tracks from one client to another over one connection each: all of it arrives, in order and complete, and a packet costs the
//! node no more work than with 25 tracks. Work is counted, not timed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

use std::time::Duration;

use kith_rtp::MediaKind;
use kith_sfu::LayerTarget;
use sim::World;
use sim::media::{Mark, OpusSource};
use sim::node::Work;

const PACKETS: u32 = 60;
/// Packets of each track that are not counted: a stream that begins wakes the receive side once, which looks at all tracks then.
const WARM_UP: u32 = 10;
const UP: u32 = 10_000;
const DOWN: u32 = 20_000;

type Cost = fn(&Work) -> u64;

/// Each track sends 50 packets a second, as Opus does, at a time of its own. Returns what the node did for that.
fn exchange(tracks: u32) -> Work {
    let mut world = World::new(1, 2, Duration::from_millis(20));
    world.connect();
    for track in 0..tracks {
        let mid = track.to_string();
        let up = UP + 2 * track;
        let publication = world.publish(0, &mid, MediaKind::Audio, &[(None, up)]);
        let down = DOWN + 2 * track;
        world.subscribe(1, publication, MediaKind::Audio, down, LayerTarget::ALL);
    }
    let mut before = world.node.work();
    let mut sources: Vec<_> = (0..tracks)
        .map(|track| OpusSource::new(world.now, UP + 2 * track))
        .collect();
    let start = world.now;
    for packet in 0..PACKETS {
        if packet == WARM_UP {
            before = world.node.work();
        }
        for (track, source) in sources.iter_mut().enumerate() {
            let within = Duration::from_millis(20) * track as u32 / tracks;
            world.run_until(start + Duration::from_millis(20) * packet + within);
            let packet = source.packet(world.now);
            world.send(0, [packet]);
        }
    }
    world.run(Duration::from_millis(200));
    for track in 0..tracks {
        let packets = world.clients[1].in_order(DOWN + 2 * track);
        assert_eq!(packets.len(), PACKETS as usize, "track {track}");
        for (index, packet) in packets.iter().enumerate() {
            assert_eq!(packet.seq, packets[0].seq + index as u64, "track {track}");
            let mark = Mark {
                source: UP + 2 * track,
                picture: index as u32,
                part: 0,
            };
            assert_eq!(packet.mark, Some(mark), "track {track}");
        }
    }
    let work = world.node.work();
    assert_eq!(work.rejected, 0);
    Work {
        datagrams_in: work.datagrams_in - before.datagrams_in,
        rejected: 0,
        media_in: work.media_in - before.media_in,
        forwarded: work.forwarded - before.forwarded,
        repeated: work.repeated - before.repeated,
        rtcp_out: work.rtcp_out - before.rtcp_out,
        rtcp_bytes_out: work.rtcp_bytes_out - before.rtcp_bytes_out,
        wakeups: work.wakeups - before.wakeups,
        looks: work.looks - before.looks,
        polls: work.polls - before.polls,
    }
}

#[test]
fn two_hundred_tracks_share_one_connection() {
    let (few, many) = (exchange(25), exchange(200));
    println!("25 tracks: {few:?}\n200 tracks: {many:?}");
    // Some of the first ones were still on their way when counting began.
    assert!(many.media_in >= u64::from(200 * (PACKETS - WARM_UP)));
    assert_eq!(many.forwarded, many.media_in);
    assert_eq!(many.repeated, 0, "nothing is lost");
    let costs: [(&str, Cost); 5] = [
        ("RTCP datagrams", |work| work.rtcp_out),
        ("RTCP bytes", |work| work.rtcp_bytes_out),
        ("timers", |work| work.wakeups),
        ("looks at encodings", |work| work.looks),
        ("polls", |work| work.polls),
    ];
    for (what, cost) in costs {
        let per_packet = |work: &Work| cost(work) as f64 / work.forwarded as f64;
        let (few, many) = (per_packet(&few), per_packet(&many));
        println!("{what} per packet: {few:.3} with 25 tracks, {many:.3} with 200");
        // Where in its period a timer is when counting begins and ends is chance.
        assert!(
            many <= few * 1.05,
            "{what} per packet grow: {few} to {many}"
        );
    }
}
