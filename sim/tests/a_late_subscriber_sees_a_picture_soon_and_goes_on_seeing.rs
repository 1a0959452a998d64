//! Subscribers that join one after the other, a publisher that sends keyframes only when asked: how long it takes until the first
//! picture, and how long the picture stands still when packets are lost.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

use std::time::{Duration, Instant};

use kith_rtp::MediaKind;
use kith_sfu::LayerTarget;
use sim::media::Vp8Source;
use sim::network::Conditions;
use sim::viewer::play;
use sim::{World, seeds};

const VIDEO: u32 = 1000;
const DOWN: u32 = 3000;
const SUBSCRIBERS: usize = 4;
const DELAY: Duration = Duration::from_millis(25);
const PICTURE: Duration = Duration::from_millis(40);

/// How long a viewer waits for a picture before it asks for a keyframe, as libwebrtc does.
const BLIND: Duration = Duration::from_millis(200);

struct Joined {
    at: Instant,
    asked: Instant,
    sees: bool,
}

impl Joined {
    fn new(at: Instant) -> Self {
        Joined {
            at,
            asked: at,
            sees: false,
        }
    }
}

/// Subscribers who see nothing ask for keyframes.
fn ask_if_blind(world: &mut World, joined: &mut [Joined]) {
    for (index, it) in joined.iter_mut().enumerate().filter(|(_, it)| !it.sees) {
        let client = &world.clients[index + 1];
        it.sees = play(&client.in_order(DOWN)).is_some();
        if !it.sees && !client.received.is_empty() && world.now - it.asked >= BLIND {
            it.asked = world.now;
            world.request_keyframe(index + 1, DOWN);
        }
    }
}

/// Returns the longest time to the first picture, and the longest time that a picture stood.
fn watch(seed: u64, conditions: Conditions) -> (Duration, Duration) {
    let mut world = World::new(seed, 1 + SUBSCRIBERS, DELAY);
    world.connect();
    let video = world.publish(0, "v", MediaKind::Video, &[(None, VIDEO)]);
    let mut source = Vp8Source::new(world.now, VIDEO, 5, 1000);
    let mut seen = 0;
    let mut joined = vec![];
    for picture in 0..200 {
        if picture == 10 {
            world.set_conditions(conditions);
        }
        if picture % 30 == 20 && joined.len() < SUBSCRIBERS {
            joined.push(Joined::new(world.now));
            let client = joined.len();
            world.subscribe(client, video, MediaKind::Video, DOWN, LayerTarget::ALL);
        }
        let requests = world.clients[0].keyframe_requests.len();
        let keyframe = requests > seen || source.pictures == 0;
        seen = requests;
        let packets = source.picture(world.now, keyframe);
        world.send(0, packets);
        world.run(PICTURE);
        ask_if_blind(&mut world, &mut joined);
    }
    let mut worst = (Duration::ZERO, Duration::ZERO);
    for (index, joined) in joined.iter().enumerate() {
        let packets = world.clients[index + 1].in_order(DOWN);
        let playback = play(&packets).unwrap();
        assert!(
            playback.not_shown <= 15,
            "seed {seed}: subscriber {index}: {playback:?}"
        );
        worst = (
            worst.0.max(playback.first - joined.at),
            worst.1.max(playback.longest_gap),
        );
    }
    worst
}

#[test]
fn on_a_perfect_network() {
    for seed in seeds(&[1]) {
        let (first, gap) = watch(seed, Conditions::perfect(DELAY));
        println!("seed {seed}: first picture after {first:?}, stands {gap:?} at most");
        // The request to the publisher, the next picture, and the keyframe's way.
        assert!(first <= DELAY * 3 + PICTURE, "{first:?}");
        assert_eq!(gap, PICTURE);
    }
}

#[test]
fn with_loss_and_reordering() {
    for seed in seeds(&[1, 2, 3, 11, 13, 22]) {
        let conditions = Conditions {
            jitter: Duration::from_millis(5),
            reorder: 0.02,
            reorder_by: Duration::from_millis(10),
            ..Conditions::lossy(DELAY, 0.02)
        };
        let (first, gap) = watch(seed, conditions);
        println!("seed {seed}: first picture after {first:?}, stands {gap:?} at most");
        // A lost request is repeated after the throttle's half second. So is one for a keyframe whose first packet is lost on the way to
        // the subscriber: nobody can miss what comes before the first packet that came, until the viewer sees nothing.
        assert!(
            first < Duration::from_millis(1500),
            "seed {seed}: {first:?}"
        );
        // A packet can be lost on both links, and asked for more than once.
        assert!(gap < Duration::from_millis(500), "seed {seed}: {gap:?}");
    }
}
