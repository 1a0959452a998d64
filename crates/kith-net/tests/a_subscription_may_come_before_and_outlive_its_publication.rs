//! Commands to different shards have no order: a subscription may name a publication that does not exist yet, or no longer.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::time::Duration;

use common::{Client, Over, VP8, connect, plane, run, run_for, some_range, stats, vp8};
use kith_net::{Command, EventKind, ReceiveSpec, ShardId};
use kith_rtp::MediaKind;

fn send(clients: &mut [&mut Client], frames: std::ops::Range<u64>) {
    for frame in frames {
        // Keyframes often: the test is about who gets packets at all.
        clients[0].write(
            2000,
            VP8,
            500 + frame,
            frame as u32 * 3000,
            true,
            &vp8(frame as u16, true, frame.is_multiple_of(5), 300),
        );
        run_for(clients, Duration::from_millis(5));
    }
}

#[test]
fn on_the_publishers_shard_and_on_another() {
    for shard in [0, 1] {
        let plane = plane(2, some_range());
        let mut publisher = Client::new(&plane, ShardId(0), Over::Udp);
        let mut subscriber = Client::new(&plane, ShardId(shard), Over::Udp);
        let video = plane.new_publication_id(publisher.transport);
        let subscription = subscriber.subscribe(video, MediaKind::Video, 4000);
        connect(&mut [&mut publisher, &mut subscriber]);
        run_for(
            &mut [&mut publisher, &mut subscriber],
            Duration::from_millis(50),
        );

        // The publication comes after the subscription.
        let audio = plane.new_publication_id(publisher.transport);
        let (own_audio, own_video) = publisher.publish(1000, 2000);
        assert_ne!((own_audio, own_video), (audio, video));
        publisher.receive(audio, 1000, video, 2000);
        send(&mut [&mut publisher, &mut subscriber], 0..20);
        run(
            &mut [&mut publisher, &mut subscriber],
            "packets arrive",
            |clients| clients[1].received(4000).len() >= 15,
        );

        // It goes, and the subscription hears of it.
        plane
            .send(Command::SetReceive {
                transport: publisher.transport,
                spec: ReceiveSpec::default(),
            })
            .unwrap();
        run(
            &mut [&mut publisher, &mut subscriber],
            "removal is told",
            |clients| {
                clients[1].saw(|event| {
                    *event
                        == EventKind::PublicationRemoved {
                            subscription,
                            publication: video,
                        }
                })
            },
        );
        let before = subscriber.received(4000).len();
        send(&mut [&mut publisher, &mut subscriber], 20..30);
        assert_eq!(subscriber.received(4000).len(), before);

        // It comes back, and the stream goes on without a gap in its numbers.
        publisher.receive(audio, 1000, video, 2000);
        send(&mut [&mut publisher, &mut subscriber], 30..60);
        run(
            &mut [&mut publisher, &mut subscriber],
            "packets arrive again",
            |clients| clients[1].received(4000).len() >= before + 20,
        );
        let numbers: Vec<u64> = subscriber
            .received(4000)
            .iter()
            .map(|packet| *packet.seq_no)
            .collect();
        assert!(
            numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{numbers:?}"
        );

        // A subscription that comes too late is silent and leaves nothing behind.
        plane.send(Command::Unsubscribe { subscription }).unwrap();
        plane
            .send(Command::CloseTransport {
                transport: publisher.transport,
            })
            .unwrap();
        let late = subscriber.subscribe(video, MediaKind::Video, 5000);
        run_for(&mut [&mut subscriber], Duration::from_millis(50));
        plane
            .send(Command::Unsubscribe { subscription: late })
            .unwrap();
        run_for(&mut [&mut subscriber], Duration::from_millis(50));
        for shard in stats(&plane) {
            assert_eq!((shard.publications, shard.subscriptions), (0, 0));
        }
        plane.shutdown();
    }
}

#[test]
fn unsubscribing_stops_the_packets_and_the_feed_between_shards() {
    let plane = plane(2, some_range());
    let mut publisher = Client::new(&plane, ShardId(0), Over::Udp);
    let mut subscriber = Client::new(&plane, ShardId(1), Over::Udp);
    let (_, video) = publisher.publish(1000, 2000);
    let subscription = subscriber.subscribe(video, MediaKind::Video, 4000);
    connect(&mut [&mut publisher, &mut subscriber]);
    send(&mut [&mut publisher, &mut subscriber], 0..20);
    run(
        &mut [&mut publisher, &mut subscriber],
        "packets arrive",
        |clients| clients[1].received(4000).len() >= 15,
    );
    plane.send(Command::Unsubscribe { subscription }).unwrap();
    run_for(
        &mut [&mut publisher, &mut subscriber],
        Duration::from_millis(50),
    );
    let before = (subscriber.received(4000).len(), stats(&plane)[1].forwarded);
    send(&mut [&mut publisher, &mut subscriber], 20..30);
    assert_eq!(
        (subscriber.received(4000).len(), stats(&plane)[1].forwarded),
        before
    );
    assert_eq!(stats(&plane)[1].publications, 0);
    plane.shutdown();
}
