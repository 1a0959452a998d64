//! One publisher of VP8 (1 Mbit/s) and Opus, 50 subscribers, and 2 % loss in both directions of every link with 50 ms delay: NACKs
//! and retransmissions repair all of it, from the publisher to the node and from the node to each subscriber.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

use std::time::Duration;

use kith_rtp::MediaKind;
use kith_sfu::LayerTarget;
use sim::client::Received;
use sim::media::{Mark, OpusSource, Vp8Source};
use sim::network::{Conditions, Direction};
use sim::{World, seeds};

const SUBSCRIBERS: usize = 50;
const VIDEO: u32 = 1000;
const AUDIO: u32 = 2000;
const VIDEO_DOWN: u32 = 3000;
const AUDIO_DOWN: u32 = 4000;
const PARTS: u8 = 5;
const DELAY: Duration = Duration::from_millis(50);

/// Sends 25 pictures and 50 audio packets a second for as many pictures as told.
fn send(world: &mut World, video: &mut Vp8Source, audio: &mut OpusSource, pictures: u32) {
    for _ in 0..pictures {
        let picture = video.picture(world.now, video.pictures == 0);
        world.send(0, picture);
        let packet = audio.packet(world.now);
        world.send(0, [packet]);
        world.run(Duration::from_millis(20));
        let packet = audio.packet(world.now);
        world.send(0, [packet]);
        world.run(Duration::from_millis(20));
    }
}

fn assert_whole(received: &[&Received], expected: &[Mark], who: &str) {
    let until = expected.last().unwrap();
    let received: Vec<_> = received
        .iter()
        .take_while(|packet| packet.mark.unwrap() <= *until)
        .collect();
    let marks: Vec<_> = received.iter().map(|packet| packet.mark.unwrap()).collect();
    let missing: Vec<_> = expected.iter().filter(|it| !marks.contains(it)).collect();
    assert!(missing.is_empty(), "{who} misses {missing:?}");
    assert_eq!(marks, expected, "{who}: order or duplicates");
    for pair in received.windows(2) {
        assert_eq!(
            pair[1].seq,
            pair[0].seq + 1,
            "{who}: a gap at {:?}",
            pair[0]
        );
    }
}

#[test]
fn every_packet_reaches_fifty_subscribers_over_lossy_links() {
    for seed in seeds(&[1, 2, 3]) {
        let mut world = World::new(seed, 1 + SUBSCRIBERS, DELAY);
        world.connect();
        let video_id = world.publish(0, "v", MediaKind::Video, &[(None, VIDEO)]);
        let audio_id = world.publish(0, "a", MediaKind::Audio, &[(None, AUDIO)]);
        for client in 1..=SUBSCRIBERS {
            world.subscribe(
                client,
                video_id,
                MediaKind::Video,
                VIDEO_DOWN,
                LayerTarget::ALL,
            );
            world.subscribe(
                client,
                audio_id,
                MediaKind::Audio,
                AUDIO_DOWN,
                LayerTarget::ALL,
            );
        }
        let mut video = Vp8Source::new(world.now, VIDEO, PARTS, 1000);
        let mut audio = OpusSource::new(world.now, AUDIO);
        // A packet that is lost before the first one that arrives is missed by nobody.
        send(&mut world, &mut video, &mut audio, 5);
        world.set_conditions(Conditions::lossy(DELAY, 0.02));
        send(&mut world, &mut video, &mut audio, 75);
        let pictures = video.pictures;
        let packets = audio.packets;
        // The last one is missed when another comes after it.
        send(&mut world, &mut video, &mut audio, 25);

        let expected_video: Vec<Mark> = (0..pictures)
            .flat_map(|picture| {
                (0..PARTS).map(move |part| Mark {
                    source: VIDEO,
                    picture,
                    part,
                })
            })
            .collect();
        let expected_audio: Vec<Mark> = (0..packets)
            .map(|picture| Mark {
                source: AUDIO,
                picture,
                part: 0,
            })
            .collect();
        let mut lost = 0;
        for client in 0..=SUBSCRIBERS {
            let direction = if client == 0 {
                Direction::Up
            } else {
                Direction::Down
            };
            let counters = world.network.counters(client, direction);
            assert!(counters.lost > 0, "seed {seed} loses nothing");
            lost += counters.lost;
        }
        for client in 1..=SUBSCRIBERS {
            let it = &world.clients[client];
            let who = format!("seed {seed}: client {client}");
            assert_whole(&it.in_order(VIDEO_DOWN), &expected_video, &who);
            assert_whole(&it.in_order(AUDIO_DOWN), &expected_audio, &who);
        }
        let requests = world.clients[0].keyframe_requests.len();
        let work = world.node.work();
        println!("seed {seed}: {lost} packets lost, {requests} keyframe requests, {work:?}");
        // One for the first picture, and one if a subscriber asked while it was on its way.
        assert!(requests <= 2, "{requests} requests for keyframes");
        // What is lost on the way to the node is missed by all subscribers; about half of their NACKs cross with it and are answered
        // needlessly, as often as packets are lost on the way to them.
        assert!(work.repeated < 3 * lost, "{} repeats", work.repeated);
        assert_eq!(work.rejected, 0);
    }
}
