//! What a publisher does to its streams is nothing that the subscriber's stream shows: sequence numbers have no gap, and timestamps go
//! on by the time that passed, over a mute, over DTX, and over another SSRC.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use kith_rtp::MediaKind;
use kith_sfu::{IngressEvent, LayerTarget};
use sim::client::Received;
use sim::media::{OpusSource, Vp8Source, ticks};
use sim::network::Conditions;
use sim::node::NodeEvent;
use sim::{World, seeds};

const VIDEO: u32 = 1000;
const VIDEO_AGAIN: u32 = 1100;
const AUDIO: u32 = 2000;
const DOWN: u32 = 3000;
const PARTS: u8 = 3;
const DELAY: Duration = Duration::from_millis(30);
const PICTURE: Duration = Duration::from_millis(40);
const PACKET: Duration = Duration::from_millis(20);
const LOSSES: [f64; 2] = [0.0, 0.02];

/// Pictures, keyframes when asked for.
fn pictures(world: &mut World, source: &mut Vp8Source, count: u32, seen: &mut usize) {
    for _ in 0..count {
        let requests = world.clients[0].keyframe_requests.len();
        let keyframe = requests > *seen || source.pictures == 0;
        *seen = requests;
        let picture = source.picture(world.now, keyframe);
        world.send(0, picture);
        world.run(PICTURE);
    }
}

fn packets(world: &mut World, source: &mut OpusSource, count: u32, interval: Duration) {
    for _ in 0..count {
        let packet = source.packet(world.now);
        world.send(0, [packet]);
        world.run(interval);
    }
}

/// The sequence has no gap; returns the packets. Where a stream of the publisher ends, packets of its last picture may be missing:
/// nobody asks for them in time.
fn contiguous<'a>(world: &'a World, loss: f64, what: &str) -> Vec<&'a Received> {
    let packets = world.clients[1].in_order(DOWN);
    for pair in packets.windows(2) {
        let missing = pair[1].seq - pair[0].seq - 1;
        let may_miss = if loss > 0.0 && source(pair[0]) != source(pair[1]) {
            u64::from(PARTS)
        } else {
            0
        };
        assert!(
            missing <= may_miss,
            "{what}: {missing} packets missing after {:?}",
            pair[0]
        );
    }
    packets
}

fn source(packet: &Received) -> u32 {
    packet.mark.unwrap().source
}

fn time_between(from: &Received, to: &Received) -> u32 {
    to.time.wrapping_sub(from.time)
}

#[test]
fn a_muted_video_comes_back() {
    for (seed, loss) in seeds(&[1, 2, 3])
        .into_iter()
        .flat_map(|seed| LOSSES.map(|loss| (seed, loss)))
    {
        let what = format!("seed {seed}, loss {loss}");
        let mut world = World::new(seed, 2, DELAY);
        world.connect();
        let video = world.publish(0, "v", MediaKind::Video, &[(None, VIDEO)]);
        world.subscribe(1, video, MediaKind::Video, DOWN, LayerTarget::ALL);
        let mut source = Vp8Source::new(world.now, VIDEO, PARTS, 900);
        let mut seen = 0;
        pictures(&mut world, &mut source, 10, &mut seen);
        world.set_conditions(Conditions::lossy(DELAY, loss));
        pictures(&mut world, &mut source, 50, &mut seen);
        let last_before = source.pictures - 1;
        world.run(Duration::from_secs(12));
        // A camera that is unmuted begins with a keyframe; its clock went on.
        let picture = source.picture(world.now, true);
        world.send(0, picture);
        world.run(PICTURE);
        pictures(&mut world, &mut source, 50, &mut seen);
        let last = source.pictures - 10;
        world.run(Duration::from_secs(1));

        let packets = contiguous(&world, loss, &what);
        let mut marks: Vec<_> = packets.iter().map(|it| it.mark.unwrap()).collect();
        marks.retain(|mark| mark.picture <= last);
        let expected = (0..=last).flat_map(|picture| (0..PARTS).map(move |part| (picture, part)));
        assert!(
            marks.iter().map(|it| (it.picture, it.part)).eq(expected),
            "{what}: {marks:?}"
        );
        let of = |picture| {
            *packets
                .iter()
                .find(|it| it.mark.unwrap().picture == picture)
                .unwrap()
        };
        let gap = Duration::from_secs(12) + PICTURE;
        let step = time_between(of(last_before), of(last_before + 1));
        assert_eq!(step, ticks(gap, 90_000) as u32, "{what}: over the mute");
        let all = PICTURE * last + Duration::from_secs(12);
        assert_eq!(
            time_between(of(0), of(last)),
            ticks(all, 90_000) as u32,
            "{what}"
        );
        let count = |wanted: fn(&IngressEvent) -> bool| {
            let events = world.node.events().iter();
            events
                .filter(|it| matches!(&it.2, NodeEvent::Ingress(event) if wanted(event)))
                .count()
        };
        assert_eq!(
            count(|it| matches!(it, IngressEvent::LayerStopped { .. })),
            1,
            "{what}"
        );
        assert_eq!(
            count(|it| matches!(it, IngressEvent::LayerStarted { .. })),
            2,
            "{what}"
        );
    }
}

#[test]
fn discontinuous_audio_keeps_its_time() {
    for (seed, loss) in seeds(&[1, 2, 3])
        .into_iter()
        .flat_map(|seed| LOSSES.map(|loss| (seed, loss)))
    {
        let what = format!("seed {seed}, loss {loss}");
        let mut world = World::new(seed, 2, DELAY);
        world.connect();
        let audio = world.publish(0, "a", MediaKind::Audio, &[(None, AUDIO)]);
        world.subscribe(1, audio, MediaKind::Audio, DOWN, LayerTarget::ALL);
        let mut source = OpusSource::new(world.now, AUDIO);
        packets(&mut world, &mut source, 10, PACKET);
        world.set_conditions(Conditions::lossy(DELAY, loss));
        // Words, and between them a packet of comfort noise every 400 ms.
        let mut sent_at = vec![];
        for _ in 0..4 {
            sent_at.push((source.packets, world.now));
            packets(&mut world, &mut source, 25, PACKET);
            sent_at.push((source.packets, world.now));
            packets(&mut world, &mut source, 4, Duration::from_millis(400));
        }
        let last = source.packets - 1;
        // What comes after it shows whether the last one was lost.
        packets(&mut world, &mut source, 10, PACKET);
        world.run(Duration::from_secs(1));

        let received = contiguous(&world, loss, &what);
        let marks: Vec<_> = received.iter().map(|it| it.mark.unwrap().picture).collect();
        assert!(
            marks.iter().copied().take(last as usize + 1).eq(0..=last),
            "{what}: {marks:?}"
        );
        for (packet, at) in sent_at {
            let expected = ticks(at - source.start, 48_000) as u32;
            let step = time_between(received[0], received[packet as usize]);
            assert_eq!(step, expected, "{what}: packet {packet}");
        }
    }
}

#[test]
fn a_publisher_that_changes_its_ssrc_goes_on() {
    for (seed, loss) in seeds(&[1, 2, 3])
        .into_iter()
        .flat_map(|seed| LOSSES.map(|loss| (seed, loss)))
    {
        let what = format!("seed {seed}, loss {loss}");
        let mut world = World::new(seed, 2, DELAY);
        world.connect();
        let video = world.publish(0, "v", MediaKind::Video, &[(None, VIDEO)]);
        world.subscribe(1, video, MediaKind::Video, DOWN, LayerTarget::ALL);
        let mut source = Vp8Source::new(world.now, VIDEO, PARTS, 900);
        let mut seen = 0;
        pictures(&mut world, &mut source, 10, &mut seen);
        world.set_conditions(Conditions::lossy(DELAY, loss));
        pictures(&mut world, &mut source, 100, &mut seen);
        world.run(Duration::from_millis(300));
        // Everything about the new stream is new: SSRC, sequence, timestamps, picture ids.
        world.clients[0].remove_send(VIDEO);
        world.clients[0].declare_send("v", None, VIDEO_AGAIN);
        let mut again = Vp8Source::new(world.now, VIDEO_AGAIN, PARTS, 900);
        let changed = world.now;
        pictures(&mut world, &mut again, 100, &mut seen);
        world.run(Duration::from_secs(1));

        let packets = contiguous(&world, loss, &what);
        let at = packets
            .iter()
            .position(|it| it.mark.unwrap().source == VIDEO_AGAIN)
            .unwrap();
        let (last, first) = (packets[at - 1], packets[at]);
        assert!(first.keyframe, "{what}: {first:?}");
        assert!(
            packets[at..]
                .iter()
                .all(|it| it.mark.unwrap().source == VIDEO_AGAIN),
            "{what}"
        );
        let ids = first
            .picture_id
            .unwrap()
            .wrapping_sub(last.picture_id.unwrap())
            & 0x7fff;
        assert_eq!(ids, 1, "{what}: picture ids");
        // No sender report of the new stream is there yet, so the time that passed is that between arrivals.
        let passed = changed - source.start - PICTURE * last.mark.unwrap().picture
            + PICTURE * first.mark.unwrap().picture;
        let expected = ticks(passed, 90_000) as u32;
        let step = time_between(last, first);
        assert!(
            step.abs_diff(expected) < 90 * 150,
            "{what}: {step} instead of {expected}"
        );
        assert!(
            first.at - changed < Duration::from_millis(1500),
            "{what}: {:?}",
            first.at - changed
        );
        let epochs: Vec<_> = world
            .node
            .events()
            .iter()
            .filter_map(|it| match &it.2 {
                NodeEvent::Ingress(IngressEvent::LayerStarted { ssrc, .. }) => Some(ssrc.0),
                _ => None,
            })
            .collect();
        assert_eq!(epochs, [VIDEO, VIDEO_AGAIN], "{what}");
    }
}
