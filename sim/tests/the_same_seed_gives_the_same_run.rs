//! Two runs with one seed do the same to the microsecond, over a network that does everything that networks do; another seed gives
//! another run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use kith_rtp::MediaKind;
use kith_sfu::LayerTarget;
use sim::media::Vp8Source;
use sim::network::{Bottleneck, Conditions, Direction, LinkCounters};
use sim::node::Work;
use sim::{World, seeds};

const VIDEO: u32 = 1000;
const DOWN: u32 = 3000;
const SUBSCRIBERS: usize = 5;
const DELAY: Duration = Duration::from_millis(40);

fn run(seed: u64) -> (u64, Work, Vec<LinkCounters>) {
    let mut world = World::new(seed, 1 + SUBSCRIBERS, DELAY);
    world.connect();
    // One stream per client: str0m's own order among several is that of a hash table.
    let video = world.publish(0, "v", MediaKind::Video, &[(None, VIDEO)]);
    for client in 1..=SUBSCRIBERS {
        world.subscribe(client, video, MediaKind::Video, DOWN, LayerTarget::ALL);
    }
    let before = world.node.work();
    let mut source = Vp8Source::new(world.now, VIDEO, 5, 1000);
    world.set_conditions(Conditions {
        loss: 0.03,
        delay: DELAY,
        jitter: Duration::from_millis(10),
        reorder: 0.05,
        reorder_by: Duration::from_millis(15),
        bottleneck: Some(Bottleneck {
            bitrate: 1.2e6,
            queue: Duration::from_millis(25),
        }),
    });
    let mut requests = 0;
    for _ in 0..100 {
        let asked = world.clients[0].keyframe_requests.len() > requests;
        requests = world.clients[0].keyframe_requests.len();
        let picture = source.picture(world.now, asked || source.pictures == 0);
        world.send(0, picture);
        world.run(Duration::from_millis(40));
    }
    let counters = (0..=SUBSCRIBERS)
        .flat_map(|client| {
            [Direction::Up, Direction::Down].map(|way| world.network.counters(client, way))
        })
        .collect();
    // The handshake before is not the seed's.
    let work = world.node.work();
    let work = Work {
        datagrams_in: work.datagrams_in - before.datagrams_in,
        wakeups: work.wakeups - before.wakeups,
        looks: work.looks - before.looks,
        polls: work.polls - before.polls,
        ..work
    };
    (world.digest(), work, counters)
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in seeds(&[1, 2, 3]) {
        let first = run(seed);
        let (_, work, counters) = &first;
        let lost: u64 = counters.iter().map(|it| it.lost).sum();
        let dropped: u64 = counters.iter().map(|it| it.dropped).sum();
        assert!(lost > 0 && dropped > 0, "lost {lost}, dropped {dropped}");
        assert!(work.repeated > 0, "nothing was repaired");
        assert_eq!(run(seed), first, "seed {seed}");
        assert_ne!(run(seed + 1000).0, first.0, "seed {seed} and another");
    }
}
