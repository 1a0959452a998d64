//! NACKs are answered by the subscriber's shard, keyframe requests reach the publisher from every shard, reports are sent.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::{Client, Over, PATIENCE, VP8, connect, plane, run, run_for, some_range, vp8};
use kith_net::{Command, ShardId};
use kith_rtp::MediaKind;
use str0m::media::KeyframeRequestKind;
use tokio::sync::oneshot;

const FRAMES: u64 = 100;

#[test]
fn lost_packets_are_sent_again() {
    for shard in [0, 1] {
        let plane = plane(2, some_range());
        let mut publisher = Client::new(&plane, ShardId(0), Over::Udp);
        let mut subscriber = Client::new(&plane, ShardId(shard), Over::Udp);
        let (_, video) = publisher.publish(1000, 2000);
        subscriber.subscribe(video, MediaKind::Video, 4000);
        connect(&mut [&mut publisher, &mut subscriber]);
        subscriber.lose = |number| number % 10 == 7;
        for frame in 0..FRAMES {
            for part in 0..2 {
                let payload = vp8(frame as u16, part == 0, frame == 0, 500);
                publisher.write(
                    2000,
                    VP8,
                    500 + frame * 2 + part,
                    frame as u32 * 3000,
                    part == 1,
                    &payload,
                );
            }
            run_for(
                &mut [&mut publisher, &mut subscriber],
                Duration::from_millis(10),
            );
        }
        subscriber.lose = |_| false;
        run(
            &mut [&mut publisher, &mut subscriber],
            "everything arrives",
            |clients| {
                let mut numbers: Vec<u64> = clients[1]
                    .received(4000)
                    .iter()
                    .map(|packet| *packet.seq_no)
                    .collect();
                numbers.sort_unstable();
                numbers.dedup();
                // The tail may be lost without anybody noticing.
                numbers.len() as u64 >= FRAMES * 2 - 3
            },
        );
        plane.shutdown();
    }
}

#[test]
fn a_keyframe_request_reaches_the_publisher_from_every_shard() {
    for shard in [0, 1] {
        let plane = plane(2, some_range());
        let mut publisher = Client::new(&plane, ShardId(0), Over::Udp);
        let mut subscriber = Client::new(&plane, ShardId(shard), Over::Udp);
        let (_, video) = publisher.publish(1000, 2000);
        connect(&mut [&mut publisher, &mut subscriber]);
        // A stream in the middle: a new subscriber needs a keyframe.
        let mut frame = 0;
        let mut send = |clients: &mut [&mut Client], keyframe: bool| {
            clients[0].write(
                2000,
                VP8,
                500 + frame,
                frame as u32 * 3000,
                true,
                &vp8(frame as u16, true, keyframe, 300),
            );
            frame += 1;
            run_for(clients, Duration::from_millis(10));
        };
        let mut clients = [&mut publisher, &mut subscriber];
        send(&mut clients, true);
        for _ in 0..150 {
            send(&mut clients, false);
        }
        let before = clients[0].keyframe_requests;
        clients[1].subscribe(video, MediaKind::Video, 4000);
        let until = Instant::now() + Duration::from_secs(5);
        while clients[0].keyframe_requests == before && Instant::now() < until {
            send(&mut clients, false);
        }
        assert!(
            clients[0].keyframe_requests > before,
            "shard {shard}: subscribing asks for a keyframe"
        );
        assert!(clients[1].received(4000).is_empty());
        send(&mut clients, true);
        run(&mut clients, "the keyframe arrives", |clients| {
            !clients[1].received(4000).is_empty()
        });

        // And when the subscriber asks.
        for _ in 0..150 {
            send(&mut clients, false);
        }
        let before = clients[0].keyframe_requests;
        let mut api = clients[1].rtc.direct_api();
        api.stream_rx(&4000.into())
            .unwrap()
            .request_keyframe(KeyframeRequestKind::Pli);
        let until = Instant::now() + Duration::from_secs(5);
        while clients[0].keyframe_requests == before && Instant::now() < until {
            send(&mut clients, false);
        }
        assert!(
            clients[0].keyframe_requests > before,
            "shard {shard}: a PLI is passed on"
        );
        plane.shutdown();
    }
}

#[test]
fn sender_reports_reach_subscribers_and_their_reports_are_counted() {
    for shard in [0, 1] {
        let plane = plane(2, some_range());
        let mut publisher = Client::new(&plane, ShardId(0), Over::Udp);
        let mut subscriber = Client::new(&plane, ShardId(shard), Over::Udp);
        let (_, video) = publisher.publish(1000, 2000);
        let subscription = subscriber.subscribe(video, MediaKind::Video, 4000);
        connect(&mut [&mut publisher, &mut subscriber]);
        let mut stats = None;
        let mut frame = 0u64;
        let until = Instant::now() + PATIENCE;
        // Reports go once a second or so, and the second of the subscriber's answers the first of ours.
        while Instant::now() < until {
            let payload = vp8(frame as u16, true, frame.is_multiple_of(50), 300);
            publisher.write(2000, VP8, 500 + frame, frame as u32 * 900, true, &payload);
            run_for(
                &mut [&mut publisher, &mut subscriber],
                Duration::from_millis(10),
            );
            frame += 1;
            if !frame.is_multiple_of(50) {
                continue;
            }
            let (reply, mut answer) = oneshot::channel();
            plane
                .send(Command::ReadTransport {
                    transport: subscriber.transport,
                    reply,
                })
                .unwrap();
            run(&mut [&mut publisher, &mut subscriber], "an answer", |_| {
                stats = answer.try_recv().ok();
                stats.is_some()
            });
            if stats
                .as_ref()
                .is_some_and(|stats| stats.subscriptions[0].1.rtt.is_some())
            {
                break;
            }
        }
        let last = subscriber.received(4000).pop().unwrap();
        assert!(
            last.last_sender_info.is_some(),
            "shard {shard}: a sender report came"
        );
        let stats = stats.unwrap();
        assert_eq!(stats.subscriptions[0].0, subscription);
        assert!(stats.subscriptions[0].1.packets >= frame - 10);
        assert!(
            stats.subscriptions[0].1.rtt.is_some(),
            "shard {shard}: receiver reports answer sender reports"
        );
        assert!(stats.packets_out > frame - 10 && stats.packets_in > 2);
        plane.shutdown();
    }
}
